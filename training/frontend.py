"""The float twin of the fixed-point front end: what the device computes before and after the network.

Same equations, constants and frame grid as `firmware_sim`; powers are in units of the device's integer, so that 1.0
is one LSB. Arrays carry a leading streams axis. Frame t covers samples [64 t - 64, 64 t + 64) of the stream (the
first frame begins with a hop of zeros), and output hop t is the finished overlap-add of samples [64 t - 64, 64 t):
audio comes out one hop late.

The analysis side is numpy, because it is recursive in time and needs no gradient; the synthesis side is torch, so
that a loss on audio reaches the mask.

Agreement with the fixed-point stages, measured on 64 s of real noisy speech at -40 to -18 dBFS: network inputs differ
by at most 5 LSB (q11) and by at most 1 LSB in 99.9 % of values, Wiener gains by at most 12 LSB (q15) and by 2 LSB in
99.9 %, all VAD decisions are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from firmware_sim.contract import (
    DECISION_DIRECTED_Q31,
    DEFAULT_PROFILE,
    FEATURE_FRACTION_BITS,
    FEATURE_LIMIT_Q11,
    FRAME_FRACTION_BITS,
    GAIN_FLOOR_Q15,
    GAMMA_MAX_UQ16,
    LAYER_NORM_EPSILON,
    NOISE_MEMORY_Q31,
    NOISE_MIN,
    POWER_SHIFT,
    PROFILES,
    VAD_THRESHOLD_Q16,
    WIENER_FLOOR_Q15,
)

PROFILE = PROFILES[DEFAULT_PROFILE]
HOP = PROFILE.hop_samples
FRAME = PROFILE.analysis_samples
BINS = PROFILE.bins
INIT_FRAMES = PROFILE.noise_init_hops
WIENER_FLOOR = WIENER_FLOOR_Q15 / 2**15
GAIN_FLOOR = GAIN_FLOOR_Q15 / 2**15

_FULL_SCALE = 32768.0
_MU = NOISE_MEMORY_Q31 / 2**31
_DECISION_DIRECTED = DECISION_DIRECTED_Q31 / 2**31
_VAD_THRESHOLD = VAD_THRESHOLD_Q16 / 2**16
_GAMMA_MAX = GAMMA_MAX_UQ16 / 2**16
_POWER_SCALE = 2.0 ** (2 * FRAME_FRACTION_BITS - POWER_SHIFT)
_GAIN_MIN = 2.0**-15
_WINDOW = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME))

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


def analyse(audio: FloatArray) -> NDArray[Any]:
    """Spectra of a stream, scaled by 1 / FFT length like the device's.

    audio     (streams, samples), 1.0 = full scale; a rest shorter than a hop is dropped
    returns   (streams, samples // 64, 65) complex, of audio's precision
    """
    hops = audio.shape[-1] // HOP
    padded = np.zeros((len(audio), FRAME - HOP + hops * HOP), audio.dtype)
    padded[:, FRAME - HOP :] = audio[:, : hops * HOP]
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME, axis=-1)[:, ::HOP]
    spectrum = np.fft.rfft(frames * (_WINDOW / FRAME).astype(audio.dtype))
    return spectrum.astype(np.result_type(audio.dtype, np.complex64), copy=False)


def power(spectrum: NDArray[Any]) -> FloatArray:
    """|X|^2 in device units: 1.0 = 1 LSB of the integer power."""
    squared: FloatArray = spectrum.real**2 + spectrum.imag**2
    squared *= squared.dtype.type(_POWER_SCALE)
    return squared


def wiener(observed: FloatArray) -> WienerOutput:
    """Decision-directed Wiener gain with a causal noise estimate.

    observed   (streams, frames, bins) power in device units
    source     Scalart & Vieira Filho 1996; Loizou's wiener_as; noise initialised on 30 frames that pass unchanged
    """
    dtype = observed.dtype
    frames_first = np.ascontiguousarray(observed.swapaxes(0, 1))
    gain = np.ones_like(frames_first)
    noise_used = np.full_like(frames_first, NOISE_MIN)
    vad = np.zeros(frames_first.shape[:2], bool)
    weights = np.full(BINS, 2.0 / FRAME, dtype)
    weights[[0, -1]] = 1.0 / FRAME
    noise = np.maximum(frames_first[:INIT_FRAMES].sum(axis=0) / dtype.type(INIT_FRAMES), dtype.type(NOISE_MIN))
    amplitude = np.ones_like(noise)  # A = G^2 gamma of the frame before
    for t in range(INIT_FRAMES, len(frames_first)):
        noise_used[t] = noise
        gamma = np.minimum(frames_first[t] / noise, dtype.type(_GAMMA_MAX))
        xi = _DECISION_DIRECTED * amplitude + (1 - _DECISION_DIRECTED) * np.maximum(gamma - 1, 0)
        ratio = xi / (1 + xi)
        amplitude = gamma * ratio
        vad[t] = (amplitude - np.log1p(xi)) @ weights >= _VAD_THRESHOLD
        followed = np.maximum(_MU * noise + (1 - _MU) * frames_first[t], NOISE_MIN)
        noise = np.where(vad[t][:, None], noise, followed)
        gain[t] = np.sqrt(ratio)
    return WienerOutput(gain.swapaxes(0, 1), noise_used.swapaxes(0, 1), vad.T)


def features(observed: FloatArray, gain: FloatArray, noise: FloatArray) -> FloatArray:
    """Log-power after the Wiener gain per bin; the DC place carries the mean noise level.

    observed, noise   (streams, frames, bins) power in device units
    gain              Wiener gain with its floor applied
    returns           (streams, frames, bins), log2 units
    """
    minimum = observed.dtype.type(NOISE_MIN)
    values: FloatArray = np.log2(np.maximum(observed, minimum))
    values += 2 * np.log2(np.maximum(gain, observed.dtype.type(_GAIN_MIN)))
    values[..., 0] = np.log2(noise).mean(axis=-1)
    return values


def normalise(values: FloatArray) -> FloatArray:
    """LayerNorm without its affine part, clipped to [-8, 8)."""
    centred = values - values.mean(axis=-1, keepdims=True)
    scale = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + values.dtype.type(LAYER_NORM_EPSILON))
    limit = FEATURE_LIMIT_Q11 / 2**FEATURE_FRACTION_BITS
    normalised: FloatArray = np.clip(centred / scale, -limit, limit - 2.0**-FEATURE_FRACTION_BITS)
    return normalised


def to_q11(normalised: FloatArray) -> NDArray[np.int16]:
    """The network's input as the device holds it: int16 q11, in [-16384, 16383]."""
    codes: NDArray[np.int16] = np.rint(normalised * 2**FEATURE_FRACTION_BITS).astype(np.int16)
    return codes


def front_end(audio: FloatArray, wiener_floor: float = WIENER_FLOOR) -> tuple[NDArray[np.int16], FloatArray]:
    """Network input and Wiener gain of whole streams.

    audio     (streams, samples), 1.0 = full scale
    returns   x_q11 int16 (streams, frames, bins) before LayerNorm's affine part; gain with its floor, same shape
    """
    observed = power(analyse(audio))
    stage = wiener(observed)
    gain = np.maximum(stage.gain, observed.dtype.type(wiener_floor))
    return to_q11(normalise(features(observed, gain, stage.noise))), gain


class OverlapAdd(torch.nn.Module):
    """Spectra to audio, hop by hop over any chunking; differentiable."""

    window: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.tensor(_WINDOW * FRAME, dtype=torch.float32), persistent=False)

    def forward(self, spectrum: torch.Tensor, tail: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Continue a stream.

        spectrum   complex (streams, frames, bins), scaled by 1 / FFT length
        tail       (streams, 64) overlap that the chunk before left, None at the start of a stream
        returns    audio (streams, frames * 64), one hop late; the overlap for the next chunk
        """
        frames = torch.fft.irfft(spectrum, n=FRAME) * self.window.to(spectrum.real.dtype)
        first, second = frames[..., :HOP], frames[..., HOP:]
        if tail is None:
            tail = torch.zeros_like(second[:, 0])
        overlap = torch.cat([tail[:, None], second[:, :-1]], dim=1)
        return (first + overlap).flatten(1), second[:, -1]


def total_gain(wiener_gain: torch.Tensor, mask: torch.Tensor, gain_floor: float = GAIN_FLOOR) -> torch.Tensor:
    """max(G * mask, floor) per frame and bin."""
    return (wiener_gain * mask).clamp_min(gain_floor)
