/* Stapes: a GRU mask over a Wiener filter, as fixed-point hearing-aid firmware. The public interface.
 *
 * One `stapes_state_t` is one ear. All memory is in it: no heap, no writable statics, so several instances run
 * side by side on the same constant weights. Every call is integer only and returns in bounded time.
 *
 *     static stapes_state_t left;
 *     stapes_init(&left, NULL);
 *     for (;;) stapes_process_hop(&left, microphone, receiver);
 */
#ifndef STAPES_H
#define STAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define _Static_assert static_assert /* until the end of this file: its name in C++ */
extern "C" {
#endif

#include "fixed.h"
#include "stapes_model.h"
#include "stapes_tables.h"

/* The stages of one hop, in order: the index into the counters. */
typedef enum {
    STAPES_WINDOW,
    STAPES_RFFT,
    STAPES_WIENER,
    STAPES_FEATURES,
    STAPES_NETWORK,
    STAPES_GAIN,
    STAPES_IRFFT,
    STAPES_OVERLAP_ADD,
    STAPES_STAGES
} stapes_stage_t;

/* One bin of a half spectrum. */
typedef struct {
    int32_t re;
    int32_t im;
} stapes_complex_t;

/* What a fitting software may set while the device runs. Gains are unsigned q15, [0, 32768]. */
typedef struct {
    uint16_t gain_floor_q15;   /* lowest total gain, 0 = no floor */
    uint16_t dry_q15;          /* share of the unprocessed signal in the output */
    uint16_t wiener_floor_q15; /* lowest Wiener gain */
    bool use_network;          /* false: the mask is one (Wiener stage alone) */
    bool bypass;               /* true: total gain one; every state keeps running, so leaving it is seamless */
} stapes_parameters_t;

/* What the Wiener stage remembers from hop to hop. */
typedef struct {
    int64_t noise[STAPES_BINS];         /* noise PSD for the next hop, [NOISE_MIN, 2^57] */
    int64_t learned[STAPES_BINS];       /* sum of the powers of the initialisation */
    uint32_t prior_uq16[STAPES_BINS];   /* G^2 gamma of the hop before, [0, 2^31] */
    uint32_t presence_q31[STAPES_BINS]; /* mean presence of speech, [0, 2^31]; 0 with the tracker vad */
    int32_t hops;                       /* hops since home; stops at the end of the initialisation */
} stapes_wiener_t;

/* Everything that one ear needs. The first part holds the taps: the results of the last hop, in order. */
typedef struct {
    int32_t frame_q30[STAPES_ANALYSIS_SAMPLES];
    stapes_complex_t spectrum_q30[STAPES_BINS];
    int64_t power[STAPES_BINS];
    int64_t noise[STAPES_BINS]; /* as it was used in this hop */
    uint32_t xi_uq16[STAPES_BINS];
    int64_t likelihood_q16;
    int32_t vad;
    uint16_t raw_gain_q15[STAPES_BINS]; /* before its floor */
    uint16_t wiener_gain_q15[STAPES_BINS];
    int32_t feature_q16[STAPES_BANDS];
    int16_t x_q11[STAPES_INPUTS];
    uint16_t mask_q15[STAPES_BANDS];
    uint16_t gain_q15[STAPES_BINS];
    stapes_complex_t enhanced_q30[STAPES_BINS];
    int32_t frame_out[STAPES_ANALYSIS_SAMPLES]; /* also the workspace of both transforms */
    int16_t pcm[STAPES_HOP_SAMPLES];

    int16_t history[STAPES_ANALYSIS_SAMPLES]; /* last samples of the input, newest last */
    int32_t overlap[STAPES_HOP_SAMPLES];      /* second half of the last output frame, format of frame_out */
    stapes_wiener_t wiener;
    stapes_network_t network;
    stapes_parameters_t parameters;
    stapes_counter_t counters[STAPES_STAGES];
} stapes_state_t;

_Static_assert(sizeof(stapes_state_t) == STAPES_STATE_BYTES, "the state is not as in its memory map");
_Static_assert(STAPES_ANALYSIS_SAMPLES % STAPES_HOP_SAMPLES == 0, "the history moves by whole hops");

/* Home state and parameters; NULL takes the defaults of the contract.
 *
 * returns  0, or -1 when a gain is above 32768 (then the defaults are in force)
 */
int stapes_init(stapes_state_t *state, const stapes_parameters_t *parameters);

/* Home state: the state in which every golden vector starts. Parameters stay; counters start at zero. */
void stapes_reset(stapes_state_t *state);

/* Warm start after a reset of the processor (a watchdog) that left the state's memory as it was.
 *
 * Kept are the parameters, the counters and the noise PSD, so that speech is enhanced from the first hop on; all else
 * is as at home. A noise PSD that was still being learned is learned anew.
 *
 * returns  0, or -1 when the memory holds no plausible state (a parameter or a noise PSD outside its range): then
 *          this was stapes_init(state, NULL)
 */
int stapes_restart(stapes_state_t *state);

/* Take other parameters from the next hop on.
 *
 * returns  0, or -1 when a gain is above 32768 (then nothing changes)
 */
int stapes_set_parameters(stapes_state_t *state, const stapes_parameters_t *parameters);

/* The parameters that the contract gives a device with a network. */
stapes_parameters_t stapes_default_parameters(void);

/* One hop in, one hop out; the output is the input delayed by STAPES_DELAY_SAMPLES and enhanced.
 *
 * in, out  STAPES_HOP_SAMPLES samples, int16; they may be the same array
 */
void stapes_process_hop(stapes_state_t *state, const int16_t *in, int16_t *out);

/* The same hop without the network, for a device that is behind: the last mask stays in force (one, if there has been
 * none since home) and the network's state waits. ping_pong.h says when.
 */
void stapes_hold_hop(stapes_state_t *state, const int16_t *in, int16_t *out);

/* Bytes of one instance. */
size_t stapes_state_bytes(void);

/* The sticky counters, STAPES_STAGES entries in the order of stapes_stage_t. */
const stapes_counter_t *stapes_counters(const stapes_state_t *state);

/* SHA-256 (64 hex digits) over sizes, constants, tables and graph: equal digests compute equal bits. */
const char *stapes_config_digest(void);

/* An observable array of the state. */
typedef struct {
    const char *name; /* as in firmware_sim: a tap of the loop, or `network.` and the graph's tensor */
    const void *data;
    uint32_t count;
    uint8_t element_bytes;
    bool is_signed;
} stapes_tap_t;

/* Tap number `index`.
 *
 * returns  0, or -1 when there is no such tap: count them by asking from 0 on
 */
int stapes_tap(const stapes_state_t *state, uint32_t index, stapes_tap_t *tap);

#ifdef __cplusplus
}
#undef _Static_assert
#endif

#endif
