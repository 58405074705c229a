"""Measured heads from SOFA files: what each ear hears from each direction, without a room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.audio import RATE_HZ, to_16k
from training.datasets import CorpusError

EARS = ("left", "right")
_TAPS = 128  # 8 ms: what a head and its pinna do is over by then
_LONGEST = 1 << 16


@dataclass(frozen=True)
class Head:
    """Head-related impulse responses at 16 kHz.

    directions   float64 (n, 3), unit vectors in the head's frame: x in front, y to the left, z up
    responses    float32 (n, 2, 128), one for each of EARS, the difference in time between the ears kept
    """

    directions: NDArray[np.float64]
    responses: NDArray[np.float32]


def read_sofa(path: Path | str) -> Head:
    """A head of the convention SimpleFreeFieldHRIR, resampled.

    raises    CorpusError: absent, not HDF5, or not that convention
    source    AES69-2022; Gardner & Martin 1994 for the KEMAR set that libmysofa ships
    """
    import h5py  # for this one file; the other doors do without

    try:
        with h5py.File(path, "r") as file:
            position = np.asarray(file["SourcePosition"], np.float64)
            impulses = np.asarray(file["Data.IR"], np.float32)
            rate_hz = float(file["Data.SamplingRate"][0])
            convention = str(np.bytes_(file.attrs["SOFAConventions"]), "ascii")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"cannot read {path} as a SOFA file: {str(error).splitlines()[0]}") from None
    sound = impulses.ndim == 3 and impulses.shape[1] == 2 and position.shape == (len(impulses), 3)
    if convention != "SimpleFreeFieldHRIR" or not sound or not np.isfinite(impulses).all():
        raise CorpusError(f"{path} is no SOFA file of a head: {convention} of shape {impulses.shape}")
    if not (8000 <= rate_hz <= 192000 and rate_hz.is_integer() and impulses.shape[2] <= _LONGEST):
        raise CorpusError(f"{path} holds {impulses.shape[2]} samples at {rate_hz:g} Hz: not a head's response")
    azimuth, elevation = np.radians(position[:, 0]), np.radians(position[:, 1])
    level = np.cos(elevation)
    directions = np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], axis=1)
    return Head(directions, _resampled(impulses, int(rate_hz)))


def _resampled(impulses: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """(n, 2, samples) at 16 kHz, from shortly before the first sound at any ear, 128 samples long."""
    flat = impulses.reshape(-1, impulses.shape[2])
    slow = np.stack([to_16k(row, rate_hz) for row in flat]).reshape(*impulses.shape[:2], -1)
    loudest = np.abs(slow).max(axis=2, keepdims=True)
    first = int(np.argmax(np.abs(slow) > 0.1 * np.maximum(loudest, 1e-9), axis=2).min())
    kept = slow[:, :, max(first - 4, 0) :][:, :, :_TAPS]
    missing = _TAPS - kept.shape[2]
    return np.pad(kept, ((0, 0), (0, 0), (0, missing))).astype(np.float32) * np.float32(RATE_HZ / rate_hz)
