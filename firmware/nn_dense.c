/* FULLY_CONNECTED, a row at a time: twin of `run` of firmware_sim/ops/fully_connected.py.
 *
 * STAPES_DSP selects dot products from the Cortex-M's dual multiply-accumulate; the bits are those of plain C.
 */
#include "nn.h"

#include <string.h>

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
    return stapes_limit_i16(y > low ? y : low, hits);
}

static inline int8_t output_i8(int32_t acc, stapes_rescale_t rescale, int32_t zero_point, int32_t low, uint32_t *hits)
{
    const int32_t y = stapes_mbqm32(acc, rescale.multiplier_q31, rescale.shift) + zero_point;
    return stapes_limit_i8(y > low ? y : low, hits);
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
