"""Oracle masks: what a perfect network could reach in our own windows, given the clean speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_sim.contract import Profile
from firmware_sim.tables import analysis_window, synthesis_window
from training.zoo.base import Audio, System

_TINY = 1e-12


class OracleMask(System):
    """The phase-sensitive mask, limited to [0, 1], of every bin and frame.

    profile  windows and hop: those of a device
    source   Erdogan et al. 2015
    """

    needs_clean = True

    def __init__(self, name: str, profile: Profile) -> None:
        self.name, self._profile = name, profile
        self.latency_ms = profile.latency_ms

    def process_pair(self, noisy: Audio, clean: Audio) -> Audio:
        """See `System.process_pair`."""
        spectrum, target = (self._analyse(audio) for audio in (noisy, clean))
        mask = np.real(target * np.conj(spectrum)) / (np.abs(spectrum) ** 2 + _TINY)
        return self._synthesise(spectrum * np.clip(mask, 0.0, 1.0), len(noisy))

    def _analyse(self, audio: Audio) -> NDArray[np.complex128]:
        """Frames of whole hops, the first one after analysis - hop zeros, one frame more than hops fit."""
        size, hop = self._profile.analysis_samples, self._profile.hop_samples
        hops = -(-len(audio) // hop) + self._profile.stream_delay_samples // hop
        padded = np.pad(audio, (size - hop, hops * hop - len(audio)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
        return np.fft.rfft(frames * analysis_window(self._profile))

    def _synthesise(self, spectrum: NDArray[np.complex128], samples: int) -> Audio:
        """Overlap-add of the frames' tails; the delay of a synthesis window less a hop is taken out."""
        profile = self._profile
        hop, tail = profile.hop_samples, profile.synthesis_samples
        frames = np.fft.irfft(spectrum, profile.analysis_samples)[:, -tail:] * synthesis_window(profile)
        output = np.zeros(len(frames) * hop + tail)
        for index, frame in enumerate(frames):
            output[index * hop : index * hop + tail] += frame
        delay = profile.stream_delay_samples
        return output[delay : delay + samples].astype(np.float32)
