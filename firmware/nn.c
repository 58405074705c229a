/* Kernels of the integer network. Each is a twin of `run` of the page with its name in firmware_sim/ops/.
 *
 * STAPES_DSP selects dot products from the Cortex-M's dual multiply-accumulate for weights in rows; the kernels for
 * paired rows always use it. The bits are those of plain C.
 */
#include "nn.h"

#include <string.h>

/* Results are limited here; hits are counted in a register and booked once per kernel. */
static inline int16_t limit_i16(int32_t x, uint32_t *hits)
{
    const int32_t y = __SSAT(x, 16);
    *hits += (uint32_t)(y != x);
    return (int16_t)y;
}

static inline int8_t limit_i8(int32_t x, uint32_t *hits)
{
    const int32_t y = __SSAT(x, 8);
    *hits += (uint32_t)(y != x);
    return (int8_t)y;
}

static inline int32_t rescaled(int32_t x, stapes_rescale_t rescale)
{
    return stapes_mbqm32(x, rescale.multiplier_q31, rescale.shift);
}

/* ---------------------------------------------------------------- boundary of the network */

void stapes_encode_features_i16(const int16_t *x_q11, int16_t *x, size_t n, stapes_counter_t *counter)
{
    (void)counter; /* [-2^14, 2^14) doubled always fits */
    for (size_t i = 0; i < n; i++) {
        x[i] = (int16_t)(x_q11[i] * 2);
    }
}

void stapes_encode_features_i8(const int16_t *x_q11, int8_t *x, size_t n, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = limit_i8((x_q11[i] + (1 << 6)) >> 7, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_decode_mask_i16(const int16_t *mask, uint16_t *mask_q15, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mask_q15[i] = (uint16_t)mask[i];
    }
}

void stapes_decode_mask_i8(const int8_t *mask, uint16_t *mask_q15, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mask_q15[i] = (uint16_t)((mask[i] + 128) << 7);
    }
}

/* ---------------------------------------------------------------- FULLY_CONNECTED */

/* Sums of products; the exporter proves that they stay in int32. */
#ifdef STAPES_DSP

/* Four bytes, or two 16-bit lanes, from any address. */
static inline uint32_t load_u32(const void *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* Four products in two multiply-accumulates: lanes 0 and 2, then 1 and 3, of little-endian words. */
static inline int32_t dot_i16(const int16_t *x, const int8_t *w, size_t n)
{
    uint32_t sum = 0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const uint32_t weights = load_u32(w + i);
        const uint32_t x01 = load_u32(x + i);
        const uint32_t x23 = load_u32(x + i + 2);
        sum = __SMLAD(__SXTB16(weights), __PKHBT(x01, x23, 16), sum);
        sum = __SMLAD(__SXTB16(__ROR(weights, 8)), __PKHTB(x23, x01, 16), sum);
    }
    for (; i < n; i++) {
        sum += (uint32_t)(w[i] * x[i]);
    }
    return (int32_t)sum;
}

static inline int32_t dot_i8(const int8_t *x, const int8_t *w, size_t n)
{
    uint32_t sum = 0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const uint32_t weights = load_u32(w + i);
        const uint32_t inputs = load_u32(x + i);
        sum = __SMLAD(__SXTB16(weights), __SXTB16(inputs), sum);
        sum = __SMLAD(__SXTB16(__ROR(weights, 8)), __SXTB16(__ROR(inputs, 8)), sum);
    }
    for (; i < n; i++) {
        sum += (uint32_t)(w[i] * x[i]);
    }
    return (int32_t)sum;
}

#else

static inline int32_t dot_i16(const int16_t *x, const int8_t *w, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (int16_t)w[i] * x[i];
    }
    return sum;
}

static inline int32_t dot_i8(const int8_t *x, const int8_t *w, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (int16_t)w[i] * (int16_t)x[i];
    }
    return sum;
}

#endif

/* Requantised results; what lies below `low` is a ReLU's and no saturation. */
static inline int16_t output_i16(int32_t acc, int shift, int32_t low, uint32_t *hits)
{
    const int32_t y = (acc + (1 << (shift - 1))) >> shift;
    return limit_i16(y > low ? y : low, hits);
}

static inline int8_t output_i8(int32_t acc, stapes_rescale_t rescale, int32_t zero_point, int32_t low, uint32_t *hits)
{
    const int32_t y = rescaled(acc, rescale) + zero_point;
    return limit_i8(y > low ? y : low, hits);
}

void stapes_fully_connected_i16(const int16_t *x, const int8_t *w, const int32_t *bias, int shift, int16_t *y,
                                size_t rows, size_t columns, bool relu, stapes_counter_t *counter)
{
    const int32_t low = relu ? 0 : INT32_MIN;
    uint32_t hits = 0;
    for (size_t r = 0; r < rows; r++) {
        y[r] = output_i16(bias[r] + dot_i16(x, w + r * columns, columns), shift, low, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_fully_connected_per_channel_i16(const int16_t *x, const int8_t *w, const int32_t *bias,
                                            const uint8_t *shift, int16_t *y, size_t rows, size_t columns,
                                            bool relu, stapes_counter_t *counter)
{
    const int32_t low = relu ? 0 : INT32_MIN;
    uint32_t hits = 0;
    for (size_t r = 0; r < rows; r++) {
        y[r] = output_i16(bias[r] + dot_i16(x, w + r * columns, columns), shift[r], low, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

/* Two words of two 16-bit lanes from an address that is a multiple of 4: one load on the device. */
typedef struct {
    uint32_t first;
    uint32_t second;
} words_t;

static inline words_t load_words(const int16_t *from)
{
    words_t words;
#ifdef __GNUC__
    from = __builtin_assume_aligned(from, 4);
#endif
    memcpy(&words, from, sizeof words);
    return words;
}

/* Sums of two rows a and b whose weights share halfwords 256 * b + a, for two columns in a word. */
typedef struct {
    uint64_t both; /* 256 * row b + row a */
    uint32_t a;
} sums_t;

static inline void accumulate(sums_t *sums, uint32_t weights, uint32_t x)
{
    sums->both = __SMLALD(weights, x, sums->both);
    sums->a = __SMLAD(__SXTB16(weights), x, sums->a);
}

static inline void accumulate_one(sums_t *sums, int16_t weights, int16_t x)
{
    sums->both += (uint64_t)(int64_t)(weights * x);
    sums->a += (uint32_t)((int8_t)(uint8_t)weights * x);
}

/* Four columns of four rows. */
static inline void accumulate_four(sums_t sums[2], const int16_t *x, const int16_t *w)
{
    const words_t inputs = load_words(x);
    const words_t left = load_words(w);
    accumulate(&sums[0], left.first, inputs.first);
    accumulate(&sums[1], left.second, inputs.first);
    const words_t right = load_words(w + 4);
    accumulate(&sums[0], right.first, inputs.second);
    accumulate(&sums[1], right.second, inputs.second);
}

/* Row b: what is left of both sums without row a; exact, and in int32 as the exporter proves. */
static inline int32_t row_b(const sums_t *sums)
{
    return (int32_t)(uint32_t)((sums->both - (uint64_t)(int64_t)(int32_t)sums->a) >> 8);
}

/* The columns behind the last sixteen, one by one; the last one of an odd number stands alone. */
static inline void accumulate_rest(sums_t sums[2], const int16_t *x, const int16_t *w, size_t columns)
{
    for (; columns >= 2; columns -= 2, x += 2, w += 4) {
        accumulate_one(&sums[0], w[0], x[0]);
        accumulate_one(&sums[0], w[1], x[1]);
        accumulate_one(&sums[1], w[2], x[0]);
        accumulate_one(&sums[1], w[3], x[1]);
    }
    if (columns != 0) {
        accumulate_one(&sums[0], w[0], x[0]);
        accumulate_one(&sums[1], w[1], x[0]);
    }
}

/* Four rows without their biases: first the rest, so that the loop's sums stay in registers, then sixteen by sixteen. */
__STATIC_FORCEINLINE void four_rows(const int16_t *x, const int16_t *w, size_t columns, int32_t acc[4])
{
    sums_t sums[2] = {{0, 0}, {0, 0}};
    const size_t rest = columns % 16;
    const int16_t *const end = x + (columns - rest);
    if (rest != 0) {
        accumulate_rest(sums, end, w + 2 * (columns - rest), rest);
    }
    for (; x != end; x += 16, w += 32) {
        accumulate_four(sums, x, w);
        accumulate_four(sums, x + 4, w + 8);
        accumulate_four(sums, x + 8, w + 16);
        accumulate_four(sums, x + 12, w + 24);
    }
    acc[0] = (int32_t)sums[0].a;
    acc[1] = row_b(&sums[0]);
    acc[2] = (int32_t)sums[1].a;
    acc[3] = row_b(&sums[1]);
}

/* The accumulator's bias has the rounding constant in it. */
static inline int16_t requantised(int32_t acc, int32_t bias, int shift, bool relu, uint32_t *hits)
{
    const int32_t y = stapes_add_i32(acc, bias) >> shift;
    return limit_i16(relu && y < 0 ? 0 : y, hits);
}

/* All rows; `relu` is a constant where this is inlined. */
__STATIC_FORCEINLINE void paired_rows(const int16_t *x, const int16_t *w, const int32_t *bias, int shift, int16_t *y,
                               size_t rows, size_t columns, bool relu, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    int32_t acc[4];
    for (; rows >= 4; rows -= 4, w += 2 * columns, bias += 4, y += 4) {
        four_rows(x, w, columns, acc);
        y[0] = requantised(acc[0], bias[0], shift, relu, &hits);
        y[1] = requantised(acc[1], bias[1], shift, relu, &hits);
        y[2] = requantised(acc[2], bias[2], shift, relu, &hits);
        y[3] = requantised(acc[3], bias[3], shift, relu, &hits);
    }
    if (rows != 0) {
        four_rows(x, w, columns, acc);
        for (size_t i = 0; i < rows; i++) {
            y[i] = requantised(acc[i], bias[i], shift, relu, &hits);
        }
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_fully_connected_paired_i16(const int16_t *x, const int16_t *w, const int32_t *bias, int shift, int16_t *y,
                                       size_t rows, size_t columns, stapes_counter_t *counter)
{
    paired_rows(x, w, bias, shift, y, rows, columns, false, counter);
}

void stapes_fully_connected_paired_relu_i16(const int16_t *x, const int16_t *w, const int32_t *bias, int shift,
                                            int16_t *y, size_t rows, size_t columns, stapes_counter_t *counter)
{
    paired_rows(x, w, bias, shift, y, rows, columns, true, counter);
}

void stapes_fully_connected_i8(const int8_t *x, const int8_t *w, const int32_t *bias, stapes_rescale_t rescale,
                               int8_t *y, size_t rows, size_t columns, int32_t zero_point, bool relu,
                               stapes_counter_t *counter)
{
    const int32_t low = relu ? zero_point : INT32_MIN;
    uint32_t hits = 0;
    for (size_t r = 0; r < rows; r++) {
        y[r] = output_i8(bias[r] + dot_i8(x, w + r * columns, columns), rescale, zero_point, low, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_fully_connected_per_channel_i8(const int8_t *x, const int8_t *w, const int32_t *bias,
                                           const stapes_rescale_t *rescale, int8_t *y, size_t rows, size_t columns,
                                           int32_t zero_point, bool relu, stapes_counter_t *counter)
{
    const int32_t low = relu ? zero_point : INT32_MIN;
    uint32_t hits = 0;
    for (size_t r = 0; r < rows; r++) {
        y[r] = output_i8(bias[r] + dot_i8(x, w + r * columns, columns), rescale[r], zero_point, low, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

/* ---------------------------------------------------------------- elementwise, scheme int16x8 */

void stapes_add_i16(const int16_t *a, const int16_t *b, int16_t *y, size_t n, int shift_a, int shift_b, int shift_y,
                    stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t sum = a[i] * (1 << shift_a) + b[i] * (1 << shift_b);
        y[i] = limit_i16(stapes_rdbpot(sum, shift_y), &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_sub_i16(const int16_t *a, const int16_t *b, int16_t *y, size_t n, int shift_a, int shift_b, int shift_y,
                    stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t difference = a[i] * (1 << shift_a) - b[i] * (1 << shift_b);
        y[i] = limit_i16(stapes_rdbpot(difference, shift_y), &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_mul_i16(const int16_t *a, const int16_t *b, int16_t *y, size_t n, int shift, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t half = (a[i] * b[i] + 1) >> 1; /* TFLite-Micro's first rounding, at multiplier 2^30 */
        y[i] = limit_i16(stapes_rdbpot(half, shift - 1), &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_quantize_i16(const int16_t *x, int16_t *y, size_t n, int shift, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        y[i] = limit_i16(shift < 0 ? stapes_rdbpot((x[i] + 1) >> 1, -shift - 1) : x[i] * (1 << shift), &hits);
    }
    stapes_count(&counter->saturations, hits);
}

/* TFLite-Micro's sigmoid table at |scaled|, interpolated, mirrored around its centre for negative arguments.
 *
 * scaled   x, 2^step_bits of it are one step of the table
 * end      value beyond the table, q16
 * origin   value at 0, q(16 + step_bits)
 * returns  +-(value - origin), q(16 + step_bits); one LSB less when mirrored, which breaks the ties of the
 *          rounding shift that follows
 *
 * Without branches, so that the time does not depend on the signal.
 */
static inline int32_t sigmoid(int32_t scaled, int step_bits, int32_t end, int32_t origin)
{
    const int32_t sign = scaled >> 31;
    const uint32_t magnitude = (uint32_t)((scaled ^ sign) - sign);
    const uint32_t index = magnitude >> step_bits;
    const uint32_t inside = index < 254U ? index : 254U;
    const int32_t left = stapes_sigmoid_uq16[inside];
    const int32_t step = stapes_sigmoid_uq16[inside + 1U] - left;
    const int32_t fraction = (int32_t)(magnitude & ((1U << step_bits) - 1U));
    const int32_t value = index < 255U ? left * (1 << step_bits) + fraction * step : end * (1 << step_bits);
    return (((value - origin) ^ sign) - sign) + sign;
}

/* x in units of 1/12288. */
static inline int32_t table_step(int16_t x, int32_t multiplier, int shift)
{
    return (x * multiplier + ((1 << shift) >> 1)) >> shift;
}

void stapes_logistic_i16(const int16_t *x, int16_t *y, size_t n, int32_t multiplier, int shift)
{
    for (size_t i = 0; i < n; i++) {
        const int32_t r = sigmoid(table_step(x[i], multiplier, shift), 9, 0x7FFF << 1, 1 << 24);
        y[i] = (int16_t)((r + (1 << 24) + (1 << 9)) >> 10);
    }
}

void stapes_tanh_i16(const int16_t *x, int16_t *y, size_t n, int32_t multiplier, int shift)
{
    for (size_t i = 0; i < n; i++) {
        const int32_t r = sigmoid(table_step(x[i], multiplier, shift), 8, 0xFFFF, 1 << 23);
        y[i] = (int16_t)((r + (1 << 7)) >> 8);
    }
}

/* ---------------------------------------------------------------- elementwise, scheme int8 */

/* An operand of a sum at twice the larger scale, raised by 20 bits. */
static inline int32_t raised(int8_t x, int8_t zero_point, stapes_rescale_t rescale)
{
    return rescaled((x - zero_point) * (1 << 20), rescale);
}

void stapes_add_i8(const int8_t *a, const int8_t *b, int8_t *y, size_t n, const stapes_add_i8_t *k,
                   stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t sum = raised(a[i], k->zero_a, k->a) + raised(b[i], k->zero_b, k->b);
        y[i] = limit_i8(rescaled(sum, k->y) + k->zero_y, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_sub_i8(const int8_t *a, const int8_t *b, int8_t *y, size_t n, const stapes_add_i8_t *k,
                   stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t difference = raised(a[i], k->zero_a, k->a) - raised(b[i], k->zero_b, k->b);
        y[i] = limit_i8(rescaled(difference, k->y) + k->zero_y, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_mul_i8(const int8_t *a, const int8_t *b, int8_t *y, size_t n, stapes_rescale_t rescale, int32_t zero_a,
                   int32_t zero_b, int32_t zero_y, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        y[i] = limit_i8(rescaled((a[i] - zero_a) * (b[i] - zero_b), rescale) + zero_y, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_quantize_i8(const int8_t *x, int8_t *y, size_t n, stapes_rescale_t rescale, int32_t zero_x,
                        int32_t zero_y, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        y[i] = limit_i8(rescaled(x[i] - zero_x, rescale) + zero_y, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_lookup_i8(const int8_t *x, int8_t *y, size_t n, const int8_t table[256])
{
    for (size_t i = 0; i < n; i++) {
        y[i] = table[(uint8_t)x[i]];
    }
}
