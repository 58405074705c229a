/* Host port: whole streams through the device in one call, so that a test over ctypes costs no Python per hop.
 *
 * Build, after `python -m export --to c` has filled build/:
 *
 *     cc -std=c11 -O3 -fPIC -shared -Ibuild -Ifirmware -Ifirmware/cmsis_stubs -Ifirmware/port/host \
 *         firmware/[a-z]*.c firmware/port/host/host.c build/stapes_model.c -o libstapes.so
 */
#include "host.h"

#include <string.h>

/* Copy each wanted tap behind what the hops before left there. */
static void record(const stapes_state_t *state, const stapes_recorder_t *recorder, size_t hop)
{
    for (size_t i = 0; i < recorder->taps; i++) {
        stapes_tap_t tap;
        if (stapes_tap(state, recorder->indices[i], &tap) == 0) {
            const size_t bytes = (size_t)tap.count * tap.element_bytes;
            memcpy((char *)recorder->buffers[i] + hop * bytes, tap.data, bytes);
        }
    }
}

void stapes_host_process(stapes_state_t *state, const int16_t *in, int16_t *out, size_t hops,
                         const stapes_recorder_t *recorder)
{
    for (size_t hop = 0; hop < hops; hop++) {
        stapes_process_hop(state, in + hop * STAPES_HOP_SAMPLES, out + hop * STAPES_HOP_SAMPLES);
        record(state, recorder, hop);
    }
}

void stapes_host_network(stapes_state_t *state, const void *codes, size_t code_bytes, size_t steps,
                         const stapes_recorder_t *recorder)
{
    for (size_t step = 0; step < steps; step++) {
        memcpy(&state->network, (const char *)codes + step * code_bytes, code_bytes); /* x is the first member */
        stapes_network_step(&state->network, &state->counters[STAPES_NETWORK]);
        record(state, recorder, step);
    }
}
