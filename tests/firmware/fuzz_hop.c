/* Random states and random input through the device, built with sanitizers: see tests/firmware/fuzz.py.
 *
 *     fuzz_hop seeds FIRST COUNT   one life of a device for each seed; exit 1 at the first promise that is broken
 *     fuzz_hop replay HOPS         stdin: states, each with HOPS hops (a word: 1 held, and the samples); stdout: the
 *                                  state after each hop
 *
 * All memory of a device is of the heap and of its exact size, so that no access beyond it goes unseen.
 */
#include "ping_pong.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOP = STAPES_HOP_SAMPLES, MOST_EARS = 3 };

static const int64_t POWER_MAX = INT64_C(1) << 57;
static const int64_t UQ16_MAX = INT64_C(1) << 31;

/* ---------------------------------------------------------------- chance */

static uint64_t chance;

/* source: Steele, Lea & Flood, Fast splittable pseudorandom number generators, 2014 (splitmix64) */
static uint64_t next(void)
{
    chance += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = chance;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint32_t below(uint32_t n) { return (uint32_t)((next() >> 32) % n); }

/* A number in [low, high]: an end, near an end at any order of magnitude, or anywhere. */
static int64_t between(int64_t low, int64_t high)
{
    const uint64_t span = (uint64_t)high - (uint64_t)low;
    const uint32_t kind = below(5);
    const uint64_t offset = kind < 2 ? 0 : kind < 4 ? next() >> below(64) : next();
    const uint64_t inside = span == UINT64_MAX ? offset : offset % (span + 1);
    return (int64_t)(kind % 2 == 0 ? (uint64_t)low + inside : (uint64_t)high - inside);
}

static void random_bytes(void *memory, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        ((uint8_t *)memory)[i] = (uint8_t)next();
    }
}

/* A hop: silence, noise of any level, full scale, one impulse. */
static void random_pcm(int16_t *pcm)
{
    const uint32_t kind = below(4);
    const uint32_t down = below(16);
    for (size_t i = 0; i < HOP; i++) {
        pcm[i] = (int16_t)(kind == 0 ? 0 : kind == 1 ? (next() % 2 != 0U ? INT16_MAX : INT16_MIN) : (int16_t)next() >> down);
    }
    pcm[below(HOP)] = (int16_t)between(INT16_MIN, INT16_MAX);
}

static stapes_parameters_t random_parameters(int64_t highest)
{
    return (stapes_parameters_t){(uint16_t)between(0, highest), (uint16_t)between(0, highest),
                                 (uint16_t)between(0, highest), below(4) != 0U, below(4) == 0U};
}

static bool valid(stapes_parameters_t p)
{
    return p.gain_floor_q15 <= 32768U && p.dry_q15 <= 32768U && p.wiener_floor_q15 <= 32768U;
}

/* ---------------------------------------------------------------- states */

/* The states of the GRU, as the hop left them: int16 of the scheme int16x8 are even. */
static void random_network(stapes_state_t *state)
{
    stapes_tap_t tap;
    for (uint32_t index = 0; stapes_tap(state, index, &tap) == 0; index++) {
        if (tap.name[0] != 'h' || strlen(tap.name) != 2) {
            continue;
        }
        char *value = (char *)state + ((const char *)tap.data - (const char *)state);
        for (uint32_t i = 0; i < tap.count; i++, value += tap.element_bytes) {
            const int16_t wide = (int16_t)(between(INT16_MIN / 2, INT16_MAX / 2) * 2);
            const int8_t narrow = (int8_t)between(INT8_MIN, INT8_MAX);
            memcpy(value, tap.element_bytes == 2 ? (const void *)&wide : (const void *)&narrow, tap.element_bytes);
        }
    }
}

/* Every member that the next hop reads, anywhere in its range; the results of the hop before are random bytes. */
static void random_state(stapes_state_t *state)
{
    random_bytes(state, sizeof *state);
    stapes_wiener_t *wiener = &state->wiener;
    wiener->hops = below(2) == 0U ? STAPES_NOISE_INIT_HOPS : (int32_t)between(0, STAPES_NOISE_INIT_HOPS);
    for (size_t k = 0; k < STAPES_BINS; k++) {
        wiener->noise[k] = between(STAPES_NOISE_MIN, POWER_MAX);
        wiener->learned[k] = between(0, wiener->hops * POWER_MAX);
        wiener->prior_uq16[k] = (uint32_t)between(0, UQ16_MAX);
        wiener->presence_q31[k] = (uint32_t)between(0, INT64_C(1) << 31);
    }
    for (size_t band = 0; band < STAPES_BANDS; band++) {
        state->mask_q15[band] = (uint16_t)between(0, 32768);
    }
    for (size_t i = 0; i < HOP; i++) {
        state->overlap[i] = (int32_t)between(INT32_MIN, INT32_MAX);
    }
    for (size_t i = 0; i < STAPES_ANALYSIS_SAMPLES; i += HOP) {
        random_pcm(state->history + i);
    }
    random_network(state);
    state->parameters = random_parameters(32768);
    for (size_t stage = 0; stage < STAPES_STAGES; stage++) {
        state->counters[stage].saturations = (uint32_t)between(0, UINT32_MAX);
        state->counters[stage].overflows = (uint32_t)between(0, UINT32_MAX);
    }
}

/* ---------------------------------------------------------------- promises */

static uint64_t seed;

static void promise(bool kept, const char *what)
{
    if (!kept) {
        (void)fprintf(stderr, "fuzz_hop: seed %llu: %s\n", (unsigned long long)seed, what);
        exit(1);
    }
}

/* What stapes.h says of the memory behind the taps. */
static bool in_range(const stapes_state_t *state)
{
    uint8_t flags[2];
    memcpy(&flags[0], &state->parameters.use_network, 1);
    memcpy(&flags[1], &state->parameters.bypass, 1);
    bool sound = valid(state->parameters) && flags[0] <= 1 && flags[1] <= 1;
    sound = sound && state->wiener.hops >= 0 && state->wiener.hops <= STAPES_NOISE_INIT_HOPS;
    for (size_t k = 0; k < STAPES_BINS; k++) {
        sound = sound && state->wiener.noise[k] >= STAPES_NOISE_MIN && state->wiener.noise[k] <= POWER_MAX;
    }
    return sound;
}

/* After a hop: every result in its range, no proof left, no counter turned back. */
static void check_hop(const stapes_state_t *state, const stapes_counter_t *before, const int16_t *out)
{
    promise(in_range(state), "the state left its range");
    promise(memcmp(out, state->pcm, sizeof state->pcm) == 0, "the output is not the tap pcm");
    promise(state->vad == 0 || state->vad == 1, "vad");
    for (size_t k = 0; k < STAPES_BINS; k++) {
        promise(state->power[k] >= 0 && state->power[k] <= POWER_MAX, "power");
        promise(state->wiener.prior_uq16[k] <= (uint32_t)UQ16_MAX, "prior_uq16");
        promise(state->xi_uq16[k] <= (uint32_t)UQ16_MAX, "xi_uq16");
        promise(state->wiener_gain_q15[k] <= 32768U, "wiener_gain_q15");
        promise(state->wiener_gain_q15[k] >= state->parameters.wiener_floor_q15, "the Wiener floor");
        promise(state->raw_gain_q15[k] <= 32768U && state->gain_q15[k] <= 32768U, "a gain");
        promise(state->wiener.presence_q31[k] <= UINT32_C(1) << 31, "presence_q31");
    }
    for (size_t band = 0; band < STAPES_BANDS; band++) {
        promise(state->mask_q15[band] <= 32768U, "mask");
    }
    for (size_t i = 0; i < STAPES_INPUTS; i++) {
        promise(state->x_q11[i] >= -(1 << 14) && state->x_q11[i] < 1 << 14, "x_q11");
    }
    for (size_t stage = 0; stage < STAPES_STAGES; stage++) {
        promise(state->counters[stage].saturations >= before[stage].saturations, "a counter turned back");
        promise(state->counters[stage].overflows == before[stage].overflows, "an overflow, which is proven not to be");
    }
}

static void hop(stapes_state_t *state)
{
    int16_t *in = malloc(HOP * sizeof *in);
    int16_t *out = below(2) == 0U ? in : malloc(HOP * sizeof *out);
    stapes_counter_t before[STAPES_STAGES];
    promise(in != NULL && out != NULL, "no memory");
    random_pcm(in);
    memcpy(before, state->counters, sizeof before);
    if (below(4) == 0U) {
        stapes_hold_hop(state, in, out);
    } else {
        stapes_process_hop(state, in, out);
    }
    check_hop(state, before, out);
    if (out != in) {
        free(out);
    }
    free(in);
}

static bool at_home(const stapes_state_t *state)
{
    stapes_state_t *home = malloc(sizeof *home);
    promise(home != NULL, "no memory");
    memset(home, 0, sizeof *home);
    (void)stapes_init(home, NULL);
    const bool same = memcmp(state, home, offsetof(stapes_state_t, wiener)) == 0 &&
                      memcmp(&state->wiener, &home->wiener, sizeof home->wiener) == 0 &&
                      memcmp(&state->network, &home->network, sizeof home->network) == 0 &&
                      memcmp(&state->parameters, &home->parameters, sizeof home->parameters) == 0 &&
                      memcmp(state->counters, home->counters, sizeof home->counters) == 0;
    free(home);
    return same;
}

/* A warm start: what is implausible goes home, what is kept is as it was. */
static void restart(stapes_state_t *state)
{
    const bool plausible = in_range(state);
    stapes_state_t *before = malloc(sizeof *before);
    promise(before != NULL, "no memory");
    memcpy(before, state, sizeof *before);
    promise((stapes_restart(state) == 0) == plausible, "stapes_restart judges otherwise than its contract");
    if (!plausible) {
        promise(at_home(state), "an implausible state did not go home");
    } else {
        const bool learned = before->wiener.hops == STAPES_NOISE_INIT_HOPS;
        promise(memcmp(before->counters, state->counters, sizeof before->counters) == 0, "counters were not kept");
        promise(memcmp(&before->parameters, &state->parameters, sizeof before->parameters) == 0, "parameters");
        promise(state->wiener.hops == (learned ? STAPES_NOISE_INIT_HOPS : 0), "hops after a restart");
        promise(!learned || memcmp(before->wiener.noise, state->wiener.noise, sizeof before->wiener.noise) == 0,
                "a learned noise PSD was not kept");
    }
    free(before);
}

/* ---------------------------------------------------------------- lives */

/* One call of the interface. */
static void call(stapes_state_t *state)
{
    const uint32_t kind = below(16);
    if (kind == 0U) {
        stapes_reset(state);
    } else if (kind == 1U) {
        restart(state);
    } else if (kind < 4U) {
        const stapes_parameters_t wanted = random_parameters(kind == 2U ? 32768 : UINT16_MAX);
        const stapes_parameters_t before = state->parameters;
        const bool taken = stapes_set_parameters(state, &wanted) == 0;
        promise(taken == valid(wanted), "stapes_set_parameters judges otherwise than its contract");
        promise(memcmp(&state->parameters, taken ? &wanted : &before, sizeof before) == 0, "parameters");
    } else if (kind == 4U) {
        const stapes_parameters_t wanted = random_parameters(UINT16_MAX);
        promise((stapes_init(state, &wanted) == 0) == valid(wanted), "stapes_init");
        promise(valid(wanted) || at_home(state), "stapes_init with a gain above 32768");
    } else {
        hop(state);
    }
}

/* Memory after a reset of the processor: random bytes, or a state in which a few bytes fell over. */
static void damage(stapes_state_t *state)
{
    const uint32_t kind = below(4);
    random_state(state);
    if (kind == 0U) {
        random_bytes(state, sizeof *state);
    } else if (kind == 1U) {
        state->wiener.noise[below(STAPES_BINS)] = between(INT64_MIN, INT64_MAX);
    } else if (kind == 2U) {
        state->wiener.hops = (int32_t)between(INT32_MIN, INT32_MAX);
    } else {
        random_bytes((char *)&state->parameters + below(sizeof state->parameters), 1);
    }
}

static void life_of_a_state(void)
{
    stapes_state_t *state = malloc(sizeof *state);
    promise(state != NULL, "no memory");
    if (below(2) == 0U) {
        random_state(state);
    } else {
        damage(state);
        restart(state);
    }
    for (uint32_t calls = 4 + below(12); calls > 0; calls--) {
        call(state);
    }
    free(state);
}

static void interrupt(stapes_ping_pong_t *device, int16_t *in)
{
    for (uint32_t ear = 0; ear < device->count; ear++) {
        random_pcm(in + (device->clock / 2 % 2 * device->count + ear) * HOP);
    }
    stapes_ping_pong_interrupt(device);
}

/* Interrupts at any time between the steps of the main loop, on a clock that turns over. */
static void life_of_a_schedule(void)
{
    const uint32_t ears = 1 + below(MOST_EARS);
    const size_t bytes = (size_t)2 * ears * HOP * sizeof(int16_t);
    stapes_state_t *states = malloc(ears * sizeof *states);
    int16_t *memory[3] = {malloc(bytes), malloc(bytes), malloc(bytes)};
    promise(states != NULL && memory[0] != NULL && memory[1] != NULL && memory[2] != NULL, "no memory");
    for (uint32_t ear = 0; ear < ears; ear++) {
        random_state(&states[ear]);
        restart(&states[ear]);
    }
    stapes_ping_pong_t device;
    random_bytes(&device, sizeof device);
    stapes_ping_pong_init(&device, states, ears, memory[0], memory[1], memory[2]);
    device.next = (uint32_t)between(0, UINT32_MAX) & ~1U;
    device.clock = device.next;
    device.schedule.overruns = (uint32_t)between(0, UINT32_MAX);
    for (uint32_t steps = 4 + below(12); steps > 0; steps--) {
        const stapes_schedule_t before = device.schedule;
        for (uint32_t interrupts = below(4); interrupts > 0; interrupts--) {
            interrupt(&device, memory[0]);
        }
        const bool took = stapes_ping_pong_begin(&device);
        promise(took || device.next == (device.clock & ~1U), "a hop was left waiting");
        if (took) {
            stapes_ping_pong_process(&device);
            for (uint32_t interrupts = below(3); interrupts > 0; interrupts--) {
                interrupt(&device, memory[0]);
            }
            stapes_ping_pong_finish(&device);
        }
        promise(device.schedule.overruns >= before.overruns && device.schedule.lost >= before.lost, "schedule");
        for (uint32_t ear = 0; ear < ears; ear++) {
            promise(in_range(&states[ear]), "a state left its range");
        }
    }
    for (size_t i = 0; i < 3; i++) {
        free(memory[i]);
    }
    free(states);
}

static int seeds(uint64_t first, uint64_t count)
{
    for (seed = first; seed < first + count; seed++) {
        chance = seed * UINT64_C(0xD1342543DE82EF95);
        if (below(4) == 0U) {
            life_of_a_schedule();
        } else {
            life_of_a_state();
        }
    }
    (void)printf("%llu lives from seed %llu on\n", (unsigned long long)count, (unsigned long long)first);
    return 0;
}

/* ---------------------------------------------------------------- replay */

static int replay(uint64_t hops)
{
    stapes_state_t *state = malloc(sizeof *state);
    int16_t *words = malloc((1 + HOP) * sizeof *words);
    promise(state != NULL && words != NULL, "no memory");
    while (fread(state, sizeof *state, 1, stdin) == 1) {
        for (uint64_t i = 0; i < hops; i++) {
            promise(fread(words, sizeof *words, 1 + HOP, stdin) == 1 + HOP, "a hop is cut off");
            if (words[0] == 1) {
                stapes_hold_hop(state, words + 1, words + 1);
            } else {
                stapes_process_hop(state, words + 1, words + 1);
            }
            promise(fwrite(state, sizeof *state, 1, stdout) == 1, "stdout");
        }
    }
    free(words);
    free(state);
    return 0;
}

int main(int count, char **words)
{
    if (count == 4 && strcmp(words[1], "seeds") == 0) {
        return seeds(strtoull(words[2], NULL, 10), strtoull(words[3], NULL, 10));
    }
    if (count == 3 && strcmp(words[1], "replay") == 0) {
        return replay(strtoull(words[2], NULL, 10));
    }
    (void)fprintf(stderr, "fuzz_hop: seeds FIRST COUNT, or replay HOPS\n");
    return 2;
}
