"""A small generated set of vectors, shared by the tests of this room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from golden_vectors import __main__ as door
from golden_vectors import generate
from golden_vectors.cases import CASES
from tests.golden_vectors.models import save_models, small_graphs

FEW_IDS = ("speech_rain", "speech_int8", "silence", "level_jump_90db", "reset_in_speech", "network_speech_int8")
FEW = tuple(case for case in CASES if case.id in (*FEW_IDS, "network_extreme_int16x8"))


@dataclass(frozen=True)
class Evidence:
    """Vectors of the small models, and the command-line options that name vectors and models."""

    vectors: Path
    options: tuple[str, ...]


@pytest.fixture
def few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The set consists of a few cases, those of `evidence`."""
    monkeypatch.setattr(generate, "CASES", FEW)
    monkeypatch.setattr(door, "CASES", FEW)


@pytest.fixture(scope="session")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("evidence")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "CASES", FEW)
        generate.generate(folder / "vectors", small_graphs())
    options = [*save_models(folder), "--vectors", str(folder / "vectors")]
    return Evidence(folder / "vectors", tuple(options))
