/* What the network sees: log2 power of the Wiener output and the noise level, normalised over the frame.
 *
 * Twin of firmware_sim/features.py. The LayerNorm has no affine part here: export folds it into the first layer.
 */
#include "stages.h"

/* Mean over the bins, round half up; |sum| < 2^31. */
static int32_t mean(int64_t sum) { return (int32_t)stapes_mul_q31(sum, STAPES_BINS_INVERSE_Q31); }

void stapes_features(const int64_t *power, const int64_t *noise, const uint16_t *gain_q15, int32_t *feature_q16)
{
    int64_t noise_sum_q16 = 0;
    for (size_t k = 0; k < STAPES_BINS; k++) {
        const int64_t floored = power[k] > STAPES_NOISE_MIN ? power[k] : STAPES_NOISE_MIN;
        const int32_t log2_gain_q16 = stapes_log2_q16(gain_q15[k] > 1 ? gain_q15[k] : 1) - (15 << 16);
        feature_q16[k] = stapes_log2_q16(floored) + 2 * log2_gain_q16;
        noise_sum_q16 += stapes_log2_q16(noise[k]);
    }
    feature_q16[0] = mean(noise_sum_q16);
}

void stapes_layer_norm(const int32_t *feature_q16, int16_t *x_q11, stapes_counter_t *counter)
{
    int64_t sum_q16 = 0;
    for (size_t k = 0; k < STAPES_BINS; k++) {
        sum_q16 += feature_q16[k];
    }
    const int32_t mean_q16 = mean(sum_q16);
    int64_t square_sum_q24 = 0;
    for (size_t k = 0; k < STAPES_BINS; k++) {
        const int64_t centred_q12 = stapes_shr_round((int64_t)feature_q16[k] - mean_q16, 4);
        square_sum_q24 += centred_q12 * centred_q12;
    }
    const int64_t mean_square_q24 = stapes_mix_q31(square_sum_q24, STAPES_BINS_INVERSE_Q31, 0, 0);
    const uint64_t variance_q24 = (uint64_t)mean_square_q24 + STAPES_LAYER_NORM_EPSILON_Q24;
    const uint32_t deviation_q20 = stapes_sqrt_round(variance_q24 << 16);
    const int bits = stapes_bit_length(deviation_q20);
    const int64_t inverse = stapes_reciprocal((uint32_t)stapes_shift_left(deviation_q20, 31 - bits));
    for (size_t k = 0; k < STAPES_BINS; k++) {
        const int64_t centred_q12 = stapes_shr_round((int64_t)feature_q16[k] - mean_q16, 4);
        const int64_t x = stapes_shr_round(centred_q12 * inverse, 11 + bits);
        x_q11[k] = (int16_t)stapes_clamp(x, -STAPES_FEATURE_LIMIT_Q11, STAPES_FEATURE_LIMIT_Q11 - 1, counter);
    }
}
