"""The shipped models by one command: `python -m training model base` runs the stages of its recipe file one by one.

A recipe is `training/models/NAME.json`: the hidden size and, for each stage, what differs from the default settings of
`fit`; each stage begins with the best weights of the one before. A stopped run goes on where it was.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from training.datasets import Recording
from training.files import RunError
from training.fit import fit, hand_off
from training.runs import BEST, CHECKPOINT
from training.settings import FitSettings

FOLDER = Path(__file__).parent / "models"


def names() -> list[str]:
    """Models that have a recipe."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def stages(name: str, folder: Path = FOLDER) -> list[FitSettings]:
    """The settings of each stage; raises RunError: no such recipe, or one that cannot be read."""
    path = folder / f"{name}.json"
    try:
        recipe = json.loads(path.read_text(encoding="utf-8"))
        hidden, listed = recipe["hidden"], recipe["stages"]
        found = [_settings(path, hidden, stage) for stage in listed]
    except FileNotFoundError:
        raise RunError(f"no recipe {path}: there are {', '.join(names())}") from None
    except RunError:
        raise
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is not a recipe of stages: {type(error).__name__} {error}") from None
    if not found:
        raise RunError(f"{path} has no stages")
    return found


def _settings(path: Path, hidden: int, stage: dict[str, Any]) -> FitSettings:
    unknown = set(stage) - {field.name for field in fields(FitSettings)}
    if unknown:
        raise RunError(f"{path}: unknown setting {', '.join(sorted(unknown))}")
    return FitSettings(hidden=hidden, **stage)


def train(name: str, recordings: list[Recording], folder: Path, student: Path) -> None:
    """Run what is left of a model's stages and write its student.

    folder   a sub-folder a stage: stage_1, stage_2, ...
    raises   RunError, CorpusError: see `fit`
    """
    before: Path | None = None
    for number, settings in enumerate(stages(name), start=1):
        place = folder / f"stage_{number}"
        fit(recordings, settings, place, resume=(place / CHECKPOINT).exists(), start_from=before)
        before = place / BEST
    assert before is not None, "a recipe without stages is refused by `stages`"
    hand_off(before.parent, student, recordings)
