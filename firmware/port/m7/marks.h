/* What each stage of the last hop took, by the clock of clock.h: an image built with -DSTAPES_MARK=stapes_mark
 * (stages.h).
 *
 * A stage is everything from the mark before it to its own, marks included: a few instructions more than the stage
 * alone, the same in every hop.
 */
#ifndef STAPES_M7_MARKS_H
#define STAPES_M7_MARKS_H

#include "stapes.h"

#ifdef STAPES_MARK
enum { STAPES_MARKED = STAPES_STAGES };
#else
enum { STAPES_MARKED = 0 };
#endif

/* Units of clock.h for each stage of the last hop; only in an image with marks. */
void stapes_stage_clocks(uint32_t clocks[STAPES_STAGES]);

#endif
