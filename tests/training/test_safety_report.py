"""Limits go red and green where they should; the file holds what the table says."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from training.safety import CaseResult
from training.safety_report import missed, notes_of, print_safety, write_safety


def clean(pesq: float, **more: float) -> CaseResult:
    measures = {"pesq_wb_in": 4.4, "pesq_wb_out": pesq, "stoi_in": 1.0, "stoi_out": 0.98, **more}
    return CaseResult("clean 30 dB somebody", measures)


def test_clean_speech_keeps_its_limits_or_is_named() -> None:
    assert missed(clean(4.0)) == []
    assert missed(clean(4.2, haspi_in=1.0, haspi_out=0.95)) == []
    assert missed(clean(3.9)) == ["pesq_wb_out 3.9 < 4"]
    assert missed(clean(4.2, haspi_in=1.0, haspi_out=0.9)) == ["haspi_out 0.9 < 0.95"]
    assert missed(clean(math.nan)) == ["pesq_wb_out nan < 4"], "what cannot be measured is not kept"


def test_other_kinds_have_no_limit() -> None:
    assert missed(CaseResult("rise somebody", {"pesq_wb_in": 1.1, "pesq_wb_out": 1.0})) == []


def test_the_file_holds_every_measure_and_null_for_what_is_not_finite(tmp_path: Path) -> None:
    results = [clean(3.9), CaseResult("rise x", {"recovery_s": math.inf}, {"rms_h0": [0.25, math.nan]})]
    write_safety(tmp_path / "safety.json", "model.npz", results, ["a note"])
    page = json.loads((tmp_path / "safety.json").read_text())
    assert page["model"] == "model.npz"
    assert page["notes"] == ["a note"]
    assert page["cases"][0]["measures"]["pesq_wb_out"] == 3.9
    assert page["cases"][0]["missed"] == ["pesq_wb_out 3.9 < 4"]
    assert page["cases"][1]["measures"]["recovery_s"] is None
    assert page["cases"][1]["minutes"]["rms_h0"] == [0.25, None]


def test_the_table_shows_input_and_output_and_the_verdict() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    results = [clean(3.9), CaseResult("music theme", {"level_db": -1.5}, {"rms_h0": [0.5, 0.25]})]
    print_safety(results, ["HASPI not measured"], console)
    text = console.export_text()
    for words in ("4.40 -> 3.90", "pesq_wb_out 3.9 < 4", "-1.5", "rms_h0 0.5  0.25", "HASPI not measured"):
        assert words in text


@pytest.mark.parametrize("student", [None, Path("student.npz")])
def test_the_notes_say_what_is_missing(student: Path | None) -> None:
    notes = " | ".join(notes_of([clean(4.1)], student))
    assert "HASPI not measured" in notes
    assert "no music" in notes
    assert ("no student" in notes) == (student is None)
    assert "HASPI" not in " ".join(notes_of([clean(4.1, haspi_out=1.0, haspi_in=1.0)], student))
