/* The CMSIS-Core intrinsics of cmsis_stubs as the instructions of the core: for builds without Arm's headers.
 *
 * The names are Arm's. What compilers turn into one instruction by themselves stays C, which they can look into.
 * The innermost loop of the network is not made of these: see ../four_rows.h.
 */
#ifndef STAPES_M7_CMSIS_COMPILER_H
#define STAPES_M7_CMSIS_COMPILER_H

#include <stdint.h>

#ifdef __GNUC__
#define __STATIC_FORCEINLINE __attribute__((always_inline)) static inline
#else
#define __STATIC_FORCEINLINE static inline
#endif

/* __CLZ(0) is 32, as the instruction has it; compilers know this of the choice below. */
static inline uint8_t __CLZ(uint32_t x) { return (uint8_t)(x == 0U ? 32 : __builtin_clz(x)); }

/* The number of bits is part of the instruction: a constant. */
#define __SSAT(x, bits)                                                                                       \
    __extension__({                                                                                           \
        int32_t stapes_ssat;                                                                                  \
        __asm__("ssat %0, %1, %2" : "=r"(stapes_ssat) : "I"(bits), "r"((int32_t)(x)) : "cc");                 \
        stapes_ssat;                                                                                          \
    })

#define __USAT(x, bits)                                                                                       \
    __extension__({                                                                                           \
        uint32_t stapes_usat;                                                                                 \
        __asm__("usat %0, %1, %2" : "=r"(stapes_usat) : "I"(bits), "r"((int32_t)(x)) : "cc");                 \
        stapes_usat;                                                                                          \
    })

static inline uint32_t __ROR(uint32_t x, uint32_t n) { return (x >> (n % 32U)) | (x << (-n % 32U)); }

static inline uint32_t __SXTB16(uint32_t x)
{
    uint32_t y;
    __asm__("sxtb16 %0, %1" : "=r"(y) : "r"(x));
    return y;
}

static inline uint32_t __UXTB16(uint32_t x)
{
    uint32_t y;
    __asm__("uxtb16 %0, %1" : "=r"(y) : "r"(x));
    return y;
}

/* __SXTB16(__ROR(x, n)) in one instruction; n is 8, 16 or 24. */
#define __SXTB16_RORn(x, n)                                                                                   \
    __extension__({                                                                                           \
        uint32_t stapes_sxtb16;                                                                               \
        __asm__("sxtb16 %0, %1, ror %2" : "=r"(stapes_sxtb16) : "r"((uint32_t)(x)), "i"(n));         \
        stapes_sxtb16;                                                                                        \
    })

static inline uint32_t __PKHBT(uint32_t x, uint32_t y, uint32_t n) { return (x & 0xFFFFU) | ((y << n) & 0xFFFF0000U); }

static inline uint32_t __PKHTB(uint32_t x, uint32_t y, uint32_t n)
{
    return (x & 0xFFFF0000U) | ((uint32_t)((int32_t)y >> n) & 0xFFFFU);
}

static inline uint32_t __SADD16(uint32_t x, uint32_t y)
{
    uint32_t sum;
    __asm__("sadd16 %0, %1, %2" : "=r"(sum) : "r"(x), "r"(y));
    return sum;
}

static inline uint32_t __QADD16(uint32_t x, uint32_t y)
{
    uint32_t sum;
    __asm__("qadd16 %0, %1, %2" : "=r"(sum) : "r"(x), "r"(y));
    return sum;
}

static inline uint32_t __SHADD16(uint32_t x, uint32_t y)
{
    uint32_t sum;
    __asm__("shadd16 %0, %1, %2" : "=r"(sum) : "r"(x), "r"(y));
    return sum;
}

static inline uint32_t __SMLAD(uint32_t x, uint32_t y, uint32_t sum)
{
    uint32_t total;
    __asm__("smlad %0, %1, %2, %3" : "=r"(total) : "r"(x), "r"(y), "r"(sum));
    return total;
}

static inline uint64_t __SMLALD(uint32_t x, uint32_t y, uint64_t sum)
{
    __asm__("smlald %Q0, %R0, %1, %2" : "+r"(sum) : "r"(x), "r"(y));
    return sum;
}

#endif
