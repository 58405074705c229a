/* The device as a program that serves commands from a file: audio and settings in, the whole state of every hop out.
 * The port brings semihost.h: the files of the debugger or emulator of a Cortex-M7, or those of this machine.
 *
 * Input  stapes_input.bin, little-endian: records of a command, a count and the command's data (see command_t).
 * Output stapes_output.bin: the size of a state, the number of its taps, the taps (see described_t), and then the
 *        state after every hop or network step, so that every tap of every hop can be compared. An image with
 *        marks (marks.h) writes one more tap, "clocks": what each stage took.
 *        stapes_played.bin, if the schedule is driven: see schedule.h.
 * Exit   0 at the end of the input, else one of the codes below; m7/startup.c adds the one for a fault.
 */
#include "marks.h"
#include "schedule.h"
#include "semihost.h"
#include "stapes.h"

#include <string.h>

enum { EXIT_DONE = 0, EXIT_NO_FILE = 1, EXIT_COMMAND = 2, EXIT_PARAMETERS = 3, EXIT_CUT_SHORT = 4, EXIT_OUTPUT = 5 };

/* What is written after every hop. */
enum { RECORD_BYTES = sizeof(stapes_state_t) + STAPES_MARKED * sizeof(uint32_t) };

typedef enum {
    COMMAND_PARAMETERS = 1, /* count 1: a stapes_parameters_t */
    COMMAND_RESET = 2,      /* count 0 */
    COMMAND_HOPS = 3,       /* count hops of samples */
    COMMAND_STEPS = 4,      /* count network steps: the codes of network.x for each */
    COMMAND_RESTART = 5,    /* count 0 */
    COMMAND_TENSOR = 6      /* count: a row of stapes_network_tensors, whose elements follow; more: schedule.h */
} command_t;

/* A tap in the output; its name follows, without a terminator. */
typedef struct {
    uint32_t offset;
    uint32_t count;
    uint32_t element_bytes;
    uint32_t is_signed;
    uint32_t name_bytes;
} described_t;

uint32_t stapes_main(void);

static stapes_state_t ear;

static uint32_t length(const char *text)
{
    uint32_t bytes = 0;
    while (text[bytes] != '\0') {
        bytes++;
    }
    return bytes;
}

static void describe_one(uint32_t file, const stapes_tap_t *tap)
{
    const uint32_t offset = (uint32_t)((const char *)tap->data - (const char *)&ear);
    const described_t row = {offset, tap->count, tap->element_bytes, tap->is_signed, length(tap->name)};
    (void)semihost_write(file, &row, sizeof row);
    (void)semihost_write(file, tap->name, row.name_bytes);
}

/* The head of the output: the taps, and the counters as one more. */
static void describe(uint32_t file)
{
    stapes_tap_t tap;
    uint32_t taps = 0;
    while (stapes_tap(&ear, taps, &tap) == 0) {
        taps++;
    }
    const uint32_t head[2] = {RECORD_BYTES, taps + (STAPES_MARKED != 0 ? 2U : 1U)};
    (void)semihost_write(file, head, sizeof head);
    for (uint32_t i = 0; i < taps; i++) {
        (void)stapes_tap(&ear, i, &tap);
        describe_one(file, &tap);
    }
    const uint32_t words = STAPES_STAGES * (uint32_t)(sizeof(stapes_counter_t) / sizeof(uint32_t));
    describe_one(file, &(stapes_tap_t){"counters", stapes_counters(&ear), words, sizeof(uint32_t), false});
    if (STAPES_MARKED != 0) {
        describe_one(file, &(stapes_tap_t){"clocks", &ear + 1, STAPES_MARKED, sizeof(uint32_t), false});
    }
}

/* The state, and behind it the clocks of a program with marks. */
static uint32_t write_record(uint32_t file)
{
    if (semihost_write(file, &ear, sizeof ear) != 0U) {
        return EXIT_OUTPUT;
    }
    if (STAPES_MARKED != 0) {
        uint32_t clocks[STAPES_STAGES];
        stapes_stage_clocks(clocks);
        return semihost_write(file, clocks, sizeof clocks) == 0U ? EXIT_DONE : EXIT_OUTPUT;
    }
    return EXIT_DONE;
}

static uint32_t run_hops(uint32_t input, uint32_t output, uint32_t hops)
{
    int16_t pcm[STAPES_HOP_SAMPLES];
    for (uint32_t hop = 0; hop < hops; hop++) {
        if (semihost_read(input, pcm, sizeof pcm) != 0U) {
            return EXIT_CUT_SHORT;
        }
        stapes_process_hop(&ear, pcm, pcm);
        if (write_record(output) != EXIT_DONE) {
            return EXIT_OUTPUT;
        }
    }
    return EXIT_DONE;
}

static uint32_t run_steps(uint32_t input, uint32_t output, uint32_t steps)
{
    const uint32_t code_bytes = STAPES_INPUTS * stapes_network_tensors[0].element_bytes;
    for (uint32_t step = 0; step < steps; step++) {
        if (semihost_read(input, &ear.network, code_bytes) != 0U) { /* x is the first member */
            return EXIT_CUT_SHORT;
        }
        stapes_network_step(&ear.network, &ear.counters[STAPES_NETWORK]);
        if (write_record(output) != EXIT_DONE) {
            return EXIT_OUTPUT;
        }
    }
    return EXIT_DONE;
}

/* What the next step finds in a tensor. */
static uint32_t run_tensor(uint32_t input, uint32_t index)
{
    if (index >= stapes_network_tensor_count) {
        return EXIT_COMMAND;
    }
    const stapes_tensor_t *row = &stapes_network_tensors[index];
    void *data = (char *)&ear.network + row->offset;
    return semihost_read(input, data, row->count * row->element_bytes) == 0U ? EXIT_DONE : EXIT_CUT_SHORT;
}

static uint32_t run_parameters(uint32_t input)
{
    stapes_parameters_t parameters;
    if (semihost_read(input, &parameters, sizeof parameters) != 0U) {
        return EXIT_CUT_SHORT;
    }
    return stapes_set_parameters(&ear, &parameters) == 0 ? EXIT_DONE : EXIT_PARAMETERS;
}

static uint32_t run(uint32_t command, uint32_t count, uint32_t input, uint32_t output)
{
    switch (command) {
    case COMMAND_PARAMETERS:
        return run_parameters(input);
    case COMMAND_RESET:
        stapes_reset(&ear);
        return EXIT_DONE;
    case COMMAND_HOPS:
        return run_hops(input, output, count);
    case COMMAND_STEPS:
        return run_steps(input, output, count);
    case COMMAND_RESTART:
        (void)stapes_restart(&ear);
        return EXIT_DONE;
    case COMMAND_TENSOR:
        return run_tensor(input, count);
    default:
        return schedule_serve(command, &ear, input, output) ? EXIT_DONE : EXIT_COMMAND;
    }
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
    if (STAPES_MARKED != 0) {
        stapes_start_marks();
    }
    (void)stapes_init(&ear, NULL);
    describe(output);
    uint32_t order[2];
    while (semihost_read(input, order, sizeof order) == 0U) {
        const uint32_t result = run(order[0], order[1], input, output);
        if (result != EXIT_DONE) {
            return result;
        }
    }
    return EXIT_DONE;
}
