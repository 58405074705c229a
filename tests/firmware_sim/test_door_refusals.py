"""Bad input at the door ends in one clear line, and leaves what was there alone."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from firmware_sim.graph import Graph
from tests import signals
from tests.firmware_sim.door_calls import WIENER, pcm_of, run


def write_truncated(name: str, container: str, **settings: str) -> None:
    soundfile.write(name, signals.mixture(5.0, 0.5), 16_000, format=container, **settings)
    whole = Path(name).read_bytes()
    Path(name).write_bytes(whole[: len(whole) // 2])


def write_with_data_size(name: str, size: int) -> None:
    """noisy.wav with another size in the header of its samples."""
    raw = bytearray(Path("noisy.wav").read_bytes())
    at = raw.index(b"data") + 4
    raw[at : at + 4] = size.to_bytes(4, "little")
    Path(name).write_bytes(raw)


def write_flac_of_unknown_length(name: str) -> None:
    soundfile.write(name, signals.mixture(5.0, 0.5), 16_000)
    raw = bytearray(Path(name).read_bytes())
    raw[21] &= 0xF0
    raw[22:26] = bytes(4)
    Path(name).write_bytes(raw)


def write_float(name: str, value: float) -> None:
    samples = np.zeros(2000)
    samples[1234] = value
    soundfile.write(name, samples, 16_000, subtype="FLOAT")


BAD_FILES: dict[str, tuple[Callable[[], object], str]] = {
    "missing.wav": (lambda: None, "no such file"),
    "empty.wav": (lambda: Path("empty.wav").touch(), "the file is empty"),
    "cut.wav": (lambda: write_truncated("cut.wav", "WAV"), "promises 16000 bytes of samples, 7978 are there"),
    "cut_big_endian.wav": (lambda: write_truncated("cut_big_endian.wav", "WAV", endian="BIG"), "truncated"),
    "cut_wavex.wav": (lambda: write_truncated("cut_wavex.wav", "WAVEX"), "truncated"),
    "cut.rf64": (lambda: write_truncated("cut.rf64", "RF64"), "promises 16000 bytes of samples, 7948 are there"),
    "cut.flac": (lambda: write_truncated("cut.flac", "FLAC"), "damaged: its 8000 samples cannot all be read"),
    "cut.w64": (lambda: write_truncated("cut.w64", "W64"), "W64 is not read here: convert it to WAV or FLAC"),
    "cut.aiff": (lambda: write_truncated("cut.aiff", "AIFF"), "AIFF is not read here"),
    "cut.au": (lambda: write_truncated("cut.au", "AU"), "AU is not read here"),
    "whole.mp3": (lambda: soundfile.write("whole.mp3", np.zeros(16_000), 16_000), "MP3 is not read here"),
    "text.mp3": (lambda: Path("text.mp3").write_text("not a sound " * 500), "not a sound file"),
    "no_header.raw": (lambda: Path("no_header.raw").write_bytes(bytes(999)), "not a sound file"),
    "zero.wav": (lambda: write_with_data_size("zero.wav", 0), "no samples by its header, but 16000 bytes follow"),
    "open.flac": (lambda: write_flac_of_unknown_length("open.flac"), "does not state the length"),
    "header.wav": (lambda: Path("header.wav").write_bytes(Path("noisy.wav").read_bytes()[:30]), "damaged"),
    "nan.wav": (lambda: write_float("nan.wav", float("nan")), "sample 1234 is NaN or infinite"),
    "inf.wav": (lambda: write_float("inf.wav", float("-inf")), "sample 1234 is NaN or infinite"),
    "text.wav": (lambda: Path("text.wav").write_text("not a sound " * 500), "not a sound file"),
    "nothing.wav": (lambda: soundfile.write("nothing.wav", np.zeros(0), 16_000), "holds no samples"),
    "folder.wav": (lambda: Path("folder.wav").mkdir(), "is a folder, not a sound file"),
    "fifo.wav": (lambda: os.mkfifo("fifo.wav"), "is a pipe or a device"),
    "noisy.wav/x.wav": (lambda: None, "cannot be read: Not a directory"),
    "x" * 300 + ".wav": (lambda: None, "File name too long"),
    "loop.wav": (lambda: os.symlink("loop.wav", "loop.wav"), "cannot be read: Too many levels of symbolic links"),
    os.fsdecode(b"\xff.wav"): (lambda: Path(os.fsdecode(b"\xff.wav")).touch(), "the file is empty"),
    "two\nlines.wav": (lambda: None, "no such file"),
}


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """Run the door, expect the exit code, one line on stderr, nothing on stdout, no new file; the line."""
    capsys.readouterr()
    before = {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}
    assert run(*arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("stapes: ")
    assert {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")} == before
    return lines[0]


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_input_is_one_line_and_leaves_an_existing_output_alone(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = BAD_FILES[name]
    make()
    Path("old.wav").write_bytes(b"what was there before")
    line = refused(capsys, 1, name, "-o", "old.wav", WIENER, "--trace", "trace.npz")
    assert name.replace("\n", "\\n").encode("utf-8", "backslashreplace").decode() in line
    assert message in line


def test_a_file_that_must_not_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is planted: root may read everything."""

    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr("firmware_sim.audio.os.open", refuse)
    line = refused(capsys, 1, "noisy.wav", "-o", "out.wav", WIENER)
    assert line == "stapes: noisy.wav: cannot be read: Permission denied"


def test_a_wav_whose_writer_could_not_seek_back_is_whole(folder: Path) -> None:
    write_with_data_size("piped.wav", 0xFFFF_FFFF)
    assert run("piped.wav", "-o", "out.wav", WIENER) == 0
    assert len(pcm_of("out.wav")[0]) == 8000


def test_rf64_stays_rf64(folder: Path) -> None:
    soundfile.write("in.rf64", signals.mixture(5.0, 0.2), 16_000, format="RF64")
    assert run("in.rf64", "-o", "out.wav", WIENER) == 0
    assert (soundfile.info("out.wav").format, soundfile.info("out.wav").frames) == ("RF64", 3200)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "no_such_folder/out.wav"], "no_such_folder/out.wav: cannot be written: No such file or directory"),
        (["-o", "taken.wav"], "taken.wav: is a folder"),
        (["-o", "noisy.wav"], "noisy.wav: is also the input"),
        (["-o", "link.wav"], "link.wav: is also the input"),
        (["-o", "out.wav", "--trace", "noisy.wav"], "noisy.wav: is also the input"),
        (["-o", "out.wav", "--trace", "no_such_folder/t.npz"], "no_such_folder/t.digests.jsonl: cannot be written"),
        (["-o", "noisy.wav/x.wav"], "noisy.wav/x.wav: cannot be written: Not a directory"),
        (["-o", "x" * 300 + ".wav"], "File name too long"),
        (["-o", "fifo.wav"], "fifo.wav: is not a regular file"),
        (["-o", "to_fifo.wav"], "to_fifo.wav: is not a regular file"),
        (["-o", "to_noisy.wav"], "to_noisy.wav: is also the input"),
        (["-o", "out.wav", "--trace", ".."], "..: is a folder"),
    ],
)
def test_outputs_that_cannot_be_written(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken.wav").mkdir()
    os.link("noisy.wav", "link.wav")
    os.mkfifo("fifo.wav")
    for name, leads_to in (("to_fifo.wav", "fifo.wav"), ("to_noisy.wav", "noisy.wav")):
        os.symlink(leads_to, name)
    assert message in refused(capsys, 1, "noisy.wav", *arguments, WIENER)


def test_a_link_as_output_is_followed(folder: Path) -> None:
    Path("there").mkdir()
    Path("there/old.wav").write_bytes(b"what was there before")
    os.symlink("there/old.wav", "old.wav")
    os.symlink("there/new.wav", "new.wav")
    for name in ("old.wav", "new.wav"):
        assert run("noisy.wav", "-o", name, WIENER) == 0
        assert Path(name).is_symlink()
        assert soundfile.info(f"there/{name}").frames == 8000
    assert sorted(os.listdir("there")) == ["new.wav", "old.wav"]


NAMES = {
    "longest": "x" * 251 + ".wav",
    "not UTF-8": os.fsdecode(b"bad\xff.wav"),
    "not ASCII": "größe.wav",
    "markup": "[bold].wav",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_every_name_that_the_file_system_takes_works(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.rename("noisy.wav", name)
    Path("out").mkdir()
    assert run(name, "-o", f"out/{name}", WIENER, "--trace", f"out/{name[:200]}.npz") == 0
    assert len(os.listdir("out")) == 3
    assert os.stat(f"out/{name}").st_size == os.stat(name).st_size
    assert name.encode("utf-8", "backslashreplace").decode() in capsys.readouterr().out


def test_flac_takes_no_nine_channels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("nine.wav", np.zeros((100, 9)), 16_000)
    assert "FLAC holds 8 channels, the input has 9" in refused(capsys, 1, "nine.wav", "-o", "out.flac", WIENER)


@pytest.mark.parametrize(
    "options",
    [
        ["--gain-floor-db", "3"],
        ["--gain-floor-db", "nan"],
        ["--gain-floor-db", "loud"],
        ["--dry-wet", "101"],
        ["--dry-wet", "nan"],
        ["--profile", "unheard-of"],
        ["--scheme", "int4"],
        ["--no-such-option"],
        ["-o", "out.mp3"],
        ["--trace", ""],
        ["--model", "nothere.npz"],
        ["--scheme", "int8"],
    ],
)
def test_wrong_usage_is_exit_code_2(options: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert options[0] in refused(capsys, 2, "noisy.wav", "-o", "out.wav", WIENER, *options)


def test_an_output_must_be_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "-o/--output" in refused(capsys, 2, "noisy.wav")


def write_models(graph: Graph) -> None:
    """Files that are no model, in several ways."""
    graph.save("good.npz")
    good = Path("good.npz").read_bytes()
    Path("empty.npz").touch()
    Path("cut.npz").write_bytes(good[: len(good) // 2])
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 4
    Path("flipped.npz").write_bytes(flipped)
    np.savez("foreign.npz", weights=np.zeros(3))
    np.savez("pickled.npz", graph=np.array([{"a": 1}], dtype=object))
    Path("text.npz").write_text("no model")


@pytest.mark.parametrize("floor", ["abc", None, [1], True, 10362.0, -1, 32769])
def test_a_model_whose_floor_is_none(floor: object, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything else about the file is right, its digest too."""
    graph = Graph.load(model)
    Graph(graph.scheme, graph.ops, graph.inputs, graph.outputs, {**graph.meta, "wiener_floor_q15": floor}).save(model)
    line = refused(capsys, 1, "noisy.wav", "-o", "out.wav", "--model", model)
    assert f"model.npz: not a Stapes graph: its wiener_floor_q15 is {floor!r}, not a whole number" in line


@pytest.mark.parametrize(
    "name", ["missing.npz", "empty.npz", "cut.npz", "flipped.npz", "foreign.npz", "pickled.npz", "text.npz"]
)
def test_a_model_that_is_none(
    name: str, folder: Path, graphs: dict[str, Graph], capsys: pytest.CaptureFixture[str]
) -> None:
    write_models(graphs["int16x8"])
    assert name in refused(capsys, 1, "noisy.wav", "-o", "out.wav", "--model", name)


def test_a_model_of_the_other_scheme(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, 1, "noisy.wav", "-o", "out.wav", "--model", model, "--scheme", "int8")
    assert "the graph is int16x8, not int8" in line
