/* Room for the stack, which grows down from the end of its memory: an image without that much room does not link. */
#include "stapes_model.h"

#ifndef STAPES_MAIN_STACK_BYTES
#define STAPES_MAIN_STACK_BYTES 512 /* start-up code and main.c around a call of Stapes, and an exception's frame */
#endif

_Static_assert(STAPES_STACK_BYTES % 8 == 0 && STAPES_MAIN_STACK_BYTES % 8 == 0, "the stack is aligned to 8 bytes");

__attribute__((section(".stack"), used)) static uint8_t room[STAPES_STACK_BYTES + STAPES_MAIN_STACK_BYTES];
