/* FULLY_CONNECTED for the Cortex-M's dual multiply-accumulate: twin of `run` of firmware_sim/ops/fully_connected.py.
 *
 * Two rows a and b share halfwords 256 * b + a. A word holds them for two columns: as it is it adds to 256 b + a, its
 * low bytes add to a, and row b is what is left. Four weights take one load less and one widening less than in rows.
 * Elsewhere the same words run as plain C; the bits are the same.
 */
#include "nn.h"

#include <string.h>

/* Unoptimised code has no registers to give away. Nor has GCC at -Os where a frame pointer is asked for, which no macro
 * tells and the pragma below does not cure: its search for registers never ends (GCC 12). */
#if defined(__OPTIMIZE_SIZE__) && !defined(__clang__)
#define STAPES_SMALL_GCC 1
#else
#define STAPES_SMALL_GCC 0
#endif

#if defined(STAPES_DSP) && defined(__ARM_FEATURE_DSP) && defined(__GNUC__) && defined(__OPTIMIZE__) && !STAPES_SMALL_GCC

#ifndef __clang__
#pragma GCC optimize("omit-frame-pointer") /* GCC 12 never ends the search for registers beside a frame pointer */
#endif
#include "port/m7/four_rows.h"

#else

static inline uint32_t load_word(const int16_t *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* Add two columns, whose inputs are the lanes of x, of two rows. */
static inline void add_columns(uint32_t *row, uint64_t *both, uint32_t w, uint32_t x)
{
    *both = __SMLALD(w, x, *both);
    *row = __SMLAD(__SXTB16(w), x, *row);
}

/* Sums over all columns: twin of the function in port/m7/four_rows.h. An odd last column stands beside a zero. */
static inline stapes_sums_t stapes_four_rows(const stapes_sums_t *start, const int16_t *x, const int16_t **weights,
                                             size_t columns)
{
    const int16_t *w = *weights;
    uint64_t both01 = (uint64_t)start->high01 << 32 | start->both01;
    uint64_t both23 = (uint64_t)start->high23 << 32 | start->both23;
    uint32_t row0 = start->row0, row2 = start->row2;
    for (size_t i = 0; i < columns; i += 2, w += 4) {
        const uint32_t two = columns - i >= 2 ? load_word(x + i) : (uint16_t)x[i];
        add_columns(&row0, &both01, load_word(w), two);
        add_columns(&row2, &both23, load_word(w + 2), two);
    }
    *weights = w;
    return (stapes_sums_t){row0, (uint32_t)both01, (uint32_t)(both01 >> 32),
                           row2, (uint32_t)both23, (uint32_t)(both23 >> 32)};
}

#endif

/* Row b: what both sums have without row a. 256 b + a, shifted, is b + a / 256, floored. */
static inline int32_t row_b(uint32_t both, uint32_t high, uint32_t a)
{
    return stapes_sub_i32((int32_t)(both >> 8 | high << 24), (int32_t)a >> 8);
}

/* Accumulators of four rows. */
__STATIC_FORCEINLINE stapes_four_t accumulated(const stapes_sums_t *start, const int16_t *x, const int16_t **w,
                                               size_t columns)
{
    const stapes_sums_t sums = stapes_four_rows(start, x, w, columns);
    return (stapes_four_t){(int32_t)sums.row0, row_b(sums.both01, sums.high01, sums.row0), (int32_t)sums.row2,
                            row_b(sums.both23, sums.high23, sums.row2)};
}

/* The same as a call: what few rows need. */
static stapes_four_t stapes_fully_connected_last(const stapes_sums_t *start, const int16_t *x, const int16_t *w,
                                                 size_t columns)
{
    return accumulated(start, x, &w, columns);
}

/* ---------------------------------------------------------------- scheme int16x8 */

static inline int32_t shifted(int32_t acc, int shift, bool relu)
{
    const int32_t y = acc >> shift;
    return relu ? y & ~(y >> 31) : y;
}

/* All rows; `relu` is a constant where this is inlined. */
__STATIC_FORCEINLINE void rows_i16(const int16_t *x, const int16_t *w, const stapes_sums_t *start, int shift,
                                   int16_t *y, size_t rows, size_t columns, bool relu, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (; rows >= 4; rows -= 4, y += 4) {
        const stapes_four_t acc = accumulated(start++, x, &w, columns);
        const stapes_four_t out = {shifted(acc.a, shift, relu), shifted(acc.b, shift, relu),
                                   shifted(acc.c, shift, relu), shifted(acc.d, shift, relu)};
        stapes_put_four_i16(out, y, &hits);
    }
    if (rows != 0) {
        const stapes_four_t acc = stapes_fully_connected_last(start, x, w, columns);
        const stapes_four_t out = {shifted(acc.a, shift, relu), shifted(acc.b, shift, relu),
                                   shifted(acc.c, shift, relu), shifted(acc.d, shift, relu)};
        stapes_put_i16(out, y, rows, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_fully_connected_paired_i16(const int16_t *x, const int16_t *w, const stapes_sums_t *start, int shift,
                                       int16_t *y, size_t rows, size_t columns, stapes_counter_t *counter)
{
    rows_i16(x, w, start, shift, y, rows, columns, false, counter);
}

void stapes_fully_connected_paired_relu_i16(const int16_t *x, const int16_t *w, const stapes_sums_t *start, int shift,
                                            int16_t *y, size_t rows, size_t columns, stapes_counter_t *counter)
{
    rows_i16(x, w, start, shift, y, rows, columns, true, counter);
}

/* ---------------------------------------------------------------- scheme int8 */

static inline int32_t rescaled(int32_t acc, stapes_rescale_t rescale, int32_t zero_point, bool relu)
{
    const int32_t y = stapes_rescaled(acc, rescale);
    return (relu ? y & ~(y >> 31) : y) + zero_point;
}

__STATIC_FORCEINLINE void rows_i8(const int16_t *x, const int16_t *w, const stapes_sums_t *start,
                                  stapes_rescale_t rescale, int8_t *y, size_t rows, size_t columns, int32_t zero_point,
                                  bool relu, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (; rows >= 4; rows -= 4, y += 4) {
        const stapes_four_t acc = accumulated(start++, x, &w, columns);
        const stapes_four_t out = {rescaled(acc.a, rescale, zero_point, relu), rescaled(acc.b, rescale, zero_point, relu),
                                   rescaled(acc.c, rescale, zero_point, relu), rescaled(acc.d, rescale, zero_point, relu)};
        stapes_put_four_i8(out, y, &hits);
    }
    if (rows != 0) {
        const stapes_four_t acc = stapes_fully_connected_last(start, x, w, columns);
        const stapes_four_t out = {rescaled(acc.a, rescale, zero_point, relu), rescaled(acc.b, rescale, zero_point, relu),
                                   rescaled(acc.c, rescale, zero_point, relu), rescaled(acc.d, rescale, zero_point, relu)};
        stapes_put_i8(out, y, rows, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_fully_connected_paired_i8(const int16_t *x, const int16_t *w, const stapes_sums_t *start,
                                      stapes_rescale_t rescale, int8_t *y, size_t rows, size_t columns,
                                      int32_t zero_point, stapes_counter_t *counter)
{
    rows_i8(x, w, start, rescale, y, rows, columns, zero_point, false, counter);
}

void stapes_fully_connected_paired_relu_i8(const int16_t *x, const int16_t *w, const stapes_sums_t *start,
                                           stapes_rescale_t rescale, int8_t *y, size_t rows, size_t columns,
                                           int32_t zero_point, stapes_counter_t *counter)
{
    rows_i8(x, w, start, rescale, y, rows, columns, zero_point, true, counter);
}

void stapes_widen_i8(const int8_t *x, int16_t *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = x[i];
    }
}
