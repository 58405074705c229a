/* The intrinsics of cmsis_stubs as functions over arrays, for ctypes. */
#include "cmsis_compiler.h"

#include <stddef.h>

#define WORD_1(name, type_a)                                                                     \
    void test_##name(const int64_t *a, int64_t *y, size_t n);                                    \
    void test_##name(const int64_t *a, int64_t *y, size_t n)                                     \
    {                                                                                            \
        for (size_t i = 0; i < n; i++) {                                                         \
            y[i] = (int64_t)name((type_a)a[i]);                                                  \
        }                                                                                        \
    }

#define WORD_2(name, type_a, type_b)                                                             \
    void test_##name(const int64_t *a, const int64_t *b, int64_t *y, size_t n);                  \
    void test_##name(const int64_t *a, const int64_t *b, int64_t *y, size_t n)                   \
    {                                                                                            \
        for (size_t i = 0; i < n; i++) {                                                         \
            y[i] = (int64_t)name((type_a)a[i], (type_b)b[i]);                                    \
        }                                                                                        \
    }

#define WORD_3(name, type_a, type_b, type_c)                                                     \
    void test_##name(const int64_t *a, const int64_t *b, const int64_t *c, int64_t *y, size_t n); \
    void test_##name(const int64_t *a, const int64_t *b, const int64_t *c, int64_t *y, size_t n)  \
    {                                                                                            \
        for (size_t i = 0; i < n; i++) {                                                         \
            y[i] = (int64_t)name((type_a)a[i], (type_b)b[i], (type_c)c[i]);                      \
        }                                                                                        \
    }

WORD_1(__CLZ, uint32_t)
WORD_2(__SSAT, int32_t, uint32_t)
WORD_2(__USAT, int32_t, uint32_t)
WORD_1(__SXTB16, uint32_t)
WORD_1(__UXTB16, uint32_t)
WORD_2(__ROR, uint32_t, uint32_t)
WORD_2(__SADD16, uint32_t, uint32_t)
WORD_2(__QADD16, uint32_t, uint32_t)
WORD_2(__SHADD16, uint32_t, uint32_t)
WORD_3(__PKHBT, uint32_t, uint32_t, uint32_t)
WORD_3(__PKHTB, uint32_t, uint32_t, uint32_t)
WORD_3(__SMLAD, uint32_t, uint32_t, uint32_t)
WORD_3(__SMLALD, uint32_t, uint32_t, uint64_t)
