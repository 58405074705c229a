/* The CMSIS-Core intrinsics that Stapes uses, in plain C with the exact semantics of the Cortex-M7 instructions.
 *
 * On a device put Arm's own CMSIS headers first on the include path: this file has the name of theirs, so
 * they take its place and nothing else changes. The semantics were written from the Armv7-M architecture manual.
 */
#ifndef STAPES_CMSIS_STUBS_H
#define STAPES_CMSIS_STUBS_H

#include <stdint.h>

#ifdef __GNUC__
#define __STATIC_FORCEINLINE __attribute__((always_inline)) static inline
#else
#define __STATIC_FORCEINLINE static inline
#endif

/* Halves of a word as signed 16-bit lanes. */
static inline int32_t stapes_lane_low(uint32_t x) { return (int16_t)(uint16_t)x; }
static inline int32_t stapes_lane_high(uint32_t x) { return (int16_t)(uint16_t)(x >> 16); }

/* Count of leading zeros; 32 for 0. */
static inline uint8_t __CLZ(uint32_t x)
{
#if defined(__GNUC__)
    return (uint8_t)(x == 0U ? 32 : __builtin_clz(x));
#else
    uint8_t zeros = 32;
    while (x != 0U) {
        x >>= 1;
        zeros--;
    }
    return zeros;
#endif
}

/* x limited to a signed integer of `bits` bits, bits in [1, 32]. */
static inline int32_t __SSAT(int32_t x, uint32_t bits)
{
    const int32_t high = (int32_t)((1U << (bits - 1U)) - 1U);
    const int32_t low = -high - 1;
    return x > high ? high : x < low ? low : x;
}

/* x limited to [0, 2^bits), bits in [0, 31]. */
static inline uint32_t __USAT(int32_t x, uint32_t bits)
{
    const int32_t high = (int32_t)((1U << bits) - 1U);
    return (uint32_t)(x > high ? high : x < 0 ? 0 : x);
}

/* Bytes 0 and 2 of x, sign-extended into the two 16-bit lanes. */
static inline uint32_t __SXTB16(uint32_t x)
{
    const int32_t low = (int8_t)(uint8_t)x;
    const int32_t high = (int8_t)(uint8_t)(x >> 16);
    return ((uint32_t)low & 0xFFFFU) | ((uint32_t)high << 16);
}

/* Bytes 0 and 2 of x, zero-extended into the two 16-bit lanes. */
static inline uint32_t __UXTB16(uint32_t x) { return x & 0x00FF00FFU; }

/* x rotated right by n bits, modulo 32. */
static inline uint32_t __ROR(uint32_t x, uint32_t n) { return (x >> (n % 32U)) | (x << (-n % 32U)); }

/* __SXTB16(__ROR(x, n)) in one instruction of the core; n is 8, 16 or 24. */
static inline uint32_t __SXTB16_RORn(uint32_t x, uint32_t n) { return __SXTB16(__ROR(x, n)); }

/* Low lane of x, and the high lane of y << n; n in [0, 31]. */
static inline uint32_t __PKHBT(uint32_t x, uint32_t y, uint32_t n) { return (x & 0xFFFFU) | ((y << n) & 0xFFFF0000U); }

/* High lane of x, and the low lane of the arithmetic shift y >> n; n in [0, 31]. */
static inline uint32_t __PKHTB(uint32_t x, uint32_t y, uint32_t n)
{
    return (x & 0xFFFF0000U) | ((uint32_t)((int32_t)y >> n) & 0xFFFFU);
}

/* Both lanes as one word. */
static inline uint32_t stapes_lanes(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xFFFFU) | ((uint32_t)high << 16);
}

/* x + y lane by lane: modulo 2^16, limited to int16, and halved (floored). */
static inline uint32_t __SADD16(uint32_t x, uint32_t y)
{
    return stapes_lanes(stapes_lane_low(x) + stapes_lane_low(y), stapes_lane_high(x) + stapes_lane_high(y));
}

static inline uint32_t __QADD16(uint32_t x, uint32_t y)
{
    return stapes_lanes(__SSAT(stapes_lane_low(x) + stapes_lane_low(y), 16),
                        __SSAT(stapes_lane_high(x) + stapes_lane_high(y), 16));
}

static inline uint32_t __SHADD16(uint32_t x, uint32_t y)
{
    return stapes_lanes((stapes_lane_low(x) + stapes_lane_low(y)) >> 1,
                        (stapes_lane_high(x) + stapes_lane_high(y)) >> 1);
}

/* sum + low * low + high * high, modulo 2^32. */
static inline uint32_t __SMLAD(uint32_t x, uint32_t y, uint32_t sum)
{
    const uint32_t low = (uint32_t)(stapes_lane_low(x) * stapes_lane_low(y));
    const uint32_t high = (uint32_t)(stapes_lane_high(x) * stapes_lane_high(y));
    return sum + low + high;
}

/* sum + low * low + high * high, modulo 2^64. */
static inline uint64_t __SMLALD(uint32_t x, uint32_t y, uint64_t sum)
{
    const int64_t low = stapes_lane_low(x) * stapes_lane_low(y);
    const int64_t high = stapes_lane_high(x) * stapes_lane_high(y);
    return sum + (uint64_t)low + (uint64_t)high;
}

#endif
