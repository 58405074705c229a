"""Evaluation: delays are taken out, the same audio goes everywhere, means are means."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import export.student
from export.quantize import quantize_all
from firmware_sim.contract import ContractError
from firmware_sim.graph import Graph
from tests import signals
from tests.training.small import recordings
from training.evaluate import Score, SystemChoice, evaluate, make_system, print_table, summarise, write_evaluation
from training.files import RunError
from training.handoff import Calibration, HandoffError, calibration, save_student
from training.mixing import RecordingPool
from training.student import Student

NOBODY = SystemChoice(student=None, models={})


def scored(system: str, snr: float, pesq: float, sdr: float) -> Score:
    return Score(system, f"{snr}", snr, pesq, 0.5, 0.25, sdr)


def test_two_systems_on_one_pair_at_five_snrs() -> None:
    scores = evaluate(recordings(), NOBODY, pairs=1, jobs=1)
    assert [item.system for item in scores] == ["noisy"] * 5 + ["wiener"] * 5
    noisy = [item.si_sdr_db for item in scores[:5]]
    np.testing.assert_allclose(np.diff(noisy), 5.0, atol=0.5)  # five SNRs, 5 dB apart: mixture and lead-in fit
    assert all(1 < item.pesq_wb < 4.7 for item in scores)


def test_every_system_is_aligned_with_its_input() -> None:
    noisy = signals.noisy_speech(2.0) / np.float32(32768)
    processed = make_system("wiener", NOBODY)(noisy)
    assert processed.shape == noisy.shape
    lags = [float(np.sum(noisy[:, 64:-64] * np.roll(processed, lag, axis=1)[:, 64:-64])) for lag in (-64, 0, 64)]
    assert int(np.argmax(lags)) == 1


def test_the_student_is_one_of_the_systems(tmp_path: Path) -> None:
    torch.manual_seed(0)
    features = Calibration(np.zeros((4, 65), np.int16), np.zeros(1, np.int32))
    save_student(tmp_path / "student.npz", Student(), features, {})
    choice = SystemChoice(tmp_path / "student.npz", {})
    assert choice.names() == ["noisy", "wiener", "student"]
    noisy = signals.noisy_speech(1.0) / np.float32(32768)
    assert not np.array_equal(make_system("student", choice)(noisy), make_system("wiener", choice)(noisy))


def test_the_device_computes_what_its_float_student_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    features = calibration(RecordingPool(recordings()), streams=4)
    save_student(tmp_path / "student.npz", Student(), features, {})
    quantize_all(export.student.load_student(tmp_path / "student.npz"), ["int16x8"])["int16x8"].save(
        tmp_path / "model.npz"
    )
    choice = SystemChoice(tmp_path / "student.npz", {"device": tmp_path / "model.npz"})
    noisy = signals.noisy_speech(2.0)[1:3] / np.float32(32768)
    wanted, got = make_system("student", choice)(noisy), make_system("device", choice)(noisy)
    assert 10 * np.log10(np.square(wanted).mean() / np.square(got - wanted).mean()) >= 40


def test_the_summary_holds_means_over_all_and_over_each_snr() -> None:
    scores = [scored("noisy", -5, 1.0, 0.0), scored("noisy", 5, 2.0, 10.0), scored("noisy", 5, math.nan, 20.0)]
    (row,) = summarise(scores)
    assert row["system"] == "noisy"
    assert (row["latency_ms"], row["files"]) == (0.0, 3)
    assert (row["pesq_wb"], row["si_sdr_db"]) == (1.5, 10.0)
    assert row["by_snr"]["5"]["pesq_wb"] == 2.0
    assert row["by_snr"]["-5"]["si_sdr_db"] == 0.0


def test_the_file_and_the_table_tell_the_same(tmp_path: Path) -> None:
    scores = [scored("noisy", 0, 1.0, 0.0), scored("wiener", 0, 1.25, 2.0)]
    write_evaluation(tmp_path / "evaluation.json", scores)
    systems = json.loads((tmp_path / "evaluation.json").read_text())["systems"]
    assert [(row["system"], row["latency_ms"], row["pesq_wb"]) for row in systems] == [
        ("noisy", 0.0, 1.0),
        ("wiener", 8.0, 1.25),
    ]
    console = Console(width=160, record=True, file=io.StringIO())
    print_table(scores, console)
    assert "-0.250" in console.export_text()


def test_a_model_of_an_unknown_profile_is_refused(graphs: dict[str, Graph], tmp_path: Path) -> None:
    whole = graphs["int16x8"]
    changed = Graph(whole.scheme, whole.ops, whole.inputs, whole.outputs, {**whole.meta, "profile": "x"})
    changed.save(tmp_path / "model.npz")
    with pytest.raises(ContractError, match="is for profile 'x'"):
        make_system("device", SystemChoice(None, {"device": tmp_path / "model.npz"}))


def test_what_cannot_be_evaluated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="above 0"):
        evaluate(recordings(), NOBODY, pairs=0)
    with pytest.raises(HandoffError, match="no student at"):
        evaluate(recordings(), SystemChoice(tmp_path / "none.npz", {}))
