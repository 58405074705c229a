"""Sound files around the loop: any rate, width and channel count in, the same out. Only the door imports this.

The device runs at 16 kHz and 16 bits. A converter at its input resamples, rounds and limits as a real one
does; a converter at its output brings the samples back to the rate and the width of the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from firmware_sim.contract import SAMPLE_RATE_HZ

Samples = npt.NDArray[np.float64]
Pcm = npt.NDArray[np.int16]

BLOCK_FRAMES = 16_384
CONTAINERS = {".wav": "WAV", ".flac": "FLAC"}
_WAV_FAMILY = ("WAV", "WAVEX", "RF64")
_SUBSTITUTES = {"PCM_U8": "PCM_S8", "PCM_S8": "PCM_U8", "PCM_32": "PCM_24", "FLOAT": "PCM_24", "DOUBLE": "PCM_24"}
_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_24": 24, "PCM_32": 32}
"""Widths of the integer subtypes; the compressed ones take 16 bits."""
_STREAMED = 0xFFFF_FFFF
"""Data size that a program writes which cannot seek back to correct it."""


class AudioError(ValueError):
    """A file cannot be read or written; the message is one line that says which and why."""


# ---------------------------------------------------------------- files


class Source:
    """A sound file that is read block by block.

    raises  AudioError when it is missing, empty, truncated, not audio, or holds NaN or infinity
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise AudioError(f"{path}: no such file")
        try:
            if path.stat().st_size == 0:
                raise AudioError(f"{path}: the file is empty")
            self._file = soundfile.SoundFile(path)
        except OSError as error:
            raise AudioError(f"{path}: cannot be read: {error.strerror}") from None
        except soundfile.LibsndfileError as error:
            reason = error.error_string.strip().rstrip(".")
            raise AudioError(f"{path}: not a sound file, or a damaged one: {reason}") from None
        self.rate_hz, self.channels = int(self._file.samplerate), int(self._file.channels)
        self.frames = int(self._file.frames)
        self.container, self.subtype = str(self._file.format), str(self._file.subtype)
        self._refuse_truncated_header()
        if self.frames == 0:
            raise AudioError(f"{path}: the file holds no samples")

    def _refuse_truncated_header(self) -> None:
        """libsndfile reads a cut WAV without a word; only its log tells."""
        sizes = re.search(r"^data : (\d+) \(should be (\d+)\)", self._file.extra_info, re.MULTILINE)
        if sizes and int(sizes[1]) > int(sizes[2]) and int(sizes[1]) != _STREAMED:
            raise AudioError(
                f"{self.path}: truncated: the header promises {sizes[1]} bytes of samples, {sizes[2]} are there"
            )

    @property
    def seconds(self) -> float:
        return self.frames / self.rate_hz

    def blocks(self) -> Iterator[Samples]:
        """(frames, channels) float64, full scale = 1."""
        done = 0
        while done < self.frames:
            try:
                block = self._file.read(min(BLOCK_FRAMES, self.rate_hz), dtype="float64", always_2d=True)
            except soundfile.LibsndfileError:
                block = np.zeros((0, self.channels))
            if len(block) == 0:
                raise AudioError(f"{self.path}: truncated or damaged after {done} of {self.frames} samples")
            if not np.isfinite(block).all():
                where = done + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
                raise AudioError(f"{self.path}: sample {where} is NaN or infinite: repair the file first")
            done += len(block)
            yield block

    def close(self) -> None:
        self._file.close()

    def __str__(self) -> str:
        channels = f"{self.channels} channel{'s' if self.channels > 1 else ''}"
        return f"{self.path}: {self.seconds:.2f} s, {self.rate_hz} Hz, {channels}, {self.container} {self.subtype}"


def output_format(source: Source, path: Path) -> tuple[str, str]:
    """Container and subtype of the output: the source's subtype, or the nearest that the container takes.

    raises  AudioError when the container cannot hold the source's rate or channels
    """
    container = CONTAINERS[path.suffix.lower()]
    if container == "WAV" and source.container in _WAV_FAMILY:
        container = source.container
    if container == "FLAC" and source.channels > 8:
        raise AudioError(f"{path}: FLAC holds 8 channels, the input has {source.channels}: choose .wav")
    for subtype in (source.subtype, _SUBSTITUTES.get(source.subtype, "PCM_16"), "PCM_16"):
        if soundfile.check_format(container, subtype):
            return container, subtype
    raise AudioError(f"{path}: {container} cannot hold this signal")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`: takes its place when the block succeeds, disappears when it does not."""
    if path.is_dir():
        raise AudioError(f"{path}: is a folder")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise AudioError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


class Sink:
    """A sound file that receives exactly `frames` frames: surplus is cut, what is missing is silence."""

    def __init__(self, path: Path, source: Source, container: str, subtype: str) -> None:
        self.frames, self.channels = source.frames, source.channels
        self.limited = 0
        self._bits = 0 if subtype in ("FLOAT", "DOUBLE") else _BITS.get(subtype, 16)
        self._written = 0
        try:
            path.touch()
            self._file: Any = soundfile.SoundFile(path, "w", source.rate_hz, source.channels, subtype, format=container)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{container} cannot hold this signal: {error.error_string.strip()}") from None

    def write(self, samples: Samples) -> None:
        """(frames, channels) float64, full scale = 1; what exceeds an integer width is limited and counted."""
        samples = samples[: self.frames - self._written]
        self._written += len(samples)
        if self._bits == 0:
            self._file.write(samples)
            return
        full = 2.0 ** (self._bits - 1)
        codes = np.rint(samples * full)
        limited = np.clip(codes, -full, full - 1)
        self.limited += int((codes != limited).sum())
        self._file.write(limited.astype(np.int32) << (32 - self._bits))

    def close(self) -> None:
        """Fill up and close."""
        self.write(np.zeros((self.frames - self._written, self.channels)))
        self._file.close()


# ---------------------------------------------------------------- converters


@dataclass
class Level:
    """Level of 16-bit samples, full scale 32768."""

    square_sum: float = 0.0
    count: int = 0
    peak: int = 0

    def add(self, pcm: npt.NDArray[Any]) -> None:
        wide = pcm.astype(np.int64)
        self.square_sum += float((wide * wide).sum())
        self.count += wide.size
        self.peak = max(self.peak, int(np.abs(wide).max(initial=0)))

    def __str__(self) -> str:
        if self.peak == 0:
            return "digital silence"
        rms = 10.0 * np.log10(self.square_sum / self.count) - 20.0 * np.log10(32768.0)
        return f"{rms:.1f} dBFS RMS, peak {20.0 * np.log10(self.peak / 32768.0):.1f} dBFS"


def _resampler(from_hz: int, to_hz: int, channels: int) -> soxr.ResampleStream | None:
    if from_hz == to_hz:
        return None
    return soxr.ResampleStream(from_hz, to_hz, channels, dtype="float64", quality="VHQ")


@dataclass
class ToDevice:
    """Converter at the device's input: 16 kHz, 16 bits, limited at full scale.

    limited  samples above full scale
    """

    rate_hz: int
    channels: int
    limited: int = 0
    level: Level = field(default_factory=Level)

    def __post_init__(self) -> None:
        self._stream = _resampler(self.rate_hz, SAMPLE_RATE_HZ, self.channels)

    def push(self, samples: Samples, last: bool = False) -> Pcm:
        """(frames, channels) float64 in, (channels, n) int16 out."""
        if self._stream is not None:
            samples = self._stream.resample_chunk(samples, last=last)
        codes = np.rint(samples.T * 32768.0)
        # Exactly full scale is one LSB too much for the converter, not a fault of the file.
        self.limited += int(((codes > 32768.0) | (codes < -32768.0)).sum())
        pcm = np.clip(codes, -32768.0, 32767.0).astype(np.int16)
        self.level.add(pcm)
        return pcm


@dataclass
class FromDevice:
    """Converter at the device's output: back to the file's rate."""

    rate_hz: int
    channels: int
    level: Level = field(default_factory=Level)

    def __post_init__(self) -> None:
        self._stream = _resampler(SAMPLE_RATE_HZ, self.rate_hz, self.channels)

    def push(self, pcm: npt.NDArray[Any], last: bool = False) -> Samples:
        """(channels, n) int16 in, (frames, channels) float64 out."""
        self.level.add(pcm)
        samples = np.ascontiguousarray(pcm.T / 32768.0)
        if self._stream is None:
            return samples
        resampled: Samples = self._stream.resample_chunk(samples, last=last)
        return resampled
