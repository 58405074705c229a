/* The pieces of the front end as functions of one row of integers to another: what unit vectors are run on.
 *
 * A unit is a word of fixed.h, a table or a stage. Its row holds its arguments one after the other, arrays element by
 * element, and whatever state it changes; the columns are listed in golden_vectors/units. Every value travels as int64.
 * Not part of the device: only the library for this machine and the program of units_main.c have it.
 */
#ifndef STAPES_UNITS_H
#define STAPES_UNITS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;
    uint32_t in_width;
    uint32_t out_width;
    void (*run)(const int64_t *in, int64_t *out);
} stapes_unit_t;

/* The unit of a name, or NULL. */
const stapes_unit_t *stapes_unit_find(const char *name);

/* rows times in_width values through a unit, to rows times out_width. */
void stapes_unit_run(const stapes_unit_t *unit, const int64_t *in, int64_t *out, size_t rows);

#endif
