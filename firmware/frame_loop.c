/* The loop of the device: one hop in, one hop out, all state inside. Twin of firmware_sim/frame_loop.py. */
#include "stages.h"

#include <string.h>

static bool valid(const stapes_parameters_t *parameters)
{
    return parameters->gain_floor_q15 <= STAPES_UNITY_GAIN_Q15 && parameters->dry_q15 <= STAPES_UNITY_GAIN_Q15 &&
           parameters->wiener_floor_q15 <= STAPES_UNITY_GAIN_Q15;
}

stapes_parameters_t stapes_default_parameters(void)
{
    return (stapes_parameters_t){
        .gain_floor_q15 = STAPES_GAIN_FLOOR_Q15, .wiener_floor_q15 = STAPES_WIENER_FLOOR_Q15, .use_network = true};
}

/* Home, but for the Wiener state, the parameters and the counters, which lie behind the taps. */
static void forget(stapes_state_t *state)
{
    memset(state, 0, offsetof(stapes_state_t, wiener));
    for (size_t k = 0; k < STAPES_BANDS; k++) {
        state->mask_q15[k] = STAPES_UNITY_GAIN_Q15; /* in force until the network has run */
    }
    memset(&state->network, 0, sizeof state->network);
    stapes_network_reset(&state->network);
}

static void go_home(stapes_state_t *state, stapes_parameters_t parameters)
{
    forget(state);
    stapes_wiener_reset(&state->wiener);
    memset(state->counters, 0, sizeof state->counters);
    state->parameters = parameters;
}

int stapes_init(stapes_state_t *state, const stapes_parameters_t *parameters)
{
    go_home(state, stapes_default_parameters());
    return parameters == NULL ? 0 : stapes_set_parameters(state, parameters);
}

void stapes_reset(stapes_state_t *state) { go_home(state, state->parameters); }

/* Whether memory that outlived a reset of the processor holds a state: what is kept must be in its range. */
static bool plausible(const stapes_state_t *state)
{
    uint8_t flags[2]; /* read as bytes: as bool they would be undefined if they are neither 0 nor 1 */
    memcpy(&flags[0], &state->parameters.use_network, 1);
    memcpy(&flags[1], &state->parameters.bypass, 1);
    return flags[0] <= 1 && flags[1] <= 1 && valid(&state->parameters) && stapes_wiener_plausible(&state->wiener);
}

int stapes_restart(stapes_state_t *state)
{
    if (!plausible(state)) {
        go_home(state, stapes_default_parameters());
        return -1;
    }
    forget(state);
    stapes_wiener_restart(&state->wiener);
    return 0;
}

int stapes_set_parameters(stapes_state_t *state, const stapes_parameters_t *parameters)
{
    if (!valid(parameters)) {
        return -1;
    }
    state->parameters = *parameters;
    return 0;
}

/* Shift the history by one hop, hop by hop so that no copy overlaps, and append the new samples. */
static void take_in(int16_t *history, const int16_t *in)
{
    const size_t kept = STAPES_ANALYSIS_SAMPLES - STAPES_HOP_SAMPLES;
    for (size_t i = 0; i < kept; i += STAPES_HOP_SAMPLES) {
        memcpy(history + i, history + i + STAPES_HOP_SAMPLES, STAPES_HOP_SAMPLES * sizeof *history);
    }
    memcpy(history + kept, in, STAPES_HOP_SAMPLES * sizeof *in);
}

/* Samples to network input; returns true while the noise is being learned. */
static bool analyse(stapes_state_t *state, const int16_t *in)
{
    STAPES_MARK(STAPES_STAGES);
    take_in(state->history, in);
    stapes_counter_t *counters = state->counters;
    stapes_window(state->history, state->frame_q30);
    STAPES_MARK(STAPES_WINDOW);
    stapes_rfft(state->frame_q30, state->frame_out, state->spectrum_q30, &counters[STAPES_RFFT]);
    STAPES_MARK(STAPES_RFFT);
    stapes_power(state->spectrum_q30, state->power);
    const bool initialising = stapes_wiener(state);
    STAPES_MARK(STAPES_WIENER);
    stapes_features(state->power, state->noise, state->wiener_gain_q15, state->feature_q16);
    stapes_layer_norm(state->feature_q16, state->x_q11, &counters[STAPES_FEATURES]);
    if (STAPES_GAIN_CHANNEL) {
        stapes_gain_features(state->raw_gain_q15, state->x_q11 + STAPES_INPUTS - STAPES_BANDS);
    }
    STAPES_MARK(STAPES_FEATURES);
    return initialising;
}

/* Mask to samples. */
static void synthesise(stapes_state_t *state, bool initialising, int16_t *out)
{
    stapes_counter_t *counters = state->counters;
    stapes_total_gain(state->wiener_gain_q15, state->parameters.use_network ? state->mask_q15 : NULL,
                      &state->parameters, initialising, state->gain_q15);
    stapes_apply_gain(state->spectrum_q30, state->gain_q15, state->enhanced_q30);
    STAPES_MARK(STAPES_GAIN);
    stapes_irfft(state->enhanced_q30, state->frame_out, &counters[STAPES_IRFFT]);
    STAPES_MARK(STAPES_IRFFT);
    stapes_overlap_add(state->frame_out, state->overlap, state->pcm, &counters[STAPES_OVERLAP_ADD]);
    memcpy(out, state->pcm, sizeof state->pcm);
    STAPES_MARK(STAPES_OVERLAP_ADD);
}

void stapes_process_hop(stapes_state_t *state, const int16_t *in, int16_t *out)
{
    const bool initialising = analyse(state, in);
    stapes_network(&state->network, state->x_q11, state->mask_q15, &state->counters[STAPES_NETWORK]);
    STAPES_MARK(STAPES_NETWORK);
    synthesise(state, initialising, out);
}

void stapes_hold_hop(stapes_state_t *state, const int16_t *in, int16_t *out)
{
    synthesise(state, analyse(state, in), out);
}

size_t stapes_state_bytes(void) { return sizeof(stapes_state_t); }

const stapes_counter_t *stapes_counters(const stapes_state_t *state) { return state->counters; }

const char *stapes_config_digest(void) { return STAPES_CONFIG_DIGEST; }

/* ---------------------------------------------------------------- taps */

typedef struct {
    const char *name;
    uint32_t offset;
    uint32_t count;
    uint8_t element_bytes;
    bool is_signed;
} entry_t;

#define ENTRY(tap, member, type, is_signed)                                                                   \
    {tap, (uint32_t)offsetof(stapes_state_t, member),                                                         \
     (uint32_t)(sizeof((stapes_state_t *)0)->member / (sizeof(type))), (uint8_t)sizeof(type), is_signed}

static const entry_t LOOP_TAPS[] = {
    ENTRY("frame_q30", frame_q30, int32_t, true),
    ENTRY("spectrum_q30", spectrum_q30, int32_t, true),
    ENTRY("power", power, int64_t, true),
    ENTRY("noise", noise, int64_t, true),
    ENTRY("xi_uq16", xi_uq16, uint32_t, false),
    ENTRY("likelihood_q16", likelihood_q16, int64_t, true),
    ENTRY("vad", vad, int32_t, true),
    ENTRY("raw_gain_q15", raw_gain_q15, uint16_t, false),
    ENTRY("wiener_gain_q15", wiener_gain_q15, uint16_t, false),
    ENTRY("feature_q16", feature_q16, int32_t, true),
    ENTRY("x_q11", x_q11, int16_t, true),
    ENTRY("mask_q15", mask_q15, uint16_t, false),
    ENTRY("gain_q15", gain_q15, uint16_t, false),
    ENTRY("enhanced_q30", enhanced_q30, int32_t, true),
    ENTRY("frame_out", frame_out, int32_t, true),
    ENTRY("pcm", pcm, int16_t, true),
};

enum { LOOP_TAP_COUNT = sizeof LOOP_TAPS / sizeof LOOP_TAPS[0] };

int stapes_tap(const stapes_state_t *state, uint32_t index, stapes_tap_t *tap)
{
    if (index < LOOP_TAP_COUNT) {
        const entry_t *entry = &LOOP_TAPS[index];
        const void *data = (const char *)state + entry->offset;
        *tap = (stapes_tap_t){entry->name, data, entry->count, entry->element_bytes, entry->is_signed};
        return 0;
    }
    index -= LOOP_TAP_COUNT;
    if (index < stapes_network_tensor_count) {
        const stapes_tensor_t *tensor = &stapes_network_tensors[index];
        const void *data = (const char *)&state->network + tensor->offset;
        *tap = (stapes_tap_t){tensor->name, data, tensor->count, tensor->element_bytes, true};
        return 0;
    }
    return -1;
}
