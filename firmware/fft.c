/* Real FFT and inverse in 32-bit fixed point, bit for bit what CMSIS-DSP's arm_rfft_q31 computes.
 *
 * Twin of firmware_sim/fft.py. The complex FFT of length N/2 runs on the even and odd samples as real and imaginary
 * parts, radix 4 where N/2 is a power of four, else one radix-2 stage and two radix-4 halves; a split step turns
 * it into the spectrum of N real samples. The inverse is the same code with real and imaginary parts exchanged.
 *
 * source: order of the arithmetic after CMSIS-DSP (Apache-2.0), see NOTICE.
 */
#include "stages.h"

enum {
    LENGTH = STAPES_ANALYSIS_SAMPLES / 2,
    RADIX4_LENGTH = STAPES_RADIX4_LENGTH, /* LENGTH, or half of it */
    TWIDDLE_STEP = LENGTH / RADIX4_LENGTH,
};

/* Bit 31 is set where a part is outside [-2^30, 2^30), the range for which the absence of wraps is proven. */
static inline uint32_t guard(stapes_complex_t x)
{
    return ((uint32_t)x.re + (UINT32_C(1) << 30)) | ((uint32_t)x.im + (UINT32_C(1) << 30));
}

/* Value i of a complex vector. */
static inline stapes_complex_t load(const int32_t *z, size_t i) { return (stapes_complex_t){z[2 * i], z[2 * i + 1]}; }

static inline void store(int32_t *z, size_t i, stapes_complex_t value)
{
    z[2 * i] = value.re;
    z[2 * i + 1] = value.im;
}

static inline stapes_complex_t add(stapes_complex_t x, stapes_complex_t y)
{
    return (stapes_complex_t){stapes_add_i32(x.re, y.re), stapes_add_i32(x.im, y.im)};
}

static inline stapes_complex_t sub(stapes_complex_t x, stapes_complex_t y)
{
    return (stapes_complex_t){stapes_sub_i32(x.re, y.re), stapes_sub_i32(x.im, y.im)};
}

/* The four sums of a radix-4 butterfly: the first needs no rotation, the others one by j, 2j and 3j. */
typedef struct {
    stapes_complex_t y0;
    stapes_complex_t y1;
    stapes_complex_t y2;
    stapes_complex_t y3;
} butterfly_t;

static inline butterfly_t butterfly(stapes_complex_t x0, stapes_complex_t x1, stapes_complex_t x2, stapes_complex_t x3)
{
    const stapes_complex_t sum = add(x0, x2);
    const stapes_complex_t diff = sub(x0, x2);
    const stapes_complex_t cross = add(x1, x3);
    const stapes_complex_t turn = sub(x1, x3);
    return (butterfly_t){
        .y0 = add(sum, cross),
        .y1 = {stapes_add_i32(diff.re, turn.im), stapes_sub_i32(diff.im, turn.re)},
        .y2 = sub(sum, cross),
        .y3 = {stapes_sub_i32(diff.re, turn.im), stapes_add_i32(diff.im, turn.re)},
    };
}

/* z times the conjugate of twiddle `turn` of RADIX4_LENGTH, scale 1/2; each product is floored by itself. */
static inline stapes_complex_t rotate(stapes_complex_t z, size_t turn)
{
    const int32_t c = stapes_twiddle_q31[turn * TWIDDLE_STEP][0];
    const int32_t s = stapes_twiddle_q31[turn * TWIDDLE_STEP][1];
    return (stapes_complex_t){stapes_add_i32(stapes_mulhi_i32(z.re, c), stapes_mulhi_i32(z.im, s)),
                              stapes_sub_i32(stapes_mulhi_i32(z.im, c), stapes_mulhi_i32(z.re, s))};
}

static inline stapes_complex_t sixteenth(stapes_complex_t z) { return (stapes_complex_t){z.re >> 4, z.im >> 4}; }
static inline stapes_complex_t quarter(stapes_complex_t z) { return (stapes_complex_t){z.re >> 2, z.im >> 2}; }
static inline stapes_complex_t half(stapes_complex_t z) { return (stapes_complex_t){z.re >> 1, z.im >> 1}; }
static inline stapes_complex_t twice(stapes_complex_t z)
{
    return (stapes_complex_t){stapes_double_i32(z.re), stapes_double_i32(z.im)};
}

/* First radix-4 stage: inputs >> 4, rotated legs doubled back. CMSIS keeps the legs of 2j before those of j. */
static void first_stage(int32_t *z)
{
    const size_t span = RADIX4_LENGTH / 4;
    for (size_t j = 0; j < span; j++) {
        const butterfly_t leg = butterfly(sixteenth(load(z, j)), sixteenth(load(z, j + span)),
                                          sixteenth(load(z, j + 2 * span)), sixteenth(load(z, j + 3 * span)));
        store(z, j, leg.y0);
        store(z, j + span, twice(rotate(leg.y2, 2 * j)));
        store(z, j + 2 * span, twice(rotate(leg.y1, j)));
        store(z, j + 3 * span, twice(rotate(leg.y3, 3 * j)));
    }
}

/* Middle radix-4 stage of butterflies `span` apart: each divides by four. */
static void middle_stage(int32_t *z, size_t span)
{
    const size_t step = RADIX4_LENGTH / (4 * span);
    for (size_t j = 0; j < span; j++) {
        for (size_t i = j; i < RADIX4_LENGTH; i += 4 * span) {
            const butterfly_t leg =
                butterfly(load(z, i), load(z, i + span), load(z, i + 2 * span), load(z, i + 3 * span));
            store(z, i, quarter(leg.y0));
            store(z, i + span, half(rotate(leg.y2, 2 * j * step)));
            store(z, i + 2 * span, half(rotate(leg.y1, j * step)));
            store(z, i + 3 * span, half(rotate(leg.y3, 3 * j * step)));
        }
    }
}

/* Last radix-4 stage: plain sums. */
static void last_stage(int32_t *z)
{
    for (size_t i = 0; i < RADIX4_LENGTH; i += 4) {
        const butterfly_t leg = butterfly(load(z, i), load(z, i + 1), load(z, i + 2), load(z, i + 3));
        store(z, i, leg.y0);
        store(z, i + 1, leg.y2);
        store(z, i + 2, leg.y1);
        store(z, i + 3, leg.y3);
    }
}

/* Radix-4 complex FFT of RADIX4_LENGTH values in bit-reversed order, scale 1/RADIX4_LENGTH. */
static void radix4(int32_t *z)
{
    first_stage(z);
    for (size_t span = RADIX4_LENGTH / 16; span > 1; span /= 4) {
        middle_stage(z, span);
    }
    last_stage(z);
}

/* Radix-2 stage before two radix-4 halves: inputs >> 2, the odd half rotated with rounded products. */
static void radix2_stage(int32_t *z)
{
    for (size_t j = 0; j < RADIX4_LENGTH; j++) {
        const stapes_complex_t x = quarter(load(z, j));
        const stapes_complex_t y = quarter(load(z, j + RADIX4_LENGTH));
        const stapes_complex_t diff = sub(x, y);
        const int32_t c = stapes_twiddle_q31[j][0];
        const int32_t s = stapes_twiddle_q31[j][1];
        const int32_t re = stapes_mulhi_round_add(stapes_mulhi_round(diff.re, c), diff.im, s);
        const int32_t im = stapes_mulhi_round_add(stapes_mulhi_round(diff.im, c), diff.re, -s);
        store(z, j, add(x, y));
        store(z, j + RADIX4_LENGTH, twice((stapes_complex_t){re, im}));
    }
}

static void undo_bit_reversal(int32_t *z)
{
    for (size_t p = 0; p < STAPES_BIT_REVERSAL_PAIRS; p++) {
        const size_t i = stapes_bit_reversal[p][0];
        const size_t j = stapes_bit_reversal[p][1];
        const stapes_complex_t x = load(z, i);
        const stapes_complex_t y = load(z, j);
        store(z, i, y);
        store(z, j, x);
    }
}

/* Complex FFT of LENGTH values, scale 1/LENGTH. */
static void complex_fft(int32_t *z)
{
    if (TWIDDLE_STEP == 1) {
        radix4(z);
    } else {
        radix2_stage(z);
        radix4(z);
        radix4(z + 2 * RADIX4_LENGTH);
        for (size_t i = 0; i < LENGTH; i++) {
            store(z, i, twice(load(z, i)));
        }
    }
    undo_bit_reversal(z);
}

/* x.re * a + x.im * b + y.im * c + y.re * d, rounded to the high word after each product. */
static inline int32_t dot(stapes_complex_t x, stapes_complex_t y, int32_t a, int32_t b, int32_t c, int32_t d)
{
    int32_t total = stapes_mulhi_round(x.re, a);
    total = stapes_mulhi_round_add(total, x.im, b);
    total = stapes_mulhi_round_add(total, y.im, c);
    return stapes_mulhi_round_add(total, y.re, d);
}

/* Split step of the real FFT and, with the other sign of a2, of its inverse.
 *
 * x, y        values k and LENGTH - k
 * a1, a2, b1  stapes_split_q31[k]; for LENGTH - k a2 has the other sign
 */
static inline stapes_complex_t split(stapes_complex_t x, stapes_complex_t y, int32_t a1, int32_t a2, int32_t b1)
{
    return (stapes_complex_t){dot(x, y, a1, a2, a2, b1), dot(x, y, -a2, a1, -b1, a2)};
}

void stapes_rfft(const int32_t *frame, int32_t *work, stapes_complex_t *spectrum, stapes_counter_t *counter)
{
    uint32_t outside = 0;
    for (size_t i = 0; i < LENGTH; i++) {
        const stapes_complex_t x = load(frame, i);
        outside |= guard(x);
        store(work, i, x);
    }
    stapes_count(&counter->overflows, outside >> 31);
    complex_fft(work);
    for (size_t k = 1; k <= LENGTH / 2; k++) {
        const int32_t *weights = stapes_split_q31[k];
        const stapes_complex_t x = load(work, k);
        const stapes_complex_t y = load(work, LENGTH - k);
        spectrum[k] = split(x, y, weights[0], -weights[1], weights[2]);
        spectrum[LENGTH - k] = split(y, x, weights[0], weights[1], weights[2]);
    }
    const stapes_complex_t dc = load(work, 0);
    spectrum[0] = (stapes_complex_t){stapes_add_i32(dc.re, dc.im) >> 1, 0};
    spectrum[LENGTH] = (stapes_complex_t){stapes_sub_i32(dc.re, dc.im) >> 1, 0};
}

/* Real and imaginary part exchanged: before and after a forward FFT that makes the inverse one. */
static inline stapes_complex_t exchanged(stapes_complex_t z) { return (stapes_complex_t){z.im, z.re}; }

void stapes_irfft(const stapes_complex_t *spectrum, int32_t *frame, stapes_counter_t *counter)
{
    uint32_t outside = guard(spectrum[0]) | guard(spectrum[LENGTH]);
    const int32_t *dc = stapes_split_q31[0];
    store(frame, 0, exchanged(split(spectrum[0], spectrum[LENGTH], dc[0], dc[1], dc[2])));
    for (size_t k = 1; k <= LENGTH / 2; k++) {
        const int32_t *weights = stapes_split_q31[k];
        const stapes_complex_t x = spectrum[k];
        const stapes_complex_t y = spectrum[LENGTH - k];
        outside |= guard(x) | guard(y);
        store(frame, k, exchanged(split(x, y, weights[0], weights[1], weights[2])));
        store(frame, LENGTH - k, exchanged(split(y, x, weights[0], -weights[1], weights[2])));
    }
    stapes_count(&counter->overflows, outside >> 31);
    complex_fft(frame);
    uint32_t hits = 0;
    for (size_t i = 0; i < LENGTH; i++) {
        const stapes_complex_t z = exchanged(load(frame, i));
        store(frame, i, (stapes_complex_t){stapes_double_sat_i32(z.re, &hits), stapes_double_sat_i32(z.im, &hits)});
    }
    stapes_count(&counter->saturations, hits);
}
