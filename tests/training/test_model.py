"""The recipes of the shipped models: they can be read, run stage by stage, and go on after a stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.training.small import recordings
from training import model
from training.files import RunError
from training.handoff import load_student
from training.student import SIZES

TINY = {"streams": 2, "seconds": 1.5, "blocks": 1, "validation_streams": 2, "validation_seconds": 3.0}


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recipe `tiny` of two stages."""
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps({"hidden": 8, "stages": [{**TINY, "mix": "plain"}, {**TINY, "seed": 2}]}))
    monkeypatch.setattr(model, "stages", lambda name, read=model.stages: read(name, tmp_path))
    return path


def test_every_shipped_size_has_its_recipe() -> None:
    assert model.names() == sorted(SIZES)
    for name, hidden in SIZES.items():
        assert {settings.hidden for settings in model.stages(name)} == {hidden}
        assert all(settings.blocks > 0 and settings.design == "default" for settings in model.stages(name))


def test_stages_follow_each_other_and_a_second_call_trains_no_more(recipe: Path, tmp_path: Path) -> None:
    model.train("tiny", recordings(), tmp_path / "run", tmp_path / "student.npz")
    student, meta = load_student(tmp_path / "student.npz")
    assert meta["audio_hours"] == round(2 * 2 * 1.5 / 3600, 2)
    first, second = (torch.load(tmp_path / "run" / f"stage_{i}" / "best.pt", weights_only=True) for i in (1, 2))
    assert second["progress"]["hours_before"] == pytest.approx(2 * 1.5 / 3600)
    assert not torch.equal(first["student"]["fc2.weight"], second["student"]["fc2.weight"])
    before = (tmp_path / "student.npz").read_bytes()
    model.train("tiny", recordings(), tmp_path / "run", tmp_path / "student.npz")
    assert (tmp_path / "student.npz").read_bytes() == before
    assert student.shape.hidden == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a recipe of stages: JSONDecodeError"),
        ('{"stages": []}', "KeyError 'hidden'"),
        ('{"hidden": 8, "stages": []}', "has no stages"),
        ('{"hidden": 8, "stages": [{"blocks": 1, "speed": 2}]}', "unknown setting speed"),
        ('{"hidden": 8, "stages": [{"blocks": -1}]}', "-1 blocks"),
    ],
)
def test_a_recipe_that_cannot_be_run_is_refused(recipe: Path, text: str, message: str) -> None:
    recipe.write_text(text)
    with pytest.raises(RunError, match=message):
        model.stages("tiny")


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RunError, match=r"no recipe .*huge.json: there are base, compact"):
        model.stages("huge")
