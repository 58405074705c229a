"""The fixed cases of the safety door: every kind is there, of the test split, and says what it is about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from training.audio import RATE_HZ
from training.datasets import SPLITS, CorpusError, Recording
from training.mixing import safety_recipes
from training.recipes import MixRecipe, load_recipes, save_recipes
from training.safety_recipes import ALONE_S, EVENT_S


def recordings(music: int = 8) -> list[Recording]:
    """Three talkers of one to three clips, three noises and pieces of music in each split."""
    rows = []
    for split in SPLITS:
        for talker in range(3):
            for take in range(talker + 1):
                path = Path(f"/{split}/speech/t{talker}/{take}.wav")
                rows.append(Recording(path, "speech", split, f"t{talker}", "", "", 3.0, ""))
        for kind in ("rain", "car", "crowd"):
            rows.append(Recording(Path(f"/{split}/{kind}.wav"), "noise", split, "", kind, kind, 9.0, ""))
        for piece in range(music):
            rows.append(Recording(Path(f"/{split}/m{piece}.flac"), "music", split, "", "", "music", 30.0, ""))
    return rows


def of_kind(kind: str, music: int = 8) -> list[MixRecipe]:
    return [recipe for recipe in safety_recipes(recordings(music)) if recipe.name.split()[0] == kind]


def test_the_cases_are_fixed_have_names_of_their_own_and_come_from_the_test_split(tmp_path: Path) -> None:
    recipes = safety_recipes(recordings())
    assert recipes == safety_recipes(list(reversed(recordings())))
    assert len({recipe.name for recipe in recipes}) == len(recipes)
    for recipe in recipes:
        clips = (*recipe.speech, *recipe.noise, *recipe.own_voice)
        assert all(clip.path.startswith("/test/") for clip in clips)
        assert all(clip.at + clip.length <= recipe.length for clip in (*recipe.speech, *recipe.own_voice))
    save_recipes(tmp_path / "safety.jsonl", recipes)
    assert load_recipes(tmp_path / "safety.jsonl") == recipes


def test_every_talker_speaks_at_30_35_and_40_db() -> None:
    found = {(recipe.speech[0].path.split("/")[3], recipe.snr_db) for recipe in of_kind("clean")}
    assert found == {(f"t{talker}", snr_db) for talker in range(3) for snr_db in (30.0, 35.0, 40.0)}


def test_the_wearer_is_louder_than_the_talker_and_speaks_in_the_second_half() -> None:
    for recipe in of_kind("own"):
        assert recipe.own_db == 15.0
        assert recipe.own_voice[0].at == recipe.length // 2
        assert all(clip.at + clip.length <= recipe.length // 2 for clip in recipe.speech)
        talkers, wearers = ({clip.path.split("/")[3] for clip in clips} for clips in (recipe.speech, recipe.own_voice))
        assert not talkers & wearers


@pytest.mark.parametrize(("kind", "before_db", "after_db"), [("silence", -200.0, 0.0), ("rise", 0.0, 20.0)])
def test_noise_is_alone_for_four_seconds_after_it_came_or_rose(kind: str, before_db: float, after_db: float) -> None:
    event, speech = int(EVENT_S * RATE_HZ), int((EVENT_S + ALONE_S) * RATE_HZ)
    for recipe in of_kind(kind):
        levels = [step.level_db for step in recipe.steps if step.at <= 0] or [0.0]
        assert (levels[-1], recipe.steps[-1].at, recipe.steps[-1].level_db) == (before_db, event, after_db)
        for clip in recipe.speech:
            assert clip.at + clip.length <= event or clip.at >= speech
        assert any(clip.at < event for clip in recipe.speech) == (kind == "rise")


def test_minutes_are_three_and_their_noise_changes_every_half_minute() -> None:
    for recipe in of_kind("minutes"):
        assert recipe.length == 180 * RATE_HZ
        assert [clip.at for clip in recipe.noise] == [30 * RATE_HZ * number for number in range(6)]
        assert all(one.path != next_one.path for one, next_one in zip(recipe.noise, recipe.noise[1:], strict=False))
        assert max(clip.at + clip.length for clip in recipe.speech) == recipe.length


def test_music_is_clean_input_and_left_out_where_there_is_none() -> None:
    pieces = of_kind("music")
    assert len(pieces) == 6
    assert all(not (recipe.noise or recipe.shaped) for recipe in pieces)
    assert of_kind("music", music=0) == []


def test_a_test_split_without_speech_is_refused() -> None:
    rows = [replace(row, split="train") if row.kind == "speech" else row for row in recordings()]
    with pytest.raises(CorpusError, match="no speech in the test split"):
        safety_recipes(rows)
