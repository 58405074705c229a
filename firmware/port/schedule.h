/* Commands that drive the hop schedule of ping_pong.h call by call, so that interrupts fall where a test wants them. */
#ifndef STAPES_SCHEDULE_H
#define STAPES_SCHEDULE_H

#include "ping_pong.h"

enum {
    COMMAND_INTERRUPT = 16, /* count 1: a hop of samples; writes the half that begins to play to stapes_played.bin */
    COMMAND_BEGIN = 17,     /* count 0, and so are the others */
    COMMAND_PROCESS = 18,
    COMMAND_FINISH = 19,
    COMMAND_SHOW = 20,    /* writes the state to the output */
    COMMAND_COUNTERS = 21, /* writes the counters of the schedule to stapes_played.bin */
    COMMAND_RUN = 22       /* the three steps in one call, as the main loop of a device */
};

/* Serve one command; the first one starts the schedule.
 *
 * returns  false for another command, or when a file fails
 */
bool schedule_serve(uint32_t command, stapes_state_t *ear, uint32_t input, uint32_t output);

#endif
