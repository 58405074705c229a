"""Sound files around the loop: any rate, width and channel count in, the same out. Only the door imports this.

The device runs at 16 kHz and 16 bits. A converter at its input resamples, rounds and limits as a real one
does; a converter at its output brings the samples back to the rate and the width of the file.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
_READABLE = (*_WAV_FAMILY, "FLAC")
"""Containers of which we can tell whether a file is whole. libsndfile reads more, and half files without a word."""
_SUBSTITUTES = {"PCM_U8": "PCM_S8", "PCM_S8": "PCM_U8", "PCM_32": "PCM_24", "FLOAT": "PCM_24", "DOUBLE": "PCM_24"}
_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_24": 24, "PCM_32": 32}
"""Widths of the integer subtypes; the compressed ones take 16 bits."""
_LOUDEST = 1e6  # full scales: a file of floats may hold more, and a resampler must not overflow
_STREAMED = 0xFFFF_FFFF
"""Data size of a program that cannot seek back to correct it; in RF64: the size stands in the ds64 chunk."""
_UNKNOWN_LENGTH = 1 << 62
"""libsndfile calls more frames than this when a FLAC header leaves its length open."""


class AudioError(ValueError):
    """A file cannot be read or written; the message is one line that says which and why."""


# ---------------------------------------------------------------- files


def _open_to_read(path: Path) -> int:
    """Descriptor of a regular file that is not empty: names of any bytes work, and errors are the system's own."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{path}: is a folder, not a sound file")
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{path}: is a pipe or a device: save the sound to a file first")
        if status.st_size == 0:
            raise AudioError(f"{path}: the file is empty")
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror}") from None


def _wav_data_bytes(path: Path) -> tuple[int, int]:
    """Bytes of samples that the header of a RIFF, RIFX or RF64 file promises, and bytes that follow it.

    raises  AudioError when the chunks do not lead to the samples
    """
    size_64 = None
    with path.open("rb") as file:
        order = ">" if file.read(12)[:4] == b"RIFX" else "<"
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack(f"{order}4sI", head)
            if name == b"data":
                promised = size_64 if size == _STREAMED and size_64 is not None else size
                return promised, path.stat().st_size - file.tell()
            body = file.read(16) if name == b"ds64" else b""
            if len(body) == 16:
                size_64 = int(struct.unpack("<QQ", body)[1])
            file.seek(size + size % 2 - len(body), os.SEEK_CUR)
    raise AudioError(f"{path}: damaged: its chunks do not lead to the samples")


class Source:
    """A WAV (RF64 too) or FLAC file that is read block by block.

    raises  AudioError when it is missing, empty, truncated, of another container, or holds NaN or infinity
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = soundfile.SoundFile(_open_to_read(path), closefd=True)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.strip().rstrip(".")
            raise AudioError(f"{path}: not a sound file, or a damaged one: {reason}") from None
        self.rate_hz, self.channels = int(self._file.samplerate), int(self._file.channels)
        self.frames = int(self._file.frames)
        self.container, self.subtype = str(self._file.format), str(self._file.subtype)
        self._refuse_what_is_not_whole()

    def _refuse_what_is_not_whole(self) -> None:
        """What libsndfile reads without a word: other containers, cut files, lengths that are not there."""
        if self.container not in _READABLE:
            raise AudioError(f"{self.path}: {self.container} is not read here: convert it to WAV or FLAC")
        promised, there = _wav_data_bytes(self.path) if self.container in _WAV_FAMILY else (0, 0)
        if promised > there and promised != _STREAMED:
            raise AudioError(
                f"{self.path}: truncated: the header promises {promised} bytes of samples, {there} are there"
            )
        if self.frames == 0:
            lost = f" by its header, but {there} bytes follow: write the file again" if there else ""
            raise AudioError(f"{self.path}: the file holds no samples{lost}")
        if self.frames > _UNKNOWN_LENGTH:
            raise AudioError(f"{self.path}: the header does not state the length: encode the file again")

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
                raise AudioError(f"{self.path}: truncated or damaged: its {self.frames} samples cannot all be read")
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
    """A temporary name beside `path`: takes its place when the block succeeds, disappears when it does not.

    A link is followed: what it leads to is replaced. The temporary name is short, so that every name that the
    file system takes for `path` will do.
    """
    target = Path(os.path.realpath(path))
    part = target.parent / f".stapes.{zlib.crc32(os.fsencode(target.name)):08x}.{os.getpid()}.part"
    try:
        if target.exists() and not target.is_file():
            raise AudioError(f"{path}: is {'a folder' if target.is_dir() else 'not a regular file'}")
        yield part
        os.replace(part, target)
    except OSError as error:
        raise AudioError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        # Where the file could not be made there is nothing to remove.
        with suppress(OSError):
            part.unlink()


class Sink:
    """A sound file that receives exactly `frames` frames: surplus is cut, what is missing is silence."""

    def __init__(self, path: Path, source: Source, container: str, subtype: str) -> None:
        self.frames, self.channels, self.subtype = source.frames, source.channels, subtype
        self.limited = 0
        self._bits = 0 if subtype in ("FLOAT", "DOUBLE") else _BITS.get(subtype, 16)
        self._written = 0
        try:
            # By descriptor, as in Source; libsndfile closes it.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
            self._file: Any = soundfile.SoundFile(
                descriptor, "w", source.rate_hz, source.channels, subtype, format=container, closefd=True
            )
        except soundfile.LibsndfileError as error:
            reason = error.error_string.strip().removeprefix("Error : ")
            raise AudioError(f"{source.path}: {container} cannot hold this signal: {reason}") from None

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
        samples = np.clip(samples, -_LOUDEST, _LOUDEST)
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
