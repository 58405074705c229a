/* What the network sees, band by band: log2 power and the noise level, normalised over the frame; the Wiener gain.
 *
 * Twin of firmware_sim/features.py. The LayerNorm has no affine part here: export folds it into the first layer.
 */
#include "stages.h"

enum { LOG2_NOISE_MIN_Q16 = STAPES_NOISE_MIN_LOG2 << 16 };

_Static_assert(STAPES_FEATURE_LIMIT_Q11 == 1 << 14, "the limit of the features is the one of sat_i15");

/* Mean of all bins or bands by its inverse, round half up; |sum| < 2^31. */
static inline int32_t mean(int32_t sum, uint32_t inverse_q31) { return (int32_t)stapes_mul_q31(sum, inverse_q31); }

/* Log2 power of a bin, of the Wiener filter's output unless the gain has a channel of its own; a gain of 0 counts as 1. */
static inline int32_t log_power_q16(int64_t power, uint16_t gain_q15)
{
    const int32_t power_q16 = stapes_log2_q16(power);
    const int32_t floored_q16 = power_q16 > LOG2_NOISE_MIN_Q16 ? power_q16 : LOG2_NOISE_MIN_Q16;
    return STAPES_GAIN_CHANNEL ? floored_q16 : floored_q16 + 2 * (stapes_log2_q16(gain_q15) - (15 << 16));
}

void stapes_features(const int64_t *power, const int64_t *noise, const uint16_t *gain_q15, int32_t *feature_q16)
{
    int32_t noise_sum_q16 = 0;
    size_t k = 0;
    for (size_t band = 0; band < STAPES_BANDS; band++) {
        int32_t sum_q16 = 0;
        for (const size_t end = k + stapes_band_width[band]; k < end; k++) {
            sum_q16 += log_power_q16(power[k], gain_q15[k]);
            noise_sum_q16 += stapes_log2_q16(noise[k]);
        }
        feature_q16[band] = mean(sum_q16, stapes_band_inverse_q31[band]);
    }
    feature_q16[0] = mean(noise_sum_q16, STAPES_BINS_INVERSE_Q31);
}

void stapes_gain_features(const uint16_t *raw_gain_q15, int16_t *x_q11)
{
    size_t k = 0;
    for (size_t band = 0; band < STAPES_BANDS; band++) {
        int32_t sum_q15 = 0;
        for (const size_t end = k + stapes_band_width[band]; k < end; k++) {
            sum_q15 += raw_gain_q15[k];
        }
        const int32_t mean_q15 = mean(sum_q15, stapes_band_inverse_q31[band]);
        x_q11[band] = (int16_t)((mean_q15 >> 2) - (int32_t)(STAPES_UNITY_GAIN_Q15 >> 3));
    }
}

/* Deviation from the mean in q12, round half up, |x| < 2^19; the offset is 1/2 LSB of it less the mean. */
static inline int32_t centred(int32_t feature_q16, int32_t offset_q16) { return (feature_q16 + offset_q16) >> 4; }

void stapes_layer_norm(const int32_t *feature_q16, int16_t *x_q11, stapes_counter_t *counter)
{
    int32_t sum_q16 = 0;
    for (size_t k = 0; k < STAPES_BANDS; k++) {
        sum_q16 += feature_q16[k];
    }
    const int32_t offset_q16 = (1 << 3) - mean(sum_q16, STAPES_BANDS_INVERSE_Q31);
    int64_t square_sum_q24 = 0;
    for (size_t k = 0; k < STAPES_BANDS; k++) {
        const int32_t centred_q12 = centred(feature_q16[k], offset_q16);
        square_sum_q24 += (int64_t)centred_q12 * centred_q12;
    }
    const int64_t mean_square_q24 = stapes_mix_q31(square_sum_q24, STAPES_BANDS_INVERSE_Q31, 0, 0);
    const uint64_t variance_q24 = (uint64_t)mean_square_q24 + STAPES_LAYER_NORM_EPSILON_Q24;
    const uint32_t deviation_q20 = stapes_sqrt_round(variance_q24 << 16);
    int bits;
    const int32_t inverse = (int32_t)stapes_reciprocal(stapes_normalise(deviation_q20, &bits));
    uint32_t hits = 0;
    for (size_t k = 0; k < STAPES_BANDS; k++) {
        const int32_t scaled = centred(feature_q16[k], offset_q16) * (1 << (27 - bits));
        const int32_t x = (stapes_mulhi_i32(scaled, inverse) + (1 << 5)) >> 6;
        x_q11[k] = stapes_sat_i15(x, &hits);
    }
    stapes_count(&counter->saturations, hits);
}
