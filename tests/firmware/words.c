/* The inline words of fixed.h and of cmsis_stubs as functions over arrays, for ctypes. */
#include "fixed.h"

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

WORD_2(stapes_shr_round, int64_t, int)
WORD_1(stapes_wrap_i32, int64_t)
WORD_2(stapes_add_i32, int32_t, int32_t)
WORD_2(stapes_sub_i32, int32_t, int32_t)
WORD_1(stapes_double_i32, int32_t)
WORD_2(stapes_mul_q15, int32_t, uint32_t)
WORD_2(stapes_mul_q31, int64_t, uint32_t)
WORD_2(stapes_mulhi_i32, int32_t, int32_t)
WORD_2(stapes_mulhi_round, int32_t, int32_t)
WORD_3(stapes_mulhi_round_add, int32_t, int32_t, int32_t)
WORD_2(stapes_mulhi_u32, uint32_t, uint32_t)
WORD_2(stapes_mulhi_round_u32, uint32_t, uint32_t)
WORD_1(stapes_bit_length, int64_t)
WORD_1(stapes_reciprocal, uint32_t)
WORD_1(stapes_log2_q16, int64_t)
WORD_1(stapes_sqrt_round_u30, uint32_t)
WORD_1(stapes_sqrt_round, uint64_t)
WORD_2(stapes_srdhm, int32_t, int32_t)
WORD_2(stapes_rdbpot, int32_t, int)
WORD_3(stapes_mbqm32, int32_t, int32_t, int)
WORD_3(stapes_mbqm64, int64_t, int32_t, int)

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

/* x * x_q31 + y * y_q31: four operands. */
void test_stapes_mix_q31(const int64_t *x, const int64_t *a, const int64_t *y, const int64_t *b, int64_t *out, size_t n);
void test_stapes_mix_q31(const int64_t *x, const int64_t *a, const int64_t *y, const int64_t *b, int64_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = stapes_mix_q31(x[i], (uint32_t)a[i], y[i], (uint32_t)b[i]);
    }
}

/* Normalised values and their bits. */
void test_stapes_normalise(const int64_t *x, int64_t *bits, int64_t *y, size_t n);
void test_stapes_normalise(const int64_t *x, int64_t *bits, int64_t *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int found;
        y[i] = stapes_normalise(x[i], &found);
        bits[i] = found;
    }
}

/* Limits: the values, and how many were counted. */
#define LIMIT(name)                                                                              \
    uint32_t test_##name(const int64_t *x, int64_t *y, size_t n);                                \
    uint32_t test_##name(const int64_t *x, int64_t *y, size_t n)                                 \
    {                                                                                            \
        uint32_t hits = 0;                                                                       \
        for (size_t i = 0; i < n; i++) {                                                         \
            y[i] = name((int32_t)x[i], &hits);                                                   \
        }                                                                                        \
        return hits;                                                                             \
    }

LIMIT(stapes_sat_i15)
LIMIT(stapes_sat_i16)
LIMIT(stapes_double_sat_i32)

/* A counter near its end, and the hits that it takes. */
uint32_t test_stapes_count(uint32_t start, uint32_t hits);
uint32_t test_stapes_count(uint32_t start, uint32_t hits)
{
    stapes_count(&start, hits);
    return start;
}
