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

/* x / 2^n, rounded half up. n in [1, 62]; |x| < 2^62. */
static inline int64_t stapes_shr_round(int64_t x, int n) { return (x + (INT64_C(1) << (n - 1))) >> n; }

/* The limited form y of x; where they differ one is added to hits. */
static inline int32_t stapes_limited(int32_t x, int32_t y, uint32_t *hits)
{
    *hits += y != x;
    return y;
}

/* x limited to 15, 16 bits with sign; a limited value adds one to hits. */
static inline int16_t stapes_sat_i15(int32_t x, uint32_t *hits)
{
    return (int16_t)stapes_limited(x, __SSAT(x, 15), hits);
}
static inline int16_t stapes_sat_i16(int32_t x, uint32_t *hits)
{
    return (int16_t)stapes_limited(x, __SSAT(x, 16), hits);
}

/* 2 * x limited to int32; a limited value adds one to hits. */
static inline int32_t stapes_double_sat_i32(int32_t x, uint32_t *hits)
{
    const int32_t y = stapes_limited(x, __SSAT(x, 31), hits);
    return 2 * y - ((y - x) >> 31); /* one more at the upper end: INT32_MAX is odd */
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

/* High word of the uint32 product. */
static inline uint32_t stapes_mulhi_u32(uint32_t x, uint32_t y) { return (uint32_t)(((uint64_t)x * y) >> 32); }

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
    const uint64_t start = ((uint64_t)(uint32_t)total << 32) | (UINT64_C(1) << 31);
    return (int32_t)(uint32_t)((start + (uint64_t)((int64_t)x * y)) >> 32);
}

/* High word of the uint32 product, rounded half up. */
static inline uint32_t stapes_mulhi_round_u32(uint32_t x, uint32_t y)
{
    return (uint32_t)(((UINT64_C(1) << 31) + (uint64_t)x * y) >> 32);
}

/* x * a + y * b, one rounding (half up), for wide unsigned values.
 *
 * x, y          [0, 2^61), or above with smaller shares: x * x_q31 + y * y_q31 < 2^92
 * x_q31, y_q31  [0, 2^31], their sum at most 2^31
 * returns       [0, 2^61)
 */
static inline int64_t stapes_mix_q31(int64_t x, uint32_t x_q31, int64_t y, uint32_t y_q31)
{
    const uint64_t low = (UINT64_C(1) << 30) + (uint64_t)(uint32_t)x * x_q31 + (uint64_t)(uint32_t)y * y_q31;
    const uint64_t high = (low >> 32) + (uint64_t)(uint32_t)(x >> 32) * x_q31 + (uint64_t)(uint32_t)(y >> 32) * y_q31;
    return (int64_t)((high << 1) | ((uint32_t)low >> 31));
}

/* ---------------------------------------------------------------- norm, reciprocal, logarithm, root */

/* Bits of x, 0 for 0; x in [0, 2^63). */
static inline int stapes_bit_length(int64_t x)
{
    const uint32_t high = (uint32_t)(x >> 32);
    return high != 0U ? 64 - __CLZ(high) : 32 - __CLZ((uint32_t)x);
}

/* Bits of x, and x shifted so that its first bit comes to bit 30: the twin has shift_left(x, 31 - bits).
 *
 * x         [0, 2^63)
 * bits      stapes_bit_length(x), but 1 for 0
 * returns   [2^30, 2^31), 0 for 0
 *
 * The same few 32-bit operations for every x: a 64-bit shift by a variable takes a 32-bit core twice as many.
 */
static inline uint32_t stapes_normalise(int64_t x, int *bits)
{
    const uint32_t high = (uint32_t)(x >> 32);
    const uint32_t first = high != 0U ? high : (uint32_t)x;
    const uint32_t rest = high != 0U ? (uint32_t)x : 0U;
    const uint32_t zeros = __CLZ(first | 1U);
    *bits = (high != 0U ? 64 : 32) - (int)zeros;
    return ((first << zeros) | ((rest >> 1) >> (31U - zeros))) >> 1;
}

/* 2^61 / mantissa by table and one Newton step.
 *
 * mantissa  [2^30, 2^31), a normalised value
 * returns   [2^30 - 2^10, 2^31), relative error in [-2^-17, 2^-30]
 * source    Newton-Raphson; start value from stapes_reciprocal_uq16
 */
static inline uint32_t stapes_reciprocal(uint32_t mantissa)
{
    const uint32_t twice_start = (uint32_t)stapes_reciprocal_uq16[(mantissa >> 22) & 0xFFU] << 16;
    const uint32_t defect = 0U - stapes_mulhi_u32(mantissa << 1, twice_start); /* 2^32 - mantissa * start / 2^30 */
    return stapes_mulhi_u32(twice_start, defect);
}

/* Base-2 logarithm by norm, 257-entry table and linear interpolation.
 *
 * x        [1, 2^62); 0 gives 0
 * returns  q16 [0, 62 * 2^16), error below 2^-16
 */
static inline int32_t stapes_log2_q16(int64_t x)
{
    int bits;
    const uint32_t mantissa = stapes_normalise(x, &bits);
    const int32_t *left = &stapes_log2_q24[(mantissa >> 22) & 0xFFU];
    const uint32_t step = (uint32_t)(left[1] - left[0]); /* below 2^17: the product needs all of 32 bits */
    const uint32_t fraction_q24 = (uint32_t)left[0] + ((step * ((mantissa >> 7) & 0x7FFFU) + (1U << 14)) >> 15);
    return (bits - 1) * (1 << 16) + (int32_t)((fraction_q24 + (1U << 7)) >> 8);
}

/* Integer nearest to the square root of x, x in [0, 2^30): table with linear interpolation, and one correction.
 *
 * The estimate is floored from at least one bit more than the root has; its error, in [-1.5, 0.5], leaves the root
 * or the integer below it.
 */
static inline uint32_t stapes_sqrt_round_u30(uint32_t x)
{
    const uint32_t pairs = (uint32_t)__CLZ(x | 1U) >> 1;
    const uint32_t normal = x << (2U * pairs);
    const uint32_t index = normal >> 24;
    const uint32_t left = stapes_sqrt_uq16[index];
    const uint32_t step = stapes_sqrt_uq16[index + 1U] - left;
    const uint32_t root = (left + ((step * ((normal >> 8) & 0xFFFFU)) >> 16)) >> pairs;
    return root + (uint32_t)((int32_t)(x - root * root) > (int32_t)root);
}

/* Integer nearest to the square root of x, x in [0, 2^52).
 *
 * source   Zimmermann, Karatsuba Square Root (1999): root of the high half, one division for the rest. It runs
 *          on 60 bits, at least 4 pairs more than x has, so its error below 2 LSB leaves the root or one less.
 */
static inline uint32_t stapes_sqrt_round(uint64_t x)
{
    if (x >> 30 == 0U) {
        return stapes_sqrt_round_u30((uint32_t)x);
    }
    const int pairs = (60 - stapes_bit_length((int64_t)x)) >> 1;
    const uint64_t normal = x << (2 * pairs);
    const uint32_t first = (uint32_t)(normal >> 30);
    const int32_t high = (int32_t)stapes_sqrt_round_u30(first);
    const int32_t rest = ((int32_t)first - high * high) * (1 << 15) + (int32_t)((normal >> 15) & 0x7FFFU);
    const uint32_t root = (uint32_t)(high * (1 << 15) + rest / (2 * high)) >> pairs;
    return root + (uint32_t)((int64_t)(x - (uint64_t)root * root) > (int64_t)root);
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
