/* Elementwise kernels of the integer network: each is a twin of `run` of the page with its name in firmware_sim/ops/.
 *
 * They are inlined into the generated code, whose shifts, scales and sizes thus become constants of the loops.
 * STAPES_DSP takes elements by fours, and two to a word where an instruction of the core has both lanes; the bits and
 * the counts are those of plain C.
 */
#ifndef STAPES_NN_ELEMENTWISE_H
#define STAPES_NN_ELEMENTWISE_H

#include "nn.h"

#include <string.h>

#ifdef STAPES_DSP
#define STAPES_LANES 1
#define STAPES_UNROLL _Pragma("GCC unroll 4")
#else
#define STAPES_UNROLL
#define STAPES_LANES 0 /* element by element, which compilers turn into vectors */
#endif

/* ---------------------------------------------------------------- scheme int16x8 */

/* x / 2^n, rounded half away from zero: stapes_rdbpot for |x| <= 2^30, where the half cannot overflow. */
static inline int32_t stapes_shr_away(int32_t x, int n)
{
    return n == 0 ? x : (x + (1 << (n - 1)) + (x >> 31)) >> n;
}

/* Two elements, from any address. */
static inline uint32_t stapes_load_lanes(const void *from)
{
    uint32_t lanes;
    memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

/* Shifts of an op; what it does not need is 0. */
typedef struct {
    int a;
    int b;
    int y;
} stapes_shifts_t;

typedef int32_t stapes_element_t(int32_t a, int32_t b, stapes_shifts_t shift);

static inline int32_t stapes_sum(int32_t a, int32_t b, stapes_shifts_t shift)
{
    return stapes_shr_away(a * (1 << shift.a) + b * (1 << shift.b), shift.y);
}

static inline int32_t stapes_difference(int32_t a, int32_t b, stapes_shifts_t shift)
{
    return stapes_shr_away(a * (1 << shift.a) - b * (1 << shift.b), shift.y);
}

/* TFLite-Micro's first rounding, at multiplier 2^30, halves. */
static inline int32_t stapes_product(int32_t a, int32_t b, stapes_shifts_t shift)
{
    return stapes_shr_away((a * b + 1) >> 1, shift.y - 1);
}

static inline int32_t stapes_requantized(int32_t x, int32_t b, stapes_shifts_t shift)
{
    (void)b;
    return shift.y > 0 ? stapes_shr_away((x + 1) >> 1, shift.y - 1) : x * (1 << shift.a);
}

/* y = sat(element(a, b)) for all n; `element` and `shift` are constants where this is inlined. */
__STATIC_FORCEINLINE void stapes_each_i16(stapes_element_t *element, const int16_t *a, const int16_t *b, int16_t *y,
                                          size_t n, stapes_shifts_t shift, stapes_counter_t *counter)
{
    const size_t fours = STAPES_LANES ? n / 4 * 4 : 0;
    uint32_t hits = 0;
    for (size_t i = 0; i < fours; i += 4) {
        const stapes_four_t four = {element(a[i], b[i], shift), element(a[i + 1], b[i + 1], shift),
                                    element(a[i + 2], b[i + 2], shift), element(a[i + 3], b[i + 3], shift)};
        stapes_put_four_i16(four, y + i, &hits);
    }
    for (size_t i = fours; i < n; i++) {
        y[i] = stapes_limit_i16(element(a[i], b[i], shift), &hits);
    }
    stapes_count(&counter->saturations, hits);
}

/* y = sat(a + b), two lanes at a time: where a lane is limited, its sign is not that of the wrapped sum. */
__STATIC_FORCEINLINE void stapes_add_lanes_i16(const int16_t *a, const int16_t *b, int16_t *y, size_t n,
                                               stapes_counter_t *counter)
{
    uint32_t hits = 0; /* by lanes: n < 2^17 */
    STAPES_UNROLL
    for (size_t i = 0; i < n / 2; i++) {
        const uint32_t two_a = stapes_load_lanes(a + 2 * i), two_b = stapes_load_lanes(b + 2 * i);
        const uint32_t sum = __QADD16(two_a, two_b);
        hits += (sum ^ __SADD16(two_a, two_b)) >> 15 & 0x00010001U;
        memcpy(y + 2 * i, &sum, sizeof sum);
    }
    hits = (hits & 0xFFFFU) + (hits >> 16);
    if (n % 2 != 0) {
        y[n - 1] = stapes_limit_i16(a[n - 1] + b[n - 1], &hits);
    }
    stapes_count(&counter->saturations, hits);
}

/* y = x / 2, rounded half up. */
__STATIC_FORCEINLINE void stapes_halve_lanes_i16(const int16_t *x, int16_t *y, size_t n)
{
    STAPES_UNROLL
    for (size_t i = 0; i < n / 2; i++) {
        const uint32_t half = __SHADD16(stapes_load_lanes(x + 2 * i), 0x00010001U);
        memcpy(y + 2 * i, &half, sizeof half);
    }
    if (n % 2 != 0) {
        y[n - 1] = (int16_t)((x[n - 1] + 1) >> 1);
    }
}

/* y = sat((a * 2^shift_a +- b * 2^shift_b) / 2^shift_y), rounded half away from zero. shifts [0, 14]. */
__STATIC_FORCEINLINE void stapes_add_i16(const int16_t *a, const int16_t *b, int16_t *y, size_t n, int shift_a,
                                         int shift_b, int shift_y, stapes_counter_t *counter)
{
    if (STAPES_LANES && shift_a == 0 && shift_b == 0 && shift_y == 0) {
        stapes_add_lanes_i16(a, b, y, n, counter);
        return;
    }
    stapes_each_i16(stapes_sum, a, b, y, n, (stapes_shifts_t){shift_a, shift_b, shift_y}, counter);
}

__STATIC_FORCEINLINE void stapes_sub_i16(const int16_t *a, const int16_t *b, int16_t *y, size_t n, int shift_a,
                                         int shift_b, int shift_y, stapes_counter_t *counter)
{
    stapes_each_i16(stapes_difference, a, b, y, n, (stapes_shifts_t){shift_a, shift_b, shift_y}, counter);
}

/* y = sat(a * b / 2^shift): half up to one bit more, then half away from zero. shift [1, 32]. */
__STATIC_FORCEINLINE void stapes_mul_i16(const int16_t *a, const int16_t *b, int16_t *y, size_t n, int shift,
                                         stapes_counter_t *counter)
{
    stapes_each_i16(stapes_product, a, b, y, n, (stapes_shifts_t){0, 0, shift}, counter);
}

/* y = sat(x * 2^shift), shift [-31, 15]: to the right half up to one bit more, then half away from zero. */
__STATIC_FORCEINLINE void stapes_quantize_i16(const int16_t *x, int16_t *y, size_t n, int shift,
                                              stapes_counter_t *counter)
{
    if (STAPES_LANES && shift == 1) {
        stapes_add_lanes_i16(x, x, y, n, counter);
        return;
    }
    if (STAPES_LANES && shift == -1) {
        stapes_halve_lanes_i16(x, y, n);
        return;
    }
    const stapes_shifts_t shifts = {shift > 0 ? shift : 0, 0, shift < 0 ? -shift : 0};
    stapes_each_i16(stapes_requantized, x, x, y, n, shifts, counter);
}

/* TFLite-Micro's sigmoid table at |scaled|, interpolated, mirrored around its centre for negative arguments.
 *
 * scaled   x, 2^step_bits of it are one step of the table; |scaled| <= reach
 * returns  +-(value - 2^(15 + step_bits)), q(16 + step_bits); one LSB less when mirrored, which breaks the ties of the
 *          rounding shift that follows
 *
 * The last point before the end of the table stands for all beyond it: after rounding they are equal.
 * Without branches, so that the time does not depend on the signal.
 */
static inline int32_t stapes_sigmoid(int32_t scaled, int step_bits, uint32_t reach)
{
    const uint32_t last = (255U << step_bits) - 1U;
    const int32_t sign = scaled >> 31;
    const uint32_t magnitude = (uint32_t)((scaled ^ sign) - sign);
    const uint32_t inside = reach > last && magnitude > last ? last : magnitude;
    const uint32_t fraction = inside & ((1U << step_bits) - 1U);
    const uint16_t *const points = stapes_sigmoid_uq16 + (inside >> step_bits);
#ifdef STAPES_DSP
    /* Both points are 2^15 or more: as signed lanes they are 2^16 less, and their weights sum to 2^step_bits. */
    const uint32_t both = stapes_load_lanes(points);
    const uint32_t weights = fraction * 0xFFFFU + (1U << step_bits); /* fraction | 2^step_bits - fraction */
    const int32_t value = (int32_t)__SMLAD(both, weights, 1U << (15 + step_bits));
#else
    const int32_t step = points[1] - points[0];
    const int32_t value = (points[0] - (1 << 15)) * (1 << step_bits) + (int32_t)fraction * step;
#endif
    return value ^ sign;
}

/* x in units of 1/12288. */
static inline int32_t stapes_table_step(int32_t x, int32_t multiplier, int shift)
{
    return (x * multiplier + ((1 << shift) >> 1)) >> shift;
}

static inline int16_t stapes_logistic(int32_t x, int32_t multiplier, int shift)
{
    const uint32_t reach = (uint32_t)stapes_table_step(1 << 15, multiplier, shift);
    const int32_t r = stapes_sigmoid(stapes_table_step(x, multiplier, shift), 9, reach);
    return (int16_t)((r + (1 << 24) + (1 << 9)) >> 10);
}

static inline int16_t stapes_tanh(int32_t x, int32_t multiplier, int shift)
{
    const uint32_t reach = (uint32_t)stapes_table_step(1 << 15, multiplier, shift);
    const int32_t r = stapes_sigmoid(stapes_table_step(x, multiplier, shift), 8, reach);
    return (int16_t)((r + (1 << 7)) >> 8);
}

/* Sigmoid and tanh in q15 by TFLite-Micro's table and linear interpolation.
 *
 * x * multiplier / 2^shift (half up) is x in units of 1/12288; shift [0, 4]
 */
__STATIC_FORCEINLINE void stapes_logistic_i16(const int16_t *x, int16_t *y, size_t n, int32_t multiplier, int shift)
{
    STAPES_UNROLL
    for (size_t i = 0; i < n; i++) {
        y[i] = stapes_logistic(x[i], multiplier, shift);
    }
}

__STATIC_FORCEINLINE void stapes_tanh_i16(const int16_t *x, int16_t *y, size_t n, int32_t multiplier, int shift)
{
    STAPES_UNROLL
    for (size_t i = 0; i < n; i++) {
        y[i] = stapes_tanh(x[i], multiplier, shift);
    }
}

/* ---------------------------------------------------------------- scheme int8 */

/* x * rescale, where the commonest scales, powers of two, take no product; bounds as in stapes_rescaled. */
static inline int32_t stapes_scaled(int32_t x, stapes_rescale_t rescale)
{
    if (rescale.multiplier_q31 == 1 << 30 && rescale.shift <= 0) {
        return stapes_shr_away((x + 1) >> 1, -rescale.shift);
    }
    return stapes_rescaled(x, rescale);
}

/* Constants of an int8 sum: both operands are raised by 20 bits and brought to twice the larger scale. */
typedef struct {
    stapes_rescale_t a;
    stapes_rescale_t b;
    stapes_rescale_t y;
    int8_t zero_a;
    int8_t zero_b;
    int8_t zero_y;
} stapes_add_i8_t;

/* An operand of a sum at twice the larger scale, raised by 20 bits. */
static inline int32_t stapes_raised(int32_t x, int32_t zero_point, stapes_rescale_t rescale)
{
    return stapes_scaled((x - zero_point) * (1 << 20), rescale);
}

__STATIC_FORCEINLINE void stapes_add_i8(const int8_t *a, const int8_t *b, int8_t *y, size_t n,
                                        const stapes_add_i8_t *k, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t sum = stapes_raised(a[i], k->zero_a, k->a) + stapes_raised(b[i], k->zero_b, k->b);
        y[i] = stapes_limit_i8(stapes_scaled(sum, k->y) + k->zero_y, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

__STATIC_FORCEINLINE void stapes_sub_i8(const int8_t *a, const int8_t *b, int8_t *y, size_t n,
                                        const stapes_add_i8_t *k, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t difference = stapes_raised(a[i], k->zero_a, k->a) - stapes_raised(b[i], k->zero_b, k->b);
        y[i] = stapes_limit_i8(stapes_scaled(difference, k->y) + k->zero_y, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

/* y = clamp(rescale((a - zero_a) * (b - zero_b)) + zero_y). */
__STATIC_FORCEINLINE void stapes_mul_i8(const int8_t *a, const int8_t *b, int8_t *y, size_t n,
                                        stapes_rescale_t rescale, int32_t zero_a, int32_t zero_b, int32_t zero_y,
                                        stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t product = (a[i] - zero_a) * (b[i] - zero_b);
        y[i] = stapes_limit_i8(stapes_scaled(product, rescale) + zero_y, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

/* y = clamp(rescale(x - zero_x) + zero_y). */
__STATIC_FORCEINLINE void stapes_quantize_i8(const int8_t *x, int8_t *y, size_t n, stapes_rescale_t rescale,
                                             int32_t zero_x, int32_t zero_y, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        y[i] = stapes_limit_i8(stapes_scaled(x[i] - zero_x, rescale) + zero_y, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

/* y = table[x], the table in the order 0 .. 127, -128 .. -1: LOGISTIC and TANH. */
__STATIC_FORCEINLINE void stapes_lookup_i8(const int8_t *x, int8_t *y, size_t n, const int8_t table[256])
{
    for (size_t i = 0; i < n; i++) {
        y[i] = table[(uint8_t)x[i]];
    }
}

#endif
