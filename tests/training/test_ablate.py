"""Front ends are compared on the same training, and a second call trains no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.training.small import SETTINGS, recordings
from training import ablate as room
from training.ablate import ablate, print_table
from training.files import RunError
from training.settings import FitSettings


@pytest.fixture(autouse=True)
def _tiny_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {
        name: getattr(SETTINGS, name) for name in ("streams", "seconds", "validation_streams", "validation_seconds")
    }
    monkeypatch.setattr(room, "FitSettings", lambda **own: FitSettings(**{**own, **sizes}))


def test_each_design_hears_the_same_and_gets_a_row(tmp_path: Path) -> None:
    names = ["seed", "256/64, 4 ms"]
    rows = ablate(recordings(), 1, 8, tmp_path, names)
    assert [row["design"] for row in rows] == names
    assert [row["latency_ms"] for row in rows] == [8, 4]
    assert rows[0]["audio_hours"] == rows[1]["audio_hours"]
    assert json.loads((tmp_path / "result.json").read_text())["designs"] == rows
    before = (tmp_path / "seed" / "checkpoint.pt").stat().st_mtime_ns
    assert ablate(recordings(), 1, 8, tmp_path, names) == rows
    assert (tmp_path / "seed" / "checkpoint.pt").stat().st_mtime_ns == before

    console = Console(width=200, record=True)
    print_table(rows, console)
    assert "256/64, 4 ms" in console.export_text()


def test_an_unknown_front_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="unknown front end 'mel'"):
        ablate(recordings(), 1, 8, tmp_path, ["mel"])
