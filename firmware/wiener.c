/* Wiener gains by decision-directed a-priori SNR with a VAD-gated noise PSD, in fixed point.
 *
 * Twin of firmware_sim/wiener.py, which has the equations: Loizou's wiener_as after Scalart & Vieira Filho 1996,
 * made causal. The first 120 ms pass with a gain of one while the noise PSD is learned from them.
 */
#include "stages.h"

#include <string.h>

static const uint32_t ONE_UQ16 = UINT32_C(1) << 16;

static inline int64_t at_least_noise_min(int64_t x) { return x > STAPES_NOISE_MIN ? x : STAPES_NOISE_MIN; }

void stapes_wiener_reset(stapes_wiener_t *wiener)
{
    memset(wiener, 0, sizeof *wiener);
    for (size_t k = 0; k < STAPES_BINS; k++) {
        wiener->noise[k] = STAPES_NOISE_MIN;
        wiener->prior_uq16[k] = ONE_UQ16;
    }
}

/* gamma_uq16 = min(power / noise, 2^15): quotient of normalised mantissas.
 *
 * power    [0, 2^57]
 * noise    [NOISE_MIN, 2^57]
 * returns  [0, 2^31], relative error < 2^-16; reaching the ceiling counts as a saturation
 */
static uint32_t a_posteriori_snr(int64_t power, int64_t noise, stapes_counter_t *counter)
{
    const int power_bits = stapes_bit_length(power);
    const int noise_bits = stapes_bit_length(noise);
    const uint32_t power_mantissa = (uint32_t)stapes_shift_left(power, 31 - power_bits);
    const uint32_t inverse = stapes_reciprocal((uint32_t)stapes_shift_left(noise, 31 - noise_bits));
    const int64_t quotient = (int64_t)(((uint64_t)power_mantissa * inverse) >> 31);
    const int difference = power_bits - noise_bits;
    const int exponent = difference < 17 ? difference : 17;
    const int down = exponent < 13 ? 14 - exponent : 1;
    const int up = exponent > 13 ? exponent - 13 : 0;
    const int64_t gamma_uq16 = stapes_shr_round(stapes_shift_left(quotient, up), down < 62 ? down : 62);
    return (uint32_t)stapes_clamp(gamma_uq16, 0, STAPES_GAMMA_MAX_UQ16, counter);
}

/* xi_uq16 by the decision-directed rule, [0, 2^31], round half up. */
static uint32_t a_priori_snr(uint32_t gamma_uq16, uint32_t prior_uq16)
{
    const uint32_t instant_uq16 = gamma_uq16 > ONE_UQ16 ? gamma_uq16 - ONE_UQ16 : 0;
    const uint64_t weighted = (uint64_t)prior_uq16 * STAPES_DECISION_DIRECTED_Q31 +
                              (uint64_t)instant_uq16 * STAPES_DECISION_INNOVATION_Q31;
    return (uint32_t)((weighted + (UINT64_C(1) << 30)) >> 31);
}

/* r_q31 = xi / (1 + xi), [0, 2^31], relative error < 2^-16. */
static uint32_t wiener_ratio(uint32_t xi_uq16)
{
    const int64_t one_plus = (int64_t)xi_uq16 + ONE_UQ16;
    const int up = 31 - stapes_bit_length(one_plus);
    const uint32_t inverse = stapes_reciprocal((uint32_t)stapes_shift_left(one_plus, up));
    return (uint32_t)(((uint64_t)stapes_shift_left(xi_uq16, up) * inverse) >> 30);
}

/* Initialisation hop: the powers add up, the last hop turns them into their mean. */
static void learn(stapes_state_t *state)
{
    stapes_wiener_t *wiener = &state->wiener;
    wiener->hops++;
    for (size_t k = 0; k < STAPES_BINS; k++) {
        wiener->learned[k] += state->power[k];
        if (wiener->hops == STAPES_NOISE_INIT_HOPS) {
            wiener->noise[k] = at_least_noise_min(stapes_mix_q31(wiener->learned[k], STAPES_LEARN_WEIGHT_Q31, 0, 0));
        }
        state->xi_uq16[k] = 0;
        state->wiener_gain_q15[k] = STAPES_UNITY_GAIN_Q15;
    }
    state->likelihood_q16 = 0;
    state->vad = 0;
}

/* Gains of every bin; leaves the decision-directed memory and the VAD's sum over the full spectrum. */
static void estimate(stapes_state_t *state)
{
    stapes_counter_t *counter = &state->counters[STAPES_WIENER];
    const uint32_t floor_q15 = state->parameters.wiener_floor_q15;
    int64_t prior_sum_q16 = 0;
    int64_t log2_sum_q16 = 0;
    for (size_t k = 0; k < STAPES_BINS; k++) {
        uint32_t *prior_uq16 = &state->wiener.prior_uq16[k];
        const uint32_t gamma_uq16 = a_posteriori_snr(state->power[k], state->noise[k], counter);
        const uint32_t xi_uq16 = a_priori_snr(gamma_uq16, *prior_uq16);
        const uint32_t ratio_q31 = wiener_ratio(xi_uq16);
        *prior_uq16 = (uint32_t)stapes_mul_q31(gamma_uq16, ratio_q31);
        const uint32_t root_q15 = stapes_sqrt_round(ratio_q31 >> 1);
        state->xi_uq16[k] = xi_uq16;
        state->wiener_gain_q15[k] = (uint16_t)(root_q15 > floor_q15 ? root_q15 : floor_q15);
        const int weight = k == 0 || k == STAPES_BINS - 1 ? 1 : 2;
        prior_sum_q16 += (int64_t)*prior_uq16 * weight;
        log2_sum_q16 += (stapes_log2_q16((int64_t)xi_uq16 + ONE_UQ16) - (16 << 16)) * weight;
    }
    state->likelihood_q16 = prior_sum_q16 - stapes_mul_q31(log2_sum_q16, STAPES_LN2_Q31);
}

bool stapes_wiener(stapes_state_t *state)
{
    stapes_wiener_t *wiener = &state->wiener;
    memcpy(state->noise, wiener->noise, sizeof state->noise);
    if (wiener->hops < STAPES_NOISE_INIT_HOPS) {
        learn(state);
        return true;
    }
    estimate(state);
    state->vad = state->likelihood_q16 >= (int64_t)STAPES_VAD_THRESHOLD_Q16 * STAPES_ANALYSIS_SAMPLES;
    for (size_t k = 0; state->vad == 0 && k < STAPES_BINS; k++) {
        wiener->noise[k] = at_least_noise_min(stapes_mix_q31(state->noise[k], STAPES_NOISE_MEMORY_Q31,
                                                             state->power[k], STAPES_NOISE_INNOVATION_Q31));
    }
    return false;
}
