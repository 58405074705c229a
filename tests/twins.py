"""Float64 twins of the fixed-point stages: the yardstick, written from the papers and not from the integers.

Units follow the device: P is 1 for the integer LSB of `power`, so clamps mean the same thing in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_sim import contract, tables
from firmware_sim.contract import Profile

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TwinResult:
    """Float results of a stream: pcm (samples,) in int16 units, not rounded; per hop: vad, gain, features."""

    pcm: Floats
    vad: npt.NDArray[np.bool_]
    gain: Floats
    features: Floats
    normalised: Floats


def spectra(pcm: npt.NDArray[np.int16], profile: Profile) -> Floats:
    """Complex spectra (hops, bins) of a stream, scale 1/N, full scale = 1."""
    n, hop = profile.analysis_samples, profile.hop_samples
    padded = np.concatenate([np.zeros(n - hop), pcm.astype(np.float64) / 32768.0])
    frames = np.lib.stride_tricks.sliding_window_view(padded, n)[::hop]
    return np.fft.rfft(frames * tables.analysis_window(profile)) / n


def wiener_gains(power: Floats, profile: Profile, floor: float = 0.0) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Causal wiener_as over (hops, bins) powers: gains, noise PSD used for each hop, VAD decisions."""
    n, init = profile.analysis_samples, profile.noise_init_hops
    weight = np.full(profile.bins, 2.0)
    weight[[0, -1]] = 1.0
    gains, noises = np.ones_like(power), np.full_like(power, contract.NOISE_MIN)
    vad = np.zeros(len(power), bool)
    if len(power) <= init:
        return gains, noises, vad
    noise, prior = np.maximum(power[:init].mean(axis=0), contract.NOISE_MIN), np.ones(profile.bins)
    for t in range(init, len(power)):
        noises[t] = noise
        gamma = np.minimum(power[t] / noise, contract.GAMMA_MAX_UQ16 / 65536)
        xi = 0.98 * prior + 0.02 * np.maximum(gamma - 1.0, 0.0)
        ratio = xi / (1.0 + xi)
        prior = gamma * ratio
        vad[t] = (weight * (prior - np.log1p(xi))).sum() / n >= 0.15
        if not vad[t]:
            noise = np.maximum(0.98 * noise + 0.02 * power[t], contract.NOISE_MIN)
        gains[t] = np.maximum(np.sqrt(ratio), floor)
    return gains, noises, vad


def features(power: Floats, noise: Floats, gain: Floats) -> tuple[Floats, Floats]:
    """Log2 features and their LayerNorm, both (hops, bins)."""
    raw = np.log2(np.maximum(power, contract.NOISE_MIN)) + 2.0 * np.log2(np.maximum(gain, 2.0**-15))
    raw[:, 0] = np.log2(noise).mean(axis=1)
    centred = raw - raw.mean(axis=1, keepdims=True)
    normalised = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + contract.LAYER_NORM_EPSILON)
    return raw, np.clip(normalised, -8.0, 8.0 - 2.0**-11)


def resynthesise(spectrum: Floats, profile: Profile) -> Floats:
    """Overlap-add of (hops, bins) spectra: int16 units, delayed like the device's stream."""
    n, hop, m = profile.analysis_samples, profile.hop_samples, profile.synthesis_samples
    tails = (np.fft.irfft(spectrum * n, n)[:, -m:]) * tables.synthesis_window(profile)
    out = np.zeros((len(tails) + 1) * hop)
    for t, tail in enumerate(tails):
        out[t * hop : t * hop + m] += tail
    return out[: len(tails) * hop] * 32768.0


def wiener_only(pcm: npt.NDArray[np.int16], profile: Profile, floor: float = 0.0) -> TwinResult:
    """The Wiener stage alone over a whole stream (samples,), a whole number of hops."""
    spectrum = spectra(pcm, profile)
    power = np.abs(spectrum) ** 2 * 2.0 ** (2 * contract.FRAME_FRACTION_BITS - contract.POWER_SHIFT)
    gain, noise, vad = wiener_gains(power, profile, floor)
    raw, normalised = features(power, noise, gain)
    return TwinResult(resynthesise(spectrum * gain, profile), vad, gain, raw, normalised)
