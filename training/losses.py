"""Training losses on audio: (streams, samples) enhanced and clean in, one scalar out.

Both signals arrive divided by the clean stream's active level, so that a quiet stream counts like a loud one and the
constants below are relative to speech.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

LOSSES = ("perceptual", "compressed", "seed")
_RATE_HZ = 16_000
_DISTURBANCE_MAX = 45.0
_POWER_FLOOR = 1e-6  # -60 dB below active speech: keeps the compressed gradient finite
_SNR_ACTIVE = 1e-2  # chunks whose clean power is 20 dB below active speech tell nothing about SNR
_SNR_EPSILON = 1e-3  # no reward beyond 30 dB


def _spectrum(audio: torch.Tensor, size: int, hop: int, window: torch.Tensor) -> torch.Tensor:
    """Spectra (streams, frames, bins) whose white unit-power input has unit power in each bin."""
    spectrum: torch.Tensor = torch.fft.rfft(audio.unfold(-1, size, hop) * (window / window.square().sum().sqrt()))
    return spectrum


class CompressedLoss(nn.Module):
    """Power-law compressed spectra, magnitude and complex, with a signal-to-noise term.

    Compression lifts weak parts towards their loudness, so that noise between words weighs beside errors in speech;
    the complex part and the SNR term hold the waveform. Measured in pilots of 3 minutes (validation SI-SDR, PESQ):
    exponent 0.3, shares 0.3, SNR weight 0.003: 5.4 dB, 1.326; the same with 0.01: 7.0 dB, 1.294; the defaults here:
    7.4 dB, 1.311.
    source   Ephrat et al. 2018 (compression); Braun & Tashev 2021 (complex + magnitude)
    """

    def __init__(
        self,
        sizes: tuple[int, ...] = (512, 256),
        exponent: float = 0.5,
        complex_share: float = 0.5,
        snr_weight: float = 0.02,
    ) -> None:
        super().__init__()
        self.sizes, self.exponent, self.complex_share, self.snr_weight = sizes, exponent, complex_share, snr_weight
        for size in sizes:
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)

    def _compress(self, audio: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        spectrum = _spectrum(audio, size, size // 4, self.get_buffer(f"window_{size}"))
        real, imaginary = spectrum.real, spectrum.imag
        squared = real * real + imaginary * imaginary + _POWER_FLOOR
        magnitude = squared ** (self.exponent / 2)
        scale = magnitude / squared.sqrt()
        return magnitude, real * scale, imaginary * scale

    def forward(self, enhanced: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        total = -self.snr_weight * snr_db(enhanced, clean)
        for size in self.sizes:
            magnitude, real, imaginary = self._compress(enhanced, size)
            with torch.no_grad():
                target, target_real, target_imaginary = self._compress(clean, size)
            waveform = (real - target_real).square().mean() + (imaginary - target_imaginary).square().mean()
            loudness = (magnitude - target).square().mean()
            total = total + (self.complex_share * waveform + (1 - self.complex_share) * loudness) / len(self.sizes)
        return total


def snr_db(enhanced: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Mean signal-to-error ratio in dB over the streams that hold speech, at most 30 dB each; 0 where none does."""
    clean_power = clean.square().mean(-1)
    error_power = (enhanced - clean).square().mean(-1)
    active = (clean_power > _SNR_ACTIVE).to(clean.dtype)
    ratio = 10 * torch.log10((clean_power + 1e-9) / (error_power + _SNR_EPSILON * clean_power + 1e-9))
    return (ratio * active).sum() / active.sum().clamp_min(1.0)


class SeedLoss(nn.Module):
    """Time L1 plus half the mean of magnitude L1 and log-magnitude L1 at three STFT resolutions.

    source   multi-resolution STFT loss, Yamamoto et al. 2020 (Parallel WaveGAN)
    """

    def __init__(self, sizes: tuple[int, ...] = (128, 256, 512), spectral_weight: float = 0.5) -> None:
        super().__init__()
        self.sizes, self.spectral_weight = sizes, spectral_weight
        for size in sizes:
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)

    def forward(self, enhanced: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        spectral = enhanced.new_zeros(())
        for size in self.sizes:
            window = self.get_buffer(f"window_{size}")
            magnitudes = []
            for audio in (enhanced, clean):
                spectrum = _spectrum(audio, size, size // 2, window)
                magnitudes.append((spectrum.real.square() + spectrum.imag.square() + 1e-10).sqrt())
            linear = (magnitudes[0] - magnitudes[1]).abs().mean()
            spectral = spectral + linear + (magnitudes[0].log() - magnitudes[1].log()).abs().mean()
        return (enhanced - clean).abs().mean() + self.spectral_weight * spectral / len(self.sizes)


class Disturbance(nn.Module):
    """How far the loudness of a signal is from clean, as P.862 weighs it: an estimate of 4.5 - PESQ before mapping.

    Loudness in half-Bark bands of 32 ms frames; the symmetric disturbance counts what is missing and what is too
    much, the asymmetric one counts added sound alone; short bursts outweigh an even disturbance (6-norm over 320 ms).
    Bands, thresholds and loudness come from published formulas, not from P.862's tables, and there is no time
    alignment: a direction for gradients, not a PESQ score. Speech is taken to be heard at 79 dB SPL.
    source   ITU-T P.862 (model); Martin-Donas et al. 2018 (as a training loss); Traunmueller 1990 (Bark scale);
             Terhardt 1979 (threshold in quiet); Zwicker & Fastl 1999 (loudness)
    """

    matrix: torch.Tensor
    threshold: torch.Tensor
    window: torch.Tensor

    def __init__(self, size: int = 512, bands: int = 49, level_db_spl: float = 79.0) -> None:
        super().__init__()
        self.size = size
        bark = _bark(torch.arange(size // 2 + 1) * _RATE_HZ / size)
        lowest = float(_bark(torch.tensor(60.0)))
        self.step = (float(bark[-1]) - lowest) / bands
        centre = lowest + self.step * (torch.arange(bands) + 0.5)
        matrix = (1 - (bark[:, None] - centre).abs() / self.step).clamp_min(0)
        used = matrix.sum(0) > 0.05  # a narrow band between two bins has no bin of its own
        sound_pressure = 10 ** (level_db_spl / 10) / (size / 2)
        self.register_buffer("matrix", matrix[:, used] * sound_pressure, persistent=False)
        self.register_buffer("threshold", 10 ** (_threshold_db(_hertz(centre[used])) / 10), persistent=False)
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        one_sone, quiet = torch.tensor(1e4), 10 ** (_threshold_db(torch.tensor(1000.0)) / 10)
        self.sone = 1 / float(_zwicker(one_sone, quiet))

    def _bands(self, audio: torch.Tensor) -> torch.Tensor:
        spectrum = _spectrum(audio, self.size, self.size // 2, self.window)
        return (spectrum.real.square() + spectrum.imag.square()) @ self.matrix

    def forward(self, enhanced: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            target = self._bands(clean)
            target_loudness = self.sone * _zwicker(target, self.threshold)
            frame_weight = ((target.sum(-1) + 1e5) / 1e7) ** 0.04
        power = self._bands(enhanced)
        loudness = self.sone * _zwicker(power, self.threshold)
        masked = 0.25 * torch.minimum(loudness, target_loudness)
        difference = ((loudness - target_loudness).abs() - masked).clamp_min(0)
        added = ((power.detach() + 50) / (target + 50)) ** 1.2
        added = torch.where(added < 3, torch.zeros_like(added), added.clamp_max(12))
        width = self.step * difference.shape[-1]
        symmetric = width * (difference.square().mean(-1) + 1e-6).sqrt() / frame_weight
        asymmetric = width * (difference * added).mean(-1) / frame_weight
        total: torch.Tensor = 0.1 * _over_time(symmetric) + 0.0309 * _over_time(asymmetric)
        return total.mean()


def _bark(hertz: torch.Tensor) -> torch.Tensor:
    return 26.81 * hertz / (1960 + hertz) - 0.53


def _hertz(bark: torch.Tensor) -> torch.Tensor:
    return 1960 * (bark + 0.53) / (26.28 - bark)


def _threshold_db(hertz: torch.Tensor) -> torch.Tensor:
    """Threshold in quiet, dB SPL."""
    khz = hertz / 1000
    return 3.64 * khz**-0.8 - 6.5 * torch.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4


def _zwicker(power: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Loudness of band powers up to a constant factor; 0 below the threshold."""
    return (2 * threshold) ** 0.23 * ((0.5 + 0.5 * power / threshold) ** 0.23 - 1).clamp_min(0)


def _over_time(disturbance: torch.Tensor) -> torch.Tensor:
    """(streams, frames) to (streams,): 6-norm over windows of 20 frames, 2-norm over the windows, softly below 45."""
    bounded = _DISTURBANCE_MAX * torch.tanh(disturbance / _DISTURBANCE_MAX)
    frames = min(20, bounded.shape[-1])
    windows = (bounded.clamp_min(1e-3) / 10).unfold(-1, frames, max(frames // 2, 1))
    return 10 * (windows**6).mean(-1).pow(1 / 6).square().mean(-1).sqrt()


class PerceptualLoss(nn.Module):
    """The compressed loss and the disturbance; the second moves PESQ, the first keeps the waveform."""

    def __init__(self, disturbance_weight: float = 0.15) -> None:
        super().__init__()
        self.compressed = CompressedLoss()
        self.disturbance = Disturbance()
        self.disturbance_weight = disturbance_weight

    def forward(self, enhanced: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        compressed: torch.Tensor = self.compressed(enhanced, clean)
        disturbance: torch.Tensor = self.disturbance(enhanced, clean)
        return compressed + self.disturbance_weight * disturbance


def make_loss(name: str) -> nn.Module:
    """The loss called `name`, one of LOSSES.

    raises   ValueError: unknown name
    """
    kinds: dict[str, type[nn.Module]] = {"perceptual": PerceptualLoss, "compressed": CompressedLoss, "seed": SeedLoss}
    if name in kinds:
        return kinds[name]()
    raise ValueError(f"unknown loss '{name}': choose one of {', '.join(LOSSES)}")
