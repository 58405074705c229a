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

/* The same sums for the dual multiply-accumulate of the core, four rows at a time.
 *
 * x       at a multiple of 4 bytes
 * w       at a multiple of 4 bytes: for every four rows 0..3 and two columns c, d the halfwords 1c|0c, 1d|0d, 3c|2c,
 *         3d|2d, where b|a is 256 * b + a; for a last odd column 1c|0c, 3c|2c; rows filled up to a multiple of four
 * bias    as many as rows of w, the rounding constant 2^(shift - 1) added to each
 */
void stapes_fully_connected_paired_i16(const int16_t *x, const int16_t *w, const int32_t *bias, int shift, int16_t *y,
                                       size_t rows, size_t columns, stapes_counter_t *counter);
void stapes_fully_connected_paired_relu_i16(const int16_t *x, const int16_t *w, const int32_t *bias, int shift,
                                            int16_t *y, size_t rows, size_t columns, stapes_counter_t *counter);

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

/* ---------------------------------------------------------------- elementwise, scheme int16x8 */

/* y = sat((a * 2^shift_a +- b * 2^shift_b) / 2^shift_y), rounded half away from zero. shifts [0, 14]. */
void stapes_add_i16(const int16_t *a, const int16_t *b, int16_t *y, size_t n, int shift_a, int shift_b, int shift_y,
                    stapes_counter_t *counter);
void stapes_sub_i16(const int16_t *a, const int16_t *b, int16_t *y, size_t n, int shift_a, int shift_b, int shift_y,
                    stapes_counter_t *counter);

/* y = sat(a * b / 2^shift): half up to one bit more, then half away from zero. shift [1, 32]. */
void stapes_mul_i16(const int16_t *a, const int16_t *b, int16_t *y, size_t n, int shift, stapes_counter_t *counter);

/* y = sat(x * 2^shift), shift [-31, 15]: to the right half up to one bit more, then half away from zero. */
void stapes_quantize_i16(const int16_t *x, int16_t *y, size_t n, int shift, stapes_counter_t *counter);

/* Sigmoid and tanh in q15 by TFLite-Micro's table and linear interpolation.
 *
 * x * multiplier / 2^shift (half up) is x in units of 1/12288; shift [0, 17]
 */
void stapes_logistic_i16(const int16_t *x, int16_t *y, size_t n, int32_t multiplier, int shift);
void stapes_tanh_i16(const int16_t *x, int16_t *y, size_t n, int32_t multiplier, int shift);

/* ---------------------------------------------------------------- elementwise, scheme int8 */

/* Constants of an int8 sum: both operands are raised by 20 bits and brought to twice the larger scale. */
typedef struct {
    stapes_rescale_t a;
    stapes_rescale_t b;
    stapes_rescale_t y;
    int8_t zero_a;
    int8_t zero_b;
    int8_t zero_y;
} stapes_add_i8_t;

void stapes_add_i8(const int8_t *a, const int8_t *b, int8_t *y, size_t n, const stapes_add_i8_t *k,
                   stapes_counter_t *counter);
void stapes_sub_i8(const int8_t *a, const int8_t *b, int8_t *y, size_t n, const stapes_add_i8_t *k,
                   stapes_counter_t *counter);

/* y = clamp(rescale((a - zero_a) * (b - zero_b)) + zero_y). */
void stapes_mul_i8(const int8_t *a, const int8_t *b, int8_t *y, size_t n, stapes_rescale_t rescale, int32_t zero_a,
                   int32_t zero_b, int32_t zero_y, stapes_counter_t *counter);

/* y = clamp(rescale(x - zero_x) + zero_y). */
void stapes_quantize_i8(const int8_t *x, int8_t *y, size_t n, stapes_rescale_t rescale, int32_t zero_x,
                        int32_t zero_y, stapes_counter_t *counter);

/* y = table[x], the table in the order 0 .. 127, -128 .. -1: LOGISTIC and TANH. */
void stapes_lookup_i8(const int8_t *x, int8_t *y, size_t n, const int8_t table[256]);

#endif
