"""Real FFT and inverse in 32-bit fixed point, bit for bit what CMSIS-DSP's `arm_rfft_q31` computes.

A firmware team may therefore swap in Arm's own. The complex FFT of length N/2 runs on the even and odd
samples as real and imaginary parts, radix 4 where N/2 is a power of four, else one radix-2 stage and two
radix-4 halves; a split step turns it into the spectrum of N real samples. Forward and inverse each scale by
1/N. With inputs of at most 2^30 no intermediate leaves int32 (tests/firmware_sim/test_fft.py proves it), so
`overflow_guard` is all that is checked at run time.

Arrays: int64 containers of int32 values, streams first.
source: order of the arithmetic after CMSIS-DSP (Apache-2.0), see NOTICE.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from firmware_sim import tables
from firmware_sim.fixed import Ints, mulhi_i32, mulhi_round_add, sat_i32, wrap_i32
from firmware_sim.meter import Counter, operations

GUARD = 1 << 30
"""Largest input component for which the absence of wraps is proven."""


def overflow_guard(x: Ints, counter: Counter | None) -> None:
    """Count one overflow for each stream in which the no-wrap proof does not hold."""
    if counter is not None:
        counter.overflowed((x > GUARD) | (x < -GUARD))


@cache
def bit_reversal(length: int) -> npt.NDArray[np.intp]:
    """Index of each output among the stage outputs, shape (length,)."""
    bits = length.bit_length() - 1
    return np.array([int(f"{i:0{bits}b}"[::-1], 2) for i in range(length)], dtype=np.intp)


@cache
def _stage_twiddles(length: int, span: int) -> tuple[Ints, Ints]:
    """cos and sin (3, 1, 1, span) for the legs rotated by 2j, j and 3j in a stage of butterflies `span` apart."""
    step = length // (4 * span)
    j = np.arange(span) * step
    table = tables.twiddle_q31(length)
    rows = np.stack([table[2 * j], table[j], table[3 * j]])[:, None, None]
    return np.ascontiguousarray(rows[..., 0]), np.ascontiguousarray(rows[..., 1])


def _butterfly(re: Ints, im: Ints, sign: int) -> tuple[Ints, Ints]:
    """Radix-4 butterflies along axis -2 (four legs): sums and differences, before any rotation.

    Returns legs in CMSIS's order: plain sum, then the leg that 2j rotates, then j, then 3j.
    """
    operations("add", 8 * re.size // 2)
    a, b, c, d = (re[..., leg, :] for leg in range(4))
    e, f, g, h = (im[..., leg, :] for leg in range(4))
    sum_re, diff_re, cross_re, turn_re = a + c, a - c, b + d, sign * (b - d)
    sum_im, diff_im, cross_im, turn_im = e + g, e - g, f + h, sign * (f - h)
    out_re = np.stack([sum_re + cross_re, sum_re - cross_re, diff_re + turn_im, diff_re - turn_im])
    out_im = np.stack([sum_im + cross_im, sum_im - cross_im, diff_im - turn_re, diff_im + turn_re])
    return wrap_i32(out_re), wrap_i32(out_im)


def _rotate(re: Ints, im: Ints, cos: Ints, sin: Ints, sign: int) -> tuple[Ints, Ints]:
    """Multiply by the conjugate twiddle (forward) or the twiddle (inverse); each product is floored by itself."""
    if sign > 0:
        return mulhi_i32(re, cos) + mulhi_i32(im, sin), mulhi_i32(im, cos) - mulhi_i32(re, sin)
    return mulhi_i32(re, cos) - mulhi_i32(im, sin), mulhi_i32(im, cos) + mulhi_i32(re, sin)


def _radix4(re: Ints, im: Ints, sign: int) -> tuple[Ints, Ints]:
    """Radix-4 complex FFT (streams, L), L a power of four >= 16, scale 1/L; bit-reversed order is undone."""
    streams, length = re.shape
    re, im = re >> 4, im >> 4
    span = length // 4
    while span >= 1:
        shape = (streams, -1, 4, span)
        out_re, out_im = _butterfly(re.reshape(shape), im.reshape(shape), sign)
        if span > 1:
            out_re, out_im = _scaled_rotation(out_re, out_im, length, span, sign)
        re = np.moveaxis(out_re, 0, 2).reshape(streams, length)
        im = np.moveaxis(out_im, 0, 2).reshape(streams, length)
        span //= 4
    order = bit_reversal(length)
    return re[:, order], im[:, order]


def _scaled_rotation(re: Ints, im: Ints, length: int, span: int, sign: int) -> tuple[Ints, Ints]:
    """Rotate three legs; the first stage keeps its scale, each middle stage divides by four."""
    cos, sin = _stage_twiddles(length, span)
    turned_re, turned_im = _rotate(re[1:], im[1:], cos, sin, sign)
    if span == length // 4:
        plain_re, plain_im, turned_re, turned_im = re[:1], im[:1], turned_re << 1, turned_im << 1
    else:
        plain_re, plain_im, turned_re, turned_im = re[:1] >> 2, im[:1] >> 2, turned_re >> 1, turned_im >> 1
    return wrap_i32(np.concatenate([plain_re, turned_re])), wrap_i32(np.concatenate([plain_im, turned_im]))


def _radix4_by_2(re: Ints, im: Ints, sign: int) -> tuple[Ints, Ints]:
    """Complex FFT (streams, L) for L = 2 * 4^n: one radix-2 stage, then a radix-4 FFT of each half."""
    half = re.shape[1] // 2
    operations("add", 4 * half * len(re))
    re, im = re >> 2, im >> 2
    sum_re, diff_re = wrap_i32(re[:, :half] + re[:, half:]), wrap_i32(re[:, :half] - re[:, half:])
    sum_im, diff_im = wrap_i32(im[:, :half] + im[:, half:]), wrap_i32(im[:, :half] - im[:, half:])
    table = tables.twiddle_q31(2 * half)[:half]
    cos, sin = table[:, 0], sign * table[:, 1]
    odd_re = mulhi_round_add(mulhi_round_add(None, diff_re, cos), diff_im, sin) << 1
    odd_im = mulhi_round_add(mulhi_round_add(None, diff_im, cos), diff_re, -sin) << 1
    even = _radix4(sum_re, sum_im, sign)
    odd = _radix4(wrap_i32(odd_re), wrap_i32(odd_im), sign)
    out_re, out_im = (np.stack(pair, axis=2).reshape(re.shape) for pair in zip(even, odd, strict=True))
    return wrap_i32(out_re << 1), wrap_i32(out_im << 1)


def _complex_fft(re: Ints, im: Ints, sign: int) -> tuple[Ints, Ints]:
    """Complex FFT (sign 1) or its inverse (sign -1) of length L, both with a scale of 1/L."""
    is_power_of_four = (re.shape[1].bit_length() - 1) % 2 == 0
    return (_radix4 if is_power_of_four else _radix4_by_2)(re, im, sign)


def rfft(frame: Ints, counter: Counter | None = None) -> Ints:
    """Spectrum of real frames, scale 1/N.

    frame    (streams, N) int32, |x| <= 2^30 (else one overflow is counted for the stream)
    returns  (streams, N/2 + 1, 2) int32: re, im; same fraction bits as the frame
    """
    overflow_guard(frame, counter)
    n = frame.shape[1]
    a_q31, b_q31 = tables.split_q31(n)
    z_re, z_im = _complex_fft(frame[:, 0::2], frame[:, 1::2], 1)
    k = slice(1, None)
    a, b, c, d = z_re[:, k], z_im[:, k], z_re[:, :0:-1], z_im[:, :0:-1]
    a1, a2, b1 = a_q31[k, 0], a_q31[k, 1], b_q31[k, 0]
    spectrum = np.zeros((len(frame), n // 2 + 1, 2), np.int64)
    spectrum[:, 1:-1, 0] = _split(a, a1, b, -a2, d, -a2, c, b1)
    spectrum[:, 1:-1, 1] = _split(a, a2, b, a1, d, -b1, c, -a2)
    spectrum[:, 0, 0] = wrap_i32(z_re[:, 0] + z_im[:, 0]) >> 1
    spectrum[:, -1, 0] = wrap_i32(z_re[:, 0] - z_im[:, 0]) >> 1
    return spectrum


def irfft(spectrum: Ints, counter: Counter | None = None) -> Ints:
    """Real frames of half spectra, scale 1/N: irfft(rfft(x)) is x / N.

    spectrum  (streams, N/2 + 1, 2) int32, |re|, |im| <= 2^30 (else one overflow is counted for the stream)
    returns   (streams, N) int32, saturated when the final doubling does not fit
    """
    overflow_guard(spectrum, counter)
    half = spectrum.shape[1] - 1
    a_q31, b_q31 = tables.split_q31(2 * half)
    a, b = spectrum[:, :half, 0], spectrum[:, :half, 1]
    c, d = spectrum[:, :0:-1, 0], spectrum[:, :0:-1, 1]
    a1, a2, b1 = a_q31[:, 0], a_q31[:, 1], b_q31[:, 0]
    z_re = _split(a, a1, b, a2, d, a2, c, b1)
    z_im = _split(a, -a2, b, a1, d, -b1, c, a2)
    y_re, y_im = _complex_fft(z_re, z_im, -1)
    frame = np.stack([y_re, y_im], axis=2).reshape(len(spectrum), 2 * half)
    return sat_i32(frame << 1, counter)


def _split(*terms: Ints) -> Ints:
    """Sum of four products, rounded to the high word after each: x0, c0, x1, c1, ..."""
    total: Ints | None = None
    for x, coefficient in zip(terms[::2], terms[1::2], strict=True):
        total = mulhi_round_add(total, x, coefficient)
    assert total is not None
    return total
