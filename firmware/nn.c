/* The boundary of the integer network: features in, mask out. Its ops are in nn_dense.c, nn_paired.c and
 * nn_elementwise.h.
 */
#include "nn.h"

void stapes_encode_features_i16(const int16_t *x_q11, int16_t *x, size_t n, stapes_counter_t *counter)
{
    (void)counter; /* [-2^14, 2^14) doubled always fits */
    for (size_t i = 0; i < n; i++) {
        x[i] = (int16_t)(x_q11[i] * 2);
    }
}

void stapes_encode_features_i8(const int16_t *x_q11, int8_t *x, size_t n, stapes_counter_t *counter)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = stapes_limit_i8((x_q11[i] + (1 << 6)) >> 7, &hits);
    }
    stapes_count(&counter->saturations, hits);
}

void stapes_decode_mask_i16(const int16_t *mask, uint16_t *mask_q15, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mask_q15[i] = (uint16_t)mask[i];
    }
}

void stapes_decode_mask_i8(const int8_t *mask, uint16_t *mask_q15, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mask_q15[i] = (uint16_t)((mask[i] + 128) << 7);
    }
}
