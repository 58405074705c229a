/* Twin of golden_vectors/units: the same names and columns. */
#include "units.h"

#include "nn.h"
#include "stages.h"

#include <string.h>

enum {
    N = STAPES_ANALYSIS_SAMPLES,
    HOP = STAPES_HOP_SAMPLES,
    BINS = STAPES_BINS,
    BANDS = STAPES_BANDS,
    PRESENCE = STAPES_TRACKER_SPP ? STAPES_BINS : 0, /* columns that only a profile with their stage has */
    RAW_GAIN = STAPES_GAIN_CHANNEL ? STAPES_BINS : 0
};

/* ---------------------------------------------------------------- words */

#define WORD_1(name, type_a)                                                                                  \
    static void unit_##name(const int64_t *in, int64_t *out) { out[0] = (int64_t)stapes_##name((type_a)in[0]); }

#define WORD_2(name, type_a, type_b)                                                                          \
    static void unit_##name(const int64_t *in, int64_t *out)                                                  \
    {                                                                                                         \
        out[0] = (int64_t)stapes_##name((type_a)in[0], (type_b)in[1]);                                        \
    }

#define WORD_3(name, type_a, type_b, type_c)                                                                  \
    static void unit_##name(const int64_t *in, int64_t *out)                                                  \
    {                                                                                                         \
        out[0] = (int64_t)stapes_##name((type_a)in[0], (type_b)in[1], (type_c)in[2]);                         \
    }

/* A limit: the value, and the hits that it adds to those before. */
#define LIMIT(name)                                                                                           \
    static void unit_##name(const int64_t *in, int64_t *out)                                                  \
    {                                                                                                         \
        uint32_t hits = (uint32_t)in[1];                                                                      \
        out[0] = stapes_##name((int32_t)in[0], &hits);                                                        \
        out[1] = hits;                                                                                        \
    }

WORD_2(shr_round, int64_t, int)
LIMIT(sat_i15)
LIMIT(sat_i16)
LIMIT(double_sat_i32)
WORD_1(wrap_i32, int64_t)
WORD_2(add_i32, int32_t, int32_t)
WORD_2(sub_i32, int32_t, int32_t)
WORD_1(double_i32, int32_t)
WORD_2(mul_q15, int32_t, uint32_t)
WORD_2(mul_q31, int64_t, uint32_t)
WORD_2(mulhi_u32, uint32_t, uint32_t)
WORD_2(mulhi_i32, int32_t, int32_t)
WORD_2(mulhi_round, int32_t, int32_t)
WORD_3(mulhi_round_add, int32_t, int32_t, int32_t)
WORD_2(mulhi_round_u32, uint32_t, uint32_t)
WORD_1(bit_length, int64_t)
WORD_1(reciprocal, uint32_t)
WORD_1(log2_q16, int64_t)
WORD_1(sqrt_round_u30, uint32_t)
WORD_1(sqrt_round, uint64_t)
WORD_2(srdhm, int32_t, int32_t)
WORD_2(rdbpot, int32_t, int)
WORD_3(mbqm32, int32_t, int32_t, int)
WORD_3(mbqm64, int64_t, int32_t, int)

static void unit_count(const int64_t *in, int64_t *out)
{
    uint32_t counter = (uint32_t)in[0];
    stapes_count(&counter, (uint32_t)in[1]);
    out[0] = counter;
}

static void unit_mix_q31(const int64_t *in, int64_t *out)
{
    out[0] = stapes_mix_q31(in[0], (uint32_t)in[1], in[2], (uint32_t)in[3]);
}

static void unit_normalise(const int64_t *in, int64_t *out)
{
    int bits;
    out[0] = stapes_normalise(in[0], &bits);
    out[1] = bits;
}

/* ---------------------------------------------------------------- tables */

/* An entry of a table of numbers, or a row of one of `columns`. */
#define TABLE_1(name)                                                                                         \
    static void unit_##name(const int64_t *in, int64_t *out) { out[0] = stapes_##name[in[0]]; }

#define TABLE_N(name, columns)                                                                                \
    static void unit_##name(const int64_t *in, int64_t *out)                                                  \
    {                                                                                                         \
        for (size_t i = 0; i < (columns); i++) {                                                              \
            out[i] = stapes_##name[in[0]][i];                                                                 \
        }                                                                                                     \
    }

TABLE_1(analysis_window_q31)
TABLE_1(synthesis_window_q30)
TABLE_N(twiddle_q31, 2)
TABLE_N(split_q31, 3)
TABLE_N(bit_reversal, 2)
TABLE_1(band_width)
TABLE_1(band_inverse_q31)
TABLE_1(absence_uq16)
TABLE_1(reciprocal_uq16)
TABLE_1(log2_q24)
TABLE_1(sqrt_uq16)
TABLE_1(sigmoid_uq16)

/* ---------------------------------------------------------------- rows of stages */

/* `count` values of a row as elements of a type, and back; each gives the place behind them. */
#define COLUMN(name, type)                                                                                    \
    static const int64_t *take_##name(const int64_t *in, type *to, size_t count)                              \
    {                                                                                                         \
        for (size_t i = 0; i < count; i++) {                                                                  \
            to[i] = (type)in[i];                                                                              \
        }                                                                                                     \
        return in + count;                                                                                    \
    }                                                                                                         \
    static int64_t *give_##name(int64_t *out, const type *from, size_t count)                                 \
    {                                                                                                         \
        for (size_t i = 0; i < count; i++) {                                                                  \
            out[i] = (int64_t)from[i];                                                                        \
        }                                                                                                     \
        return out + count;                                                                                   \
    }

COLUMN(i16, int16_t)
COLUMN(u16, uint16_t)
COLUMN(i32, int32_t)
COLUMN(u32, uint32_t)
COLUMN(i64, int64_t)

static const int64_t *take_bins(const int64_t *in, stapes_complex_t *spectrum)
{
    for (size_t k = 0; k < BINS; k++) {
        spectrum[k] = (stapes_complex_t){(int32_t)in[2 * k], (int32_t)in[2 * k + 1]};
    }
    return in + 2 * (size_t)BINS;
}

static int64_t *give_bins(int64_t *out, const stapes_complex_t *spectrum)
{
    for (size_t k = 0; k < BINS; k++) {
        out[2 * k] = spectrum[k].re;
        out[2 * k + 1] = spectrum[k].im;
    }
    return out + 2 * (size_t)BINS;
}

/* ---------------------------------------------------------------- stft.c, fft.c */

static void unit_window(const int64_t *in, int64_t *out)
{
    int16_t history[N];
    int32_t frame_q30[N];
    (void)take_i16(in, history, N);
    stapes_window(history, frame_q30);
    (void)give_i32(out, frame_q30, N);
}

static void unit_rfft(const int64_t *in, int64_t *out)
{
    int32_t frame[N];
    int32_t work[N];
    stapes_complex_t spectrum[BINS];
    stapes_counter_t counter = {0, 0};
    (void)take_i32(in, frame, N);
    stapes_rfft(frame, work, spectrum, &counter);
    *give_bins(out, spectrum) = counter.overflows;
}

static void unit_irfft(const int64_t *in, int64_t *out)
{
    int32_t frame[N];
    stapes_complex_t spectrum[BINS];
    stapes_counter_t counter = {0, 0};
    (void)take_bins(in, spectrum);
    stapes_irfft(spectrum, frame, &counter);
    int64_t *rest = give_i32(out, frame, N);
    rest[0] = counter.overflows;
    rest[1] = counter.saturations;
}

static void unit_power(const int64_t *in, int64_t *out)
{
    stapes_complex_t spectrum_q30[BINS];
    int64_t power[BINS];
    (void)take_bins(in, spectrum_q30);
    stapes_power(spectrum_q30, power);
    (void)give_i64(out, power, BINS);
}

static void unit_total_gain(const int64_t *in, int64_t *out)
{
    uint16_t wiener_gain_q15[BINS];
    uint16_t mask_q15[BANDS];
    uint16_t gain_q15[BINS];
    const int64_t *rest = take_u16(take_u16(in, wiener_gain_q15, BINS), mask_q15, BANDS);
    const stapes_parameters_t parameters = {
        .gain_floor_q15 = (uint16_t)rest[0], .dry_q15 = (uint16_t)rest[1], .bypass = rest[2] != 0};
    stapes_total_gain(wiener_gain_q15, rest[4] != 0 ? mask_q15 : NULL, &parameters, rest[3] != 0, gain_q15);
    (void)give_u16(out, gain_q15, BINS);
}

static void unit_apply_gain(const int64_t *in, int64_t *out)
{
    stapes_complex_t spectrum_q30[BINS];
    stapes_complex_t enhanced_q30[BINS];
    uint16_t gain_q15[BINS];
    (void)take_u16(take_bins(in, spectrum_q30), gain_q15, BINS);
    stapes_apply_gain(spectrum_q30, gain_q15, enhanced_q30);
    (void)give_bins(out, enhanced_q30);
}

static void unit_overlap_add(const int64_t *in, int64_t *out)
{
    int32_t frame[N];
    int32_t overlap[HOP];
    int16_t pcm[HOP];
    stapes_counter_t counter = {0, 0};
    (void)take_i32(take_i32(in, frame, N), overlap, HOP);
    stapes_overlap_add(frame, overlap, pcm, &counter);
    *give_i32(give_i16(out, pcm, HOP), overlap, HOP) = counter.saturations;
}

/* ---------------------------------------------------------------- wiener.c, features.c */

/* A hop after the learning. */
static void unit_wiener(const int64_t *in, int64_t *out)
{
    stapes_state_t ear;
    stapes_wiener_t *wiener = &ear.wiener;
    memset(&ear, 0, sizeof ear);
    const int64_t *rest = take_i64(take_i64(in, ear.power, BINS), wiener->noise, BINS);
    rest = take_u32(take_u32(rest, wiener->prior_uq16, BINS), wiener->presence_q31, PRESENCE);
    ear.parameters.wiener_floor_q15 = (uint16_t)rest[0];
    wiener->hops = STAPES_NOISE_INIT_HOPS;
    out[0] = stapes_wiener(&ear);
    int64_t *place = give_u16(give_u16(out + 1, ear.wiener_gain_q15, BINS), ear.raw_gain_q15, RAW_GAIN);
    place = give_i64(give_u32(place, ear.xi_uq16, BINS), wiener->noise, BINS);
    place = give_u32(give_u32(place, wiener->prior_uq16, BINS), wiener->presence_q31, PRESENCE);
    place[0] = wiener->hops;
    place[1] = ear.likelihood_q16;
    place[2] = ear.vad;
    place[3] = ear.counters[STAPES_WIENER].saturations;
}

/* A hop of the learning. */
static void unit_wiener_learn(const int64_t *in, int64_t *out)
{
    stapes_state_t ear;
    stapes_wiener_t *wiener = &ear.wiener;
    memset(&ear, 0, sizeof ear);
    stapes_wiener_reset(wiener);
    wiener->hops = (int32_t)*take_i64(take_i64(in, ear.power, BINS), wiener->learned, BINS);
    out[0] = stapes_wiener(&ear);
    int64_t *place = give_u16(give_u16(out + 1, ear.wiener_gain_q15, BINS), ear.raw_gain_q15, RAW_GAIN);
    place = give_i64(give_i64(place, wiener->noise, BINS), wiener->learned, BINS);
    place[0] = wiener->hops;
}

static void unit_wiener_plausible(const int64_t *in, int64_t *out)
{
    stapes_wiener_t wiener;
    stapes_wiener_reset(&wiener);
    wiener.hops = (int32_t)*take_i64(in, wiener.noise, BINS);
    out[0] = stapes_wiener_plausible(&wiener);
}

static void unit_features(const int64_t *in, int64_t *out)
{
    uint16_t gain_q15[BINS];
    int32_t feature_q16[BANDS];
    (void)take_u16(in + 2 * (size_t)BINS, gain_q15, BINS);
    stapes_features(in, in + BINS, gain_q15, feature_q16);
    (void)give_i32(out, feature_q16, BANDS);
}

static void unit_gain_features(const int64_t *in, int64_t *out)
{
    uint16_t raw_gain_q15[BINS];
    int16_t x_q11[BANDS];
    (void)take_u16(in, raw_gain_q15, BINS);
    stapes_gain_features(raw_gain_q15, x_q11);
    (void)give_i16(out, x_q11, BANDS);
}

static void unit_layer_norm(const int64_t *in, int64_t *out)
{
    int32_t feature_q16[BANDS];
    int16_t x_q11[BANDS];
    stapes_counter_t counter = {0, 0};
    (void)take_i32(in, feature_q16, BANDS);
    stapes_layer_norm(feature_q16, x_q11, &counter);
    *give_i16(out, x_q11, BANDS) = counter.saturations;
}

/* ---------------------------------------------------------------- nn.c */

static void unit_encode_features_i8(const int64_t *in, int64_t *out)
{
    const int16_t x_q11 = (int16_t)in[0];
    int8_t x;
    stapes_counter_t counter = {0, 0};
    stapes_encode_features_i8(&x_q11, &x, 1, &counter);
    out[0] = x;
    out[1] = counter.saturations;
}

/* ---------------------------------------------------------------- by name */

#define UNIT(name, in_width, out_width) {#name, in_width, out_width, unit_##name}

static const stapes_unit_t UNITS[] = {
    UNIT(count, 2, 1), UNIT(shr_round, 2, 1), UNIT(sat_i15, 2, 2), UNIT(sat_i16, 2, 2), UNIT(double_sat_i32, 2, 2),
    UNIT(wrap_i32, 1, 1), UNIT(add_i32, 2, 1), UNIT(sub_i32, 2, 1), UNIT(double_i32, 1, 1), UNIT(mul_q15, 2, 1),
    UNIT(mul_q31, 2, 1), UNIT(mulhi_u32, 2, 1), UNIT(mulhi_i32, 2, 1), UNIT(mulhi_round, 2, 1),
    UNIT(mulhi_round_add, 3, 1), UNIT(mulhi_round_u32, 2, 1), UNIT(mix_q31, 4, 1), UNIT(bit_length, 1, 1),
    UNIT(normalise, 1, 2), UNIT(reciprocal, 1, 1), UNIT(log2_q16, 1, 1), UNIT(sqrt_round_u30, 1, 1),
    UNIT(sqrt_round, 1, 1), UNIT(srdhm, 2, 1), UNIT(rdbpot, 2, 1), UNIT(mbqm32, 3, 1), UNIT(mbqm64, 3, 1),

    UNIT(analysis_window_q31, 1, 1), UNIT(synthesis_window_q30, 1, 1), UNIT(twiddle_q31, 1, 2), UNIT(split_q31, 1, 3),
    UNIT(bit_reversal, 1, 2), UNIT(band_width, 1, 1), UNIT(band_inverse_q31, 1, 1), UNIT(absence_uq16, 1, 1),
    UNIT(reciprocal_uq16, 1, 1), UNIT(log2_q24, 1, 1), UNIT(sqrt_uq16, 1, 1),
    UNIT(sigmoid_uq16, 1, 1),

    UNIT(window, N, N), UNIT(rfft, N, 2 * BINS + 1), UNIT(irfft, 2 * BINS, N + 2), UNIT(power, 2 * BINS, BINS),
    UNIT(total_gain, BINS + BANDS + 5, BINS), UNIT(apply_gain, 3 * BINS, 2 * BINS),
    UNIT(overlap_add, N + HOP, 2 * HOP + 1),

    UNIT(wiener, 3 * BINS + PRESENCE + 1, 4 * BINS + PRESENCE + RAW_GAIN + 5),
    UNIT(wiener_learn, 2 * BINS + 1, 3 * BINS + RAW_GAIN + 2),
    UNIT(wiener_plausible, BINS + 1, 1), UNIT(features, 3 * BINS, BANDS), UNIT(gain_features, BINS, BANDS),
    UNIT(layer_norm, BANDS, BANDS + 1),
    UNIT(encode_features_i8, 1, 2),
};

static bool equal(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

const stapes_unit_t *stapes_unit_find(const char *name)
{
    for (size_t i = 0; i < sizeof UNITS / sizeof UNITS[0]; i++) {
        if (equal(UNITS[i].name, name)) {
            return &UNITS[i];
        }
    }
    return NULL;
}

void stapes_unit_run(const stapes_unit_t *unit, const int64_t *in, int64_t *out, size_t rows)
{
    for (size_t row = 0; row < rows; row++) {
        unit->run(in + row * unit->in_width, out + row * unit->out_width);
    }
}
