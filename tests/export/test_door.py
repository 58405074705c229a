"""python -m export: student to graph to every artefact, with one line for whatever goes wrong."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from export import __main__ as door
from export.provenance import ExportError, sha256, write_all
from firmware_sim.graph import Graph
from tests.synthetic_student import save_student, synthetic_student

ARTEFACTS = {
    "stapes_graph.npz", "stapes.onnx", "stapes.tflite", "stapes_tflite_model.h", "stapes_tflite_model.c",
    "stapes_tables.h", "stapes_model.h", "stapes_model.c", "manifest.json",
    "stapes_ranges.txt", "stapes_ranges.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_student(synthetic_student(hidden=16, frames=30), tmp_path_factory.mktemp("build") / "student.npz")


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """What stderr says, which must be one line."""
    text = capsys.readouterr().err
    assert text.startswith("stapes export: ")
    assert text.count("\n") == 1
    return text


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
        ([str(tmp_path / "text.npz")], "not a Stapes student: damaged or another kind of file"),
        ([str(tmp_path)], "cannot be read"),
        ([], "bless a student"),
        ([str(graph), "--bless"], "need a student"),
        ([str(graph), "--scheme", "int8"], "the graph is int16x8, not int8"),
        ([str(student), "--to", "graph", "--out", str(tmp_path / "file")], "cannot be written"),
    ]:
        assert door.main(["--out", str(out), *arguments]) == 1
        assert message in refusal(capsys)
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


@pytest.mark.parametrize("name", ["stapes_model.h", "manifest.json"])
def test_one_file_that_cannot_be_written_leaves_the_whole_old_set(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / "stapes_tables.h").write_bytes(b"old")
    assert door.main([str(student), "--to", "c", "--out", str(tmp_path)]) == 1
    assert f"{name}: cannot be written: a folder is in its place" in refusal(capsys)
    assert {path.name for path in tmp_path.iterdir()} == {name, "stapes_tables.h"}
    assert (tmp_path / "stapes_tables.h").read_bytes() == b"old"


def test_a_full_disk_at_the_last_file_leaves_the_whole_old_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {tmp_path / name: b"new" for name in ("a", "b", "c")}
    for path in files:
        path.write_bytes(b"old")
    write = Path.write_bytes

    def write_until_full(self: Path, data: bytes) -> int:
        if ".c." in self.name:
            write(self, data[:1])
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_until_full)
    with pytest.raises(ExportError, match="c: cannot be written: No space left"):
        write_all(files)
    assert read(tmp_path) == {"a": b"old", "b": b"old", "c": b"old"}


def test_a_failed_export_blesses_nothing(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "BLESSED", {s: tmp_path / p.name for s, p in door.BLESSED.items()})
    (tmp_path / "out" / "manifest.json").mkdir(parents=True)
    assert door.main([str(student), "--to", "graph", "--bless", "--out", str(tmp_path / "out")]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_artefact_does_not_replace_the_student_it_is_made_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save_student(synthetic_student(hidden=8, frames=10), tmp_path / "stapes_graph.npz")
    before = path.read_bytes()
    assert door.main([str(path), "--to", "graph", "--out", str(tmp_path)]) == 1
    assert "is also the source" in refusal(capsys)
    assert read(tmp_path) == {path.name: before}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", ""], "the name of the folder is empty"),
        (["--out", "bad\udcff"], "is not UTF-8"),
        (["--to", "rust"], "invalid choice: 'rust'"),
        (["--volume"], "unrecognized arguments: --volume"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        door.main(arguments)
    assert caught.value.code == 2
    assert message in refusal(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_of_an_unknown_profile_is_refused(
    graphs: dict[str, Graph], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = graphs["int16x8"]
    changed = Graph(whole.scheme, whole.ops, whole.inputs, whole.outputs, {**whole.meta, "profile": "x"})
    changed.save(tmp_path / "graph.npz")
    assert door.main([str(tmp_path / "graph.npz"), "--out", str(tmp_path / "out")]) == 1
    assert "graph.npz: cannot be exported: its profile is 'x'" in refusal(capsys)
    assert not (tmp_path / "out").exists()


def test_garbage_is_named_without_numpys_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = save_student(synthetic_student(hidden=8, frames=10), tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "garbage.npz"
    pickled = io.BytesIO()
    np.savez(pickled, a=np.array([{}], dtype=object))
    crooked = whole.replace(b"PK\x01\x02", b"PK\x01\x03")
    for garbage in (b"", b"RIFF....WAVE", b"\x80\x04garbage", whole[:3000], crooked, pickled.getvalue()):
        path.write_bytes(garbage)
        assert door.main([str(path), "--out", str(tmp_path / "out")]) == 1
        assert refusal(capsys) == f"stapes export: {path}: not a Stapes student: damaged or another kind of file\n"


def test_the_manifest_keeps_what_an_export_of_the_same_graph_left(tmp_path: Path) -> None:
    def listed() -> set[str]:
        return set(json.loads((tmp_path / "manifest.json").read_text())["files"])

    assert door.main(["--to", "c", "--out", str(tmp_path)]) == 0
    assert door.main(["--to", "ranges", "--out", str(tmp_path)]) == 0
    assert {"stapes_model.c", "stapes_ranges.json"} <= listed()
    (tmp_path / "stapes_model.c").write_text("edited")
    assert door.main(["--to", "ranges", "--out", str(tmp_path)]) == 0
    assert "stapes_model.h" in listed()
    assert "stapes_model.c" not in listed()
    assert door.main(["--scheme", "int8", "--to", "ranges", "--out", str(tmp_path)]) == 0
    assert listed() == {"stapes_ranges.txt", "stapes_ranges.json"}
