/* Each intrinsic as the one instruction that it stands for, so that no compiler can put C of its own in its place. */
#ifndef STAPES_TEST_INSTRUCTIONS_H
#define STAPES_TEST_INSTRUCTIONS_H

#include <stdint.h>

#define ONE(type, text, ...)                                                                     \
    __extension__({                                                                              \
        type one;                                                                                \
        __asm__ volatile(text : "=r"(one) : __VA_ARGS__);                                        \
        one;                                                                                     \
    })

#define __CLZ(x) ONE(uint32_t, "clz %0, %1", "r"(x))
#define __SSAT(x, bits) ONE(int32_t, "ssat %0, %2, %1", "r"(x), "i"(bits))
#define __USAT(x, bits) ONE(uint32_t, "usat %0, %2, %1", "r"(x), "i"(bits))
#define __SXTB16(x) ONE(uint32_t, "sxtb16 %0, %1", "r"(x))
#define __SXTB16_RORn(x, n) ONE(uint32_t, "sxtb16 %0, %1, ror %2", "r"(x), "i"(n))
#define __UXTB16(x) ONE(uint32_t, "uxtb16 %0, %1", "r"(x))
#define __ROR(x, n) ONE(uint32_t, "ror %0, %1, %2", "r"(x), "r"(n))
#define __PKHBT(x, y, n) ONE(uint32_t, "pkhbt %0, %1, %2, lsl %3", "r"(x), "r"(y), "i"(n))
#define __PKHTB(x, y, n)                                                                         \
    ((n) == 0 ? ONE(uint32_t, "pkhtb %0, %1, %2", "r"(x), "r"(y))                                \
              : ONE(uint32_t, "pkhtb %0, %1, %2, asr %3", "r"(x), "r"(y), "i"((n) == 0 ? 1 : (n))))
#define __SADD16(x, y) ONE(uint32_t, "sadd16 %0, %1, %2", "r"(x), "r"(y))
#define __QADD16(x, y) ONE(uint32_t, "qadd16 %0, %1, %2", "r"(x), "r"(y))
#define __SHADD16(x, y) ONE(uint32_t, "shadd16 %0, %1, %2", "r"(x), "r"(y))
#define __SMLAD(x, y, sum) ONE(uint32_t, "smlad %0, %1, %2, %3", "r"(x), "r"(y), "r"(sum))

static inline uint64_t __SMLALD(uint32_t x, uint32_t y, uint64_t sum)
{
    __asm__ volatile("smlald %Q0, %R0, %1, %2" : "+r"(sum) : "r"(x), "r"(y));
    return sum;
}

#endif
