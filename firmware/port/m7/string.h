/* The two functions of libc that the firmware uses; memory.c has them. Copies of fixed size become instructions,
 * which a freestanding compiler would otherwise not do. */
#ifndef STAPES_M7_STRING_H
#define STAPES_M7_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

#define memcpy(to, from, bytes) __builtin_memcpy(to, from, bytes)
#define memset(to, value, bytes) __builtin_memset(to, value, bytes)

#endif
