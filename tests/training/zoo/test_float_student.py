"""The float twin: the student that it was given, and what the device computes, to 40 dB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import export.student
from export.quantize import quantize_all
from tests import signals
from tests.training.small import recordings, student_file
from training.designs import DEFAULT
from training.files import RunError
from training.handoff import calibration, load_student, save_student
from training.mixing import RecordingPool
from training.zoo.base import fingerprint
from training.zoo.device import Device
from training.zoo.float_student import FloatStudent


def test_the_student_is_used_and_counted(tmp_path: Path) -> None:
    student = FloatStudent("student", student_file(tmp_path / "student.npz"))
    wiener = FloatStudent("wiener-float", None)
    noisy = signals.noisy_speech(1.0) / np.float32(32768)
    assert not np.array_equal(student(noisy), wiener(noisy))
    assert student.params == sum(p.numel() for p in load_student(tmp_path / "student.npz")[0].parameters())
    assert student.mmac_per_s is not None
    assert wiener.params is None
    assert fingerprint(student) != fingerprint(wiener)


def test_the_device_computes_what_its_float_student_does(tmp_path: Path) -> None:
    path = student_file(tmp_path / "student.npz")
    student, _ = load_student(path)
    save_student(path, student, DEFAULT, calibration(RecordingPool(recordings()), DEFAULT, streams=4), {})
    quantize_all(export.student.load_student(path), ["int16x8"])["int16x8"].save(tmp_path / "model.npz")
    noisy = signals.noisy_speech(2.0)[1:3] / np.float32(32768)
    wanted, got = FloatStudent("student", path)(noisy), Device("device", tmp_path / "model.npz")(noisy)
    assert 10 * np.log10(np.square(wanted).mean() / np.square(got - wanted).mean()) >= 40


def test_an_absent_student_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no student at"):
        FloatStudent("student", tmp_path / "none.npz")
