"""The registry: every name makes a system of that name, and what is absent is a line."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.training.small import student_file
from training import zoo
from training.files import RunError
from training.zoo import FLOAT_TWINS, MODELS, NAMES, ORACLES, PEERS, STUDENTS, Spec, choose, make


def test_every_name_makes_a_system_of_that_name_with_a_latency() -> None:
    for name in ("noisy", "wiener", "wiener-float", *PEERS, *ORACLES):
        system = make(Spec(name))
        assert system.name == name
        assert (system.latency_ms > 0) == (name != "noisy")
    assert set(NAMES) >= {*MODELS, *STUDENTS} - {"device", "student"}
    assert {*FLOAT_TWINS, *FLOAT_TWINS.values()} <= {*NAMES, "device", "student"}


def test_only_the_systems_that_are_here_are_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(zoo.base, "find_spec", lambda _: None)
    for table in (MODELS, STUDENTS):
        for name in table:
            monkeypatch.setitem(table, name, tmp_path / "none.npz")
    monkeypatch.setitem(STUDENTS, "base-float", student_file(tmp_path / "student.npz"))
    monkeypatch.setattr("training.zoo.rnnoise_2018.shutil.which", lambda _: None)
    found, absent = choose(None)
    assert [spec.name for spec in found] == ["noisy", "wiener", "wiener-float", "base-float", *ORACLES]
    assert len(absent) == len(NAMES) - len(found)
    assert all("\n" not in line and " is left out: " in line for line in absent)


def test_a_float_student_that_the_integers_do_not_come_from_is_no_twin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    student = student_file(tmp_path / "student.npz")
    monkeypatch.setitem(STUDENTS, "base-float", student)
    found, absent = choose(["base-float"])
    assert found == []
    assert absent == [f"base-float is left out: {student} is not the student that the shipped integers were made from"]
    told = {"student_sha256": hashlib.sha256(student.read_bytes()).hexdigest()}
    monkeypatch.setattr(zoo.Graph, "load", lambda _: SimpleNamespace(meta=told))
    assert choose(["base-float"]) == ([Spec("base-float", student)], [])


def test_a_file_of_the_command_line_stands_beside_the_classical_systems(tmp_path: Path) -> None:
    model, student = tmp_path / "model.npz", tmp_path / "student.npz"
    named = [Spec("student", student), Spec("device", model)]
    assert choose(None, model, student)[0] == [Spec("noisy"), Spec("wiener"), Spec("wiener-float"), *named]
    assert choose(["noisy", "noisy"], model)[0] == [Spec("noisy"), Spec("device", model)]


@pytest.mark.parametrize("name", ["nobody", "", "device"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(RunError, match=f"unknown system '{name}': choose among noisy, wiener"):
        choose([name])
