"""The float student as training hands it over: its file, and its network in numpy.

The network here is the yardstick of quantization; training's torch model must agree with it (tests hold the
gate order against torch.nn.GRU).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from export.provenance import ExportError, sha256
from firmware_sim.contract import FEATURE_FRACTION_BITS, FEATURE_LIMIT_Q11, PROFILES, UNITY_GAIN_Q15, Profile
from firmware_sim.fixed import Ints
from firmware_sim.reading import DamagedArchive, arrays_of, one_line

Floats: TypeAlias = npt.NDArray[np.float64]

FORMAT, VERSION = "stapes-student", 1
LAYERS = 2
_LIMIT_BYTES = 1 << 27
"""Larger files are no students."""
_LARGEST_WEIGHT = 1024.0
"""Far above what training gives, and small enough that no folded bias leaves int64."""


@dataclass(frozen=True)
class Student:
    """A trained student.

    weights  name of torch's state_dict -> float64
    x_q11    int64 (frames, inputs), calibration features before the LayerNorm's affine part
    starts   int64, first frame of each calibration stream, ascending from 0
    meta     profile, wiener_floor_q15 and provenance
    sha256   of the file
    """

    weights: Mapping[str, Floats]
    x_q11: Ints
    starts: Ints
    meta: Mapping[str, Any]
    sha256: str

    def streams(self) -> list[Ints]:
        """Calibration features per stream, (frames, inputs) each."""
        return np.split(self.x_q11, self.starts[1:])


def expected_shapes(profile: Profile, hidden: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a student's weights."""
    shapes: dict[str, tuple[int, ...]] = {"norm.weight": (profile.inputs,), "norm.bias": (profile.inputs,)}
    for layer in range(LAYERS):
        inputs = profile.inputs if layer == 0 else hidden
        shapes |= {
            f"gru.weight_ih_l{layer}": (3 * hidden, inputs),
            f"gru.weight_hh_l{layer}": (3 * hidden, hidden),
            f"gru.bias_ih_l{layer}": (3 * hidden,),
            f"gru.bias_hh_l{layer}": (3 * hidden,),
        }
    return shapes | {
        "fc1.weight": (hidden, hidden),
        "fc1.bias": (hidden,),
        "fc2.weight": (profile.band_count, hidden),
        "fc2.bias": (profile.band_count,),
    }


def load_student(path: Path) -> Student:
    """Read build/student.npz.

    raises  ExportError, one line naming the file, for anything that training would not have written
    """
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise ExportError(f"{path}: not a Stapes student: it is too large")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ExportError(f"{path}: no such file; train a student with `python -m training fit`") from None
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or 'input/output error'}") from None
    try:
        return _checked(arrays_of(raw, _LIMIT_BYTES), sha256(raw))
    except DamagedArchive:
        raise ExportError(f"{path}: not a Stapes student: damaged or another kind of file") from None
    except ExportError as error:
        raise ExportError(f"{path}: not a Stapes student: {one_line(error)}") from None


def _checked(arrays: Mapping[str, npt.NDArray[Any]], digest: str) -> Student:
    """Every array of the hand-off, with the shapes of its profile and values that can be quantized."""
    meta = _checked_meta(arrays)
    profile = PROFILES[meta["profile"]]
    recurrent = _array(arrays, "gru.weight_hh_l0")
    if recurrent.ndim != 2 or recurrent.shape[1] < 1:
        raise ExportError(f"gru.weight_hh_l0 has the shape {recurrent.shape}, not (3 * hidden, hidden)")
    shapes = expected_shapes(profile, recurrent.shape[1])
    weights = {name: _checked_weights(name, _array(arrays, name), shape) for name, shape in shapes.items()}
    x_q11, starts = (_array(arrays, f"calibration_{name}") for name in ("x", "starts"))
    if x_q11.dtype != np.int16 or x_q11.ndim != 2 or x_q11.shape[1] != profile.inputs or not len(x_q11):
        raise ExportError(f"calibration_x is not int16 (frames, {profile.inputs})")
    if (x_q11 < -FEATURE_LIMIT_Q11).any() or (x_q11 >= FEATURE_LIMIT_Q11).any():
        raise ExportError(f"calibration_x leaves [{-FEATURE_LIMIT_Q11}, {FEATURE_LIMIT_Q11})")
    whole = starts.ndim == 1 and starts.dtype.kind in "iu"
    limits = np.append(starts.astype(np.int64), len(x_q11)) if whole else np.zeros(1, np.int64)
    if limits[0] != 0 or len(limits) < 2 or (np.diff(limits) <= 0).any():
        raise ExportError("calibration_starts does not ascend from 0 within calibration_x")
    return Student(weights, x_q11.astype(np.int64), starts.astype(np.int64), meta, digest)


def _array(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> npt.NDArray[Any]:
    if name not in arrays:
        raise ExportError(f"it holds no {name}")
    return arrays[name]


def _checked_meta(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    text = str(_array(arrays, "meta"))
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError):
        raise ExportError("its meta is not JSON") from None
    if not isinstance(meta, dict) or (meta.get("format"), meta.get("version")) != (FORMAT, VERSION):
        raise ExportError(f"its meta does not say {FORMAT} version {VERSION}")
    check_origin(meta)
    return meta


def check_origin(meta: Mapping[str, Any]) -> None:
    """Whether a student's or a graph's meta names a known profile and a Wiener floor that the device takes.

    raises  ExportError, one line without the name of the file
    """
    profile, floor = meta.get("profile"), meta.get("wiener_floor_q15")
    if profile not in tuple(PROFILES):
        raise ExportError(f"its profile is {profile!r}: this program knows {', '.join(PROFILES)}")
    if type(floor) is not int or not 0 <= floor <= UNITY_GAIN_Q15:
        raise ExportError(f"its wiener_floor_q15 is {floor!r}, not a whole number in [0, {UNITY_GAIN_Q15}]")


def _checked_weights(name: str, array: npt.NDArray[Any], shape: tuple[int, ...]) -> Floats:
    if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ExportError(f"{name} is not a finite float array of shape {shape}")
    largest = float(np.abs(array).max())
    if largest > _LARGEST_WEIGHT:
        raise ExportError(f"{name} holds {largest:g}: beyond {_LARGEST_WEIGHT:g} nothing can be quantized")
    return array.astype(np.float64)


def fold_layer_norm(weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """The affine part of LayerNorm moved into the first GRU layer.

    before   y = W (g * x + b) + c
    after    y = (W * g) x + (W b + c): the same function of the normalised x, and no norm.* weights
    """
    folded = {name: array for name, array in weights.items() if not name.startswith("norm.")}
    w = weights["gru.weight_ih_l0"]
    folded["gru.weight_ih_l0"] = w * weights["norm.weight"]
    folded["gru.bias_ih_l0"] = weights["gru.bias_ih_l0"] + w @ weights["norm.bias"]
    return folded


def sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), np.float64)


class FloatNetwork:
    """The folded network in float64; its tensors carry the names of the integer graph.

    PyTorch's gates: r, z = sigmoid(...), n = tanh(W_n x + b_n + r * (U_n h + c_n)), h' = n + z * (h - n).
    """

    def __init__(self, folded: Mapping[str, Floats]):
        self.weights = folded
        self.hidden = folded["fc1.weight"].shape[1]

    def home_state(self, streams: int) -> dict[str, Floats]:
        return {f"h{i}": np.zeros((streams, self.hidden)) for i in range(LAYERS)}

    def step(self, x: Floats, state: Mapping[str, Floats]) -> dict[str, Floats]:
        """Every tensor of one step, each (streams, n)."""
        t: dict[str, Floats] = {"x": x}
        y = x
        for layer in range(LAYERS):
            y = t[f"h{layer}_next"] = self._cell(t, f"gru{layer}", layer, y, state[f"h{layer}"])
        t["fc1"] = np.maximum(y @ self.weights["fc1.weight"].T + self.weights["fc1.bias"], 0.0)
        t["fc2"] = t["fc1"] @ self.weights["fc2.weight"].T + self.weights["fc2.bias"]
        t["mask"] = sigmoid(t["fc2"])
        return t

    def _cell(self, t: dict[str, Floats], name: str, layer: int, x: Floats, h: Floats) -> Floats:
        w, rz = self.weights, 2 * self.hidden
        from_x = x @ w[f"gru.weight_ih_l{layer}"].T + w[f"gru.bias_ih_l{layer}"]
        from_h = h @ w[f"gru.weight_hh_l{layer}"].T + w[f"gru.bias_hh_l{layer}"]
        t[f"{name}_x_rz"], t[f"{name}_x_n"] = from_x[:, :rz], from_x[:, rz:]
        t[f"{name}_h_rz"], t[f"{name}_h_n"] = from_h[:, :rz], from_h[:, rz:]
        t[f"{name}_rz_in"] = from_x[:, :rz] + from_h[:, :rz]
        gates = sigmoid(t[f"{name}_rz_in"])
        t[f"{name}_r"], t[f"{name}_z"] = gates[:, : self.hidden], gates[:, self.hidden :]
        t[f"{name}_r_h_n"] = t[f"{name}_r"] * from_h[:, rz:]
        t[f"{name}_n_in"] = from_x[:, rz:] + t[f"{name}_r_h_n"]
        t[f"{name}_n"] = np.tanh(t[f"{name}_n_in"])
        return t[f"{name}_n"] + t[f"{name}_z"] * (h - t[f"{name}_n"])


def real_features(x_q11: Ints) -> Floats:
    """Normalised features as the float that the student reads."""
    return np.asarray(x_q11 * 2.0**-FEATURE_FRACTION_BITS, np.float64)


def by_step(streams: list[Ints]) -> list[tuple[Ints, npt.NDArray[np.int64]]]:
    """Streams of any lengths, step by step: features (running, inputs) and which streams still run.

    Streams are ordered longest first, so that those still running are always the first ones.
    """
    ordered = sorted(streams, key=len, reverse=True)
    lengths = np.array([len(s) for s in ordered])
    return [
        (np.stack([s[t] for s in ordered[: int((lengths > t).sum())]]), np.flatnonzero(lengths > t))
        for t in range(int(lengths[0]))
    ]
