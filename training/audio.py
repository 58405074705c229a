"""Reading recordings as 16 kHz mono, and the level that every mixture refers to."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import soundfile
import soxr

from training.datasets import CorpusError
from training.files import write_whole

RATE_HZ = 16000
_ACTIVE_BLOCK = 320  # 20 ms
_ACTIVE_RANGE = 1e-4  # -40 dB


def read_audio(path: Path | str) -> tuple[np.ndarray, int]:
    """All channels of a file at its own rate.

    returns   float32 (samples, channels), 1.0 = full scale, and the rate in Hz; not-finite samples become 0
    raises    CorpusError: the file is absent or not audio
    """
    try:
        samples, rate_hz = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorpusError(f"cannot read {path} as audio: {reason}") from None
    return np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), int(rate_hz)


def write_audio(path: Path, samples: np.ndarray, rate_hz: int, kind: str, subtype: str = "PCM_16") -> None:
    """A file of (samples,) or (samples, channels), written whole or not at all.

    kind, subtype   as soundfile names them: WAV, FLAC; PCM_16, PCM_24
    raises          RunError: not writable
    """

    def write(temporary: Path) -> None:
        try:
            soundfile.write(str(temporary), samples, rate_hz, subtype=subtype, format=kind)
        except RuntimeError as error:  # how libsndfile tells a full disk
            raise OSError(str(error)) from None

    write_whole(path, write)


def to_16k(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Band-limited resampling to 16 kHz (soxr, high quality); float32 (samples,) in and out."""
    if rate_hz == RATE_HZ:
        return samples
    return np.asarray(soxr.resample(samples, rate_hz, RATE_HZ, quality="HQ"), dtype=np.float32)


def active_rms(samples: np.ndarray) -> float:
    """RMS over the 20 ms blocks that lie within 40 dB of the loudest one: the level of speech without pauses.

    samples   (n,) float, any scale
    returns   0.0 for silence
    """
    block = min(_ACTIVE_BLOCK, max(len(samples), 1))
    blocks = samples[: len(samples) // block * block].reshape(-1, block)
    if blocks.size == 0:
        return 0.0
    power = np.einsum("ij,ij->i", blocks, blocks, dtype=np.float64) / block
    active = power[power >= power.max() * _ACTIVE_RANGE]
    return float(np.sqrt(active.mean()))


class AudioCache:
    """Decoded recordings in memory as int16, the least recently used dropped first.

    int16 halves the memory (the built corpus: about 0.7 GB) and rounds as the device's input does, at -98
    dBFS. Of several channels the first is taken (the sum of two microphones would be a comb filter);
    another rate is resampled once, when the file is read.
    """

    def __init__(self, limit_bytes: int = 2 << 30) -> None:
        """limit_bytes: memory to use; one recording is always kept, however long"""
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._entries: OrderedDict[str, np.ndarray] = OrderedDict()

    def get(self, path: Path | str) -> np.ndarray:
        """int16 (samples,) at 16 kHz, never empty, read-only; raises CorpusError as `read_audio`."""
        key = os.fspath(path)
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key]
        channels, rate_hz = read_audio(key)
        samples = _as_int16(to_16k(np.ascontiguousarray(channels[:, 0]), rate_hz))
        if not len(samples):
            raise CorpusError(f"{key} holds no samples: remove it from the recordings")
        samples.flags.writeable = False
        self._keep(key, samples)
        return samples

    def response(self, path: Path | str, index: int) -> np.ndarray:
        """float32 (taps,) at 16 kHz, read-only: channel `index` (from 0, modulo their number) of a room file.

        raises    CorpusError: as `read_audio`; or the file has another rate
        """
        key = f"response {os.fspath(path)}"
        if key in self._entries:
            self._entries.move_to_end(key)
        else:
            channels, rate_hz = read_audio(path)
            if rate_hz != RATE_HZ or not len(channels):
                raise CorpusError(f"{path} is no room of the corpus: it must hold responses at {RATE_HZ} Hz")
            taps = np.ascontiguousarray(channels.T)
            taps.flags.writeable = False
            self._keep(key, taps)
        taps = self._entries[key]
        return np.asarray(taps[index % len(taps)])

    def _keep(self, key: str, samples: np.ndarray) -> None:
        self._entries[key] = samples
        self.held_bytes += samples.nbytes
        while self.held_bytes > self.limit_bytes and len(self._entries) > 1:
            self.held_bytes -= self._entries.popitem(last=False)[1].nbytes


def _as_int16(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
