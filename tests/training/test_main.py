"""The room's door: what the flags mean, exit codes, one line of refusal and nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

import training.datasets
import training.fit
import training.safety
from tests.signals import DATA
from tests.training.small import recordings
from training.__main__ import main
from training.safety import CaseResult


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """What stderr says, which must be one line."""
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def test_enhance_runs_the_wiener_stage_on_a_real_recording(tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    assert main(["enhance", str(DATA / "noisy.wav"), "-o", str(out), "--wiener-only"]) == 0
    assert soundfile.info(out).frames == soundfile.info(DATA / "noisy.wav").frames


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("enhance {data}/noisy.wav -o {tmp}/out.wav --student {tmp}/none.npz", "enhance: no student at"),
        ("enhance {tmp}/none.wav -o {tmp}/out.wav --wiener-only", "none.wav: no such file"),
        ("fit --corpus {tmp}", "fit: no corpus manifest at"),
        ("evaluate --corpus {tmp}", "evaluate: no corpus manifest at"),
        ("evaluate --corpus {tmp} -o {tmp}", "it is a folder"),
        ("safety --corpus {tmp}", "safety: no corpus manifest at"),
        ("safety --corpus {tmp} -o {tmp}", "it is a folder"),
        ("safety --corpus {tmp} --model {data}/noisy.wav", "safety: "),
        ("fit --corpus {tmp} --student {tmp}", "it is a folder"),
        ("fit --corpus {tmp} --minutes -1", "a budget of -1 minutes"),
        ("fit --corpus {tmp} --minutes nan", "minutes is nan: it must be a finite number"),
        ("fit --corpus {tmp} --blocks -1", "-1 blocks"),
        ("fit --corpus {tmp} --learning-rate nan", "learning_rate is nan: it must be a finite number"),
        ("fit --corpus {tmp} --resume --start-from {tmp}/best.pt", "leave out one of them"),
        ("fit --corpus {tmp} --start-from {tmp}/a.npz --student {tmp}/a.npz", "is also the input"),
        ("fit --corpus {tmp} --streams 0", "0 streams"),
        ("fit --corpus {tmp} --patience -1", "patience -1"),
        ("fit --corpus {tmp} --seed -1", "seed -1"),
        ("corpus --out {data}/noisy.wav --cache {tmp}", "is a file, not a folder"),
        ("corpus --out {tmp} --cache {data}/noisy.wav/deeper", "is a file, not a folder"),
    ],
)
def test_a_refusal_is_one_line(line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.format(data=DATA, tmp=tmp_path).split()) == 1
    assert message in refusal(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "--pairs", "0"], "--pairs: '0' is not a whole number of at least 1 (python -m training evaluate"),
        (["evaluate", "--hearing-pairs", "-1"], "--hearing-pairs: '-1' is not a whole number"),
        (["compare", "--mixtures", "some"], "--mixtures: 'some' is not a whole number"),
        (["evaluate", "--jobs", "0"], "--jobs: '0' is not a whole number of at least 1"),
        (["fit", "--threads", "-1"], "--threads: '-1' is not a whole number of at least 1"),
        (["fit", "--minutes", "long"], "--minutes: invalid float value: 'long'"),
        (["fit", "--student", ""], "--student: the name is empty"),
        (["fit", "--speech", ""], "--speech: the name is empty"),
        (["corpus", "--out", ""], "--out: the name is empty"),
        (["enhance", "bad\udcff.wav", "-o", "out.wav"], "is not UTF-8"),
        (["enhance"], "the following arguments are required: input, -o/--output"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "the following arguments are required"),
    ],
)
def test_wrong_arguments_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert message in refusal(capsys)


def test_flags_of_fit_become_its_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(training.datasets, "load_manifest", lambda *_: recordings())
    monkeypatch.setattr(training.fit, "fit", lambda rows, settings, folder, resume, *_: seen.append((settings, resume)))
    monkeypatch.setattr(training.fit, "hand_off", lambda folder, path, rows: seen.append((folder, path)))
    assert main(["fit", "--folder", str(tmp_path), "--student", str(tmp_path / "s.npz")]) == 0
    assert main(["fit", "--blocks", "7", "--loss", "seed", "--schedule", "plateau", "--seed", "5", "--resume"]) == 0
    (first, resumed), (folder, path), (second, resumed_second), _ = seen
    assert (first.minutes, first.blocks, first.loss, resumed) == (60.0, 0, "perceptual", False)
    assert (folder, path) == (tmp_path, tmp_path / "s.npz")
    assert (second.minutes, second.blocks, second.loss, second.schedule) == (0.0, 7, "seed", "plateau")
    assert (second.seed, resumed_second) == (5, True)


def test_stopping_by_hand_is_not_an_error_with_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training.datasets, "load_manifest", stop)
    assert main(["fit"]) == 130
    assert refusal(capsys) == "stapes: fit: stopped\n"


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--check"], 1)])
def test_safety_tells_a_missed_limit_and_fails_only_where_it_is_asked_to(
    flags: list[str], code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harmed = CaseResult("clean 30 dB somebody", {"pesq_wb_in": 4.4, "pesq_wb_out": 3.2})
    monkeypatch.setattr(training.datasets, "load_manifest", lambda *_: recordings())
    monkeypatch.setattr(training.safety, "measure_safety", lambda *_: [harmed])
    assert main(["safety", "-o", str(tmp_path / "safety.json"), *flags]) == code
    assert "3.2" in capsys.readouterr().out
    assert json.loads((tmp_path / "safety.json").read_text())["cases"][0]["missed"] == ["pesq_wb_out 3.2 < 4"]
