"""A tiny corpus for tests, the committed recordings as every split, and a student that nobody trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.signals import DATA
from training.datasets import SPLITS, Recording
from training.designs import DEFAULT
from training.handoff import Calibration, save_student
from training.settings import FitSettings
from training.student import Student, shape_for

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


def student_file(path: Path) -> Path:
    """An untrained student with empty calibration, as `fit` would hand it off."""
    torch.manual_seed(0)
    student = Student(shape_for(DEFAULT, 24))
    features = Calibration(np.zeros((4, DEFAULT.inputs), np.int16), np.zeros(1, np.int32))
    save_student(path, student, DEFAULT, features, {})
    return path
