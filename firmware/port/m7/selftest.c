/* Self-test: runs the golden vectors that the image carries and prints PASS, or the first place that differs.
 *
 * Exit   0 PASS, 1 FAIL; startup.c adds the one for a fault
 */
#include "selftest.h"
#include "clock.h"
#include "marks.h"
#include "semihost.h"

#include <string.h>

enum { EXIT_PASS = 0, EXIT_FAIL = 1 };

uint32_t stapes_main(void);

static const char *const STAGE_NAMES[STAPES_STAGES] = {"window",  "rfft", "wiener", "features",
                                                       "network", "gain", "irfft",  "overlap_add"};

static stapes_state_t ear;

/* What the stages of all hops took. */
static struct {
    uint32_t hops;
    uint32_t sum[STAPES_STAGES];
    uint32_t worst[STAPES_STAGES];
} taken;

/* ---------------------------------------------------------------- print */

__attribute__((weak)) void stapes_print(const char *text) { semihost_print(text); }

/* The last decimal digit of a value, and the value without it: 16 bits at a time, for want of a 64-bit division. */
static uint32_t take_digit(uint64_t *value)
{
    uint64_t quotient = 0;
    uint32_t rest = 0;
    for (int shift = 48; shift >= 0; shift -= 16) {
        const uint32_t part = rest << 16 | ((uint32_t)(*value >> shift) & 0xFFFFU);
        quotient |= (uint64_t)(part / 10U) << shift;
        rest = part % 10U;
    }
    *value = quotient;
    return rest;
}

static void print_unsigned(uint64_t value)
{
    char text[21];
    char *at = text + sizeof text - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + take_digit(&value));
    } while (value != 0U);
    stapes_print(at);
}

static void print_signed(int64_t value)
{
    stapes_print(value < 0 ? "-" : "");
    print_unsigned(value < 0 ? 0U - (uint64_t)value : (uint64_t)value);
}

/* Text, number, text ...: the pieces of a line. */
static void print_named(const char *before, uint64_t value, const char *after)
{
    stapes_print(before);
    print_unsigned(value);
    stapes_print(after);
}

/* ---------------------------------------------------------------- compare */

/* CRC-32 as zlib has it, four bits at a time; start with 0. */
static uint32_t crc32(uint32_t crc, const unsigned char *data, uint32_t bytes)
{
    static const uint32_t TABLE[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    crc = ~crc;
    for (uint32_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ TABLE[crc & 15U];
        crc = crc >> 4 ^ TABLE[crc & 15U];
    }
    return ~crc;
}

/* The device's tap of a name; false: it has none of that name and size. */
static bool find_tap(const selftest_tap_t *wanted, stapes_tap_t *tap)
{
    for (uint32_t i = 0; stapes_tap(&ear, i, tap) == 0; i++) {
        uint32_t at = 0;
        while (wanted->name[at] == tap->name[at] && wanted->name[at] != '\0') {
            at++;
        }
        if (wanted->name[at] == tap->name[at]) {
            return tap->count == wanted->count && tap->element_bytes == wanted->element_bytes;
        }
    }
    return false;
}

static int64_t element(const void *data, uint32_t index, const stapes_tap_t *tap)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)data + index * tap->element_bytes, tap->element_bytes);
    const uint32_t unused = 64U - 8U * tap->element_bytes;
    return tap->is_signed ? (int64_t)(value << unused) >> unused : (int64_t)value;
}

static void print_place(const selftest_vector_t *vector, uint32_t hop, stapes_stage_t stage)
{
    stapes_print("FAIL: ");
    stapes_print(vector->name);
    if (hop < vector->hops) {
        print_named(vector->counters == NULL ? ", step " : ", hop ", hop, "");
    } else {
        stapes_print(", at the end");
    }
    stapes_print(", stage ");
    stapes_print(STAGE_NAMES[stage]);
}

static void print_values(int64_t expected, int64_t got)
{
    stapes_print(": expected ");
    print_signed(expected);
    stapes_print(", got ");
    print_signed(got);
    stapes_print("\n");
}

/* Bytes of one hop's taps in front of tap `index`; of all of them for tap_count. */
static uint32_t bytes_before(const selftest_vector_t *vector, uint32_t index)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < index; i++) {
        bytes += vector->taps[i].count * vector->taps[i].element_bytes;
    }
    return bytes;
}

/* The first element of a tap that is not as expected: prints it and returns true. */
static bool print_element(const selftest_vector_t *vector, uint32_t hop, uint32_t index)
{
    stapes_tap_t tap;
    (void)find_tap(&vector->taps[index], &tap);
    const uint32_t start = hop * bytes_before(vector, vector->tap_count) + bytes_before(vector, index);
    const char *expected = (const char *)vector->expected + start;
    for (uint32_t i = 0; i < tap.count; i++) {
        if (element(expected, i, &tap) != element(tap.data, i, &tap)) {
            print_place(vector, hop, vector->taps[index].stage);
            stapes_print(", ");
            stapes_print(tap.name);
            print_named("[", i, "]");
            print_values(element(expected, i, &tap), element(tap.data, i, &tap));
            return true;
        }
    }
    return false;
}

/* Taps [first, end) are one stage, whose digest is wrong: names the element, where the image carries it. */
static void print_stage(const selftest_vector_t *vector, uint32_t hop, uint32_t first, uint32_t end,
                        const uint32_t digests[2])
{
    for (uint32_t i = first; hop < vector->full_hops && i < end; i++) {
        if (print_element(vector, hop, i)) {
            return;
        }
    }
    print_place(vector, hop, vector->taps[first].stage);
    stapes_print(", CRC-32");
    print_values(digests[0], digests[1]);
}

/* Every stage of one hop against its digest; prints the first that differs. */
static bool hop_is_equal(const selftest_vector_t *vector, uint32_t hop, const uint32_t **digests)
{
    for (uint32_t first = 0, end = 0; first < vector->tap_count; first = end) {
        uint32_t crc = 0;
        for (; end < vector->tap_count && vector->taps[end].stage == vector->taps[first].stage; end++) {
            stapes_tap_t tap;
            if (!find_tap(&vector->taps[end], &tap)) {
                print_place(vector, hop, vector->taps[end].stage);
                stapes_print(": the device has no such tap: ");
                stapes_print(vector->taps[end].name);
                stapes_print("\n");
                return false;
            }
            crc = crc32(crc, tap.data, tap.count * tap.element_bytes);
        }
        const uint32_t expected = *(*digests)++;
        if (crc != expected) {
            print_stage(vector, hop, first, end, (const uint32_t[2]){expected, crc});
            return false;
        }
    }
    return true;
}

static bool counters_are_equal(const selftest_vector_t *vector)
{
    const stapes_counter_t *got = stapes_counters(&ear);
    for (uint32_t stage = 0; vector->counters != NULL && stage < STAPES_STAGES; stage++) {
        const uint32_t *expected = &vector->counters[2U * stage];
        if (got[stage].saturations != expected[0] || got[stage].overflows != expected[1]) {
            const bool first = got[stage].saturations != expected[0];
            print_place(vector, vector->hops, (stapes_stage_t)stage);
            stapes_print(first ? ", saturations" : ", overflows");
            print_values(first ? expected[0] : expected[1], first ? got[stage].saturations : got[stage].overflows);
            return false;
        }
    }
    return true;
}

/* ---------------------------------------------------------------- run */

static void add_clocks(void)
{
    uint32_t clocks[STAPES_STAGES];
    stapes_stage_clocks(clocks);
    for (uint32_t stage = 0; stage < STAPES_STAGES; stage++) {
        taken.sum[stage] += clocks[stage];
        taken.worst[stage] = clocks[stage] > taken.worst[stage] ? clocks[stage] : taken.worst[stage];
    }
    taken.hops++;
}

static void run_hop(const selftest_vector_t *vector, uint32_t hop)
{
    if (vector->counters == NULL) {
        const uint32_t bytes = STAPES_INPUTS * stapes_network_tensors[0].element_bytes;
        memcpy(&ear.network, (const char *)vector->input + hop * bytes, bytes); /* x is the first member */
        stapes_network_step(&ear.network, &ear.counters[STAPES_NETWORK]);
        return;
    }
    int16_t pcm[STAPES_HOP_SAMPLES];
    stapes_process_hop(&ear, (const int16_t *)vector->input + hop * STAPES_HOP_SAMPLES, pcm);
    add_clocks();
}

static bool vector_is_equal(const selftest_vector_t *vector)
{
    const uint32_t *digests = vector->digests;
    const uint32_t *reset = vector->resets;
    (void)stapes_init(&ear, &vector->parameters);
    for (uint32_t hop = 0; hop < vector->hops; hop++) {
        if (hop == *reset) {
            stapes_reset(&ear);
            reset++;
        }
        run_hop(vector, hop);
        if (!hop_is_equal(vector, hop, &digests)) {
            return false;
        }
    }
    return counters_are_equal(vector);
}

static void print_clocks(void)
{
    if (taken.hops == 0U || taken.sum[STAPES_NETWORK] == 0U) {
        stapes_print("the clock stands still: no count of the stages\n");
        return;
    }
    stapes_print("stage: mean and worst hop (" CLOCK_UNIT ")\n");
    for (uint32_t stage = 0; stage < STAPES_STAGES; stage++) {
        stapes_print("  ");
        stapes_print(STAGE_NAMES[stage]);
        print_named(": ", taken.sum[stage] / taken.hops, ", ");
        print_named("", taken.worst[stage], "\n");
    }
}

uint32_t stapes_main(void)
{
    uint32_t hops = 0;
    clock_start();
    stapes_print("stapes self-test, configuration ");
    stapes_print(stapes_config_digest());
    stapes_print("\n");
    for (uint32_t i = 0; i < selftest_vector_count; i++) {
        if (!vector_is_equal(&selftest_vectors[i])) {
            return EXIT_FAIL;
        }
        stapes_print(selftest_vectors[i].name);
        print_named(": ", selftest_vectors[i].hops, " equal\n");
        hops += selftest_vectors[i].hops;
    }
    print_clocks();
    print_named("PASS: ", selftest_vector_count, " vectors, ");
    print_named("", hops, " hops and steps\n");
    return EXIT_PASS;
}
