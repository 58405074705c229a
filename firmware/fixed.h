/* The integer words: every rounding and every saturation of Stapes has its name here.
 *
 * Twin of firmware_sim/fixed.py: the same names, ranges and results. DSP words round half up; network words
 * (second part) round as TFLite-Micro's reference kernels do. No word depends on a flag.
 * Signed overflow and shifts of negatives to the left do not occur: what wraps, wraps in unsigned arithmetic.
 */
#ifndef STAPES_FIXED_H
#define STAPES_FIXED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmsis_compiler.h"
#include "stapes_tables.h"

_Static_assert((-1 >> 1) == -1 && (INT64_MIN >> 63) == -1, "right shifts of negatives must be arithmetic");
_Static_assert((int32_t)UINT32_C(0x80000000) == INT32_MIN, "conversion to int32 must keep the bits");

/* One stage's sticky counters: they stop at their maximum. */
typedef struct {
    uint32_t saturations; /* limited elements */
    uint32_t overflows;   /* frames outside the range for which the absence of wraps is proven */
} stapes_counter_t;

/* Add hits to a sticky counter. */
static inline void stapes_count(uint32_t *counter, uint32_t hits)
{
    *counter = hits > UINT32_MAX - *counter ? UINT32_MAX : *counter + hits;
}

/* ---------------------------------------------------------------- shifts and saturation */

/* x >> n, towards minus infinity. n in [0, 62]. */
static inline int64_t stapes_shr_floor(int64_t x, int n) { return x >> n; }

/* x / 2^n, rounded half up. n in [1, 62]; |x| < 2^62. */
static inline int64_t stapes_shr_round(int64_t x, int n) { return (x + (INT64_C(1) << (n - 1))) >> n; }

/* x * 2^n for n >= 0, floor(x / 2^-n) for n < 0; the result must fit int64. */
static inline int64_t stapes_shift_left(int64_t x, int n)
{
    return n >= 0 ? (int64_t)((uint64_t)x << n) : x >> -n;
}

/* x limited to [low, high]; each limited value counts as one saturation. */
static inline int64_t stapes_clamp(int64_t x, int64_t low, int64_t high, stapes_counter_t *counter)
{
    const int64_t y = x < low ? low : x > high ? high : x;
    stapes_count(&counter->saturations, y != x);
    return y;
}

/* x limited to int16. */
static inline int16_t stapes_sat_i16(int32_t x, stapes_counter_t *counter)
{
    const int32_t y = __SSAT(x, 16);
    stapes_count(&counter->saturations, y != x);
    return (int16_t)y;
}

/* x limited to int32. */
static inline int32_t stapes_sat_i32(int64_t x, stapes_counter_t *counter)
{
    return (int32_t)stapes_clamp(x, INT32_MIN, INT32_MAX, counter);
}

/* x modulo 2^32 as int32: what an int32 register holds. */
static inline int32_t stapes_wrap_i32(int64_t x) { return (int32_t)(uint32_t)(uint64_t)x; }

/* x + y and x - y modulo 2^32. */
static inline int32_t stapes_add_i32(int32_t x, int32_t y) { return (int32_t)((uint32_t)x + (uint32_t)y); }
static inline int32_t stapes_sub_i32(int32_t x, int32_t y) { return (int32_t)((uint32_t)x - (uint32_t)y); }

/* 2 * x modulo 2^32. */
static inline int32_t stapes_double_i32(int32_t x) { return (int32_t)((uint32_t)x << 1); }

/* ---------------------------------------------------------------- products */

/* x * gain, rounded half up. gain_q15 [0, 32768]; the result is no larger than x. */
static inline int32_t stapes_mul_q15(int32_t x, uint32_t gain_q15)
{
    return (int32_t)(((int64_t)x * (int64_t)gain_q15 + (1 << 14)) >> 15);
}

/* x * y, rounded half up. |x| <= 2^31, y_q31 [0, 2^31]. */
static inline int64_t stapes_mul_q31(int64_t x, uint32_t y_q31)
{
    return (x * (int64_t)y_q31 + (INT64_C(1) << 30)) >> 31;
}

/* High word of the int32 product, floored. */
static inline int32_t stapes_mulhi_i32(int32_t x, int32_t y) { return (int32_t)(((int64_t)x * y) >> 32); }

/* High word of the int32 product, rounded half up (Cortex-M: SMMULR). */
static inline int32_t stapes_mulhi_round(int32_t x, int32_t y)
{
    return (int32_t)(((int64_t)x * y + (INT64_C(1) << 31)) >> 32);
}

/* total + high word of the int32 product, the 64-bit sum rounded half up, modulo 2^32 (Cortex-M: SMMLAR). */
static inline int32_t stapes_mulhi_round_add(int32_t total, int32_t x, int32_t y)
{
    return stapes_add_i32(total, stapes_mulhi_round(x, y));
}

/* x * a + y * b, one rounding (half up), for wide unsigned values.
 *
 * x, y          [0, 2^61)
 * x_q31, y_q31  [0, 2^31], their sum at most 2^31
 * returns       [0, 2^61)
 */
static inline int64_t stapes_mix_q31(int64_t x, uint32_t x_q31, int64_t y, uint32_t y_q31)
{
    const uint64_t high = (uint64_t)(uint32_t)(x >> 32) * x_q31 + (uint64_t)(uint32_t)(y >> 32) * y_q31;
    const uint64_t low = (uint64_t)(uint32_t)x * x_q31 + (uint64_t)(uint32_t)y * y_q31;
    return (int64_t)((high << 1) + ((low + (UINT64_C(1) << 30)) >> 31));
}

/* ---------------------------------------------------------------- norm, reciprocal, logarithm, root */

/* Bits of x, 0 for 0; x in [0, 2^63). */
static inline int stapes_bit_length(int64_t x)
{
    const uint32_t high = (uint32_t)(x >> 32);
    return high != 0U ? 64 - __CLZ(high) : 32 - __CLZ((uint32_t)x);
}

/* 2^61 / mantissa by table and one Newton step.
 *
 * mantissa  [2^30, 2^31), a normalised value
 * returns   (2^30, 2^31], relative error in [-2^-17, 2^-30]
 * source    Newton-Raphson; start value from stapes_reciprocal_uq16
 */
static inline uint32_t stapes_reciprocal(uint32_t mantissa)
{
    const uint32_t start = (uint32_t)stapes_reciprocal_uq16[(mantissa >> 22) & 0xFFU] << 15;
    const uint64_t defect = (UINT64_C(1) << 32) - (((uint64_t)mantissa * start) >> 30);
    return (uint32_t)((start * defect) >> 31);
}

/* Base-2 logarithm by norm, 257-entry table and linear interpolation.
 *
 * x        [1, 2^62)
 * returns  q16 [0, 62 * 2^16), error below 2^-16
 */
static inline int32_t stapes_log2_q16(int64_t x)
{
    const int bits = stapes_bit_length(x);
    const uint32_t mantissa = (uint32_t)stapes_shift_left(x, 31 - bits);
    const uint32_t index = (mantissa >> 22) & 0xFFU;
    const int32_t fraction_q15 = (int32_t)((mantissa >> 7) & 0x7FFFU);
    const int32_t left = stapes_log2_q24[index];
    const int32_t step = stapes_log2_q24[index + 1U] - left;
    const int32_t fraction_q24 = left + (int32_t)(((int64_t)step * fraction_q15 + (1 << 14)) >> 15);
    return (bits - 1) * (1 << 16) + ((fraction_q24 + (1 << 7)) >> 8);
}

/* Largest root with root^2 <= x: Newton's method from above, which falls until it has arrived. */
static inline uint32_t stapes_sqrt_floor_u32(uint32_t x)
{
    if (x == 0U) {
        return 0;
    }
    const uint32_t half_bits = (31U - __CLZ(x)) >> 1;
    uint32_t root = ((1U << half_bits) + (x >> half_bits) + 1U) >> 1;
    for (uint32_t next = (root + x / root) >> 1; next < root; next = (root + x / root) >> 1) {
        root = next;
    }
    return root;
}

/* Largest root with root^2 <= x, digit by digit: no 64-bit division. x < 2^62. */
static inline uint32_t stapes_sqrt_floor_u64(uint64_t x)
{
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 60; bit != 0U; bit >>= 2) {
        const uint64_t trial = root + bit;
        root >>= 1;
        if (x >= trial) {
            x -= trial;
            root += bit;
        }
    }
    return (uint32_t)root;
}

/* Integer nearest to the square root of x, x in [0, 2^52). */
static inline uint32_t stapes_sqrt_round(uint64_t x)
{
    const uint32_t root = (x >> 32) == 0U ? stapes_sqrt_floor_u32((uint32_t)x) : stapes_sqrt_floor_u64(x);
    return root + (uint32_t)(x - (uint64_t)root * root > root);
}

/* ---------------------------------------------------------------- network words (TFLite-Micro's rounding) */

/* Saturating rounding doubling high product: (a * b + 2^30) >> 31; INT_MIN * INT_MIN gives INT_MAX.
 *
 * source   gemmlowp SaturatingRoundingDoublingHighMul, with its truncating division folded into a floor
 */
static inline int32_t stapes_srdhm(int32_t a, int32_t b)
{
    const int64_t y = ((int64_t)a * b + (INT64_C(1) << 30)) >> 31;
    return (int32_t)(y > INT32_MAX ? INT32_MAX : y);
}

/* x / 2^exponent, rounded half away from zero. exponent in [0, 31]. */
static inline int32_t stapes_rdbpot(int32_t x, int exponent)
{
    const uint32_t mask = (1U << exponent) - 1U;
    return (x >> exponent) + (int32_t)(((uint32_t)x & mask) > (mask >> 1) + (uint32_t)(x < 0));
}

/* x * multiplier * 2^shift with two roundings: TFLite-Micro's int32 MultiplyByQuantizedMultiplier.
 *
 * multiplier_q31  [2^30, 2^31), or 0
 * shift           [-31, 30], positive = left
 */
static inline int32_t stapes_mbqm32(int32_t x, int32_t multiplier_q31, int shift)
{
    const int left = shift > 0 ? shift : 0;
    const int right = shift > 0 ? 0 : -shift;
    return stapes_rdbpot(stapes_srdhm((int32_t)((uint32_t)x << left), multiplier_q31), right);
}

/* x * multiplier * 2^shift with one rounding (half up) and a 15-bit multiplier: the int64 variant.
 *
 * x               |x| < 2^47
 * multiplier_q31  [2^30, 2^31), or 0
 * shift           [-31, 14], positive = left
 */
static inline int32_t stapes_mbqm64(int64_t x, int32_t multiplier_q31, int shift)
{
    const int64_t reduced = multiplier_q31 < 0x7FFF0000 ? (multiplier_q31 + (1 << 15)) >> 16 : 0x7FFF;
    const int total = 15 - shift;
    return stapes_wrap_i32((x * reduced + (INT64_C(1) << (total - 1))) >> total);
}

#endif
