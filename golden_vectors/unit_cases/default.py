"""Rows for what the profile `default` has of its own: FFT of 256, bands, the gain channel, the tracker spp."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np

from firmware_sim import contract, fft, stft, tables
from firmware_sim import wiener as stage
from firmware_sim.contract import GAIN_FLOOR_Q15, NOISE_MIN, POWER_MAX, PROFILES, UNITY_GAIN_Q15
from firmware_sim.features import features as reference
from firmware_sim.fixed import I32_MAX, Ints
from firmware_sim.meter import Counter
from firmware_sim.wiener import GAMMA_BITS, ONE_UQ16, WienerState
from golden_vectors.signals import SECOND, recording
from golden_vectors.unit_cases.rows import Draw, corners, with_product
from golden_vectors.units.base import GAIN, I16, I32
from golden_vectors.units.front_end import NOISE, POWER, SNR

PROFILE = PROFILES["default"]
N, HOP, BINS, BANDS = PROFILE.analysis_samples, PROFILE.hop_samples, PROFILE.bins, PROFILE.band_count
LEARNING = PROFILE.noise_init_hops
GUARD = fft.GUARD
SPEECH_HOPS = (30, 45, 75, 130, 190)
FLOORS = (0, 10362, 1, UNITY_GAIN_Q15, UNITY_GAIN_Q15 - 1)
GAMMA_END = 1 << (GAMMA_BITS + 8)
"""gamma_uq16 from which on speech is present for sure."""

# ---------------------------------------------------------------- window, transforms


def frames_of_speech() -> Ints:
    """(4, N) int16 of the real noisy recording."""
    pcm = recording("noisy.wav", SECOND, 335 * HOP)
    return np.stack([pcm[hop * HOP : hop * HOP + N] for hop in (15, 90, 210, 330)])


def window() -> Ints:
    """Levels at which entries of the window tie, both ends, drawn samples, speech."""
    flat = [np.full(N, level) for level in (-32768, 32767, 16384, -8192, 1, -1)]
    return np.concatenate([np.stack(flat), Draw(131).integers(I16, N)[None], frames_of_speech()[:2]])


def rfft() -> Ints:
    """Impulses in every leg of a butterfly, DC, Nyquist, drawn signs at full scale, a few LSB, guards, speech."""
    draw, rows = Draw(132), []
    for i, place in enumerate((0, 1, 63, 64, 127, 128, 193, 255)):
        rows.append(np.where(np.arange(N) == place, (GUARD - 1, -GUARD)[i % 2], 0))
    rows += [np.full(N, -GUARD), np.where(np.arange(N) % 2 == 0, GUARD - 1, -GUARD), np.full(N, GUARD)]
    rows += [np.where(draw.words(N) % 2 == 0, GUARD - 1, -GUARD), draw.integers((-3, 3), N), draw.integers(I32, N)]
    return np.concatenate([np.stack(rows), stft.window(frames_of_speech()[:2], PROFILE)])


def irfft() -> Ints:
    """Parts of single bins, spectra of speech, all bins in phase (the doubling saturates), a few LSB."""
    draw, rows = Draw(133), []
    for i, place in enumerate((0, 1, 2, 3, 128, 129, 131, 255, 256, 257)):
        rows.append(np.where(np.arange(2 * BINS) == place, (GUARD - 1, -GUARD)[i % 2], 0))
    rows += [np.where(np.arange(2 * BINS) % 2 == 0, level, 0) for level in (GUARD - 1, -GUARD)]
    rows += [draw.integers((-2, 2), 2 * BINS), draw.integers(I32, 2 * BINS)]
    spectra = fft.rfft(stft.window(frames_of_speech()[2:], PROFILE)).reshape(2, -1)
    return np.concatenate([np.stack(rows), spectra])


def total_gain() -> Ints:
    """Masks that change at every border of a band, ties of the product, floors, shares, no mask, bypass."""
    draw, rows = Draw(134), []
    settings = [(0, 0, 0, 0, 1), (GAIN_FLOOR_Q15, 0, 0, 0, 1), (1, 16384, 0, 0, 1), (0, 32768, 0, 0, 1)]
    settings += [(3277, 0, 0, 0, 0), (3277, 77, 1, 0, 1), (0, 9, 0, 1, 1), (0, 0, 0, 0, 1)]
    for i, setting in enumerate(settings):
        mask = draw.integers(GAIN, BANDS) if i % 2 else np.where(np.arange(BANDS) % 2 == 0, 32767, 0)
        wiener = np.full(BINS, UNITY_GAIN_Q15) if i == 0 else draw.integers(GAIN, BINS)
        for k in range(0, BINS, 3) if i > 4 else ():
            factor = int(mask[PROFILE.band_of_bin[k]]) or 1
            wiener[k] = with_product(factor, (1 << 14) + k % 3 - 1, 15, GAIN, draw) or wiener[k]
        rows.append(np.concatenate([wiener, mask, setting]))
    return np.stack(rows)


def overlap_add() -> Ints:
    """Ties of the windowing and of the rounding to samples, both limits of int16, loud and quiet frames."""
    draw, shift = Draw(135), 15 - PROFILE.fft_log2
    window_q30, half = tables.synthesis_window_q30(PROFILE).tolist(), 1 << (shift - 1)
    rows = []
    for d, target in ((-1, 0), (0, 127), (1, -1), (0, 32767 << shift), (-1, -32768 * (1 << shift))):
        tail = [with_product(w, (1 << 29) + d, 30, (-(1 << 22), 1 << 22), draw) or 5 for w in window_q30]
        windowed = (np.array(tail[:HOP]) * np.array(window_q30[:HOP]) + (1 << 29)) >> 30
        overlap = target + half - 1 + np.arange(HOP) % 3 - windowed
        rows.append(np.concatenate([draw.magnitudes(I32, N - len(tail)), tail, overlap]))
    rows += [np.concatenate([draw.integers(limits, N), draw.integers(limits, HOP)]) for limits in ((-300, 300), I32)]
    return np.stack([*rows, np.full(N + HOP, I32_MAX)])


# ---------------------------------------------------------------- the tracker spp


def row(now: Ints, state: WienerState, floor_q15: int = 0) -> Ints:
    """A row of the unit `wiener`."""
    remembered = (state.noise[0], state.prior_uq16[0], state.presence_q31[0])
    return np.concatenate([now, *remembered, [floor_q15]]).astype(np.int64)


def learned(noise: Ints | int, presence_q31: Ints | int = 0, prior_uq16: Ints | int = ONE_UQ16) -> WienerState:
    """A state whose learning is over."""
    state = WienerState(PROFILE, 1)
    state.noise[:], state.presence_q31[:], state.prior_uq16[:] = noise, presence_q31, prior_uq16
    state.hops = LEARNING
    return state


@cache
def speech() -> tuple[tuple[Ints, WienerState], ...]:
    """(power, state before the hop) of every hop of real noisy speech from home."""
    pcm = recording("noisy.wav", 4 * SECOND, (max(SPEECH_HOPS) + 5) * HOP)
    frames = stft.window(np.lib.stride_tricks.sliding_window_view(pcm, N)[::HOP], PROFILE)
    state, seen = WienerState(PROFILE, 1), []
    for power in stft.power(fft.rfft(frames)):
        seen.append((power, copy.deepcopy(state)))
        stage.wiener(power[None], state, 0, Counter(1))
    return tuple(seen)


def of_speech() -> Ints:
    seen = [speech()[hop] for hop in SPEECH_HOPS]
    return np.stack([row(now, state, floor) for (now, state), floor in zip(seen, FLOORS, strict=True)])


def learning() -> Ints:
    """The first hop, and the last ones with sums around NOISE_MIN's and at the ceiling."""
    least = LEARNING * NOISE_MIN + np.arange(BINS) - BINS // 2
    loud, nothing = np.full(BINS, POWER_MAX), np.zeros(BINS, np.int64)
    rows = [(loud, nothing, 0), (nothing, least, LEARNING - 1), (loud, loud * (LEARNING - 1), LEARNING - 1)]
    return np.stack([np.concatenate([power, total, [hops]]) for power, total, hops in rows]).astype(np.int64)


def absence() -> Ints:
    """An a-posteriori SNR in every interval of the table: its ends and one drawn; the last one and beyond; none.

    The noise PSD is a power of two, so that gamma is the power, shifted: every SNR is exact.
    """
    draw, first = Draw(136), np.arange(256) << GAMMA_BITS
    gammas = [first, first + (1 << GAMMA_BITS) - 1, first + draw.integers((0, (1 << GAMMA_BITS) - 1), 256)]
    beyond = [GAMMA_END - 2, GAMMA_END - 1, GAMMA_END, GAMMA_END + 1, 2 * GAMMA_END, 1 << 30, 1 << 31, 0, 1, 2]
    every = np.concatenate([*gammas, beyond])
    rows = [np.resize(every[start:], BINS) for start in range(0, len(every), BINS)]
    presence = [draw.magnitudes((0, 1 << 31), BINS) for _ in rows]
    return np.stack([row(gamma << 8, learned(1 << 24, p)) for gamma, p in zip(rows, presence, strict=True)])


def guard() -> Ints:
    """Mean presences around 0.99, in bins of speech, of noise and between; and at both ends."""
    limit, draw = contract.PRESENCE_LIMIT_Q31, Draw(137)
    solved = (limit - contract.PRESENCE_INNOVATION_Q31) * 1000 // 975  # p = 1 brings the mean to the limit
    before = solved - BINS // 2 + np.arange(BINS)
    rows = [row(np.full(BINS, 1 << 40), learned(1 << 24, before))]
    unsure = learned(1 << 24, np.where(np.arange(BINS) % 2 == 0, 1 << 31, limit))
    rows.append(row((np.arange(BINS, dtype=np.int64) << 14) * 8, unsure))
    rows.append(row(draw.magnitudes(POWER, BINS), learned(draw.integers(NOISE, BINS), 1 << 31)))
    return np.stack(rows)


def weighted() -> Ints:
    """Noise PSDs at NOISE_MIN and just above, ties of the mix where speech is absent for sure, both ends."""
    draw, share = Draw(138), int(tables.ABSENCE_UQ16[0]) * contract.SPP_INNOVATION_Q31 + (1 << 15) >> 16
    floor = NOISE_MIN + np.arange(BINS)
    rows = [row(np.full(BINS, power), learned(floor)) for power in (0, NOISE_MIN - 1)]
    for d in (-1, 0, 1):
        found = [with_product((1 << 31) - share, (1 << 30) + d, 31, (NOISE_MIN, POWER_MAX >> k % 24), draw)
                 for k in range(BINS)]  # fmt: skip
        rows.append(row(np.zeros(BINS, np.int64), learned(np.array([x or NOISE_MIN for x in found]))))
    return np.stack([*rows, row(np.full(BINS, POWER_MAX), learned(POWER_MAX, 1 << 31, SNR[1]))])


def half() -> Ints:
    """Speech in half of the spectrum, one bin more and one less: DC and Nyquist count once, the others twice."""
    loud, quiet = 1 << 45, 0
    rows = []
    for count in (63, 64, 65, 66):
        rows.append(row(np.where(np.arange(BINS) < count, loud, quiet), learned(1 << 24)))
        rows.append(row(np.where(np.arange(BINS) > BINS - 1 - count, loud, quiet), learned(1 << 24)))
    return np.stack(rows)


# ---------------------------------------------------------------- features


def features() -> Ints:
    """Speech; bins around NOISE_MIN; one loud bin in each band in turn; drawn powers; gains that must not matter."""
    draw = Draw(139)
    low = np.concatenate([[0, 1], NOISE_MIN + np.arange(BINS - 2) - (BINS - 2) // 2])
    rows = []
    for hop in SPEECH_HOPS[::2]:
        power, state = speech()[hop]
        rows.append(np.concatenate([power, state.noise[0], draw.integers(GAIN, BINS)]))
    for power in (low, np.where(np.arange(BINS) % 4 == 0, POWER_MAX, 0), draw.pick(corners(POWER), BINS)):
        rows.append(np.concatenate([power, draw.integers(NOISE, BINS), np.arange(BINS) % 2 * UNITY_GAIN_Q15]))
    rows += [np.concatenate([draw.magnitudes(POWER, BINS), draw.integers(NOISE, BINS), low * 0]) for _ in range(2)]
    return np.stack(rows)


def gain_features() -> Ints:
    """Both ends, sums at every residue of two, three and four bins, and around each step of the floor."""
    draw = Draw(140)
    rows = [np.full(BINS, level) for level in (0, 1, 2, 3, 4, 16383, 16384, 32767, 32768)]
    rows += [np.arange(BINS) * step % 32769 for step in (1, 3, 257)]
    return np.stack([*rows, *(draw.integers(GAIN, BINS) for _ in range(3))])


def layer_norm() -> Ints:
    """Flat, single peaks at both ends of the range and of the frame, alternating, drawn spreads, speech."""
    draw, limit = Draw(141), (1 << 22) - 1
    rows = [np.full(BANDS, level) for level in (0, 1, -9, limit, -limit)]
    rows += [np.where(np.arange(BANDS) == place, peak, 0) for place, peak in ((0, limit), (63, -limit), (31, 300))]
    rows += [np.where(np.arange(BANDS) % 2 == 0, level, -level) for level in (limit, 4096, 8)]
    rows += [draw.integers((-(1 << bits), 1 << bits), BANDS) for bits in (2, 5, 9, 13, 17, 21)]
    power, noise, gain = np.split(features()[:3], 3, axis=1)
    return np.concatenate([np.stack(rows), reference(power, noise, gain, PROFILE)])
