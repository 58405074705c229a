/* Analysis and synthesis: window, gain, overlap-add, 16-bit samples in and out.
 *
 * Twin of firmware_sim/stft.py. Periodic sqrt-Hann on both sides (or the asymmetric pair of the profile) with two
 * overlapping hops gives perfect reconstruction with no divisor.
 */
#include "stages.h"

void stapes_window(const int16_t *history, int32_t *frame_q30)
{
    for (size_t i = 0; i < STAPES_ANALYSIS_SAMPLES; i++) {
        frame_q30[i] = stapes_mulhi_round(history[i] * (1 << 16), stapes_analysis_window_q31[i]);
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

/* Product of two gains in [0, 32768], rounded half up: stapes_mul_q15 in 32 bits. */
static inline uint32_t product_of_gains(uint32_t x_q15, uint32_t y_q15)
{
    return (x_q15 * y_q15 + (1U << 14)) >> 15;
}

void stapes_total_gain(const uint16_t *wiener_gain_q15, const uint16_t *mask_q15,
                       const stapes_parameters_t *parameters, bool initialising, uint16_t *gain_q15)
{
    const uint32_t floor_q15 = parameters->gain_floor_q15;
    const bool all_dry = initialising || parameters->bypass;
    const uint32_t dry_q15 = all_dry ? STAPES_UNITY_GAIN_Q15 : parameters->dry_q15;
    const uint32_t wet_share_q15 = STAPES_UNITY_GAIN_Q15 - dry_q15;
    size_t k = 0;
    for (size_t band = 0; band < STAPES_BANDS; band++) {
        const uint32_t mask = mask_q15 != NULL ? mask_q15[band] : STAPES_UNITY_GAIN_Q15;
        for (const size_t end = k + stapes_band_width[band]; k < end; k++) {
            const uint32_t product_q15 = product_of_gains(wiener_gain_q15[k], mask);
            const uint32_t wet_q15 = product_q15 > floor_q15 ? product_q15 : floor_q15;
            gain_q15[k] = (uint16_t)(dry_q15 + product_of_gains(wet_q15, wet_share_q15));
        }
    }
}

void stapes_apply_gain(const stapes_complex_t *spectrum_q30, const uint16_t *gain_q15, stapes_complex_t *enhanced_q30)
{
    for (size_t k = 0; k < STAPES_BINS; k++) {
        enhanced_q30[k].re = stapes_mul_q15(spectrum_q30[k].re, gain_q15[k]);
        enhanced_q30[k].im = stapes_mul_q15(spectrum_q30[k].im, gain_q15[k]);
    }
}

/* A windowed sample added to the overlap and rounded half up to 16 bits, not yet limited.
 *
 * Two floors in a row are one floor: the halves of both roundings are added before one shift.
 */
static inline int32_t overlapped(int32_t overlap, int32_t sample, int32_t window_q30)
{
    enum { SHIFT = 15 - STAPES_FFT_LOG2 };
    const int64_t halves = (INT64_C(1) << 29) + (INT64_C(1) << (SHIFT + 29));
    return (int32_t)((overlap * (INT64_C(1) << 30) + halves + (int64_t)sample * window_q30) >> (30 + SHIFT));
}

void stapes_overlap_add(const int32_t *frame, int32_t *overlap, int16_t *pcm, stapes_counter_t *counter)
{
    const int32_t *tail = frame + STAPES_ANALYSIS_SAMPLES - STAPES_SYNTHESIS_SAMPLES;
    uint32_t hits = 0;
    for (size_t i = 0, j = STAPES_HOP_SAMPLES; i < STAPES_HOP_SAMPLES; i++, j++) {
        const int32_t sample = overlapped(overlap[i], tail[i], stapes_synthesis_window_q30[i]);
        pcm[i] = stapes_sat_i16(sample, &hits);
        overlap[i] = (int32_t)stapes_shr_round((int64_t)tail[j] * stapes_synthesis_window_q30[j], 30);
    }
    stapes_count(&counter->saturations, hits);
}
