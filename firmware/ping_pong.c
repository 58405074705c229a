/* The hop schedule of a device, see ping_pong.h. Twin of firmware_sim/ping_pong.py.
 *
 * `clock` is the only word that both sides write. The interrupt moves it on by two; the main loop adds the one that
 * says "finished" by compare-and-exchange, which fails if the deadline has passed, however closely.
 *
 * Only the interrupt writes `out`: a main loop that was kept off the core for hops on end has nothing left to write
 * there. `work` goes back and forth: once finished it is the interrupt's until the clock has moved on, and the main
 * loop takes the next hop into it only after that (age > 0).
 */
#include "ping_pong.h"

#include <string.h>

static const uint32_t FINISHED = 1;
static const uint32_t HOP = 2; /* one hop on the clock */

static size_t half_samples(const stapes_ping_pong_t *device) { return (size_t)device->count * STAPES_HOP_SAMPLES; }

static size_t half_bytes(const stapes_ping_pong_t *device) { return half_samples(device) * sizeof(int16_t); }

/* The half of a buffer that belongs to a hop. */
static int16_t *half_of(const stapes_ping_pong_t *device, int16_t *buffer, uint32_t hop)
{
    return buffer + (hop / HOP % 2) * half_samples(device);
}

void stapes_ping_pong_init(stapes_ping_pong_t *device, stapes_state_t *ears, uint32_t count, int16_t *in, int16_t *out,
                           int16_t *scratch)
{
    memset(device, 0, sizeof *device);
    device->ears = ears;
    device->count = count;
    device->in = in;
    device->out = out;
    device->dry = scratch;
    device->work = scratch + half_samples(device);
    atomic_init(&device->clock, 0);
    memset(in, 0, 2 * half_bytes(device));
    memset(out, 0, 2 * half_bytes(device));
    memset(scratch, 0, 2 * half_bytes(device));
}

void stapes_ping_pong_interrupt(stapes_ping_pong_t *device)
{
    const uint32_t clock = atomic_load_explicit(&device->clock, memory_order_acquire);
    const uint32_t ready = clock & ~FINISHED;
    const size_t bytes = half_bytes(device);
    if ((clock & FINISHED) != 0) {
        /* Plays from now on, so this is the first thing that is done: the DMA stands at the first sample. */
        memcpy(half_of(device, device->out, ready - HOP), device->work, bytes);
    }
    memcpy(half_of(device, device->out, ready), device->dry, bytes); /* what plays if this hop is not finished */
    memcpy(device->dry, half_of(device, device->in, ready), bytes);
    atomic_store_explicit(&device->clock, ready + HOP, memory_order_release);
}

/* Interrupts since a hop became ready, that one included: 0 not ready, 1 in its period, more: its input is gone. */
static uint32_t age(stapes_ping_pong_t *device, uint32_t hop)
{
    return ((atomic_load_explicit(&device->clock, memory_order_acquire) & ~FINISHED) - hop) / HOP;
}

bool stapes_ping_pong_begin(stapes_ping_pong_t *device)
{
    while (age(device, device->next) > 0) {
        memcpy(device->work, half_of(device, device->in, device->next), half_bytes(device));
        atomic_thread_fence(memory_order_acquire);
        if (age(device, device->next) == 1) { /* still: so the copy is of one hop */
            return true;
        }
        stapes_count(&device->schedule.lost, 1);
        device->behind = true;
        device->next += HOP;
    }
    return false;
}

void stapes_ping_pong_process(stapes_ping_pong_t *device)
{
    int16_t pcm[STAPES_HOP_SAMPLES];
    for (uint32_t ear = 0; ear < device->count; ear++) {
        for (size_t i = 0; i < STAPES_HOP_SAMPLES; i++) {
            pcm[i] = device->work[i * device->count + ear];
        }
        if (device->behind) {
            stapes_hold_hop(&device->ears[ear], pcm, pcm);
        } else {
            stapes_process_hop(&device->ears[ear], pcm, pcm);
        }
        for (size_t i = 0; i < STAPES_HOP_SAMPLES; i++) {
            device->work[i * device->count + ear] = pcm[i];
        }
    }
}

void stapes_ping_pong_finish(stapes_ping_pong_t *device)
{
    unsigned int in_time = device->next + HOP;
    const bool finished = atomic_compare_exchange_strong(&device->clock, &in_time, in_time | FINISHED);
    stapes_count(&device->schedule.overruns, !finished);
    stapes_count(&device->schedule.held, device->behind);
    device->behind = !finished;
    device->next += HOP;
}

bool stapes_ping_pong_run(stapes_ping_pong_t *device)
{
    if (!stapes_ping_pong_begin(device)) {
        return false;
    }
    stapes_ping_pong_process(device);
    stapes_ping_pong_finish(device);
    return true;
}
