"""The only way out of this room: the float student and its calibration features as one .npz without pickle.

`build/student.npz` holds float32 arrays under torch's state_dict names, `calibration_x` int16 (frames, inputs) q11
features before the affine part, `calibration_starts` int32 (streams,) first frame of each stream, and
`meta`, a 0-d unicode array of JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
import torch
from numpy.typing import NDArray

from firmware_sim.contract import UNITY_GAIN_Q15
from firmware_sim.graph import Graph
from firmware_sim.reading import DamagedArchive, arrays_of, one_line
from training.datasets import Recording
from training.designs import DESIGNS, Design
from training.files import RunError, write_whole
from training.mixing import RecordingPool
from training.streams import BlockSettings, render_block
from training.student import Student, StudentShape

FORMAT = "stapes-student"
VERSION = 1
_LIMIT_BYTES = 1 << 27  # larger files are no students
_LARGEST_HIDDEN = 1024
_CALIBRATION_SEED = 2_000_003  # never a block of a run: those are seeded by the run's own number
_CALIBRATION_STREAMS = 16
_CALIBRATION_SECONDS = 4.0


class HandoffError(RunError):
    """A student file that is absent, foreign or damaged; the message is one line for the user."""


@dataclass(frozen=True)
class Calibration:
    """Features of consecutive frames: x_q11 int16 (frames, inputs), starts int32 (streams,) first frame of each."""

    x_q11: NDArray[np.int16]
    starts: NDArray[np.int32]


def calibration(pool: RecordingPool, design: Design, streams: int = _CALIBRATION_STREAMS) -> Calibration:
    """Features of training mixtures over the whole range of SNRs and levels: 16 streams of 4 s."""
    settings = BlockSettings(streams, _CALIBRATION_SECONDS, _CALIBRATION_SEED, design=design)
    x_q11 = render_block(pool, settings, 0).x_q11
    starts = np.arange(streams, dtype=np.int32) * np.int32(x_q11.shape[1])
    return Calibration(x_q11.reshape(-1, x_q11.shape[2]), starts)


def save_student(
    path: Path, student: Student, design: Design, features: Calibration, provenance: dict[str, Any]
) -> None:
    """Write the hand-off file, whole or not at all; equal content gives equal bytes.

    provenance   JSON-ready facts of the run: seed, corpus, epochs, loss, ...
    raises       RunError: not writable
    """
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "profile": design.name,
        "wiener_floor_q15": round(design.wiener_floor * UNITY_GAIN_Q15),
        **provenance,
    }
    arrays: dict[str, NDArray[Any]] = {
        name: tensor.detach().numpy().astype(np.float32) for name, tensor in student.state_dict().items()
    }
    arrays["calibration_x"] = features.x_q11
    arrays["calibration_starts"] = features.starts
    arrays["meta"] = np.array(json.dumps(meta, sort_keys=True))

    def write(temporary: Path) -> None:
        with ZipFile(temporary, "w") as archive:
            for name in sorted(arrays):
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, arrays[name], allow_pickle=False)
                archive.writestr(ZipInfo(f"{name}.npy"), buffer.getvalue())

    write_whole(path, write)


def digest_of(recordings: Iterable[Recording]) -> str:
    """What a corpus holds, as 16 hex digits: the same recordings in another folder give the same."""
    facts = sorted((row.split, row.kind, row.speaker, row.recording, row.path.name, row.seconds) for row in recordings)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def is_student_of(path: Path, graph: Graph) -> bool:
    """Whether an integer graph was made from this very file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == graph.meta.get("student_sha256")
    except OSError:  # whoever opens it next says why
        return False


def load_student(path: Path) -> tuple[Student, dict[str, Any]]:
    """The float student of a hand-off file, in evaluation mode, and its meta.

    raises   HandoffError: absent, damaged, or another format or profile
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise HandoffError(f"no student at {path}: train one with `python -m training fit`") from None
    except OSError as error:
        raise HandoffError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        arrays = arrays_of(raw, _LIMIT_BYTES)
        meta = dict(json.loads(str(arrays["meta"])))
    except (DamagedArchive, KeyError, TypeError, ValueError, RecursionError):
        raise HandoffError(f"{path}: not a Stapes student: damaged or another kind of file") from None
    found = tuple(meta.get(key) for key in ("format", "version"))
    if found != (FORMAT, VERSION) or meta.get("profile") not in DESIGNS:
        told = one_line(f"a {found[0]} v{found[1]} for profile {meta.get('profile')}")
        raise HandoffError(f"{path}: is {told}, not a {FORMAT} v{VERSION} for {' or '.join(DESIGNS)}")
    student = Student(_shape_of(path, arrays, DESIGNS[meta["profile"]]))
    for name, tensor in student.state_dict().items():
        _refuse_other_array(path, name, arrays.get(name), tuple(tensor.shape))
        tensor.copy_(torch.from_numpy(arrays[name].astype(np.float32)))
    return student.eval(), meta


def _shape_of(path: Path, arrays: Mapping[str, NDArray[Any]], design: Design) -> StudentShape:
    bias = arrays.get("fc1.bias")
    if bias is None or bias.ndim != 1 or not 0 < len(bias) <= _LARGEST_HIDDEN:
        raise HandoffError(f"{path}: not a Stapes student: it holds no fc1.bias of 1 to {_LARGEST_HIDDEN} values")
    return StudentShape(design.inputs, len(bias), design.band_count)


def _refuse_other_array(path: Path, name: str, array: NDArray[Any] | None, shape: tuple[int, ...]) -> None:
    if array is None:
        raise HandoffError(f"{path}: not a Stapes student: it holds no {name}")
    if array.shape != shape:
        raise HandoffError(f"{path}: a student of another size: {name} is {array.shape}, here it must be {shape}")
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise HandoffError(f"{path}: not a Stapes student: {name} holds values that are not finite floats")
