/* The CMSIS-Core intrinsics that Stapes uses as the instructions of the core: for builds without Arm's headers.
 *
 * The names are Arm's; ../../../cmsis_stubs has the same words in plain C, and tests hold each against the other.
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
        __asm__("ssat %0, %1, %2" : "=r"(stapes_ssat) : "I"(bits), "r"(x) : "cc");                            \
        stapes_ssat;                                                                                          \
    })

static inline uint32_t __ROR(uint32_t x, uint32_t n) { return n == 0U ? x : (x >> n) | (x << (32U - n)); }

static inline uint32_t __SXTB16(uint32_t x)
{
    uint32_t y;
    __asm__("sxtb16 %0, %1" : "=r"(y) : "r"(x));
    return y;
}

/* __SXTB16(__ROR(x, n)) in one instruction; n is 8, 16 or 24. */
#define __SXTB16_RORn(x, n)                                                                                   \
    __extension__({                                                                                           \
        uint32_t stapes_sxtb16;                                                                               \
        __asm__("sxtb16 %0, %1, ror %2" : "=r"(stapes_sxtb16) : "r"(x), "i"(n));                              \
        stapes_sxtb16;                                                                                        \
    })

#define __PKHBT(x, y, n) (((x) & 0xFFFFU) | (((y) << (n)) & 0xFFFF0000U))
#define __PKHTB(x, y, n) (((x) & 0xFFFF0000U) | ((uint32_t)((int32_t)(y) >> (n)) & 0xFFFFU))

static inline uint32_t __SMLAD(uint32_t x, uint32_t y, uint32_t sum)
{
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(y));
    return sum;
}

static inline uint64_t __SMLALD(uint32_t x, uint32_t y, uint64_t sum)
{
    __asm__("smlald %Q0, %R0, %1, %2" : "+r"(sum) : "r"(x), "r"(y));
    return sum;
}

#endif
