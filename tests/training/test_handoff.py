"""The hand-off file: everything export needs, the same bytes for the same content, one line on damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.small import recordings
from training.datasets import Recording
from training.designs import DEFAULT, SEED, Design
from training.handoff import Calibration, HandoffError, calibration, digest_of, load_student, save_student
from training.mixing import RecordingPool
from training.student import Student, shape_for


@pytest.fixture(scope="module")
def features() -> Calibration:
    return calibration(RecordingPool(recordings()), DEFAULT)


@pytest.fixture
def student() -> Student:
    torch.manual_seed(1)
    return Student(shape_for(DEFAULT, 24))


def test_calibration_has_at_least_8000_frames_in_streams(features: Calibration) -> None:
    assert features.x_q11.dtype == np.int16
    assert features.x_q11.shape[0] >= 8000
    assert features.x_q11.shape[1] == 128
    assert features.starts.dtype == np.int32
    assert features.starts[0] == 0
    assert np.all(np.diff(features.starts) > 0)
    assert features.starts[-1] < len(features.x_q11)


def test_calibration_is_always_the_same(features: Calibration) -> None:
    np.testing.assert_array_equal(calibration(RecordingPool(recordings()), DEFAULT).x_q11, features.x_q11)


def test_what_is_saved_is_what_is_loaded(student: Student, features: Calibration, tmp_path: Path) -> None:
    save_student(tmp_path / "deep" / "student.npz", student, DEFAULT, features, {"seed": 3})
    loaded, meta = load_student(tmp_path / "deep" / "student.npz")
    for name, tensor in student.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert meta == {
        "format": "stapes-student",
        "version": 1,
        "profile": "default",
        "wiener_floor_q15": 32768,
        "seed": 3,
    }
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["student.npz"]


@pytest.mark.parametrize(("design", "hidden"), [(SEED, 8), (DEFAULT, 48)])
def test_a_student_of_any_size_and_profile_comes_back(
    features: Calibration, tmp_path: Path, design: Design, hidden: int
) -> None:
    student = Student(shape_for(design, hidden))
    save_student(tmp_path / "student.npz", student, design, features, {})
    loaded, meta = load_student(tmp_path / "student.npz")
    assert loaded.shape == student.shape
    assert meta["wiener_floor_q15"] == round(design.wiener_floor * 32768)


def test_the_file_holds_plain_arrays_under_torch_names(student: Student, features: Calibration, tmp_path: Path) -> None:
    save_student(tmp_path / "student.npz", student, DEFAULT, features, {})
    with np.load(tmp_path / "student.npz", allow_pickle=False) as archive:
        assert set(archive.files) == {*student.state_dict(), "calibration_x", "calibration_starts", "meta"}
        assert archive["gru.weight_ih_l0"].dtype == np.float32
        assert archive["gru.weight_ih_l0"].shape == (72, 128)
        assert archive["meta"].shape == ()
        assert archive["meta"].dtype.kind == "U"


def test_equal_content_is_equal_bytes(student: Student, features: Calibration, tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        save_student(tmp_path / name, student, DEFAULT, features, {"seed": 3})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_damaged_and_foreign_files_are_refused(student: Student, features: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "student.npz"
    with pytest.raises(HandoffError, match="train one with"):
        load_student(path)
    save_student(path, student, DEFAULT, features, {})
    whole = path.read_bytes()
    for damage in (b"", whole[:1000], b"RIFF....WAVE", b"\x80\x04garbage"):
        path.write_bytes(damage)
        with pytest.raises(HandoffError, match=r"not a Stapes student: damaged or another kind of file$"):
            load_student(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(HandoffError, match="not a Stapes student"):
        load_student(path)
    save_student(path, student, DEFAULT, features, {"profile": "else"})
    with pytest.raises(HandoffError, match="for profile else, not a stapes-student v1 for seed or default"):
        load_student(path)
    save_student(path, student, DEFAULT, features, {"version": 99})
    with pytest.raises(HandoffError, match="v99"):
        load_student(path)
    with pytest.raises(HandoffError, match="cannot be read: Is a directory"):
        load_student(tmp_path)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("fc1.bias", np.zeros(16, np.float32), r"another size: .* is \(72, 128\), here it must be \(48, 128\)"),
        ("fc1.bias", np.full(24, np.nan, np.float32), "fc1.bias holds values that are not finite floats"),
        ("fc1.bias", np.full(24, "x"), "fc1.bias holds values that are not finite floats"),
        ("fc1.bias", None, "it holds no fc1.bias"),
    ],
)
def test_a_student_with_a_wrong_array_says_which(
    student: Student, features: Calibration, tmp_path: Path, name: str, array: np.ndarray | None, message: str
) -> None:
    path = tmp_path / "student.npz"
    save_student(path, student, DEFAULT, features, {})
    with np.load(path) as archive:
        arrays = {**archive, name: array}
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(HandoffError, match=message) as caught:
        load_student(path)
    assert "\n" not in str(caught.value)


def test_the_corpus_digest_names_content_and_not_place(tmp_path: Path) -> None:
    here, there = recordings(), recordings(tmp_path)
    assert digest_of(here) == digest_of(reversed(there))
    changed = Recording(**{**vars(here[0]), "seconds": 14.0})
    assert digest_of([changed, *here[1:]]) != digest_of(here)
