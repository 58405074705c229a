"""Windows, twiddles and look-up tables, all from formulas; tests hold each against its stated error."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import GAMMA_SPEECH_LOG2, SPEECH_SNR, Profile, q

Table = npt.NDArray[np.int64]


def _frozen(values: npt.ArrayLike) -> Table:
    table = np.ascontiguousarray(values).astype(np.int64)
    table.setflags(write=False)
    return table


def _reciprocal() -> Table:
    """First guess of 2^61 / m, m in [2^30, 2^31): 256 entries at interval centres, relative error <= 2^-9."""
    centre = (np.arange(256) + 256.5) / 512.0
    return _frozen(np.minimum(np.rint(2.0**15 / centre), 2**16 - 1))


def _log2() -> Table:
    """log2(1 + i / 256) in q24, i in [0, 256]: error <= 2^-25; interpolation adds < 2^-18.4."""
    return _frozen(np.rint(np.log2(1.0 + np.arange(257) / 256.0) * 2.0**24))


def _sqrt() -> Table:
    """sqrt(i / 256) in uq16, i in [0, 256], the last one limited: error <= 0.5 LSB (1 LSB the last).

    For i >= 64 linear interpolation adds < 0.25 LSB. Only the C word needs it: numpy has a square root.
    """
    return _frozen(np.minimum(np.rint(np.sqrt(np.arange(257) / 256.0) * 2.0**16), 2**16 - 1))


def _absence() -> Table:
    """1 - p in uq16, p = 1 / (1 + (1 + xi) exp(-gamma xi / (1 + xi))), at gamma = i / 16, i in [0, 256].

    Speech presence p of a bin whose a-priori SNR is SPEECH_SNR where there is speech. Error <= 0.5 LSB; linear
    interpolation adds < 2.9 LSB: below 2^-14 in all. source: Gerkmann & Hendriks 2012
    """
    gamma = np.arange(257) * 2.0 ** (GAMMA_SPEECH_LOG2 - 8)
    odds = (1.0 + SPEECH_SNR) * np.exp(-gamma * SPEECH_SNR / (1.0 + SPEECH_SNR))
    return _frozen(np.rint(odds / (1.0 + odds) * 2.0**16))


RECIPROCAL_UQ16 = _reciprocal()
SQRT_UQ16 = _sqrt()
LOG2_Q24 = _log2()
ABSENCE_UQ16 = _absence()


def _sqrt_hann(length: int) -> npt.NDArray[np.float64]:
    """Periodic sqrt-Hann window: |sin(pi n / length)|, n in [0, length)."""
    return np.sin(np.pi * np.arange(length) / length)


def analysis_window(profile: Profile) -> npt.NDArray[np.float64]:
    """Rising sqrt-Hann of length K - M/2, falling sqrt-Hann of length M/2 (Mauler & Martin 2007).

    K = analysis_samples, M = synthesis_samples; K = M gives the periodic sqrt-Hann window.
    """
    fall = profile.synthesis_samples // 2
    rise = profile.analysis_samples - fall
    return np.concatenate([_sqrt_hann(2 * rise)[:rise], np.cos(np.pi * np.arange(fall) / (2 * fall))])


def synthesis_window(profile: Profile) -> npt.NDArray[np.float64]:
    """The last M samples' synthesis window: Hann(M) / analysis, so that the product overlaps to one.

    Where both are zero (first sample of the rising half) the quotient is taken as zero.
    """
    m = profile.synthesis_samples
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(m) / m)
    analysis = analysis_window(profile)[-m:]
    return np.divide(hann, analysis, out=np.zeros(m), where=analysis > 0)


def _q31(values: npt.NDArray[np.float64]) -> Table:
    return _frozen(np.clip(np.rint(values * 2.0**31), -(2.0**31), 2.0**31 - 1))


@cache
def band_starts(profile: Profile) -> Table:
    """First bin of each band."""
    return _frozen(np.cumsum([0, *profile.band_widths[:-1]]))


@cache
def band_inverse_q31(profile: Profile) -> Table:
    """1 / bins of each band, (bands,), [1, 2^31]: exact for a band of one, two or four bins, error <= 0.5 LSB."""
    return _frozen([q(1.0 / width, 31, bits=32, signed=False) for width in profile.band_widths])


@cache
def analysis_window_q31(profile: Profile) -> Table:
    """int32 [0, 2^31), error <= 1 LSB (a value of one is 2^31 - 1)."""
    return _q31(analysis_window(profile))


@cache
def synthesis_window_q30(profile: Profile) -> Table:
    """int32 [0, 2^31): q30, because an asymmetric profile divides by small values and exceeds one."""
    window = synthesis_window(profile)
    assert window.max() < 2.0, "the synthesis window of this profile does not fit q30"
    return _frozen(np.rint(window * 2.0**30))


@cache
def twiddle_q31(length: int) -> Table:
    """Radix-4 twiddles cos, sin(2 pi i / length) for i < 3/4 length, shape (3 length / 4, 2).

    CMSIS-DSP's tables are a floor of v * 2^31 with a small upward nudge, saturated; plain floor or
    rounding misses entries.
    """
    angle = 2.0 * np.pi * np.arange(3 * length // 4) / length
    pairs = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _frozen(np.clip(np.floor(pairs * 2.0**31 + 0.05), -(2.0**31), 2.0**31 - 1))


@cache
def split_q31(fft_length: int) -> tuple[Table, Table]:
    """Coefficients (A, B) of the real-FFT split, each (fft_length / 2, 2): (1 -+ sin t) / 2, -+cos(t) / 2."""
    angle = 2.0 * np.pi * np.arange(fft_length // 2) / fft_length
    a = np.stack([0.5 * (1.0 - np.sin(angle)), -0.5 * np.cos(angle)], axis=1)
    b = np.stack([0.5 * (1.0 + np.sin(angle)), 0.5 * np.cos(angle)], axis=1)
    return _q31(a), _q31(b)
