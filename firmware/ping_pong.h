/* The hop schedule of a device: DMA with two halves on each side, one interrupt a hop. No hardware is named here.
 *
 * Interrupt t says that half t % 2 of the input is complete; the DMA goes on filling the other half and playing the
 * other half. Hop t is processed until interrupt t + 1, when its half of the output begins to play:
 *
 *     interrupt      t              t + 1           t + 2
 *     DMA in         | fills hop t+1 | fills hop t+2 |
 *     processor      | hop t         | hop t+1       |
 *     DMA out        | plays hop t-1 | plays hop t   |
 *
 * A hop that is not finished at its deadline is LATE. The input of the hop before is played for it, unprocessed, which
 * is what its output would have carried: the loop delays by one hop. The late hop is finished all the same, so that
 * the state goes on, and the next one, which starts late, is HELD: stapes_hold_hop makes up the time. A hop whose
 * input was overwritten before anybody took it is LOST: it never enters the state, and the hop after it is held too.
 * What is played, and every state, follows from the input and from which hops were late, held and lost: it is
 * firmware_sim/ping_pong.py, bit for bit.
 *
 * One producer, one consumer: the interrupt calls stapes_ping_pong_interrupt, the main loop calls
 * stapes_ping_pong_run. All ears share the schedule: they are processed, late or lost together, so that the two sides
 * of a head never differ. On a part with a data cache the halves lie in memory that is not cached.
 */
#ifndef STAPES_PING_PONG_H
#define STAPES_PING_PONG_H

#include "stapes.h"

#ifdef __cplusplus
#include <atomic>
typedef std::atomic_uint stapes_clock_t; /* the same word as in C */
extern "C" {
#else
#include <stdatomic.h>
typedef atomic_uint stapes_clock_t;
_Static_assert(STAPES_DELAY_SAMPLES == STAPES_HOP_SAMPLES, "the dry signal is the input of the hop before");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "the interrupt must not wait for a lock");
#endif

/* Sticky counters of the schedule. */
typedef struct {
    uint32_t overruns; /* late hops: processed, but not played */
    uint32_t held;     /* hops without the network, played or late again */
    uint32_t lost;     /* hops that nobody took */
} stapes_schedule_t;

typedef struct {
    stapes_state_t *ears;
    uint32_t count;
    int16_t *in;   /* two halves, filled by the DMA */
    int16_t *out;  /* two halves, played by the DMA, written by the interrupt alone */
    int16_t *dry;  /* input of the hop that became ready last; of the interrupt */
    int16_t *work; /* input, then output of the hop in hand; of the main loop, when finished of the next interrupt */
    stapes_clock_t clock; /* twice the interrupts so far, + 1 when the hop that became ready last is finished */
    uint32_t next;     /* twice the hop to process next */
    bool behind;       /* the hop before was late or lost */
    stapes_schedule_t schedule;
} stapes_ping_pong_t;

/* Silence on both sides, nothing counted; before the DMA starts, and again after every restart.
 *
 * ears     `count` states, each at home or restarted
 * in, out  two halves of a hop each: STAPES_HOP_SAMPLES frames of `count` samples, one for each ear
 * scratch  as long, for the processor alone
 */
void stapes_ping_pong_init(stapes_ping_pong_t *device, stapes_state_t *ears, uint32_t count, int16_t *in, int16_t *out,
                           int16_t *scratch);

/* A half is complete: what is finished goes first thing into the half of `out` that begins to play, which holds the
 * dry hop until then. Copies three halves at most. To be served within a sample of the hardware's event, before the
 * DMA has read the first sample; served later than that, the samples that were already played are dry, and within a
 * hop nothing else changes.
 */
void stapes_ping_pong_interrupt(stapes_ping_pong_t *device);

/* Process a hop if there is one.
 *
 * returns  false when there is none: sleep until the next interrupt
 */
bool stapes_ping_pong_run(stapes_ping_pong_t *device);

/* The three steps of run, between which interrupts may fall: take the oldest hop that is still there (false: none),
 * process it, leave its output to the interrupt if there is still time.
 */
bool stapes_ping_pong_begin(stapes_ping_pong_t *device);
void stapes_ping_pong_process(stapes_ping_pong_t *device);
void stapes_ping_pong_finish(stapes_ping_pong_t *device);

#ifdef __cplusplus
}
#endif

#endif
