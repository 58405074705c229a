/* Golden vectors inside an image: what golden_vectors/selftest.py writes and selftest.c runs. */
#ifndef STAPES_M7_SELFTEST_H
#define STAPES_M7_SELFTEST_H

#include "stapes.h"

/* A tap of stapes_tap, in order of computation, so that taps of one stage follow each other. */
typedef struct {
    const char *name;
    stapes_stage_t stage;
    uint32_t count;
    uint32_t element_bytes;
} selftest_tap_t;

/* A stream through the whole loop, or codes through the network alone. */
typedef struct {
    const char *name;
    stapes_parameters_t parameters;
    uint32_t hops;            /* or steps of the network */
    const void *input;        /* hops x STAPES_HOP_SAMPLES int16, or steps x STAPES_BINS codes of network.x */
    const uint32_t *resets;   /* hops before which the device is reset, ascending, then UINT32_MAX */
    const uint32_t *counters; /* saturations and overflows of each stage after the last hop; NULL: the network alone */
    const selftest_tap_t *taps;
    uint32_t tap_count;
    const uint32_t *digests; /* for each hop and each stage of the taps: CRC-32 (zlib's) of their bytes */
    const void *expected;    /* every tap of the first full_hops hops, little-endian, nothing between them */
    uint32_t full_hops;
} selftest_vector_t;

extern const selftest_vector_t selftest_vectors[];
extern const uint32_t selftest_vector_count;

/* Where the words of the self-test go; a board may bring its own: UART, ITM. */
void stapes_print(const char *text);

#endif
