"""The systems of the bench: ours, the peers that ship their weights, and oracles; one file each, one signature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.contract import PROFILES
from firmware_sim.graph import Graph
from training.files import RunError
from training.handoff import is_student_of
from training.zoo.base import System
from training.zoo.deepfilternet import DeepFilterNet3
from training.zoo.device import Device
from training.zoo.dtln import Dtln
from training.zoo.float_student import FloatStudent
from training.zoo.gtcrn import Gtcrn
from training.zoo.noisy import Noisy
from training.zoo.nsnet2 import NsNet2
from training.zoo.oracle import OracleMask
from training.zoo.rnnoise import RnNoise
from training.zoo.rnnoise_2018 import RnNoise2018
from training.zoo.speex import Speex
from training.zoo.webrtc import WebRtc

__all__ = ["FLOAT_TWINS", "NAMES", "PEERS", "Spec", "System", "choose", "make"]

MODELS = {
    "base": Path("firmware_sim/model.npz"),
    "base-int8": Path("firmware_sim/model_int8.npz"),
    "compact": Path("firmware_sim/model_compact.npz"),
    "device": None,
}
"""Integer graphs; `device` is the one that the command line names."""
STUDENTS = {
    "base-float": Path("build/student.npz"),
    "compact-float": Path("build/compact/student.npz"),
    "student": None,
}
PEERS: dict[str, Callable[[], System]] = {
    kind.name: kind for kind in (Speex, WebRtc, RnNoise2018, RnNoise, Gtcrn, Dtln, NsNet2, DeepFilterNet3)
}
ORACLES = {"oracle-128": PROFILES["seed"], "oracle-256": PROFILES["default"]}
"""Analysis windows of the oracles, in samples; both have 8 ms of latency."""
NAMES = (
    "noisy", "wiener", "wiener-float", "base", "base-float", "base-int8", "compact", "compact-float", *PEERS, *ORACLES
)  # fmt: skip
FLOAT_TWINS = {
    "wiener": "wiener-float",
    "base": "base-float",
    "base-int8": "base-float",
    "compact": "compact-float",
    "device": "student",
}
"""Integer system -> the same in float."""


@dataclass(frozen=True)
class Spec:
    """A system as data, so that it travels to a worker: one of NAMES, `device` or `student`, and its file."""

    name: str
    path: Path | None = None


def make(spec: Spec) -> System:
    """The system itself.

    raises   RunError: an unknown name; HandoffError, GraphError, ContractError: its file
    """
    if spec.name == "noisy":
        return Noisy()
    if spec.name == "wiener" or spec.name in MODELS:
        return Device(spec.name, spec.path)
    if spec.name == "wiener-float" or spec.name in STUDENTS:
        return FloatStudent(spec.name, spec.path)
    if spec.name in ORACLES:
        return OracleMask(spec.name, ORACLES[spec.name])
    if spec.name not in PEERS:
        raise _unknown(spec.name)
    return PEERS[spec.name]()


def _unknown(name: str) -> RunError:
    return RunError(f"unknown system '{name}': choose among {', '.join(NAMES)}")


def _is_twin(name: str) -> bool:
    """Whether a float student is the one of every integer system that is paired with it and there."""
    models = (MODELS[integer] for integer, twin in FLOAT_TWINS.items() if twin == name and integer in MODELS)
    student = STUDENTS[name]
    return student is not None and all(
        is_student_of(student, Graph.load(model)) for model in models if model is not None and model.is_file()
    )


def choose(
    names: list[str] | None, model: Path | None = None, student: Path | None = None
) -> tuple[list[Spec], list[str]]:
    """The systems to score, and a line for each that is left out.

    names           some of NAMES; None: all, or, where a file is named, `noisy`, the Wiener stage and that file
    model, student  files of the command line: systems `device` and `student`
    raises          RunError: an unknown name
    """
    named = [Spec("student", student)] if student else []
    named += [Spec("device", model)] if model else []
    if names is None:
        names = ["noisy", "wiener", "wiener-float"] if named else list(NAMES)
    found, absent = [], []
    for name in dict.fromkeys(names):
        if name not in NAMES:
            raise _unknown(name)
        path = MODELS.get(name) or STUDENTS.get(name)
        if path is not None and not path.is_file():
            absent.append(f"{name} is left out: {path} is not there")
            continue
        if name in STUDENTS and not _is_twin(name):
            absent.append(f"{name} is left out: {path} is not the student that the shipped integers were made from")
            continue
        spec = Spec(name, path)
        reason = make(spec).available() if path is None else None
        if reason:
            absent.append(f"{name} is left out: {reason}")
        else:
            found.append(spec)
    return found + named, absent
