/* ping_pong.c with a test's interrupts at any point of the main loop: before, inside and behind every copy, at every
 * access to the clock, and before and behind the processing of a hop.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "../../firmware/ping_pong.h"

void interrupted_set(void (*interrupts)(void), int points);
void *interrupted_memcpy(void *to, const void *from, size_t bytes);
void interrupted_finish_and_copy(stapes_ping_pong_t *device);

static void (*pending)(void);
static int left = -1; /* points to pass before the interrupts come; below 0: they have come */

void interrupted_set(void (*interrupts)(void), int points)
{
    pending = interrupts;
    left = points;
}

static void point(void)
{
    if (left >= 0 && left-- == 0) {
        pending();
    }
}

void *interrupted_memcpy(void *to, const void *from, size_t bytes)
{
    const size_t half = bytes / 2;
    point();
    memcpy(to, from, half);
    point();
    memcpy((char *)to + half, (const char *)from + half, bytes - half);
    point();
    return to;
}

static unsigned int interrupted_load(stapes_clock_t *clock, memory_order order)
{
    point();
    return atomic_load_explicit(clock, order);
}

static bool interrupted_exchange(stapes_clock_t *clock, unsigned int *expected, unsigned int desired)
{
    point();
    const bool exchanged = atomic_compare_exchange_strong(clock, expected, desired);
    point();
    return exchanged;
}

static void interrupted_hop(stapes_state_t *ear, const int16_t *in, int16_t *out)
{
    point();
    stapes_process_hop(ear, in, out);
    point();
}

#undef atomic_load_explicit
#undef atomic_compare_exchange_strong
#define memcpy interrupted_memcpy
#define atomic_load_explicit interrupted_load
#define atomic_compare_exchange_strong interrupted_exchange
#define stapes_process_hop interrupted_hop
#define stapes_ping_pong_init interrupted_init
#define stapes_ping_pong_interrupt interrupted_interrupt
#define stapes_ping_pong_begin interrupted_begin
#define stapes_ping_pong_process interrupted_process
#define stapes_ping_pong_finish interrupted_finish
#define stapes_ping_pong_run interrupted_run
void interrupted_init(stapes_ping_pong_t *device, stapes_state_t *ears, uint32_t count, int16_t *in, int16_t *out,
                      int16_t *scratch);
void interrupted_interrupt(stapes_ping_pong_t *device);
bool interrupted_begin(stapes_ping_pong_t *device);
void interrupted_process(stapes_ping_pong_t *device);
void interrupted_finish(stapes_ping_pong_t *device);
bool interrupted_run(stapes_ping_pong_t *device);
#include "../../firmware/ping_pong.c"

/* A defect that the test is to find: the main loop writes what the DMA plays. */
void interrupted_finish_and_copy(stapes_ping_pong_t *device)
{
    const uint32_t hop = device->next;
    interrupted_finish(device);
    if (!device->behind) {
        memcpy(half_of(device, device->out, hop), device->work, half_bytes(device));
    }
}
