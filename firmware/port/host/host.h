/* Host port: see host.c. */
#ifndef STAPES_HOST_H
#define STAPES_HOST_H

#include "stapes.h"

/* Which taps to keep, and where: buffer i holds tap indices[i] of one hop after the other. */
typedef struct {
    size_t taps;
    const uint32_t *indices;
    void *const *buffers;
} stapes_recorder_t;

/* Whole hops through the device. */
void stapes_host_process(stapes_state_t *state, const int16_t *in, int16_t *out, size_t hops,
                         const stapes_recorder_t *recorder);

/* The network alone: `steps` times code_bytes of input codes, states fed back. */
void stapes_host_network(stapes_state_t *state, const void *codes, size_t code_bytes, size_t steps,
                         const stapes_recorder_t *recorder);

#endif
