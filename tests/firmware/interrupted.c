/* ping_pong.c with a test's interrupt inside every copy of the main loop: before it, in its middle and behind it. */
#include <stddef.h>
#include <string.h>

void interrupted_set(void (*interrupt)(void), int points);
int interrupted_left(void);
void *interrupted_memcpy(void *to, const void *from, size_t bytes);

static void (*pending)(void);
static int left; /* points to pass before the interrupt comes; below 0: it has come */

void interrupted_set(void (*interrupt)(void), int points)
{
    pending = interrupt;
    left = points;
}

int interrupted_left(void) { return left; }

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

#define memcpy interrupted_memcpy
#define stapes_ping_pong_init interrupted_init
#define stapes_ping_pong_interrupt interrupted_interrupt
#define stapes_ping_pong_begin interrupted_begin
#define stapes_ping_pong_process interrupted_process
#define stapes_ping_pong_finish interrupted_finish
#define stapes_ping_pong_run interrupted_run
#include "../../firmware/ping_pong.c"
