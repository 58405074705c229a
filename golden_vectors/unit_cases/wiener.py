"""Rows for the power and the Wiener stage: real states, learning, solved SNRs, the VAD at its threshold."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim import contract, fft, stft
from firmware_sim import wiener as stage
from firmware_sim.contract import NOISE_MIN, POWER_MAX, UNITY_GAIN_Q15, VAD_THRESHOLD_Q16
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter
from firmware_sim.wiener import ONE_UQ16, WienerState
from golden_vectors.signals import SECOND, recording
from golden_vectors.unit_cases.rows import Draw, Limits, corners, with_product
from golden_vectors.units.base import I32
from golden_vectors.units.front_end import LEARNED, NOISE, POWER, SNR
from golden_vectors.units.sizes import BINS, HOP, LEARNING, PROFILE, N

Bools: TypeAlias = npt.NDArray[np.bool_]

SPEECH_HOPS = (30, 31, 45, 60, 75, 90, 110, 130, 150, 170, 190)
FLOORS = (0, contract.WIENER_FLOOR_Q15, 0, 1, UNITY_GAIN_Q15, UNITY_GAIN_Q15 - 1)
CEILING = 1 << 15
"""Largest a-posteriori SNR."""


def row(now: Ints, state: WienerState, floor_q15: int) -> Ints:
    """A row of the unit `wiener`."""
    return np.concatenate([now, state.noise[0], state.prior_uq16[0], [floor_q15]]).astype(np.int64)


def learned(noise: Ints | int, prior_uq16: Ints | int = ONE_UQ16) -> WienerState:
    """A state whose learning is over."""
    state = WienerState(PROFILE, 1)
    state.noise[:], state.prior_uq16[:], state.hops = noise, prior_uq16, LEARNING
    return state


def power() -> Ints:
    """Bins at the ends of the range, drawn ones of every magnitude, and sums around the step of the shift."""
    draw, limits = Draw(41), (I32[0] + 1, I32[1])
    ends = [np.full(2 * BINS, level) for level in (I32[1], limits[0], -(1 << 30), 1, -1, 0)]
    drawn = [draw.magnitudes(limits, 2 * BINS) for _ in range(3)]
    small = np.arange(2 * BINS) // 2 % 12 * (np.arange(2 * BINS) % 2 * 2 - 1)
    return np.stack([*ends, *drawn, small, draw.pick(corners(limits), 2 * BINS)])


# ---------------------------------------------------------------- real speech


@cache
def speech() -> tuple[tuple[Ints, WienerState], ...]:
    """(power, state before the hop) of every hop of real noisy speech from home."""
    pcm = recording("noisy.wav", 4 * SECOND, (max(SPEECH_HOPS) + 2) * HOP)
    frames = stft.window(np.lib.stride_tricks.sliding_window_view(pcm, N)[::HOP], PROFILE)
    state, seen = WienerState(PROFILE, 1), []
    for power_of_hop in stft.power(fft.rfft(frames)):
        seen.append((power_of_hop, copy.deepcopy(state)))
        stage.wiener(power_of_hop[None], state, 0, Counter(1))
    return tuple(seen)


def of_speech() -> Ints:
    seen = [speech()[hop] for hop in SPEECH_HOPS]
    return np.stack([row(now, state, FLOORS[i % len(FLOORS)]) for i, (now, state) in enumerate(seen)])


# ---------------------------------------------------------------- learning


def learning() -> Ints:
    """First hops, the ones around the last, and sums whose mean is at NOISE_MIN, and at the ceiling."""
    draw, nothing = Draw(42), np.zeros(BINS, np.int64)
    rows = [(nothing, nothing, 0), (np.full(BINS, POWER_MAX), np.full(BINS, POWER_MAX * (LEARNING - 1)), LEARNING - 1)]
    for hops in (0, 1, LEARNING - 2, LEARNING - 1, LEARNING - 1, LEARNING - 1):
        rows.append((draw.magnitudes(POWER, BINS), draw.magnitudes(POWER, BINS) * hops, hops))
    least = LEARNING * NOISE_MIN + np.arange(BINS) - BINS // 2
    rows += [(nothing, least, LEARNING - 1), (np.arange(BINS), least, LEARNING - 1)]
    return np.stack([np.concatenate([power, learned, [hops]]) for power, learned, hops in rows]).astype(np.int64)


# ---------------------------------------------------------------- solved bins


def lowest(holds: Callable[[Ints], Bools], low: Ints, high: Ints) -> Ints:
    """The lowest integers in [low, high] for which a monotone condition holds, elementwise; high if it never does."""
    low, high = low.copy(), high.copy()
    while (low < high).any():
        middle = low + (high - low) // 2
        found = holds(middle)
        high, low = np.where(found & (low < high), middle, high), np.where(found | (low >= high), low, middle + 1)
    return low


def saturates(power_of_hop: Ints, noise: Ints) -> Bools:
    """Whether a bin alone is limited and counted."""
    counter = Counter(len(noise))
    stage.a_posteriori_snr(power_of_hop, noise, counter)
    return counter.saturations > 0


def ceiling() -> Ints:
    """The first power whose SNR is counted as limited, with its neighbours; twice, 8 and 16 times above."""
    draw = Draw(43)
    noise = np.concatenate([NOISE_MIN + np.arange(4), draw.magnitudes((NOISE_MIN, POWER_MAX >> 16), BINS - 4)])
    noise = np.maximum(noise, NOISE_MIN)
    first = lowest(lambda x: saturates(x, noise), noise, np.minimum(noise << 16, POWER_MAX))
    powers = [first - 1, first, first + 1, noise * CEILING, noise * CEILING - 1, 2 * first, 8 * first, 17 * first]
    high = [np.minimum(x, POWER_MAX) for x in powers]
    return np.stack([row(x, learned(noise, draw.magnitudes(SNR, BINS)), 0) for x in high])


def bins() -> Ints:
    """Bins of every magnitude: corners of power, noise and memory; quotients around 1, priors at ties of xi."""
    draw, rows = Draw(44), []
    for i in range(5):
        noise = draw.pick([x for x in corners(NOISE) if x >= NOISE_MIN], BINS)
        prior = draw.pick(corners(SNR), BINS)
        rows.append(row(draw.pick(corners(POWER), BINS), learned(noise, prior), FLOORS[i]))
    for d in (-1, 0, 1):
        noise = draw.magnitudes(NOISE, BINS) | NOISE_MIN
        rows.append(row(np.clip(noise + d, *POWER), learned(noise, xi_ties(draw, d)), 0))
        rows.append(row(np.zeros(BINS, np.int64), learned(noise, xi_ties(draw, d)), 0))
    return np.stack([*rows, *_faint(draw)])


def _faint(draw: Draw) -> list[Ints]:
    """Powers 2^15 to 2^22 times below the noise under a loud memory: gamma is a few LSB, its rounding decides."""
    rows = []
    for deep in (15, 19):
        noise = draw.integers((1 << 56, 3 << 55), BINS)
        quiet = (noise + noise // 4) >> (deep + np.arange(BINS) % 4)  # the larger mantissa
        rows.append(row(quiet, learned(noise, draw.integers((1 << 20, 1 << 26), BINS)), 0))
    return rows


def xi_ties(draw: Draw, d: int) -> Ints:
    """Memories whose share of xi is half an LSB, plus d of the product's, where gamma is at most one."""
    return solved(contract.DECISION_DIRECTED_Q31, (1 << 30) + d, [SNR] * BINS, draw)


def solved(weight_q31: int, residue: int, limits: Sequence[Limits], draw: Draw) -> Ints:
    """A value within each of the limits whose product with the weight has the residue modulo 2^31; else 0."""
    found = [with_product(weight_q31, residue, 31, each, draw) for each in limits]
    return np.array([0 if value is None else value for value in found], np.int64)


def following() -> Ints:
    """Quiet hops, in which the noise PSD follows: every magnitude, ties of its mean, NOISE_MIN and just above."""
    draw, rows = Draw(45), []
    for d in (-1, 0, 1):
        limits = [(NOISE_MIN, POWER_MAX >> k % 24) for k in range(BINS)]
        noise = solved(contract.NOISE_MEMORY_Q31, (1 << 30) + d, limits, draw)
        rows.append(row(np.zeros(BINS, np.int64), learned(np.maximum(noise, NOISE_MIN), 0), 0))
    for _ in range(3):
        noise = draw.magnitudes(NOISE, BINS) | NOISE_MIN
        rows.append(row(draw.integers((0, 256), BINS) * (noise >> 8), learned(noise, 0), 0))
    floor = NOISE_MIN + np.arange(BINS)
    rows += [row(np.full(BINS, level), learned(floor, 0), 0) for level in (0, NOISE_MIN - 1, NOISE_MIN + 1)]
    first = lowest(lambda x: stage.followed_noise(x, x * 0) >= NOISE_MIN + 1, floor * 0 + NOISE_MIN, floor * 2)
    rows.append(row(np.zeros(BINS, np.int64), learned(np.maximum(first + np.arange(BINS) % 3 - 1, NOISE_MIN), 0), 0))
    return np.stack([*rows, row(np.full(BINS, POWER_MAX), learned(POWER_MAX, 0), 0)])


# ---------------------------------------------------------------- VAD


def likelihood_q16(power_of_hop: Ints, state: WienerState) -> int:
    return int(stage.wiener(power_of_hop[None], copy.deepcopy(state), 0, Counter(1)).likelihood_q16[0])


def powers_at_the_threshold(state: WienerState, threshold_q16: int) -> Ints:
    """Powers of one hop whose VAD sum is the threshold: all bins up to it, then bin 1, then DC, which counts once."""
    found: Ints = state.noise[0].copy()
    for part in (slice(None), slice(1, 2), slice(1)):
        for bit in reversed(range(32)):
            louder = found.copy()
            louder[part] += 1 << bit
            if likelihood_q16(louder, state) <= threshold_q16:
                found = louder
    assert likelihood_q16(found, state) == threshold_q16, "no powers for this threshold"
    return found


def threshold() -> Ints:
    """VAD sums at the threshold, one below and one above; digital silence; silence after noise."""
    edge, state = VAD_THRESHOLD_Q16 * N, learned(1 << 30)
    rows = [row(powers_at_the_threshold(state, edge + d), state, 0) for d in (-1, 0, 1)]
    silence: Sequence[tuple[int, int]] = ((NOISE_MIN, 0), (NOISE_MIN, ONE_UQ16), (POWER_MAX, SNR[1]))
    return np.stack([*rows, *(row(np.zeros(BINS, np.int64), learned(*one), 0) for one in silence)])


def plausible() -> Ints:
    """Each bin just outside the range of the noise, both ends of it and of the hops."""
    rows = []
    levels = (NOISE_MIN - 1, NOISE_MIN, POWER_MAX, POWER_MAX + 1, 0, -1, LEARNED[1], -LEARNED[1] - 1)
    for k in (0, 1, 31, BINS - 2, BINS - 1):
        for level in levels[:4] if k else levels:
            rows.append([*(level if i == k else 1 << 30 for i in range(BINS)), LEARNING])
    rows += [[1 << 30] * BINS + [hops] for hops in (-1, 0, 1, LEARNING - 1, LEARNING, LEARNING + 1, *I32)]
    rows.append([*[1 << 30] * (BINS - 1), NOISE_MIN - 1, 0])
    return np.array(rows, np.int64)
