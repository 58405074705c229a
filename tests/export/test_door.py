"""python -m export: student to graph to every artefact, with one line for whatever goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export import __main__ as door
from export.provenance import sha256
from firmware_sim.graph import Graph
from tests.synthetic_student import save_student, synthetic_student

ARTEFACTS = {
    "stapes_graph.npz", "stapes.onnx", "stapes.tflite", "stapes_tflite_model.h", "stapes_tflite_model.c",
    "stapes_tables.h", "stapes_model.h", "stapes_model.c", "manifest.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_student(synthetic_student(hidden=16, frames=30), tmp_path_factory.mktemp("build") / "student.npz")


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_student_becomes_every_artefact_and_a_manifest_that_chains_their_digests(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert door.main([str(student), "--out", str(tmp_path / "a")]) == 0
    files = read(tmp_path / "a")
    assert set(files) == ARTEFACTS
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["student_sha256"] == sha256(student.read_bytes())
    assert manifest["graph_sha256"] == Graph.load(tmp_path / "a" / "stapes_graph.npz").digest
    assert manifest["files"] == {n: {"bytes": len(d), "sha256": sha256(d)} for n, d in files.items()}
    shown = capsys.readouterr().out
    assert "SNR against the float student" in shown
    assert all(name in shown for name in ARTEFACTS)


@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
def test_the_graph_file_gives_the_same_artefacts_as_its_student(student: Path, tmp_path: Path, scheme: str) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    assert door.main([str(student), "--scheme", scheme, "--out", str(first)]) == 0
    assert door.main([str(first / "stapes_graph.npz"), "--out", str(second)]) == 0
    assert read(first) == read(second)


def test_only_the_wanted_targets_are_written(student: Path, tmp_path: Path) -> None:
    assert door.main([str(student), "--to", "onnx", "--out", str(tmp_path)]) == 0
    assert set(read(tmp_path)) == {"stapes.onnx", "manifest.json"}


def test_blessing_replaces_both_default_graphs_and_the_door_then_starts_from_them(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blessed = {scheme: tmp_path / path.name for scheme, path in door.BLESSED.items()}
    monkeypatch.setattr(door, "BLESSED", blessed)
    assert door.main([str(student), "--to", "graph", "--bless", "--out", str(tmp_path / "a")]) == 0
    assert {scheme: Graph.load(path).scheme for scheme, path in blessed.items()} == {s: s for s in blessed}
    for scheme, path in blessed.items():
        assert door.main(["--scheme", scheme, "--to", "graph", "--out", str(tmp_path / scheme)]) == 0
        assert (tmp_path / scheme / "stapes_graph.npz").read_bytes() == path.read_bytes()


def test_what_goes_wrong_is_said_in_one_line_and_nothing_is_written(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "BLESSED", dict.fromkeys(door.BLESSED, tmp_path / "none" / "model.npz"))
    graph = tmp_path / "g" / "stapes_graph.npz"
    assert door.main([str(student), "--to", "graph", "--out", str(graph.parent)]) == 0
    (tmp_path / "text.npz").write_text("not a zip")
    (tmp_path / "file").write_text("in the way")
    capsys.readouterr()
    out = tmp_path / "out"
    for arguments, message in [
        ([str(tmp_path / "absent.npz")], "no such file; train a student"),
        ([str(tmp_path / "text.npz")], "not a student file"),
        ([str(tmp_path)], "cannot be read"),
        ([], "bless a student"),
        ([str(graph), "--bless"], "need a student"),
        ([str(graph), "--scheme", "int8"], "the graph is int16x8, not int8"),
        ([str(student), "--to", "graph", "--out", str(tmp_path / "file")], "cannot be written"),
    ]:
        assert door.main(["--out", str(out), *arguments]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.startswith("stapes export: ")
        assert error.count("\n") == 1
    assert not out.exists()


def test_an_interrupted_write_leaves_the_old_file(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stapes.onnx").write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("export.provenance.os.replace", fail)
    assert door.main([str(student), "--to", "onnx", "--out", str(tmp_path)]) == 1
    assert read(tmp_path) == {"stapes.onnx": b"old"}
