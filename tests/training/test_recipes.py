"""Recipes in files: later fields come back, lines of before they existed still load, nonsense is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training.datasets import CorpusError
from training.files import RunError
from training.recipes import (
    Colour,
    MixRecipe,
    NoiseClip,
    Response,
    ShapedNoise,
    SpeechClip,
    Step,
    load_recipes,
    save_recipes,
)

OLD_LINE = (
    '{"length":16000,"speech":[{"path":"a.wav","start":0,"length":8000,"at":100}],'
    '"noise":[{"path":"b.wav","start":3,"level_db":-3.0}],"shaped":[{"seed":3,"slope":0.5,"level_db":-6.0}],'
    '"snr_db":5.0,"level_dbfs":-25.0,"lead_in":100,"name":"one"}'
)
PLAIN = MixRecipe(
    16000,
    (SpeechClip("a.wav", 0, 8000, 100),),
    (NoiseClip("b.wav", 3, -3.0),),
    (ShapedNoise(3, 0.5, -6.0),),
    5.0,
    -25.0,
    100,
    "one",
)
FULL = replace(
    PLAIN,
    noise=(NoiseClip("b.wav", 3, -3.0, 10, 500),),
    speech_response=Response("room.flac", 0),
    noise_responses=(Response("room.flac", 3),),
    speech_colour=Colour(low_pass_hz=3000.0),
    noise_colour=Colour(high_db=-3.0),
    own_voice=(SpeechClip("own.wav", 0, 10, 0),),
    own_db=12.0,
    own_colour=Colour(),
    steps=(Step(0, -200.0), Step(9, 0.0)),
    clip_db=3.0,
)


def test_a_line_of_before_augmentation_is_the_same_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipes.jsonl"
    path.write_text(OLD_LINE + "\n")
    assert load_recipes(path) == [PLAIN]


def test_a_recipe_with_every_field_comes_back_below_another_root(tmp_path: Path) -> None:
    rooted = [replace(FULL, name="x"), PLAIN]
    save_recipes(tmp_path / "recipes.jsonl", rooted)
    assert load_recipes(tmp_path / "recipes.jsonl") == rooted
    (moved, _) = load_recipes(tmp_path / "recipes.jsonl", root="/corpus")
    assert moved.speech_response == Response("/corpus/room.flac", 0)
    assert moved.noise_responses[0].path == "/corpus/room.flac"
    assert moved.own_voice[0].path == "/corpus/own.wav"
    save_recipes(tmp_path / "again.jsonl", [moved], root="/corpus")
    assert "/corpus" not in (tmp_path / "again.jsonl").read_text()
    assert load_recipes(tmp_path / "again.jsonl") == rooted[:1]


def test_a_plain_recipe_is_saved_without_the_later_fields(tmp_path: Path) -> None:
    save_recipes(tmp_path / "recipes.jsonl", [PLAIN])
    assert json.loads((tmp_path / "recipes.jsonl").read_text()).keys() == json.loads(OLD_LINE).keys()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("speech_response", {"path": "room.flac"}),
        ("speech_response", []),
        ("noise_responses", {}),
        ("speech_colour", {"low_pass_hz": 9000.0}),
        ("noise_colour", {"low_pass_hz": "x"}),
        ("steps", [{"at": -1, "level_db": 0.0}]),
        ("clip_db", float("nan")),
        ("lead_in", None),
        ("reverb", 1),
    ],
)
def test_a_later_field_that_makes_no_sense_is_refused_with_its_line(tmp_path: Path, field: str, value: Any) -> None:
    path = tmp_path / "recipes.jsonl"
    path.write_text(json.dumps({**json.loads(OLD_LINE), field: value}) + "\n")
    with pytest.raises(CorpusError, match=r"recipes.jsonl:1 is not a mixing recipe"):
        load_recipes(path)


@pytest.mark.parametrize(("seed", "sound"), [(0, True), (2**32 - 1, True), (2**32, False), (-1, False), (0.5, False)])
def test_a_seed_is_a_whole_number_below_2_to_the_32(tmp_path: Path, seed: float, sound: bool) -> None:
    path = tmp_path / "recipes.jsonl"
    shaped = [{"seed": seed, "slope": 0.5, "level_db": -6.0}]
    path.write_text(json.dumps({**json.loads(OLD_LINE), "shaped": shaped}) + "\n")
    if sound:
        assert load_recipes(path)[0].shaped[0].seed == seed
        return
    with pytest.raises(CorpusError, match=r"recipes.jsonl:1 is not a mixing recipe: shaped: seed is"):
        load_recipes(path)


def test_recipes_that_cannot_be_written_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "recipes.jsonl").mkdir()
    with pytest.raises(RunError, match="cannot write"):
        save_recipes(tmp_path / "recipes.jsonl", [PLAIN])
    assert [path.name for path in tmp_path.iterdir()] == ["recipes.jsonl"]


@pytest.mark.parametrize("corner", [-5.0, 5.0, 8000.0])
def test_a_corner_that_no_filter_has_is_refused(corner: float) -> None:
    with pytest.raises(ValueError, match="corners of"):
        Colour(low_pass_hz=corner)
