/* Kernels of the integer network: one for each op page in firmware_sim/ops/ and scheme. Generated code calls them.
 *
 * Scheme int16x8: int8 weights, int16 activations, every scale a power of two, so a requantisation is one shift.
 * Scheme int8: int8 throughout, TFLite-Micro's rounding with two roundings (stapes_mbqm32).
 * Outputs are limited to their dtype; limited elements count as saturations of the network stage.
 */
#ifndef STAPES_NN_H
#define STAPES_NN_H

#include "fixed.h"

/* A real scale: multiplier * 2^(shift - 31). */
typedef struct {
    int32_t multiplier_q31; /* [2^30, 2^31), or 0 */
    int8_t shift;           /* [-31, 30], positive = left */
} stapes_rescale_t;

/* A row of the generated table of observable tensors. */
typedef struct {
    const char *name;
    uint32_t offset; /* bytes from the start of stapes_network_t */
    uint32_t count;
    uint8_t element_bytes; /* tensors are signed */
} stapes_tensor_t;

/* ---------------------------------------------------------------- limits */

/* x limited to its dtype; hits are counted in a register and booked once per kernel. */
static inline int16_t stapes_limit_i16(int32_t x, uint32_t *hits)
{
    const int32_t y = __SSAT(x, 16);
    *hits += (uint32_t)(y != x);
    return (int16_t)y;
}

static inline int8_t stapes_limit_i8(int32_t x, uint32_t *hits)
{
    const int32_t y = __SSAT(x, 8);
    *hits += (uint32_t)(y != x);
    return (int8_t)y;
}

/* The bits above the sign, inverted if negative: below 2^n if and only if x fits n + 1 bits. */
static inline uint32_t stapes_extent(int32_t x) { return (uint32_t)(x ^ (x >> 31)); }

/* Results that are limited together. */
typedef struct {
    int32_t a, b, c, d;
} stapes_four_t;

static inline uint32_t stapes_extent_of_four(stapes_four_t x)
{
    return stapes_extent(x.a) | stapes_extent(x.b) | stapes_extent(x.c) | stapes_extent(x.d);
}

/* n of the results, limited to their dtype. */
static inline void stapes_put_i16(stapes_four_t x, int16_t *y, size_t n, uint32_t *hits)
{
    const int32_t each[4] = {x.a, x.b, x.c, x.d};
    for (size_t i = 0; i < n; i++) {
        y[i] = stapes_limit_i16(each[i], hits);
    }
}

static inline void stapes_put_i8(stapes_four_t x, int8_t *y, size_t n, uint32_t *hits)
{
    const int32_t each[4] = {x.a, x.b, x.c, x.d};
    for (size_t i = 0; i < n; i++) {
        y[i] = stapes_limit_i8(each[i], hits);
    }
}

/* All four; hits are counted one by one only where there are any. */
static inline void stapes_put_four_i16(stapes_four_t x, int16_t *y, uint32_t *hits)
{
    if (stapes_extent_of_four(x) >> 15 != 0) {
        stapes_put_i16(x, y, 4, hits);
        return;
    }
    y[0] = (int16_t)x.a;
    y[1] = (int16_t)x.b;
    y[2] = (int16_t)x.c;
    y[3] = (int16_t)x.d;
}

static inline void stapes_put_four_i8(stapes_four_t x, int8_t *y, uint32_t *hits)
{
    if (stapes_extent_of_four(x) >> 7 != 0) {
        stapes_put_i8(x, y, 4, hits);
        return;
    }
    y[0] = (int8_t)x.a;
    y[1] = (int8_t)x.b;
    y[2] = (int8_t)x.c;
    y[3] = (int8_t)x.d;
}

/* x * rescale with two roundings: stapes_mbqm32 for |x| * 2^shift < 2^30, where neither of them can overflow. */
static inline int32_t stapes_rescaled(int32_t x, stapes_rescale_t rescale)
{
    const int left = rescale.shift > 0 ? rescale.shift : 0;
    const int right = rescale.shift > 0 ? 0 : -rescale.shift;
    const int32_t high = stapes_mulhi_round(x * (2 << left), rescale.multiplier_q31);
    return right == 0 ? high : (high + (1 << (right - 1)) + (high >> 31)) >> right;
}

/* ---------------------------------------------------------------- boundary of the network */

/* Network input codes of normalised features: int16 at 2^-12 (always even), or int8 at 2^-4. */
void stapes_encode_features_i16(const int16_t *x_q11, int16_t *x, size_t n, stapes_counter_t *counter);
void stapes_encode_features_i8(const int16_t *x_q11, int8_t *x, size_t n, stapes_counter_t *counter);

/* mask_q15 [0, 32767] of the mask codes: int16 at 2^-15, or int8 at 2^-8 with zero point -128. */
void stapes_decode_mask_i16(const int16_t *mask, uint16_t *mask_q15, size_t n);
void stapes_decode_mask_i8(const int8_t *mask, uint16_t *mask_q15, size_t n);

/* ---------------------------------------------------------------- FULLY_CONNECTED */

/* y = sat((w x + b) / 2^shift), rounded half up (the accumulator is odd: there is no tie).
 *
 * x, w, bias  (columns), (rows, columns), (rows); the exporter proves |w x + b| + 2^(shift - 1) < 2^31 for any x
 * shift       [1, 30]; one for all rows, or one per row
 * relu        negative results become 0, which is not a saturation
 */
void stapes_fully_connected_i16(const int16_t *x, const int8_t *w, const int32_t *bias, int shift, int16_t *y,
                                size_t rows, size_t columns, bool relu, stapes_counter_t *counter);
void stapes_fully_connected_per_channel_i16(const int16_t *x, const int8_t *w, const int32_t *bias,
                                            const uint8_t *shift, int16_t *y, size_t rows, size_t columns,
                                            bool relu, stapes_counter_t *counter);

/* y = clamp(rescale(w x + b) + zero_point); the input's zero point is folded into the bias.
 *
 * rescale     one for all rows, or one per row
 * low         -128, or the zero point for a ReLU
 */
void stapes_fully_connected_i8(const int8_t *x, const int8_t *w, const int32_t *bias, stapes_rescale_t rescale,
                               int8_t *y, size_t rows, size_t columns, int32_t zero_point, bool relu,
                               stapes_counter_t *counter);
void stapes_fully_connected_per_channel_i8(const int8_t *x, const int8_t *w, const int32_t *bias,
                                           const stapes_rescale_t *rescale, int8_t *y, size_t rows, size_t columns,
                                           int32_t zero_point, bool relu, stapes_counter_t *counter);

/* ---------------------------------------------------------------- FULLY_CONNECTED, paired rows */

/* Sums of four rows, two of which share 64 bits: 256 * row 1 + row 0, and 256 * row 3 + row 2. */
typedef struct {
    uint32_t row0;
    uint32_t both01; /* low word */
    uint32_t high01;
    uint32_t row2;
    uint32_t both23;
    uint32_t high23;
} stapes_sums_t;

/* The same results from the dual multiply-accumulate of the core, four rows at a time.
 *
 * x       at a multiple of 4 bytes, int16 in both schemes (see stapes_widen_i8)
 * w       at a multiple of 4 bytes: for every four rows 0..3 and two columns c, d the halfwords 1c|0c, 1d|0d, 3c|2c,
 *         3d|2d, where b|a is 256 * b + a; an odd last column has a zero column beside it; missing rows are zero
 * start   what the sums of every four rows begin with: their biases, to which int16 adds 2^(shift - 1) for rounding
 * shift   [1, 30]; rescale [-30, -1] for int8, where the exporter proves that 2 (w x + b) stays in int32
 */
void stapes_fully_connected_paired_i16(const int16_t *x, const int16_t *w, const stapes_sums_t *start, int shift,
                                       int16_t *y, size_t rows, size_t columns, stapes_counter_t *counter);
void stapes_fully_connected_paired_relu_i16(const int16_t *x, const int16_t *w, const stapes_sums_t *start, int shift,
                                            int16_t *y, size_t rows, size_t columns, stapes_counter_t *counter);
void stapes_fully_connected_paired_i8(const int16_t *x, const int16_t *w, const stapes_sums_t *start,
                                      stapes_rescale_t rescale, int8_t *y, size_t rows, size_t columns,
                                      int32_t zero_point, stapes_counter_t *counter);
void stapes_fully_connected_paired_relu_i8(const int16_t *x, const int16_t *w, const stapes_sums_t *start,
                                           stapes_rescale_t rescale, int8_t *y, size_t rows, size_t columns,
                                           int32_t zero_point, stapes_counter_t *counter);

/* x as int16, for the kernels above. */
void stapes_widen_i8(const int8_t *x, int16_t *y, size_t n);

#endif
