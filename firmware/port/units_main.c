/* A program that runs rows through the units of units.h.
 *
 * Input  stapes_input.bin, little-endian: the bytes of a unit's name and the number of its rows as uint32, the name,
 *        the rows as int64; then the next unit.
 * Output stapes_output.bin: the rows that come out, as int64.
 * Exit   0 at the end of the input, else one of the codes below; startup.c adds the one for a fault.
 */
#include "semihost.h"
#include "stapes.h"
#include "units.h"

enum { EXIT_DONE = 0, EXIT_NO_FILE = 1, EXIT_UNKNOWN = 2, EXIT_CUT_SHORT = 4, EXIT_OUTPUT = 5 };
enum { NAME_BYTES = 32, BATCH = 8 * STAPES_ANALYSIS_SAMPLES /* more than any row */ };

uint32_t stapes_main(void);

static int64_t values_in[BATCH];
static int64_t values_out[BATCH];

/* Rows in batches as large as the buffers hold. */
static uint32_t serve_rows(const stapes_unit_t *unit, uint32_t rows, uint32_t input, uint32_t output)
{
    const uint32_t widest = unit->in_width > unit->out_width ? unit->in_width : unit->out_width;
    const uint32_t batch = (uint32_t)BATCH / widest;
    for (uint32_t done = 0; done < rows;) {
        const uint32_t now = rows - done < batch ? rows - done : batch;
        if (semihost_read(input, values_in, now * unit->in_width * (uint32_t)sizeof(int64_t)) != 0U) {
            return EXIT_CUT_SHORT;
        }
        stapes_unit_run(unit, values_in, values_out, now);
        if (semihost_write(output, values_out, now * unit->out_width * (uint32_t)sizeof(int64_t)) != 0U) {
            return EXIT_OUTPUT;
        }
        done += now;
    }
    return EXIT_DONE;
}

static uint32_t serve(const uint32_t order[2], uint32_t input, uint32_t output)
{
    char name[NAME_BYTES] = {0};
    if (order[0] >= NAME_BYTES) {
        return EXIT_UNKNOWN;
    }
    if (semihost_read(input, name, order[0]) != 0U) {
        return EXIT_CUT_SHORT;
    }
    const stapes_unit_t *unit = stapes_unit_find(name);
    return unit != NULL ? serve_rows(unit, order[1], input, output) : EXIT_UNKNOWN;
}

uint32_t stapes_main(void)
{
    static const char INPUT[] = "stapes_input.bin";
    static const char OUTPUT[] = "stapes_output.bin";
    const uint32_t input = semihost_open(INPUT, sizeof INPUT - 1U, SEMIHOST_READ_BINARY);
    const uint32_t output = semihost_open(OUTPUT, sizeof OUTPUT - 1U, SEMIHOST_WRITE_BINARY);
    if (input == UINT32_MAX || output == UINT32_MAX) {
        return EXIT_NO_FILE;
    }
    uint32_t order[2];
    while (semihost_read(input, order, sizeof order) == 0U) {
        const uint32_t result = serve(order, input, output);
        if (result != EXIT_DONE) {
            return result;
        }
    }
    return EXIT_DONE;
}
