"""A loss from one short-time spectrum: waveform, loudness and intelligibility at once.

Frames of 32 ms every 16 ms, as PESQ has them: two resolutions at four times the overlap took 309 ms a chunk of 64
streams, this takes 89 ms. Both signals arrive divided by the clean stream's active level.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from firmware_sim.contract import SAMPLE_RATE_HZ

_SIZE, _HOP = 512, 256
_POWER_FLOOR = 1e-6  # -60 dB below active speech: keeps the compressed gradient finite
_SPEECH_DB = 65.0  # level that the active speech is heard at, dB SPL
_ZWICKER = 0.23  # exponent of loudness
_BARK_BANDS = 49
_THIRD_OCTAVES = 17  # from 150 Hz, as ESTOI's, and two more up to 6.4 kHz
_SEGMENT = 24  # frames: 384 ms, ESTOI's window
_SEGMENT_STEP = 4
_TINY = 1e-8


def bark_of_hz(hz: np.ndarray) -> np.ndarray:
    """Critical-band rate.  source: Traunmueller 1990"""
    return np.asarray(26.81 * hz / (1960 + hz) - 0.53)


def threshold_db(hz: np.ndarray) -> np.ndarray:
    """Hearing threshold in quiet, dB SPL.  source: Terhardt 1979"""
    khz = np.maximum(hz, 20.0) / 1000
    return np.asarray(3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4)


def band_matrix(edges_hz: np.ndarray) -> np.ndarray:
    """(bins, bands) sums of FFT bins between neighbouring edges; a bin on an edge is shared, so no band is empty."""
    step = SAMPLE_RATE_HZ / _SIZE
    low = (np.arange(_SIZE // 2 + 1) - 0.5) * step
    overlap = np.minimum(low[:, None] + step, edges_hz[1:]) - np.maximum(low[:, None], edges_hz[:-1])
    return np.asarray(np.clip(overlap, 0, None) / step, np.float32)


def _bark_edges_hz() -> np.ndarray:
    bark = np.linspace(bark_of_hz(np.array(50.0)), bark_of_hz(np.array(SAMPLE_RATE_HZ / 2)), _BARK_BANDS + 1)
    return np.asarray(1960 * (bark + 0.53) / (26.28 - bark))


def _third_octave_edges_hz() -> np.ndarray:
    return np.asarray(150.0 * 2.0 ** ((np.arange(_THIRD_OCTAVES + 1) - 0.5) / 3))


class PerceptualLoss(nn.Module):
    """Compressed spectra + SNR + loudness difference in critical bands + correlation of third-octave envelopes.

    The loudness term follows PESQ's disturbances: differences of Zwicker loudness above a masked dead zone, and once
    more weighted by how much was added instead of taken away. The correlation term follows ESTOI: envelopes over
    384 ms, each segment normalised along time, then along frequency.

    snr, loudness, intelligibility   weights of the terms beside the compressed spectra, whose weight is 1
    exponent, complex_share          of the compressed spectra
    source   Braun & Tashev 2021; Martin-Donas et al. 2018 (PMSQE); Jensen & Taal 2016 (ESTOI); ITU-T P.862
    """

    window: torch.Tensor
    bark: torch.Tensor
    quiet: torch.Tensor
    octaves: torch.Tensor

    def __init__(
        self,
        snr: float = 0.03,
        loudness: float = 1.0,
        intelligibility: float = 0.5,
        exponent: float = 0.5,
        complex_share: float = 0.5,
    ) -> None:
        super().__init__()
        self.exponent, self.complex_share = exponent, complex_share
        self.snr, self.loudness, self.intelligibility = snr, loudness, intelligibility
        window = torch.hann_window(_SIZE)
        edges = _bark_edges_hz()
        quiet_db = threshold_db(np.sqrt(np.maximum(edges[:-1], 20.0) * edges[1:]))
        tensors = {
            "window": window / window.square().sum().sqrt(),
            "bark": torch.from_numpy(band_matrix(edges)),
            "quiet": torch.from_numpy((10.0 ** ((quiet_db - _SPEECH_DB) / 10)).astype(np.float32)),
            "octaves": torch.from_numpy(band_matrix(_third_octave_edges_hz())),
        }
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, enhanced: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        from training.losses import snr_db

        spectrum, power = self._spectrum(enhanced)
        with torch.no_grad():
            target, target_power = self._spectrum(clean)
        return (
            self._compressed(spectrum, power, target, target_power)
            + self.loudness * self._disturbance(power, target_power)
            + self.intelligibility * (1 - self._correlation(power, target_power))
            - self.snr * snr_db(enhanced, clean)
        )

    def _spectrum(self, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Spectrum (streams, frames, bins), and its power; white noise of unit power has unit power in each bin."""
        spectrum = torch.fft.rfft(audio.unfold(-1, _SIZE, _HOP) * self.window)
        return spectrum, spectrum.real.square() + spectrum.imag.square()

    def _compressed(
        self, spectrum: torch.Tensor, power: torch.Tensor, target: torch.Tensor, target_power: torch.Tensor
    ) -> torch.Tensor:
        magnitude, scale = self._compress(power)
        with torch.no_grad():
            target_magnitude, target_scale = self._compress(target_power)
        real = spectrum.real * scale - target.real * target_scale
        imaginary = spectrum.imag * scale - target.imag * target_scale
        waveform = real.square().mean() + imaginary.square().mean()
        return self.complex_share * waveform + (1 - self.complex_share) * (magnitude - target_magnitude).square().mean()

    def _compress(self, power: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        root = (power + _POWER_FLOOR).sqrt()
        magnitude = root.sqrt() if self.exponent == 0.5 else root**self.exponent
        return magnitude, magnitude / root

    def _disturbance(self, power: torch.Tensor, target_power: torch.Tensor) -> torch.Tensor:
        bands, target_bands = power @ self.bark, target_power @ self.bark
        loud, target_loud = self._loudness(bands), self._loudness(target_bands)
        difference = loud - target_loud
        dead_zone = 0.25 * torch.minimum(loud, target_loud).detach()
        disturbance = torch.relu(difference.abs() - dead_zone)
        with torch.no_grad():
            ratio = ((bands + self.quiet) / (target_bands + self.quiet)) ** 1.2
            added = torch.where(ratio < 3, torch.zeros_like(ratio), ratio.clamp_max(12.0))
        symmetric = (disturbance.square().mean(-1) + _TINY).sqrt()
        return symmetric.mean() + 0.309 * (disturbance * added).mean()

    def _loudness(self, bands: torch.Tensor) -> torch.Tensor:
        """Zwicker's loudness, one at the level of active speech in a band."""
        return (self.quiet * 2) ** _ZWICKER * ((0.5 + 0.5 * bands / self.quiet) ** _ZWICKER - 1)

    def _correlation(self, power: torch.Tensor, target_power: torch.Tensor) -> torch.Tensor:
        if power.shape[1] < _SEGMENT:
            raise ValueError(f"{power.shape[1]} frames are fewer than a segment of {_SEGMENT}: use longer chunks")
        pair = [_normalised(_segments(p @ self.octaves)) for p in (power, target_power)]
        with torch.no_grad():
            level = _segments(target_power @ self.octaves).mean((2, 3))
            speech = (level > 1e-3 * level.max()).to(level.dtype)
        correlation = (pair[0] * pair[1]).sum((2, 3)) / _SEGMENT
        return (correlation * speech).sum() / speech.sum().clamp_min(1.0)


def _segments(bands: torch.Tensor) -> torch.Tensor:
    """Amplitudes (streams, segments, bands, frames) of third-octave powers (streams, frames, bands)."""
    return (bands + _POWER_FLOOR).sqrt().unfold(1, _SEGMENT, _SEGMENT_STEP)


def _normalised(segments: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit norm along time in each band, then along the bands in each frame."""
    for axis in (3, 2):
        centred = segments - segments.mean(axis, keepdim=True)
        segments = centred / (centred.square().sum(axis, keepdim=True) + _TINY).sqrt()
    return segments
