"""Signals that several tests share: real noisy speech, and signals that look for trouble.

All int16 at 16 kHz. The recordings under tests/data are real (NOTICE says whose); every mixture is a fixed
recipe, so a failing frame can be found again.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from firmware_sim.contract import SAMPLE_RATE_HZ

Pcm = npt.NDArray[np.int16]

DATA = Path(__file__).parent / "data"
LEVEL_DBFS = -26.0
SNRS_DB = (-5.0, 0.0, 5.0, 10.0)


@cache
def recording(name: str) -> npt.NDArray[np.float64]:
    """A recording of tests/data as float64 samples, full scale = 1."""
    samples, rate = soundfile.read(DATA / name)
    assert rate == SAMPLE_RATE_HZ
    return samples


def _looped(samples: npt.NDArray[np.float64], start: int, length: int) -> npt.NDArray[np.float64]:
    return np.take(samples, np.arange(start, start + length), mode="wrap")


def to_pcm(samples: npt.NDArray[np.float64]) -> Pcm:
    """Float samples, full scale = 1, to int16."""
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)


def mixture(snr_db: float, seconds: float, start: int = 0) -> Pcm:
    """Speech in noise at an overall SNR, -26 dBFS RMS; `start` moves into both recordings (they loop)."""
    length = round(seconds * SAMPLE_RATE_HZ)
    speech, noise = (_looped(recording(f"{kind}.flac"), start, length) for kind in ("speech", "noise"))
    noise = noise * (speech.std() / noise.std() * 10.0 ** (-snr_db / 20.0))
    mixed = speech + noise
    return to_pcm(mixed * (10.0 ** (LEVEL_DBFS / 20.0) / np.sqrt(np.mean(mixed**2))))


def noisy_speech(seconds: float = 16.0) -> Pcm:
    """Four independent streams, one per SNR of SNRS_DB, (4, samples): 64 s of real noisy speech by default."""
    return np.stack([mixture(snr, seconds, start=i * 5 * SAMPLE_RATE_HZ) for i, snr in enumerate(SNRS_DB)])


def noisy_minute() -> Pcm:
    """One stream (1, 1,024,000): the four mixtures one after the other, 64 s."""
    return noisy_speech().reshape(1, -1)


def silence(samples: int) -> Pcm:
    return np.zeros(samples, np.int16)


def square(samples: int, period: int = 100) -> Pcm:
    """Full-scale square wave."""
    return np.where(np.arange(samples) % period < period // 2, 32767, -32768).astype(np.int16)


def alternating(samples: int) -> Pcm:
    """+FS, -FS, +FS, ...: everything in the Nyquist bin."""
    return square(samples, period=2)


def dc(samples: int, level: int = 32767) -> Pcm:
    return np.full(samples, level, np.int16)


def dither(samples: int) -> Pcm:
    """Random -1, 0, 1."""
    return np.random.default_rng(1).integers(-1, 2, samples).astype(np.int16)


def white(samples: int) -> Pcm:
    """White noise up to full scale."""
    return np.random.default_rng(2).integers(-32768, 32768, samples).astype(np.int16)


def level_jumps(samples: int, every: int = 4000) -> Pcm:
    """White noise that jumps by 90 dB, between one LSB and full scale, every `every` samples."""
    loud = np.arange(samples) // every % 2 == 1
    return np.where(loud, white(samples), dither(samples)).astype(np.int16)


def impulse(samples: int, at: int = 1000) -> Pcm:
    """One full-scale sample in silence."""
    pcm = silence(samples)
    pcm[at] = 32767
    return pcm


def speech_after_silence(samples: int) -> Pcm:
    """Digital silence for the first third, so that the noise PSD is learned from nothing, then speech."""
    pcm = silence(samples)
    quiet = samples // 3
    pcm[quiet:] = mixture(5.0, (samples - quiet) / SAMPLE_RATE_HZ)
    return pcm


def risen_noise(samples: int) -> Pcm:
    """A second of speech in noise, a second of digital silence, then white noise 20 dB above the noise before."""
    pcm = silence(samples)
    second = SAMPLE_RATE_HZ
    pcm[:second] = mixture(10.0, 1.0)
    quiet = pcm[:second].std() / np.sqrt(1.0 + 10.0)  # the noise's share at 10 dB
    pcm[2 * second :] = np.rint(np.random.default_rng(3).normal(0.0, 10.0 * quiet, samples - 2 * second))
    return pcm


def adversarial(samples: int = 16_000) -> dict[str, Pcm]:
    """Every signal that looks for trouble, by name, each (samples,)."""
    return {
        "digital silence": silence(samples),
        "full-scale square": square(samples),
        "rotating square": square(samples, period=32),
        "alternating full scale": alternating(samples),
        "positive DC": dc(samples),
        "negative DC": dc(samples, -32768),
        "dither of one LSB": dither(samples),
        "white noise at full scale": white(samples),
        "level jumps of 90 dB": level_jumps(samples),
        "impulse": impulse(samples),
        "speech after digital silence": speech_after_silence(samples),
    }
