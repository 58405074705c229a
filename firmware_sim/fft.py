"""Real FFT and inverse in 32-bit fixed point, bit for bit what CMSIS-DSP's `arm_rfft_q31` computes.

A firmware team may therefore swap in Arm's own. The complex FFT of length N/2 runs on the even and odd
samples as real and imaginary parts, radix 4 where N/2 is a power of four, else one radix-2 stage and two
radix-4 halves; a split step turns it into the spectrum of N real samples. Forward and inverse each scale by
1/N. With inputs in [-2^30, 2^30) no intermediate leaves int32 (tests/firmware_sim/test_fft.py shows it, and
every export proves it for windowed frames: `ranges/fft.py`), so `overflow_guard` is all that is checked at run
time.

Inside, complex values are int32 arrays (2, streams, ...) of re and im: they wrap as registers do.
source: order of the arithmetic after CMSIS-DSP (Apache-2.0), see NOTICE.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim import tables
from firmware_sim.fixed import Ints, sat_i32
from firmware_sim.meter import Counter, operations

Complex32: TypeAlias = npt.NDArray[np.int32]

GUARD = 1 << 30
"""The absence of wraps is proven for inputs in [-GUARD, GUARD); a constant frame of +GUARD wraps at DC."""


def rfft(frame: Ints, counter: Counter | None = None) -> Ints:
    """Spectrum of real frames, scale 1/N.

    frame    (streams, N) int32 [-2^30, 2^30) (else one overflow is counted for the stream)
    returns  (streams, N/2 + 1, 2) int32: re, im; same fraction bits as the frame
    """
    overflow_guard(frame, counter)
    streams, n = frame.shape
    z = _complex_fft(frame.astype(np.int32).reshape(streams, n // 2, 2).transpose(2, 0, 1), 1)
    inner = _split(z[:, :, 1:], z[:, :, :0:-1], *split_coefficients(n, 1))
    spectrum = np.zeros((streams, n // 2 + 1, 2), np.int64)
    spectrum[:, 1:-1] = inner.transpose(1, 2, 0)
    spectrum[:, 0, 0] = (z[0, :, 0] + z[1, :, 0]) >> 1
    spectrum[:, -1, 0] = (z[0, :, 0] - z[1, :, 0]) >> 1
    return spectrum


def irfft(spectrum: Ints, counter: Counter | None = None) -> Ints:
    """Real frames of half spectra, scale 1/N: irfft(rfft(x)) is x / N.

    spectrum  (streams, N/2 + 1, 2) int32 [-2^30, 2^30) (else one overflow is counted for the stream)
    returns   (streams, N) int32, saturated when the final doubling does not fit
    """
    overflow_guard(spectrum, counter)
    streams, n = len(spectrum), 2 * (spectrum.shape[1] - 1)
    x = spectrum.astype(np.int32).transpose(2, 0, 1)
    z = _split(x[:, :, :-1], x[:, :, :0:-1], *split_coefficients(n, -1))
    frame = _complex_fft(z, -1).transpose(1, 2, 0).reshape(streams, n)
    return sat_i32(frame.astype(np.int64) << 1, counter)


def overflow_guard(x: Ints, counter: Counter | None) -> None:
    """Count one overflow for each stream in which the no-wrap proof does not hold."""
    if counter is not None:
        counter.overflowed((x >= GUARD) | (x < -GUARD))


# ---------------------------------------------------------------- complex FFT


def _complex_fft(z: Complex32, sign: int) -> Complex32:
    """Complex FFT (sign 1) or its inverse (sign -1), (2, streams, L) with a scale of 1/L."""
    is_power_of_four = (z.shape[2].bit_length() - 1) % 2 == 0
    return _radix4(z, sign) if is_power_of_four else _radix4_by_2(z, sign)


def _radix4(z: Complex32, sign: int) -> Complex32:
    """Radix-4 FFT, L a power of four >= 16. The first stage takes 4 bits off, each middle stage 2."""
    _, streams, length = z.shape
    z = z >> 4
    span = length // 4
    while span > 1:
        legs = _butterfly(z.reshape(2, streams, -1, 4, span), sign)
        _rotate(legs, *stage_twiddles(length, span), sign, first=span == length // 4)
        z = legs.transpose(1, 2, 3, 0, 4).reshape(2, streams, length)
        span //= 4
    legs = _butterfly(z.reshape(2, streams, -1, 4, 1), sign)
    return legs.transpose(1, 2, 3, 0, 4).reshape(2, streams, length)[:, :, bit_reversal(length)]


def _butterfly(z: Complex32, sign: int) -> Complex32:
    """Radix-4 butterflies (2, streams, blocks, 4, span): sums and differences of the four legs.

    returns  (4, 2, streams, blocks, span): the plain sum, then the legs that 2j, j and 3j rotate
    """
    operations("add", 2 * z.size)
    a, b, c, d = z[..., 0, :], z[..., 1, :], z[..., 2, :], z[..., 3, :]
    total, difference, cross = a + c, a - c, b + d
    turned = (b - d)[::-1]
    legs = np.empty((4, *a.shape), np.int32)
    np.add(total, cross, out=legs[0])
    np.subtract(total, cross, out=legs[1])
    plus, minus = (2, 3) if sign > 0 else (3, 2)
    np.add(difference[0], turned[0], out=legs[plus, 0])
    np.subtract(difference[1], turned[1], out=legs[plus, 1])
    np.subtract(difference[0], turned[0], out=legs[minus, 0])
    np.add(difference[1], turned[1], out=legs[minus, 1])
    return legs


def _rotate(legs: Complex32, cos: Ints, sin: Ints, sign: int, first: bool) -> None:
    """Three legs times the conjugate twiddle (inverse: the twiddle), in place; each product is floored.

    The high word of a product has half its scale: the first stage doubles it, a middle stage (which divides
    by four) halves it once more.
    """
    operations("mac32", 4 * legs[1:].size // 2)
    wide = legs[1:].astype(np.int64)
    straight = (wide * cos) >> 32
    crossed = (wide[:, ::-1] * sin) >> 32
    toward, away = (0, 1) if sign > 0 else (1, 0)
    straight[:, toward] += crossed[:, toward]
    straight[:, away] -= crossed[:, away]
    if first:
        legs[1:] = straight << 1
    else:
        legs[1:] = straight.astype(np.int32) >> 1
        legs[0] >>= 2


def _radix4_by_2(z: Complex32, sign: int) -> Complex32:
    """FFT of length 2 * 4^n: one radix-2 stage that takes 2 bits off, a radix-4 FFT of each half, x 2."""
    half = z.shape[2] // 2
    operations("add", z.size)
    z = z >> 2
    total, difference = z[:, :, :half] + z[:, :, half:], z[:, :, :half] - z[:, :, half:]
    table = tables.twiddle_q31(2 * half)[:half]
    straight = _accumulate(None, difference, table[:, 0])
    turn = np.stack([table[:, 1], -table[:, 1]])[:, None] * sign
    odd = _accumulate(straight, difference[::-1], turn) << 1
    both = np.stack([_radix4(total, sign), _radix4(odd, sign)], axis=3)
    return both.reshape(z.shape) << 1


@cache
def bit_reversal(length: int) -> npt.NDArray[np.intp]:
    """Index of each output among the stage outputs, shape (length,)."""
    bits = length.bit_length() - 1
    return np.array([int(f"{i:0{bits}b}"[::-1], 2) for i in range(length)], dtype=np.intp)


@cache
def stage_twiddles(length: int, span: int) -> tuple[Ints, Ints]:
    """cos and sin (3, 1, 1, 1, span) of 2j, j and 3j for a stage whose butterflies are `span` apart."""
    j = np.arange(span) * (length // (4 * span))
    table = tables.twiddle_q31(length)
    rows = np.stack([table[2 * j], table[j], table[3 * j]])[:, None, None, None]
    return np.ascontiguousarray(rows[..., 0]), np.ascontiguousarray(rows[..., 1])


# ---------------------------------------------------------------- real split


def _accumulate(total: Complex32 | None, x: Complex32, y_q31: Ints) -> Complex32:
    """total + high word of x * y, the 64-bit sum rounded half up (Cortex-M: SMMLAR; None: SMMULR)."""
    operations("mac32", x.size)
    product = x * y_q31
    if total is not None:
        product += total.astype(np.int64) << 32
    return ((product + (1 << 31)) >> 32).astype(np.int32)


def _split(z: Complex32, mirrored: Complex32, *coefficients: Ints) -> Complex32:
    """Four products, rounded after each: re and im of z, then im and re of its mirror image."""
    total = _accumulate(None, z[:1], coefficients[0])
    total = _accumulate(total, z[1:], coefficients[1])
    total = _accumulate(total, mirrored[1:], coefficients[2])
    return _accumulate(total, mirrored[:1], coefficients[3])


@cache
def split_coefficients(n: int, sign: int) -> tuple[Ints, ...]:
    """Coefficients of `_split`, each (2, 1, bins): row 0 makes re, row 1 makes im."""
    a, b = tables.split_q31(n)
    if sign > 0:
        a, b = a[1:], b[1:]
    a1, a2, b1 = a[:, 0], sign * a[:, 1], b[:, 0]
    rows = (a1, a2), (-a2, a1), (-a2, -b1), (b1, -a2)
    return tuple(np.stack(pair)[:, None] for pair in rows)
