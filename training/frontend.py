"""The float twin of the fixed-point front end: what the device computes before and after the network.

Same equations, constants and frame grid as `firmware_sim`; powers are in units of the device's integer, so that 1.0
is one LSB. Arrays carry a leading streams axis. Frame t ends with sample hop * (t + 1) of the stream (the first
frames begin with zeros), and output hop t is the finished overlap-add of samples [hop * (t - 1), hop * t): audio
comes out one hop late.

The analysis side is numpy, because it is recursive in time and needs no gradient; the synthesis side is torch, so
that a loss on audio reaches the mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from firmware_sim.contract import (
    DECISION_DIRECTED_Q31,
    FEATURE_FRACTION_BITS,
    FEATURE_LIMIT_Q11,
    FRAME_FRACTION_BITS,
    GAMMA_MAX_UQ16,
    LAYER_NORM_EPSILON,
    NOISE_MEMORY_Q31,
    NOISE_MIN,
    POWER_SHIFT,
    VAD_THRESHOLD_Q16,
)
from training.designs import Design

_FULL_SCALE = 32768.0
_MU = NOISE_MEMORY_Q31 / 2**31
_DECISION_DIRECTED = DECISION_DIRECTED_Q31 / 2**31
_VAD_THRESHOLD = VAD_THRESHOLD_Q16 / 2**16
_GAMMA_MAX = GAMMA_MAX_UQ16 / 2**16
_POWER_SCALE = 2.0 ** (2 * FRAME_FRACTION_BITS - POWER_SHIFT)
_GAIN_MIN = 2.0**-15
_LIMIT = FEATURE_LIMIT_Q11 / 2**FEATURE_FRACTION_BITS
_GAIN_SLOPE = 4.0  # the gain channel is (G - 1/2) * 4, in [-2, 2]

_PRESENT_XI = 10**1.5  # a-priori SNR of speech where it is present, 15 dB
_PRESENCE_SLOPE = _PRESENT_XI / (1 + _PRESENT_XI)
_PRESENCE_MEMORY = 0.975
_PRESENCE_STUCK = 0.99
_SPP_MEMORY = 0.97

FloatArray = NDArray[Any]
"""float32 or float64; a result has the precision of its input."""


@dataclass(frozen=True)
class WienerOutput:
    """One Wiener pass; all (streams, frames, bins) but `vad`.

    gain     [0, 1], before the Wiener floor; 1 in the initialisation frames
    noise    noise PSD that the frame was judged with, device units; NOISE_MIN in the initialisation frames
    vad      bool (streams, frames): speech found
    """

    gain: FloatArray
    noise: FloatArray
    vad: NDArray[np.bool_]


def to_int16_grid(audio: FloatArray) -> NDArray[np.float32]:
    """The values that the device's int16 input can hold, still as float, 1.0 = full scale."""
    codes = np.clip(np.rint(audio * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
    return (codes / _FULL_SCALE).astype(np.float32)


def analyse(audio: FloatArray, design: Design) -> NDArray[Any]:
    """Spectra of a stream, scaled by 1 / FFT length like the device's.

    audio     (streams, samples), 1.0 = full scale; a rest shorter than a hop is dropped
    returns   (streams, samples // hop, bins) complex, of audio's precision
    """
    hop, length = design.hop, design.analysis
    hops = audio.shape[-1] // hop
    padded = np.zeros((len(audio), length - hop + hops * hop), audio.dtype)
    padded[:, length - hop :] = audio[:, : hops * hop]
    window = torch.from_numpy((design.analysis_window / length).astype(audio.dtype))
    spectrum = torch.empty((len(audio), hops, design.bins), dtype=window.dtype.to_complex())
    for stream, out in zip(torch.from_numpy(padded), spectrum, strict=True):  # one at a time stays in the cache
        torch.fft.rfft(stream.unfold(0, length, hop) * window, out=out)
    return spectrum.numpy()


def power(spectrum: NDArray[Any]) -> FloatArray:
    """|X|^2 in device units: 1.0 = 1 LSB of the integer power."""
    squared: FloatArray = spectrum.real**2 + spectrum.imag**2
    squared *= squared.dtype.type(_POWER_SCALE)
    return squared


class _VadGated:
    """The noise PSD follows the input while the mean log-likelihood ratio of a frame says that there is no speech.

    source   Loizou's wiener_as
    """

    def __init__(self, noise: FloatArray, design: Design) -> None:
        self.noise = noise
        self.weights = _full_spectrum_weights(design, noise.dtype)

    def follow(self, power: FloatArray, gamma: FloatArray, xi: FloatArray, amplitude: FloatArray) -> NDArray[np.bool_]:
        speech: NDArray[np.bool_] = (amplitude - np.log1p(xi)) @ self.weights >= _VAD_THRESHOLD
        followed = np.maximum(_MU * self.noise + (1 - _MU) * power, NOISE_MIN)
        self.noise = np.where(speech[:, None], self.noise, followed)
        return speech


class _PresenceWeighted:
    """The noise PSD follows each bin by how likely the bin holds no speech; it can never stand still for good.

    source   Gerkmann & Hendriks 2012
    """

    def __init__(self, noise: FloatArray, design: Design) -> None:
        self.noise = noise
        self.mean = np.zeros_like(noise)
        self.weights = _full_spectrum_weights(design, noise.dtype)

    def follow(self, power: FloatArray, gamma: FloatArray, xi: FloatArray, amplitude: FloatArray) -> NDArray[np.bool_]:
        dtype = power.dtype.type
        presence = 1 / (1 + dtype(1 + _PRESENT_XI) * np.exp(-np.minimum(gamma, dtype(64)) * dtype(_PRESENCE_SLOPE)))
        self.mean += dtype(1 - _PRESENCE_MEMORY) * (presence - self.mean)
        presence = np.where(self.mean > _PRESENCE_STUCK, np.minimum(presence, dtype(_PRESENCE_STUCK)), presence)
        speech: NDArray[np.bool_] = presence @ self.weights >= 0.5
        followed = self.noise + dtype(1 - _SPP_MEMORY) * (1 - presence) * (power - self.noise)
        self.noise = np.maximum(followed, dtype(NOISE_MIN))
        return speech


def _full_spectrum_weights(design: Design, dtype: np.dtype[Any]) -> FloatArray:
    """Means over all FFT bins from the half spectrum."""
    weights = np.full(design.bins, 2.0 / design.analysis, dtype)
    weights[[0, -1]] = 1.0 / design.analysis
    return weights


def wiener(observed: FloatArray, design: Design) -> WienerOutput:
    """Decision-directed Wiener gain with a causal noise estimate.

    observed   (streams, frames, bins) power in device units
    source     Scalart & Vieira Filho 1996; noise initialised on 120 ms that pass unchanged
    """
    dtype, first = observed.dtype.type, design.init_frames
    frames_first = np.ascontiguousarray(observed.swapaxes(0, 1))
    gain = np.ones_like(frames_first)
    noise_used = np.full_like(frames_first, NOISE_MIN)
    vad = np.zeros(frames_first.shape[:2], bool)
    learned = np.maximum(frames_first[:first].sum(axis=0) / dtype(first), dtype(NOISE_MIN))
    tracker = (_PresenceWeighted if design.tracker == "spp" else _VadGated)(learned, design)
    amplitude = np.ones_like(learned)  # A = G^2 gamma of the frame before
    for t in range(first, len(frames_first) if design.tracker != "none" else 0):
        noise_used[t] = tracker.noise
        gamma = np.minimum(frames_first[t] / tracker.noise, dtype(_GAMMA_MAX))
        xi = _DECISION_DIRECTED * amplitude + (1 - _DECISION_DIRECTED) * np.maximum(gamma - 1, 0)
        ratio = xi / (1 + xi)
        amplitude = gamma * ratio
        vad[t] = tracker.follow(frames_first[t], gamma, xi, amplitude)
        gain[t] = np.sqrt(ratio)
    return WienerOutput(gain.swapaxes(0, 1), noise_used.swapaxes(0, 1), vad.T)


def band_means(values: FloatArray, design: Design) -> FloatArray:
    """(..., bins) to (..., bands): the mean over the bins of each band."""
    if design.band_count == design.bins:
        return values
    starts = np.concatenate([[0], np.cumsum(design.widths)[:-1]])
    means: FloatArray = np.add.reduceat(values, starts, axis=-1) / design.widths.astype(values.dtype)
    return means


def features(observed: FloatArray, stage: WienerOutput, design: Design) -> FloatArray:
    """What is normalised over the frame, by band; the DC place carries the mean noise level (but for `linear`).

    observed   (streams, frames, bins) power in device units
    returns    (streams, frames, bands): log2 units, or LSB for `linear`
    """
    minimum = observed.dtype.type(NOISE_MIN)
    if design.features == "linear":
        return band_means(np.sqrt(observed), design)
    values: FloatArray = np.log2(np.maximum(observed, minimum))
    if design.features == "filtered":
        floored = np.maximum(stage.gain, observed.dtype.type(max(design.wiener_floor, _GAIN_MIN)))
        values += 2 * np.log2(floored)
    values = band_means(values, design)
    values[..., 0] = np.log2(stage.noise).mean(axis=-1)
    return values


def normalise(values: FloatArray) -> FloatArray:
    """LayerNorm without its affine part, clipped to [-8, 8)."""
    centred = values - values.mean(axis=-1, keepdims=True)
    scale = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + values.dtype.type(LAYER_NORM_EPSILON))
    normalised: FloatArray = np.clip(centred / scale, -_LIMIT, _LIMIT - 2.0**-FEATURE_FRACTION_BITS)
    return normalised


def gain_channel(gain: FloatArray, design: Design) -> FloatArray:
    """(G - 1/2) * 4 of the mean Wiener gain of each band, before the Wiener floor: in [-2, 2]."""
    channel: FloatArray = (band_means(gain, design) - gain.dtype.type(0.5)) * gain.dtype.type(_GAIN_SLOPE)
    return channel


def to_q11(normalised: FloatArray) -> NDArray[np.int16]:
    """The network's input as the device holds it: int16 q11, in [-16384, 16383]."""
    codes: NDArray[np.int16] = np.rint(normalised * 2**FEATURE_FRACTION_BITS).astype(np.int16)
    return codes


def front_end(audio: FloatArray, design: Design) -> tuple[NDArray[np.int16], FloatArray]:
    """Network input and Wiener gain of whole streams.

    audio     (streams, samples), 1.0 = full scale
    returns   x_q11 int16 (streams, frames, inputs) before the affine part of LayerNorm; Wiener gain, not floored,
              (streams, frames, bins)
    """
    observed = power(analyse(audio, design))
    stage = wiener(observed, design)
    x = normalise(features(observed, stage, design))
    if design.features == "power_and_gain":
        x = np.concatenate([x, gain_channel(stage.gain, design)], axis=-1)
    return to_q11(x), stage.gain


class OverlapAdd(torch.nn.Module):
    """Spectra to audio, hop by hop over any chunking; differentiable."""

    window: torch.Tensor

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        window = torch.tensor(design.synthesis_window * design.analysis, dtype=torch.float32)
        self.register_buffer("window", window, persistent=False)

    def forward(self, spectrum: torch.Tensor, tail: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Continue a stream.

        spectrum   complex (streams, frames, bins), scaled by 1 / FFT length
        tail       (streams, hop) overlap that the chunk before left, None at the start of a stream
        returns    audio (streams, frames * hop), one hop late; the overlap for the next chunk
        """
        hop, length = self.design.hop, self.design.synthesis
        frames = torch.fft.irfft(spectrum, n=self.design.analysis)[..., -length:] * self.window.to(spectrum.real.dtype)
        first, second = frames[..., :hop], frames[..., hop:]
        if tail is None:
            tail = torch.zeros_like(second[:, 0])
        overlap = torch.cat([tail[:, None], second[:, :-1]], dim=1)
        return (first + overlap).flatten(1), second[:, -1]


def total_gain(
    wiener_gain: torch.Tensor | None, mask: torch.Tensor, design: Design, gain_floor: float | None = None
) -> torch.Tensor:
    """max(max(G, Wiener floor) * mask, floor) per frame and bin.

    wiener_gain   (streams, frames, bins) before its floor; None: not applied
    mask          (streams, frames, bands); each bin takes the mask of its band
    gain_floor    lowest total gain, by default the design's
    """
    if design.band_count != design.bins:
        mask = mask[..., torch.from_numpy(design.band_of_bin)]
    if wiener_gain is not None and design.wiener_floor < 1:
        mask = mask * wiener_gain.clamp_min(design.wiener_floor)
    return mask.clamp_min(design.gain_floor if gain_floor is None else gain_floor)
