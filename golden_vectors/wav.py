"""Sound of the vectors: RIFF/WAVE, PCM, one channel, 16 kHz, 16 bit; 44 bytes of header and the samples, no more."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import SAMPLE_RATE_HZ

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_WIDTH = 2


def to_bytes(pcm: npt.NDArray[Any]) -> bytes:
    """int16 samples of any shape, in order, as a file."""
    data = np.ascontiguousarray(pcm, "<i2").tobytes()
    rate = SAMPLE_RATE_HZ
    head = (b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, rate, rate * _WIDTH, _WIDTH, 8 * _WIDTH)
    return _HEADER.pack(*head, b"data", len(data)) + data


def from_bytes(raw: bytes) -> npt.NDArray[np.int16]:
    """(samples,) int16 little-endian of such a file; raises ValueError for any other."""
    samples = np.frombuffer(raw[_HEADER.size :][: (len(raw) - _HEADER.size) // _WIDTH * _WIDTH], "<i2")
    if to_bytes(samples) != raw:
        samples_at = f"{len(samples)} samples of mono 16-bit PCM at {SAMPLE_RATE_HZ} Hz"
        raise ValueError(f"is not {samples_at} behind a header of {_HEADER.size} bytes")
    return samples
