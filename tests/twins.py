"""Float64 twins of the fixed-point stages: the yardstick, written from the papers and not from the integers.

Units follow the device: P is 1 for the integer LSB of `power`, so clamps mean the same thing in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

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


def speech_presence(gamma: Floats) -> Floats:
    """Presence of speech where its a-priori SNR is 15 dB and its prior one half."""
    xi = 10.0**1.5
    return 1.0 / (1.0 + (1.0 + xi) * np.exp(-np.minimum(gamma, 500.0) * xi / (1.0 + xi)))


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
    mean_presence = np.zeros(profile.bins)
    for t in range(init, len(power)):
        noises[t] = noise
        gamma = np.minimum(power[t] / noise, contract.GAMMA_MAX_UQ16 / 65536)
        xi = 0.98 * prior + 0.02 * np.maximum(gamma - 1.0, 0.0)
        ratio = xi / (1.0 + xi)
        prior = gamma * ratio
        gains[t] = np.maximum(np.sqrt(ratio), floor)
        if profile.noise_tracker == "spp":
            p = speech_presence(gamma)
            mean_presence = 0.975 * mean_presence + 0.025 * p
            p = np.where(mean_presence > 0.99, np.minimum(p, 0.99), p)
            vad[t] = (weight * p).sum() / n >= 0.5
            noise = np.maximum(noise + 0.03 * (1.0 - p) * (power[t] - noise), contract.NOISE_MIN)
            continue
        vad[t] = (weight * (prior - np.log1p(xi))).sum() / n >= 0.15
        if not vad[t]:
            noise = np.maximum(0.98 * noise + 0.02 * power[t], contract.NOISE_MIN)
    return gains, noises, vad


def features(power: Floats, noise: Floats, gain: Floats, profile: Profile) -> tuple[Floats, Floats]:
    """Log2 features (hops, bands); their LayerNorm, and the gain channel behind it if there is one: (hops, inputs)."""
    edges = np.cumsum([0, *profile.band_widths])

    def of_bands(values: Floats) -> Floats:
        return np.stack([values[:, a:b].mean(axis=1) for a, b in pairwise(edges)], axis=1)

    log_power = np.log2(np.maximum(power, contract.NOISE_MIN))
    if not profile.gain_channel:
        log_power += 2.0 * np.log2(np.maximum(gain, 2.0**-15))
    raw = of_bands(log_power)
    raw[:, 0] = np.log2(noise).mean(axis=1)
    centred = raw - raw.mean(axis=1, keepdims=True)
    normalised = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + contract.LAYER_NORM_EPSILON)
    normalised = np.clip(normalised, -8.0, 8.0 - 2.0**-11)
    return raw, np.hstack([normalised, 4.0 * (of_bands(gain) - 0.5)]) if profile.gain_channel else normalised


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
    raw_gain = wiener_gains(power, profile)[0]
    raw, normalised = features(power, noise, raw_gain if profile.gain_channel else gain, profile)
    return TwinResult(resynthesise(spectrum * gain, profile), vad, gain, raw, normalised)
