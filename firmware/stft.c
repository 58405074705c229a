/* Analysis and synthesis: window, gain, overlap-add, 16-bit samples in and out.
 *
 * Twin of firmware_sim/stft.py. Periodic sqrt-Hann on both sides (or the asymmetric pair of the profile) with two
 * overlapping hops gives perfect reconstruction with no divisor.
 */
#include "stages.h"

void stapes_window(const int16_t *history, int32_t *frame_q30)
{
    for (size_t i = 0; i < STAPES_ANALYSIS_SAMPLES; i++) {
        const int64_t product_q46 = (int64_t)history[i] * stapes_analysis_window_q31[i];
        frame_q30[i] = (int32_t)stapes_shr_round(product_q46, 16);
    }
}

void stapes_power(const stapes_complex_t *spectrum_q30, int64_t *power)
{
    for (size_t k = 0; k < STAPES_BINS; k++) {
        const int64_t re = spectrum_q30[k].re;
        const int64_t im = spectrum_q30[k].im;
        power[k] = (int64_t)(((uint64_t)(re * re) + (uint64_t)(im * im)) >> STAPES_POWER_SHIFT);
    }
}

void stapes_total_gain(const uint16_t *wiener_gain_q15, const uint16_t *mask_q15,
                       const stapes_parameters_t *parameters, bool initialising, uint16_t *gain_q15)
{
    const int32_t floor_q15 = parameters->gain_floor_q15;
    const int32_t dry_q15 = parameters->dry_q15;
    const uint32_t wet_share_q15 = STAPES_UNITY_GAIN_Q15 - parameters->dry_q15;
    for (size_t k = 0; k < STAPES_BINS; k++) {
        if (initialising || parameters->bypass) {
            gain_q15[k] = STAPES_UNITY_GAIN_Q15;
            continue;
        }
        const uint32_t mask = mask_q15 != NULL ? mask_q15[k] : STAPES_UNITY_GAIN_Q15;
        const int32_t product_q15 = stapes_mul_q15(wiener_gain_q15[k], mask);
        const int32_t wet_q15 = product_q15 > floor_q15 ? product_q15 : floor_q15;
        gain_q15[k] = (uint16_t)(dry_q15 + stapes_mul_q15(wet_q15, wet_share_q15));
    }
}

void stapes_apply_gain(const stapes_complex_t *spectrum_q30, const uint16_t *gain_q15, stapes_complex_t *enhanced_q30)
{
    for (size_t k = 0; k < STAPES_BINS; k++) {
        enhanced_q30[k].re = stapes_mul_q15(spectrum_q30[k].re, gain_q15[k]);
        enhanced_q30[k].im = stapes_mul_q15(spectrum_q30[k].im, gain_q15[k]);
    }
}

/* One sample of the synthesis window, rounded half up. */
static inline int32_t synthesise(int32_t sample, size_t i)
{
    return (int32_t)stapes_shr_round((int64_t)sample * stapes_synthesis_window_q30[i], 30);
}

void stapes_overlap_add(const int32_t *frame, int32_t *overlap, int16_t *pcm, stapes_counter_t *counter)
{
    const int32_t *tail = frame + STAPES_ANALYSIS_SAMPLES - STAPES_SYNTHESIS_SAMPLES;
    for (size_t i = 0; i < STAPES_HOP_SAMPLES; i++) {
        const int64_t sum = (int64_t)overlap[i] + synthesise(tail[i], i);
        const int64_t rounded = stapes_shr_round(sum, 15 - STAPES_FFT_LOG2);
        pcm[i] = (int16_t)stapes_clamp(rounded, INT16_MIN, INT16_MAX, counter);
        overlap[i] = synthesise(tail[i + STAPES_HOP_SAMPLES], i + STAPES_HOP_SAMPLES);
    }
}
