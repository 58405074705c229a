"""A folder with a recording and a model, for the tests of the door."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from firmware_sim.graph import Graph
from tests import signals


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Current folder of the test: noisy.wav is there, 0.5 s of real noisy speech."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("noisy.wav", signals.mixture(5.0, 0.5), 16_000)
    return tmp_path


@pytest.fixture
def model(folder: Path, graphs: dict[str, Graph]) -> str:
    graphs["int16x8"].save("model.npz")
    return "model.npz"
