"""Sounds that the tests of the corpus make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from training.audio import RATE_HZ


def speechlike(seconds: float, seed: int, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Bursts of noise with pauses 60 dB below; float64 (samples,)."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    envelope = np.where(np.sin(2 * np.pi * 3 * time_s) > -0.3, 0.1, 1e-4)
    return np.asarray(envelope * rng.standard_normal(len(time_s)))


def write(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), samples, rate_hz, subtype="VORBIS" if path.suffix == ".ogg" else "PCM_16")
    return path
