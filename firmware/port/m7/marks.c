/* The marks of the frame loop as readings of a clock. */
#include "clock.h"
#include "marks.h"
#include "stages.h"

static uint32_t readings[STAPES_STAGES + 1]; /* at the end of each stage; the last: at the begin of the hop */

void stapes_start_marks(void) { clock_start(); }

void stapes_mark(stapes_stage_t stage) { readings[stage] = clock_now(); }

void stapes_stage_clocks(uint32_t clocks[STAPES_STAGES])
{
    uint32_t before = readings[STAPES_STAGES];
    for (uint32_t stage = 0; stage < STAPES_STAGES; stage++) {
        clocks[stage] = clock_units(readings[stage] - before);
        before = readings[stage];
    }
}
