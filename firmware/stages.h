/* The stages of one hop, each in the file that has the name of its Python twin in firmware_sim/. Internal. */
#ifndef STAPES_STAGES_H
#define STAPES_STAGES_H

#include "stapes.h"

_Static_assert(STAPES_NOISE_MIN == 1 << STAPES_NOISE_MIN_LOG2, "NOISE_MIN is a power of two");

/* Where a stage of stapes_process_hop ends, and, with STAPES_STAGES, where a hop begins: nothing, unless the build
 * names a function of its own, for instance one that reads a clock: -DSTAPES_MARK=stapes_mark. */
#ifdef STAPES_MARK
void STAPES_MARK(stapes_stage_t stage);
#else
#define STAPES_MARK(stage) ((void)0)
#endif

/* ---------------------------------------------------------------- stft.c */

/* Windowed frame, rounded half up.
 *
 * history    the last STAPES_ANALYSIS_SAMPLES samples, newest last
 * frame_q30  |x| <= 2^30
 */
void stapes_window(const int16_t *history, int32_t *frame_q30);

/* (re^2 + im^2) >> 4 of each bin, [0, 2^57]. */
void stapes_power(const stapes_complex_t *spectrum_q30, int64_t *power);

/* Gain of each bin: Wiener gain x mask of its band, floored, mixed with the dry signal; round half up, [0, 32768].
 *
 * mask_q15      STAPES_BANDS; NULL: the mask is one
 * initialising  the noise estimate is not there yet: audio passes
 */
void stapes_total_gain(const uint16_t *wiener_gain_q15, const uint16_t *mask_q15,
                       const stapes_parameters_t *parameters, bool initialising, uint16_t *gain_q15);

/* Spectrum scaled bin by bin, rounded half up. */
void stapes_apply_gain(const stapes_complex_t *spectrum_q30, const uint16_t *gain_q15, stapes_complex_t *enhanced_q30);

/* Windowed tail of a frame added to the overlap that the frame before left; then the overlap moves on.
 *
 * frame    q(30 - log2 N), output of stapes_irfft
 * overlap  STAPES_HOP_SAMPLES, same format
 * pcm      STAPES_HOP_SAMPLES, rounded half up, saturations counted
 */
void stapes_overlap_add(const int32_t *frame, int32_t *overlap, int16_t *pcm, stapes_counter_t *counter);

/* ---------------------------------------------------------------- fft.c */

/* Spectrum of a real frame, scale 1/N; same fraction bits as the frame.
 *
 * frame     N samples in [-2^30, 2^30), else one overflow is counted
 * work      N words of workspace; may not be the frame
 * spectrum  N/2 + 1 bins
 */
void stapes_rfft(const int32_t *frame, int32_t *work, stapes_complex_t *spectrum, stapes_counter_t *counter);

/* Real frame of a half spectrum, scale 1/N: stapes_irfft(stapes_rfft(x)) is x / N.
 *
 * spectrum  re, im in [-2^30, 2^30), else one overflow is counted
 * frame     N samples, saturated when the final doubling does not fit
 */
void stapes_irfft(const stapes_complex_t *spectrum, int32_t *frame, stapes_counter_t *counter);

/* ---------------------------------------------------------------- wiener.c */

void stapes_wiener_reset(stapes_wiener_t *wiener);

/* True if hops and noise PSD are in their ranges. */
bool stapes_wiener_plausible(const stapes_wiener_t *wiener);

/* Home, but for a noise PSD that has been learned. */
void stapes_wiener_restart(stapes_wiener_t *wiener);

/* One hop: gains from the noise PSD as the hop before left it; reads state->power, fills the wiener taps.
 *
 * returns  true while the noise is being learned and the gain is one
 */
bool stapes_wiener(stapes_state_t *state);

/* ---------------------------------------------------------------- features.c */

/* Log2 features before normalisation, q16: bands 1.. mean log2 of the power; band 0 the mean log2 noise of all bins.
 *
 * power        [0, 2^57]
 * noise        [NOISE_MIN, 2^57], as it was used for this hop's gains
 * gain_q15     [0, 32768], Wiener gain, part of the power; not read where it has a channel of its own
 * feature_q16  STAPES_BANDS
 */
void stapes_features(const int64_t *power, const int64_t *noise, const uint16_t *gain_q15, int32_t *feature_q16);

/* The gain channel: 4 (G - 1/2) of each band's mean gain.
 *
 * raw_gain_q15  STAPES_BINS, [0, 32768], Wiener gain before its floor
 * x_q11         STAPES_BANDS, [-4096, 4096], floor of the rounded mean
 */
void stapes_gain_features(const uint16_t *raw_gain_q15, int16_t *x_q11);

/* (f - mean) / sqrt(variance + 2^-8) over the bands, round half up; values that reach the limit are counted. */
void stapes_layer_norm(const int32_t *feature_q16, int16_t *x_q11, stapes_counter_t *counter);

#endif
