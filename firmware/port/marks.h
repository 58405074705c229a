/* What each stage of the last hop took, by the clock of m7/clock.h: a program built with -DSTAPES_MARK=stapes_mark
 * (stages.h).
 *
 * A stage is everything from the mark before it to its own, marks included: a few instructions more than the stage
 * alone, the same in every hop.
 */
#ifndef STAPES_MARKS_H
#define STAPES_MARKS_H

#include "stapes.h"

#ifdef STAPES_MARK
enum { STAPES_MARKED = STAPES_STAGES };
#else
enum { STAPES_MARKED = 0 };
#endif

/* Only in a program with marks: start the clock, once; its units for each stage of the last hop. */
void stapes_start_marks(void);
void stapes_stage_clocks(uint32_t clocks[STAPES_STAGES]);

#endif
