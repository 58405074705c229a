"""A tiny corpus for tests: the committed recordings as every split."""

from __future__ import annotations

from pathlib import Path

from tests.signals import DATA
from training.datasets import SPLITS, Recording
from training.settings import FitSettings

SETTINGS = FitSettings(
    hidden=24,
    blocks=4,
    streams=2,
    seconds=1.5,
    validation_blocks=2,
    validation_streams=2,
    validation_seconds=3.0,
)
"""A run of seconds."""


def recordings(folder: Path = DATA) -> list[Recording]:
    """One talker and one noise per split; real splits share nothing, here only the code is under test."""
    rows = []
    for split in SPLITS:
        rows.append(Recording(folder / "speech.flac", "speech", split, f"talker_{split}", "s", "", 15.0, ""))
        rows.append(Recording(folder / "noise.flac", "noise", split, "", "n", "traffic", 15.0, ""))
    return rows
