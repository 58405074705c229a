"""Rows for window, transforms, gains and overlap-add: impulses, tones, extremes, and solved roundings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firmware_sim import fft, stft, tables
from firmware_sim.contract import GAIN_FLOOR_Q15, UNITY_GAIN_Q15
from firmware_sim.fixed import I32_MAX, I32_MIN, Ints
from golden_vectors.signals import SECOND, recording
from golden_vectors.unit_cases.rows import Draw, solve, with_product
from golden_vectors.units.base import GAIN, I16, I32
from golden_vectors.units.sizes import BINS, HOP, PROFILE, N

GUARD = fft.GUARD
FULL = (-GUARD, GUARD - 1)
SAMPLES = (0, 1, 2, 3, 31, 32, 63, 64, 65, 96, 126, 127)
TONES = (1, 2, 3, 5, 8, 15, 16, 17, 21, 31, 32, 33, 47, 48, 62, 63)
SPEECH_HOPS = (15, 90, 210, 330)


def _cosine_q31() -> Ints:
    """cos(2 pi i / N) in q31 from the table of a complex FFT of this length, which has three quarters of it."""
    three_quarters = tables.twiddle_q31(N)[:, 0]
    return np.concatenate([three_quarters, three_quarters[N // 4 : 0 : -1]])


def tone(k: int, quarter: int = 0) -> Ints:
    """(N,) frame_q30 at full scale: cosine of bin k, a quarter of a period later for `quarter`."""
    at = (np.arange(N) * k - quarter * (N // 4)) % N
    return _cosine_q31()[at] >> 1


def frames_of_speech() -> Ints:
    """(hops, N) int16: what the loop windows at some hops of the real noisy recording."""
    pcm = recording("noisy.wav", SECOND, (max(SPEECH_HOPS) + 3) * HOP)
    return np.stack([pcm[hop * HOP : hop * HOP + N] for hop in SPEECH_HOPS])


# ---------------------------------------------------------------- window


def window() -> Ints:
    """Levels at which entries of the window tie, each sample solved next to its tie, impulses, speech."""
    levels = (-32768, 32767, 16384, -16384, 8192, -8192, 4096, 2048, -1024, 1, -1, 0)
    flat = [np.full(N, level) for level in levels]
    entries = tables.analysis_window_q31(PROFILE).tolist()
    solved = [[_signed16(solve(entry, (1 << 15) + d, 16) or 1) for entry in entries] for d in (-1, 0, 1)]
    drawn = Draw(31).integers(I16, 3 * N).reshape(3, N)
    return np.concatenate([np.array([*flat, *solved], np.int64), drawn, frames_of_speech()])


def _signed16(x: int) -> int:
    """x modulo 2^16 as int16."""
    return (x + 32768) % 65536 - 32768


# ---------------------------------------------------------------- forward


def _unit_rows(places: Sequence[int], size: int, values: Sequence[int]) -> Ints:
    """A row for each place, which holds one of the values in turn; zero elsewhere."""
    rows = np.zeros((len(places), size), np.int64)
    rows[np.arange(len(places)), list(places)] = [values[i % len(values)] for i in range(len(places))]
    return rows


def rfft_impulses() -> Ints:
    return _unit_rows(SAMPLES, N, (GUARD - 1, -GUARD))


def rfft_tones() -> Ints:
    """Exact bins at full scale: a cosine or a sine, DC and Nyquist at both extremes, alternating pairs."""
    nyquist = np.where(np.arange(N) % 2 == 0, GUARD - 1, -GUARD)
    pairs = np.where(np.arange(N) % 4 < 2, GUARD - 1, -GUARD)
    flat = [np.full(N, GUARD - 1), np.full(N, -GUARD), nyquist, nyquist[::-1], pairs, np.roll(pairs, 1)]
    return np.stack([*(tone(k, i % 2) for i, k in enumerate(TONES)), *flat])


def rfft_extremes() -> Ints:
    """Full scale: signs of a tone (the largest sum of its bin), drawn signs, drawn values; and a few LSB."""
    draw = Draw(32)
    signs = [np.where(tone(k, i % 2) < 0, -GUARD, GUARD - 1) for i, k in enumerate(TONES)]
    drawn = [np.where(draw.words(N) % 2 == 0, GUARD - 1, -GUARD) for _ in range(4)]
    values = [draw.integers(limits, N) for limits in (FULL, FULL, FULL, (-9, 9), (-3, 3), (-1, 1))]
    return np.stack([*signs[::2], *drawn, *values, *stft.window(frames_of_speech(), PROFILE)])


def _edges(rows: int, size: int, places: Sequence[int]) -> Ints:
    """Quiet rows in which one element is at the guard or one beyond it; both ends."""
    quiet = Draw(33).integers((-1000, 1000), rows * size).reshape(rows, size)
    ends = (GUARD - 1, GUARD, -GUARD, -GUARD - 1)
    quiet[np.arange(rows), [places[i % len(places)] for i in range(rows)]] = [ends[i % 4] for i in range(rows)]
    return quiet


def rfft_overflows() -> Ints:
    """Guard edges, and frames beyond it: the sums wrap as registers do, and the overflow is counted."""
    draw = Draw(34)
    beyond = [np.full(N, GUARD), np.full(N, I32_MIN), np.full(N, I32_MAX), draw.integers(I32, N)]
    beyond += [np.where(draw.words(N) % 2 == 0, I32_MAX, I32_MIN)]
    return np.concatenate([_edges(12, N, (0, 1, N - 1, N - 2, N // 2)), np.stack(beyond)])


# ---------------------------------------------------------------- inverse


def irfft_impulses() -> Ints:
    """One part of one bin, DC and Nyquist too, whose imaginary parts count."""
    places = [2 * k + part for k in (0, 1, 2, 16, 31, 32, 33, 48, 63, 64) for part in (0, 1)]
    return _unit_rows(places, 2 * BINS, (GUARD - 1, -GUARD))


def irfft_spectra() -> Ints:
    """Spectra of tones, of full scale and of speech; a few LSB; and what a gain leaves of them."""
    draw = Draw(35)
    frames = np.stack([*(tone(k, i % 2) for i, k in enumerate(TONES[::3])), *stft.window(frames_of_speech(), PROFILE)])
    spectra = fft.rfft(frames).reshape(len(frames), -1)
    gains = np.repeat(draw.integers(GAIN, len(frames) * BINS).reshape(len(frames), BINS), 2, axis=1)
    few = [draw.integers(limits, 2 * BINS) for limits in ((-1, 1), (-5, 5))]
    return np.concatenate([spectra, (spectra * gains + (1 << 14)) >> 15, np.stack(few)])


def irfft_extremes() -> Ints:
    """All bins in phase, full scale and beyond: the doubling saturates at both ends, sums wrap, guards count."""
    draw, place = Draw(36), np.arange(2 * BINS)
    phases = [np.where(place % 2 == 0, value, 0) for value in (GUARD - 1, -GUARD)]
    phases += [np.where(place % 4 < 2, GUARD - 1, -GUARD), np.full(2 * BINS, GUARD - 1), np.full(2 * BINS, -GUARD)]
    quarter = [level // 4 for level in phases]
    drawn = [draw.integers(FULL, 2 * BINS) for _ in range(4)]
    signs = [np.where(draw.words(2 * BINS) % 2 == 0, GUARD - 1, -GUARD) for _ in range(4)]
    beyond = [np.full(2 * BINS, I32_MIN), np.full(2 * BINS, I32_MAX), draw.integers(I32, 2 * BINS)]
    places = (0, 1, 2, 65, 64, 66, 127, 128, 129)
    every = [*phases, *quarter, *drawn, *signs, *beyond, *_saturating()]
    return np.concatenate([np.stack(every), _edges(12, 2 * BINS, places)])


def _saturating() -> list[Ints]:
    """Spectra whose parts all add up in one sample: there the doubling saturates, above or below; one stays inside."""
    rows = []
    for sample, level in (
        (0, I32_MAX),
        (5, 1_900_000_000),
        (38, -1_900_000_000),
        (99, 1_790_000_000),
        (99, 1_680_000_000),
    ):
        at = np.arange(BINS) * sample % N
        cosine, sine = _cosine_q31()[at], _cosine_q31()[(at - N // 4) % N]
        rows.append(
            np.stack([np.where(cosine < 0, -level, level), np.where(sine < 0, level, -level)], axis=1).reshape(-1)
        )
    return rows


# ---------------------------------------------------------------- gains


def total_gain() -> Ints:
    """Floors and shares at their ends, ties of both products, with and without mask, bypass and learning."""
    draw = Draw(37)
    ends = (0, 1, 2, 16383, 16384, 16385, 32766, 32767, 32768)
    settings = [(floor, dry, 0, 0, 1) for floor in (0, 1, GAIN_FLOOR_Q15, 32767, 32768) for dry in (0, 1, 16384, 32768)]
    settings += [(0, 5000, 0, 0, 0), (3277, 0, 0, 0, 0), (3277, 77, 1, 0, 1), (0, 0, 0, 1, 1), (0, 9, 1, 1, 0)]
    rows = []
    for i, setting in enumerate(settings):
        wiener, mask = draw.pick(ends, BINS), draw.pick(ends, BINS)
        drawn = (np.arange(BINS) + i) % 2 == 0
        wiener, mask = (
            np.where(drawn, draw.integers(GAIN, BINS), wiener),
            np.where(drawn, mask, draw.integers(GAIN, BINS)),
        )
        for k in range(0, BINS, 4):
            wiener[k] = with_product(int(mask[k]) or 1, (1 << 14) + k % 3 - 1, 15, GAIN, draw) or wiener[k]
        rows.append(np.concatenate([wiener, mask, setting]))
    return np.stack(rows)


def apply_gain() -> Ints:
    """Ties and their neighbours in both parts, the ends of int32, gains of zero and one."""
    draw, rows = Draw(38), []
    ends = (I32_MIN, I32_MIN + 1, I32_MAX, -GUARD, GUARD - 1, GUARD, -1, 0, 1)
    for i in range(12):
        gain = np.where(
            draw.words(BINS) % 3 > 0, draw.integers(GAIN, BINS) | 1, draw.pick((0, 1, 2, 32767, 32768), BINS)
        )
        gain = np.minimum(gain, UNITY_GAIN_Q15)
        spectrum = draw.pick(ends, 2 * BINS)
        for j in range(2 * BINS):
            if (i + j) % 4:
                spectrum[j] = with_product(int(gain[j // 2]), (1 << 14) + j % 3 - 1, 15, I32, draw) or spectrum[j]
        rows.append(np.concatenate([spectrum, gain]))
    return np.stack(rows)


# ---------------------------------------------------------------- overlap-add

_SHIFT = 15 - PROFILE.fft_log2
"""From the format of a frame to samples."""


def overlap_add() -> Ints:
    """Samples on both roundings' ties, sums at the limits of int16, loud and quiet frames."""
    draw, scale = Draw(39), 1 << (15 + _SHIFT)
    rows = [_solved_overlap(draw, d, target) for d in (-1, 0, 1) for target in (0, 127, -128, -1)]
    rows += [_solved_overlap(draw, d, edge * (1 << _SHIFT)) for d in (-1, 0) for edge in (32767, 32768, -32768, -32769)]
    for limits in ((-scale, scale), (-4 * scale, 4 * scale), I32, (-300, 300)):
        rows.append(np.concatenate([draw.integers(limits, N), draw.integers(limits, HOP)]))
    ends = [np.concatenate([np.full(N, frame), np.full(HOP, overlap)]) for frame, overlap in ((I32_MAX, I32_MAX),
            (I32_MIN, I32_MIN), (I32_MAX, I32_MIN), (0, I32_MAX))]  # fmt: skip
    return np.stack([*rows, *ends, np.zeros(N + HOP, np.int64)])


def _solved_overlap(draw: Draw, d: int, target: int) -> Ints:
    """Frame samples one off (d) or on the tie of the windowing; overlaps that bring the sum to half a step (and its
    neighbours in turn) above the target."""
    window_q30 = tables.synthesis_window_q30(PROFILE).tolist()
    limits = (-(1 << 22), 1 << 22)
    drawn = draw.magnitudes(limits, N).tolist()
    tail = [
        _tie_sample(entry, d, draw) or sample
        for entry, sample in zip(window_q30, drawn[-len(window_q30) :], strict=True)
    ]
    frame = np.array([*drawn[: N - len(tail)], *tail], np.int64)
    windowed = (np.array(tail[:HOP]) * np.array(window_q30[:HOP]) + (1 << 29)) >> 30
    half = 1 << (_SHIFT - 1)
    return np.concatenate([frame, target + half - 1 + np.arange(HOP) % 3 - windowed])


def _tie_sample(entry: int, d: int, draw: Draw) -> int | None:
    """A sample whose product with an entry of the window is half an LSB, plus d of the product's."""
    return with_product(entry, (1 << 29) + d, 30, (-(1 << 30), 1 << 30), draw)
