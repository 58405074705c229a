/* Real FFT and inverse in 32-bit fixed point, bit for bit what CMSIS-DSP's arm_rfft_q31 computes.
 *
 * Twin of firmware_sim/fft.py. The complex FFT of length N/2 runs on the even and odd samples as real and imaginary
 * parts, radix 4 where N/2 is a power of four, else one radix-2 stage and two radix-4 halves; a split step turns
 * it into the spectrum of N real samples. The inverse is the same code with real and imaginary parts exchanged.
 *
 * source: order of the arithmetic after CMSIS-DSP (Apache-2.0), see NOTICE.
 */
#include "stages.h"

#include <string.h>

enum {
    LENGTH = STAPES_ANALYSIS_SAMPLES / 2,
    RADIX4_LENGTH = STAPES_RADIX4_LENGTH, /* LENGTH, or half of it */
    TWIDDLE_STEP = LENGTH / RADIX4_LENGTH,
};

/* The absence of wraps is proven for input components in [-2^30, 2^30). */
static inline bool outside_guard(int32_t x) { return x >= (INT32_C(1) << 30) || x < -(INT32_C(1) << 30); }

/* A complex vector as two strided views of one array, so that the inverse can exchange them. */
typedef struct {
    int32_t *re;
    int32_t *im;
} view_t;

static inline stapes_complex_t load(view_t z, size_t i) { return (stapes_complex_t){z.re[2 * i], z.im[2 * i]}; }

static inline void store(view_t z, size_t i, int32_t re, int32_t im)
{
    z.re[2 * i] = re;
    z.im[2 * i] = im;
}

static inline stapes_complex_t add(stapes_complex_t x, stapes_complex_t y)
{
    return (stapes_complex_t){stapes_add_i32(x.re, y.re), stapes_add_i32(x.im, y.im)};
}

static inline stapes_complex_t sub(stapes_complex_t x, stapes_complex_t y)
{
    return (stapes_complex_t){stapes_sub_i32(x.re, y.re), stapes_sub_i32(x.im, y.im)};
}

/* Radix-4 butterfly on four legs; out in CMSIS's order: plain sum, then the legs that 2j, j and 3j rotate. */
static inline void butterfly(const stapes_complex_t in[4], stapes_complex_t out[4])
{
    const stapes_complex_t sum = add(in[0], in[2]);
    const stapes_complex_t diff = sub(in[0], in[2]);
    const stapes_complex_t cross = add(in[1], in[3]);
    const stapes_complex_t turn = sub(in[1], in[3]);
    out[0] = add(sum, cross);
    out[1] = sub(sum, cross);
    out[2] = (stapes_complex_t){stapes_add_i32(diff.re, turn.im), stapes_sub_i32(diff.im, turn.re)};
    out[3] = (stapes_complex_t){stapes_sub_i32(diff.re, turn.im), stapes_add_i32(diff.im, turn.re)};
}

/* z times the conjugate twiddle, scale 1/2; each product is floored by itself. */
static inline stapes_complex_t rotate(stapes_complex_t z, const int32_t twiddle[2])
{
    const int32_t c = twiddle[0];
    const int32_t s = twiddle[1];
    return (stapes_complex_t){stapes_add_i32(stapes_mulhi_i32(z.re, c), stapes_mulhi_i32(z.im, s)),
                              stapes_sub_i32(stapes_mulhi_i32(z.im, c), stapes_mulhi_i32(z.re, s))};
}

/* First radix-4 stage: inputs >> 4, rotated legs doubled back. */
static void first_stage(view_t z)
{
    const size_t span = RADIX4_LENGTH / 4;
    for (size_t j = 0; j < span; j++) {
        stapes_complex_t in[4];
        stapes_complex_t out[4];
        for (size_t leg = 0; leg < 4; leg++) {
            const stapes_complex_t x = load(z, j + leg * span);
            in[leg] = (stapes_complex_t){x.re >> 4, x.im >> 4};
        }
        butterfly(in, out);
        store(z, j, out[0].re, out[0].im);
        const size_t turns[3] = {2 * j, j, 3 * j};
        for (size_t leg = 1; leg < 4; leg++) {
            const stapes_complex_t y = rotate(out[leg], stapes_twiddle_q31[turns[leg - 1] * TWIDDLE_STEP]);
            store(z, j + leg * span, stapes_double_i32(y.re), stapes_double_i32(y.im));
        }
    }
}

/* Middle radix-4 stage of butterflies `span` apart: each divides by four. */
static void middle_stage(view_t z, size_t span)
{
    const size_t step = RADIX4_LENGTH / (4 * span) * TWIDDLE_STEP;
    for (size_t j = 0; j < span; j++) {
        const size_t turns[3] = {2 * j * step, j * step, 3 * j * step};
        for (size_t i = j; i < RADIX4_LENGTH; i += 4 * span) {
            const stapes_complex_t in[4] = {load(z, i), load(z, i + span), load(z, i + 2 * span),
                                            load(z, i + 3 * span)};
            stapes_complex_t out[4];
            butterfly(in, out);
            store(z, i, out[0].re >> 2, out[0].im >> 2);
            for (size_t leg = 1; leg < 4; leg++) {
                const stapes_complex_t y = rotate(out[leg], stapes_twiddle_q31[turns[leg - 1]]);
                store(z, i + leg * span, y.re >> 1, y.im >> 1);
            }
        }
    }
}

/* Last radix-4 stage: plain sums. */
static void last_stage(view_t z)
{
    for (size_t i = 0; i < RADIX4_LENGTH; i += 4) {
        const stapes_complex_t in[4] = {load(z, i), load(z, i + 1), load(z, i + 2), load(z, i + 3)};
        stapes_complex_t out[4];
        butterfly(in, out);
        for (size_t leg = 0; leg < 4; leg++) {
            store(z, i + leg, out[leg].re, out[leg].im);
        }
    }
}

/* Radix-4 complex FFT of RADIX4_LENGTH values in bit-reversed order, scale 1/RADIX4_LENGTH. */
static void radix4(view_t z)
{
    first_stage(z);
    for (size_t span = RADIX4_LENGTH / 16; span > 1; span /= 4) {
        middle_stage(z, span);
    }
    last_stage(z);
}

/* Radix-2 stage before two radix-4 halves: inputs >> 2, the odd half rotated with rounded products. */
static void radix2_stage(view_t z)
{
    for (size_t j = 0; j < RADIX4_LENGTH; j++) {
        const stapes_complex_t x = load(z, j);
        const stapes_complex_t y = load(z, j + RADIX4_LENGTH);
        const stapes_complex_t a = {x.re >> 2, x.im >> 2};
        const stapes_complex_t b = {y.re >> 2, y.im >> 2};
        const stapes_complex_t sum = add(a, b);
        const stapes_complex_t diff = sub(a, b);
        const int32_t c = stapes_twiddle_q31[j][0];
        const int32_t s = stapes_twiddle_q31[j][1];
        const int32_t re = stapes_mulhi_round_add(stapes_mulhi_round(diff.re, c), diff.im, s);
        const int32_t im = stapes_mulhi_round_add(stapes_mulhi_round(diff.im, c), diff.re, -s);
        store(z, j, sum.re, sum.im);
        store(z, j + RADIX4_LENGTH, stapes_double_i32(re), stapes_double_i32(im));
    }
}

static void undo_bit_reversal(view_t z)
{
    for (size_t p = 0; p < STAPES_BIT_REVERSAL_PAIRS; p++) {
        const size_t i = stapes_bit_reversal[p][0];
        const size_t j = stapes_bit_reversal[p][1];
        const stapes_complex_t x = load(z, i);
        const stapes_complex_t y = load(z, j);
        store(z, i, y.re, y.im);
        store(z, j, x.re, x.im);
    }
}

/* Complex FFT of LENGTH values, scale 1/LENGTH. */
static void complex_fft(view_t z)
{
    if (TWIDDLE_STEP == 1) {
        radix4(z);
    } else {
        radix2_stage(z);
        radix4(z);
        radix4((view_t){z.re + 2 * RADIX4_LENGTH, z.im + 2 * RADIX4_LENGTH});
        for (size_t i = 0; i < LENGTH; i++) {
            const stapes_complex_t x = load(z, i);
            store(z, i, stapes_double_i32(x.re), stapes_double_i32(x.im));
        }
    }
    undo_bit_reversal(z);
}

/* Sum of four products, rounded to the high word after each. */
static inline int32_t split(const int32_t x[4], const int32_t coefficient[4])
{
    int32_t total = stapes_mulhi_round(x[0], coefficient[0]);
    total = stapes_mulhi_round_add(total, x[1], coefficient[1]);
    total = stapes_mulhi_round_add(total, x[2], coefficient[2]);
    return stapes_mulhi_round_add(total, x[3], coefficient[3]);
}

void stapes_rfft(const int32_t *frame, int32_t *work, stapes_complex_t *spectrum, stapes_counter_t *counter)
{
    bool outside = false;
    for (size_t i = 0; i < STAPES_ANALYSIS_SAMPLES; i++) {
        outside |= outside_guard(frame[i]);
    }
    stapes_count(&counter->overflows, outside);
    memcpy(work, frame, STAPES_ANALYSIS_SAMPLES * sizeof *work);
    const view_t z = {work, work + 1};
    complex_fft(z);
    for (size_t k = 1; k < LENGTH; k++) {
        const int32_t a1 = stapes_split_q31[k][0];
        const int32_t a2 = stapes_split_q31[k][1];
        const int32_t b1 = stapes_split_q31[k][2];
        const stapes_complex_t x = load(z, k);
        const stapes_complex_t y = load(z, LENGTH - k);
        const int32_t terms[4] = {x.re, x.im, y.im, y.re};
        spectrum[k].re = split(terms, (const int32_t[4]){a1, -a2, -a2, b1});
        spectrum[k].im = split(terms, (const int32_t[4]){a2, a1, -b1, -a2});
    }
    const stapes_complex_t dc = load(z, 0);
    spectrum[0] = (stapes_complex_t){stapes_add_i32(dc.re, dc.im) >> 1, 0};
    spectrum[LENGTH] = (stapes_complex_t){stapes_sub_i32(dc.re, dc.im) >> 1, 0};
}

void stapes_irfft(const stapes_complex_t *spectrum, int32_t *frame, stapes_counter_t *counter)
{
    bool outside = false;
    for (size_t k = 0; k <= LENGTH; k++) {
        outside |= outside_guard(spectrum[k].re) || outside_guard(spectrum[k].im);
    }
    stapes_count(&counter->overflows, outside);
    for (size_t k = 0; k < LENGTH; k++) {
        const int32_t a1 = stapes_split_q31[k][0];
        const int32_t a2 = stapes_split_q31[k][1];
        const int32_t b1 = stapes_split_q31[k][2];
        const stapes_complex_t x = spectrum[k];
        const stapes_complex_t y = spectrum[LENGTH - k];
        const int32_t terms[4] = {x.re, x.im, y.im, y.re};
        frame[2 * k] = split(terms, (const int32_t[4]){a1, a2, a2, b1});
        frame[2 * k + 1] = split(terms, (const int32_t[4]){-a2, a1, -b1, a2});
    }
    complex_fft((view_t){frame + 1, frame});
    for (size_t i = 0; i < STAPES_ANALYSIS_SAMPLES; i++) {
        frame[i] = stapes_sat_i32((int64_t)frame[i] * 2, counter);
    }
}
