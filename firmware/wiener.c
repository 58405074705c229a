/* Wiener gains by decision-directed a-priori SNR over a noise PSD that follows the input, in fixed point.
 *
 * Twin of firmware_sim/wiener.py, which has the equations: Loizou's wiener_as after Scalart & Vieira Filho 1996,
 * made causal. The first 120 ms pass with a gain of one while the noise PSD is learned from them. Then it follows by
 * the profile's tracker: gated by a voice activity decision, or weighted by each bin's absence of speech.
 */
#include "stages.h"

#include <string.h>

static const uint32_t ONE_UQ16 = UINT32_C(1) << 16;
static const int64_t POWER_MAX = INT64_C(1) << 57;

/* x or NOISE_MIN, whichever is larger; x >= 0. */
static inline int64_t at_least_noise_min(int64_t x)
{
    const uint32_t high = (uint32_t)(x >> 32);
    const uint32_t low = (uint32_t)x;
    const bool small = (high | (low >> STAPES_NOISE_MIN_LOG2)) == 0U;
    return (int64_t)(((uint64_t)high << 32) | (small ? (uint32_t)STAPES_NOISE_MIN : low));
}

void stapes_wiener_reset(stapes_wiener_t *wiener)
{
    memset(wiener, 0, sizeof *wiener);
    for (size_t k = 0; k < STAPES_BINS; k++) {
        wiener->noise[k] = STAPES_NOISE_MIN;
        wiener->prior_uq16[k] = ONE_UQ16;
    }
}

bool stapes_wiener_plausible(const stapes_wiener_t *wiener)
{
    for (size_t k = 0; k < STAPES_BINS; k++) {
        if (wiener->noise[k] < STAPES_NOISE_MIN || wiener->noise[k] > POWER_MAX) {
            return false;
        }
    }
    return wiener->hops >= 0 && wiener->hops <= STAPES_NOISE_INIT_HOPS;
}

void stapes_wiener_restart(stapes_wiener_t *wiener)
{
    if (wiener->hops < STAPES_NOISE_INIT_HOPS) {
        stapes_wiener_reset(wiener);
    }
    memset(wiener->presence_q31, 0, sizeof wiener->presence_q31);
    for (size_t k = 0; k < STAPES_BINS; k++) {
        wiener->prior_uq16[k] = ONE_UQ16;
    }
}

/* gamma_uq16 = min(power / noise, 2^15): quotient of normalised mantissas.
 *
 * power    [0, 2^57]
 * noise    [NOISE_MIN, 2^57]
 * hits     goes up by one where gamma reaches the ceiling
 * returns  [0, 2^31], relative error < 2^-16, one rounding (half up)
 */
static inline uint32_t a_posteriori_snr(int64_t power, int64_t noise, uint32_t *hits)
{
    int power_bits;
    int noise_bits;
    const uint32_t mantissa = stapes_normalise(power, &power_bits);
    const uint32_t inverse = stapes_reciprocal(stapes_normalise(noise, &noise_bits));
    const uint32_t quotient = stapes_mulhi_u32(mantissa << 1, inverse); /* below 2^31 */
    const int down = 13 - (power_bits - noise_bits);
    if (down >= 0) {
        return ((quotient >> (down < 31 ? down : 31)) + 1U) >> 1;
    }
    const int up = down > -4 ? -1 - down : 3;
    const bool ceiling = quotient > STAPES_GAMMA_MAX_UQ16 >> up;
    *hits += ceiling;
    return ceiling ? STAPES_GAMMA_MAX_UQ16 : quotient << up;
}

/* xi_uq16 by the decision-directed rule, [0, 2^31], round half up. */
static inline uint32_t a_priori_snr(uint32_t gamma_uq16, uint32_t prior_uq16)
{
    const uint32_t instant_uq16 = gamma_uq16 > ONE_UQ16 ? gamma_uq16 - ONE_UQ16 : 0;
    const uint64_t weighted = (uint64_t)prior_uq16 * (STAPES_DECISION_DIRECTED_Q31 << 1) +
                              (uint64_t)instant_uq16 * (STAPES_DECISION_INNOVATION_Q31 << 1);
    return (uint32_t)((weighted + (UINT64_C(1) << 31)) >> 32);
}

/* r_q31 = xi / (1 + xi), [0, 2^31), relative error < 2^-16. */
static inline uint32_t wiener_ratio(uint32_t xi_uq16)
{
    int bits;
    const uint32_t inverse = stapes_reciprocal(stapes_normalise(xi_uq16 + ONE_UQ16, &bits));
    const uint32_t mantissa = (xi_uq16 << (32 - bits)) >> 1; /* of the same exponent */
    return stapes_mulhi_u32(mantissa << 1, inverse << 1);
}

/* Initialisation hop: the powers add up, the last hop turns them into their mean. */
static void learn(stapes_state_t *state)
{
    stapes_wiener_t *wiener = &state->wiener;
    wiener->hops++;
    for (size_t k = 0; k < STAPES_BINS; k++) {
        state->noise[k] = wiener->noise[k];
        wiener->learned[k] += state->power[k];
        if (wiener->hops == STAPES_NOISE_INIT_HOPS) {
            wiener->noise[k] = at_least_noise_min(stapes_mix_q31(wiener->learned[k], STAPES_LEARN_WEIGHT_Q31, 0, 0));
        }
        state->xi_uq16[k] = 0;
        state->raw_gain_q15[k] = STAPES_UNITY_GAIN_Q15;
        state->wiener_gain_q15[k] = STAPES_UNITY_GAIN_Q15;
    }
    state->likelihood_q16 = 0;
    state->vad = 0;
}

/* 1 - p by its table: absence of speech in a bin, [0, 63587], off by less than 2^-14. */
static inline uint32_t absence_of_speech_uq16(uint32_t gamma_uq16)
{
    enum { LAST = (1 << (STAPES_GAMMA_BITS + 8)) - 1, FRACTION = (1 << STAPES_GAMMA_BITS) - 1 };
    const uint32_t place = gamma_uq16 < LAST ? gamma_uq16 : LAST;
    const uint16_t *entry = stapes_absence_uq16 + (place >> STAPES_GAMMA_BITS);
    const int32_t step = (entry[1] - entry[0]) * (int32_t)(place & FRACTION);
    return (uint32_t)(entry[0] + ((step + (1 << (STAPES_GAMMA_BITS - 1))) >> STAPES_GAMMA_BITS));
}

/* The same, where a bin that has long been speech is not believed entirely; the mean presence moves on. */
static inline uint32_t speech_absence(uint32_t gamma_uq16, uint32_t *presence_q31)
{
    const uint32_t absence_uq16 = absence_of_speech_uq16(gamma_uq16);
    const uint64_t weighted = (uint64_t)*presence_q31 * (STAPES_PRESENCE_MEMORY_Q31 << 1) +
                              (uint64_t)((ONE_UQ16 - absence_uq16) << 15) * (STAPES_PRESENCE_INNOVATION_Q31 << 1);
    *presence_q31 = (uint32_t)((weighted + (UINT64_C(1) << 31)) >> 32);
    const bool stuck = *presence_q31 > STAPES_PRESENCE_LIMIT_Q31 && absence_uq16 < STAPES_ABSENCE_MIN_UQ16;
    return stuck ? STAPES_ABSENCE_MIN_UQ16 : absence_uq16;
}

/* Noise PSD of a bin one hop later: (1 - a) (1 - p) of it are the input; at least NOISE_MIN. */
static inline int64_t weighted_noise(int64_t noise, int64_t power, uint32_t absence_uq16)
{
    const uint32_t share_q31 = stapes_mulhi_round_u32(absence_uq16 << 16, STAPES_SPP_INNOVATION_Q31);
    return at_least_noise_min(stapes_mix_q31(noise, (UINT32_C(1) << 31) - share_q31, power, share_q31));
}

/* Tracker spp for one bin; returns its presence of speech, [0, 65536], as often as it counts in the full spectrum. */
static inline uint32_t track_by_presence(stapes_state_t *state, size_t k, uint32_t gamma_uq16)
{
    stapes_wiener_t *wiener = &state->wiener;
    const uint32_t absence_uq16 = speech_absence(gamma_uq16, &wiener->presence_q31[k]);
    wiener->noise[k] = weighted_noise(state->noise[k], state->power[k], absence_uq16);
    const bool inner = k != 0 && k != STAPES_BINS - 1;
    return (ONE_UQ16 - absence_uq16) << inner;
}

/* SNRs and gains of every bin; the decision-directed memory moves on, and the noise PSD with the tracker spp. */
static void estimate(stapes_state_t *state)
{
    const uint32_t floor_q15 = state->parameters.wiener_floor_q15;
    uint32_t *prior_uq16 = state->wiener.prior_uq16;
    uint32_t hits = 0;
    uint32_t presence_sum_uq16 = 0;
    for (size_t k = 0; k < STAPES_BINS; k++) {
        state->noise[k] = state->wiener.noise[k];
        const uint32_t gamma_uq16 = a_posteriori_snr(state->power[k], state->noise[k], &hits);
        const uint32_t xi_uq16 = a_priori_snr(gamma_uq16, prior_uq16[k]);
        const uint32_t ratio_q31 = wiener_ratio(xi_uq16);
        const uint32_t root_q15 = stapes_sqrt_round_u30(ratio_q31 >> 1);
        state->xi_uq16[k] = xi_uq16;
        state->raw_gain_q15[k] = (uint16_t)root_q15;
        state->wiener_gain_q15[k] = (uint16_t)(root_q15 > floor_q15 ? root_q15 : floor_q15);
        prior_uq16[k] = stapes_mulhi_round_u32(gamma_uq16, ratio_q31 << 1);
        if (STAPES_TRACKER_SPP) {
            presence_sum_uq16 += track_by_presence(state, k, gamma_uq16);
        }
    }
    state->likelihood_q16 = presence_sum_uq16;
    stapes_count(&state->counters[STAPES_WIENER].saturations, hits);
}

/* log2(1 + xi) in q16, [0, 16 * 2^16). */
static inline int32_t log2_one_plus_q16(uint32_t xi_uq16) { return stapes_log2_q16(xi_uq16 + ONE_UQ16) - (16 << 16); }

/* N * v in q16: the sum of A - ln(1 + xi) over the full spectrum. Inner bins count twice, DC and Nyquist once. */
static int64_t log_likelihood(const uint32_t *prior_uq16, const uint32_t *xi_uq16)
{
    const size_t last = STAPES_BINS - 1;
    int64_t prior_sum_q16 = 0;
    int32_t log2_sum_q16 = 0;
    for (size_t k = 1; k < last; k++) {
        prior_sum_q16 += prior_uq16[k];
        log2_sum_q16 += log2_one_plus_q16(xi_uq16[k]);
    }
    prior_sum_q16 = 2 * prior_sum_q16 + prior_uq16[0] + prior_uq16[last];
    log2_sum_q16 = 2 * log2_sum_q16 + log2_one_plus_q16(xi_uq16[0]) + log2_one_plus_q16(xi_uq16[last]);
    return prior_sum_q16 - stapes_mul_q31(log2_sum_q16, STAPES_LN2_Q31);
}

/* Noise PSD of every bin one hop later, at least NOISE_MIN. */
static void follow_noise(stapes_state_t *state)
{
    for (size_t k = 0; k < STAPES_BINS; k++) {
        state->wiener.noise[k] = at_least_noise_min(stapes_mix_q31(state->noise[k], STAPES_NOISE_MEMORY_Q31,
                                                                   state->power[k], STAPES_NOISE_INNOVATION_Q31));
    }
}

/* Tracker vad: the noise PSD follows in frames without speech. */
static void track_by_vad(stapes_state_t *state)
{
    state->likelihood_q16 = log_likelihood(state->wiener.prior_uq16, state->xi_uq16);
    state->vad = state->likelihood_q16 >= (int64_t)STAPES_VAD_THRESHOLD_Q16 * STAPES_ANALYSIS_SAMPLES;
    if (state->vad == 0) {
        follow_noise(state);
    }
}

bool stapes_wiener(stapes_state_t *state)
{
    stapes_wiener_t *wiener = &state->wiener;
    if (wiener->hops < STAPES_NOISE_INIT_HOPS) {
        learn(state);
        return true;
    }
    estimate(state);
    if (STAPES_TRACKER_SPP) {
        state->vad = state->likelihood_q16 >= (int64_t)STAPES_ANALYSIS_SAMPLES << 15;
    } else {
        track_by_vad(state);
    }
    return false;
}
