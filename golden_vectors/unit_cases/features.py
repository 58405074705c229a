"""Rows for the features and their normalisation: speech, ends of the ranges, flat frames, single peaks."""

from __future__ import annotations

import numpy as np

from firmware_sim import contract
from firmware_sim.contract import NOISE_MIN, POWER_MAX, UNITY_GAIN_Q15
from firmware_sim.features import features as reference
from firmware_sim.features import layer_norm as normalise
from firmware_sim.fixed import Ints, log2_q16
from firmware_sim.meter import Counter
from firmware_sim.wiener import wiener
from golden_vectors.unit_cases.rows import Draw, corners
from golden_vectors.unit_cases.wiener import SPEECH_HOPS, speech
from golden_vectors.units.base import GAIN
from golden_vectors.units.front_end import NOISE, POWER, X_Q11
from golden_vectors.units.sizes import BINS, PROFILE

LIMIT = (1 << 22) - 1
"""Largest feature."""


def _of_speech() -> list[Ints]:
    rows = []
    for hop in SPEECH_HOPS[::2]:
        power, state = speech()[hop]
        noise = state.noise[0].copy()
        rows.append(np.concatenate([power, noise, wiener(power[None], state, 0, Counter(1)).gain_q15[0]]))
    return rows


def features() -> Ints:
    """Speech; powers around NOISE_MIN, where they are limited, and at the ceiling; gains of 0, 1, 2 and one."""
    draw, gains = Draw(51), (0, 1, 2, 3, 4, 16384, 32767, UNITY_GAIN_Q15)
    low = np.concatenate([[0, 1], NOISE_MIN + np.arange(BINS - 2) - (BINS - 2) // 2])
    powers = [low, low[::-1], np.full(BINS, POWER_MAX), np.zeros(BINS, np.int64)]
    powers += [draw.pick(corners(POWER), BINS) for _ in range(8)] + [draw.magnitudes(POWER, BINS) for _ in range(8)]
    rows = _of_speech()
    for i, power in enumerate(powers):
        noise = np.maximum(draw.pick(corners(NOISE), BINS) if i % 2 else draw.magnitudes(NOISE, BINS), NOISE_MIN)
        gain = draw.pick(gains, BINS) if i % 3 else draw.magnitudes(GAIN, BINS)
        rows.append(np.concatenate([power, noise, gain]))
    for noise_level in (NOISE_MIN, NOISE_MIN + 1, POWER_MAX):
        rows.append(np.concatenate([low, np.full(BINS, noise_level), np.resize(gains, BINS)]))
    for sign in (0, 1):
        noise = _noise_at_the_edge(draw, sign)
        rows.append(np.concatenate([draw.magnitudes(POWER, BINS), noise, draw.magnitudes(GAIN, BINS)]))
    return np.stack(rows)


def edge_of_mean(total: int, above: int = 0) -> bool:
    """Whether the mean changes between the sum over the bins and one less, or for `above` one more."""
    return mean(total - 1 + above) != mean(total + above)


def mean(total: int) -> int:
    """Mean over the bins of a sum, round half up."""
    return (total * contract.q(1.0 / BINS, 31, bits=32) + (1 << 30)) >> 31


def _noise_at_the_edge(draw: Draw, above: int) -> Ints:
    """Noise PSDs whose sum of logarithms is at the edge of its mean."""
    while True:
        noise = np.maximum(draw.magnitudes(NOISE, BINS), NOISE_MIN)
        if edge_of_mean(int(log2_q16(noise).sum()), above):
            return noise


def _frames_at_the_edge(draw: Draw, above: int) -> list[Ints]:
    """Frames of small spreads whose sum is at the edge of its mean: one LSB more or less moves every bin."""
    rows = [draw.integers((-(1 << bits), 1 << bits), BINS) for bits in (6, 8, 10, 12)]
    for frame in rows:
        while not edge_of_mean(int(frame.sum()), above):
            frame[0] += 1
    return rows


def _limited_peaks() -> list[int]:
    """Single peaks that round to the limit and are counted, and as many that just do not."""
    peaks = np.arange(LIMIT - (1 << 16), LIMIT, 37)
    frames, counter = np.zeros((len(peaks), BINS), np.int64), Counter(len(peaks))
    frames[:, 7] = peaks
    normalise(frames, counter)
    counted = counter.saturations > 0
    return [*peaks[counted][:4].tolist(), *peaks[~counted][-4:].tolist()]


def layer_norm() -> Ints:
    """Flat frames (variance zero), one bin off, single peaks at both ends, spreads of every size, speech."""
    draw, rows = Draw(52), []
    rows += [np.full(BINS, level) for level in (0, 1, -1, 7, 8, -8, -9, 1 << 16, LIMIT, -LIMIT, 123457, -98765)]
    for place, peak in (
        (0, LIMIT),
        (1, -LIMIT),
        (32, 1 << 21),
        (64, -(1 << 21)),
        (63, 300),
        (2, -300),
        (5, 16),
        (6, -16),
    ):
        rows.append(np.where(np.arange(BINS) == place, peak, 0))
        rows.append(np.where(np.arange(BINS) == place, peak - 77777, -77777 if abs(peak) < LIMIT else 0))
    rows += [np.where(np.arange(BINS) % 2 == 0, level, -level) for level in (LIMIT, 1 << 16, 4096, 64, 8, 1)]
    rows += [np.where(np.arange(BINS) < BINS // 2, level, -level) for level in (LIMIT, 12345)]
    rows += [draw.integers((-(1 << bits), 1 << bits), BINS) for bits in range(1, 22)]
    rows += [draw.integers((-(1 << bits), 1 << bits), BINS) + (1 << 20) for bits in range(4, 20, 3)]
    rows += [np.where(np.arange(BINS) == 7, peak, 0) for peak in _limited_peaks()]
    rows += [*_frames_at_the_edge(draw, 0), *_frames_at_the_edge(draw, 1)]
    speech_rows = np.stack(_of_speech())
    power, noise, gain = np.split(speech_rows, 3, axis=1)
    return np.concatenate([np.clip(np.stack(rows), -LIMIT, LIMIT), reference(power, noise, gain, PROFILE)])


def encode_features_i8() -> Ints:
    """Every 64th value, so every code and every tie, each between its neighbours; both ends, one is above 127."""
    low, high = X_Q11
    points = np.arange(low, high + 2, 64)[:, None] + np.array([-1, 0, 1])
    rows: Ints = points[(low <= points) & (points <= high)][:, None]
    return rows
