"""A student that nobody trained: weights of a trained GRU's size, features that move like speech in noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from export.student import Student, expected_shapes
from firmware_sim.contract import PROFILES, Profile
from firmware_sim.fixed import Ints


def meta_of(profile: Profile) -> dict[str, Any]:
    """What a hand-off says of itself."""
    floor = profile.wiener_floor_q15
    return {"format": "stapes-student", "version": 1, "profile": profile.name, "wiener_floor_q15": floor}


META = meta_of(PROFILES["seed"])


def features_q11(rng: np.random.Generator, frames: int, bins: int = 65) -> Ints:
    """Normalised log spectra: a slow envelope over the bins, ripples, per-frame noise; int64 q11."""
    k = np.arange(bins)
    slow = np.cumsum(rng.normal(0.0, 0.15, (frames, 4)), axis=0)
    shapes = np.stack([np.cos(np.pi * (i + 1) * k / bins) for i in range(4)])
    log_spectrum = np.sin(slow) @ shapes * 2.0 + rng.normal(0.0, 0.5, (frames, bins))
    log_spectrum -= log_spectrum.mean(axis=1, keepdims=True)
    x = log_spectrum / np.sqrt(log_spectrum.var(axis=1, keepdims=True) + 2.0**-8)
    return np.clip(np.rint(x * 2048.0), -(1 << 14), (1 << 14) - 1).astype(np.int64)


def inputs_q11(rng: np.random.Generator, frames: int, profile: Profile) -> Ints:
    """Features of a profile; a gain channel that goes with them: open where the band is above the mean."""
    x_q11 = features_q11(rng, frames, profile.band_count)
    if not profile.gain_channel:
        return x_q11
    gains = np.rint(8192.0 / (1.0 + np.exp(-x_q11 / 1024.0))) - 4096.0
    return np.concatenate([x_q11, gains.astype(np.int64)], axis=1)


def synthetic_student(
    seed: int = 0, hidden: int = 128, frames: int = 240, streams: int = 3, profile: Profile = PROFILES["seed"]
) -> Student:
    """A `Student` without a file; heavy-tailed weights, as training leaves them."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in expected_shapes(profile, hidden).items():
        width = shape[-1] if len(shape) == 2 else hidden
        weights[name] = (rng.standard_t(5, shape) * 1.2 / np.sqrt(width)).astype(np.float32).astype(np.float64)
    weights["norm.weight"] = 1.0 + 0.2 * weights["norm.weight"]
    x_q11 = np.concatenate([inputs_q11(rng, frames, profile) for _ in range(streams)])
    return Student(weights, x_q11, np.arange(streams) * frames, meta_of(profile), f"{seed:064x}")


def save_student(student: Student, path: Path, **replaced: object) -> Path:
    """Write the hand-off file as training does; `replaced` overrides or (None) drops arrays."""
    arrays: dict[str, object] = {name: array.astype(np.float32) for name, array in student.weights.items()}
    arrays["calibration_x"] = student.x_q11.astype(np.int16)
    arrays["calibration_starts"] = student.starts.astype(np.int32)
    arrays["meta"] = np.array(json.dumps(dict(student.meta)))
    arrays.update(replaced)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path
