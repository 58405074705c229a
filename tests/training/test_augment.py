"""The draw of augmentations: shares are kept, PLAIN stays what it was, AUGMENTED uses all of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.audio import RATE_HZ
from training.datasets import Recording
from training.mix_settings import AUGMENTED, PLAIN, MixSettings
from training.mixing import RecordingPool, draw_recipe
from training.recipes import MixRecipe

LENGTH = 4 * RATE_HZ


def pool(rooms: int = 3, music: int = 0) -> RecordingPool:
    rows = [
        Recording(Path(f"/no/{talker}/{take}.wav"), "speech", "train", f"t{talker}", "", "", 2.0 + take, "")
        for talker in range(3)
        for take in range(2)
    ]
    rows += [Recording(Path(f"/no/{kind}.wav"), "noise", "train", "", kind, kind, 9.0, "") for kind in ("rain", "car")]
    rows += [Recording(Path(f"/no/room{n}.flac"), "room", "train", "", "", "", 0.3, "") for n in range(rooms)]
    rows += [Recording(Path(f"/no/music{n}.flac"), "music", "train", "", "", "", 3.0 + n, "") for n in range(music)]
    return RecordingPool(rows)


def drawn(settings: MixSettings, count: int = 400, rooms: int = 3, seed: int = 1, music: int = 0) -> list[MixRecipe]:
    rng, source = np.random.default_rng(seed), pool(rooms, music)
    return [draw_recipe(rng, source, LENGTH, settings) for _ in range(count)]


def test_the_plain_draw_is_that_of_before_augmentation() -> None:
    recipes = drawn(PLAIN, 50)
    assert recipes == drawn(MixSettings(), 50, rooms=0)
    facts = [(r.speech, [(n.path, n.start, n.level_db) for n in r.noise], r.shaped, r.snr_db) for r in recipes]
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    assert digest == "d2a95a163fdb0ac4", "the draw of recipes changed: saved runs do not replay"


def test_one_share_alone_changes_its_own_field() -> None:
    for name, fields in {
        "room_share": {"speech_response", "noise_responses"},
        "speech_tilt_share": {"speech_colour"},
        "noise_band_share": {"noise_colour"},
        "own_voice_share": {"own_voice", "own_db", "own_colour"},
        "step_share": {"steps"},
        "clip_share": {"clip_db"},
    }.items():
        (recipe,) = drawn(replace(PLAIN, **{name: 1.0}), 1)
        (plain,) = drawn(PLAIN, 1)
        changed = {field for field in vars(recipe) if getattr(recipe, field) != getattr(plain, field)}
        assert changed == fields, name


def test_music_takes_the_talkers_place_at_a_high_snr_or_without_noise() -> None:
    settings = replace(PLAIN, music_share=0.25)
    recipes = drawn(settings, 2000, music=2)
    played = [recipe for recipe in recipes if recipe.speech[0].path.startswith("/no/music")]
    assert abs(len(played) / 2000 - 0.25) < 0.03
    assert {recipe.speech[0].path for recipe in played} == {"/no/music0.flac", "/no/music1.flac"}
    assert all(len(recipe.speech) == 1 and recipe.speech[0].at == 0 for recipe in played)
    ends = [recipe.speech[0].start + recipe.speech[0].length for recipe in played]
    assert max(ends) <= 4 * RATE_HZ
    assert {recipe.speech[0].length for recipe in played} == {3 * RATE_HZ, LENGTH}
    quiet = [recipe for recipe in played if not (recipe.noise or recipe.shaped)]
    assert abs(len(quiet) / len(played) - settings.music_noise_free_share) < 0.06
    low, high = settings.high_snr_db
    assert all(low <= recipe.snr_db <= high for recipe in played)
    assert drawn(settings, 50) == drawn(replace(PLAIN, noise_free_share=1e-9), 50), "no music: the dice stay the same"


def test_augmented_mixtures_keep_the_shares_and_ranges() -> None:
    recipes = drawn(AUGMENTED, 2000)

    def share(found: list[bool]) -> float:
        return sum(found) / len(recipes)

    assert abs(share([recipe.speech_response is not None for recipe in recipes]) - AUGMENTED.room_share) < 0.04
    assert abs(share([bool(recipe.own_voice) for recipe in recipes]) - AUGMENTED.own_voice_share) < 0.03
    assert abs(share([not recipe.speech for recipe in recipes]) - AUGMENTED.speech_free_share) < 0.02
    assert abs(share([not (recipe.noise or recipe.shaped) for recipe in recipes]) - AUGMENTED.noise_free_share) < 0.02
    assert abs(share([bool(recipe.steps) for recipe in recipes]) - AUGMENTED.step_share) < 0.03
    assert abs(share([recipe.clip_db > 0 for recipe in recipes]) - AUGMENTED.clip_share) < 0.03
    assert 0.04 < share([recipe.snr_db > 20 for recipe in recipes]) < 0.2
    assert all(recipe.snr_db <= 40 for recipe in recipes)
    limits = [r.noise_colour.low_pass_hz for r in recipes if r.noise_colour and r.noise_colour.low_pass_hz]
    assert limits
    assert all(2500 <= limit <= 7500 for limit in limits)


def test_the_wearer_is_not_the_talker_and_speaks_within_the_stream() -> None:
    for recipe in drawn(replace(PLAIN, own_voice_share=1.0), 100):
        talkers = {Path(clip.path).parent for clip in recipe.speech}
        assert not talkers & {Path(clip.path).parent for clip in recipe.own_voice}
        assert all(clip.at + clip.length <= LENGTH for clip in recipe.own_voice)
        assert 10 <= recipe.own_db <= 20


def test_talker_and_noises_of_a_mixture_are_in_one_room_at_places_of_their_own() -> None:
    for recipe in drawn(replace(PLAIN, room_share=1.0, second_noise_share=1.0), 100):
        assert recipe.speech_response is not None
        assert recipe.speech_response.index == 0
        places = [way.index for way in recipe.noise_responses]
        assert len(places) == len(set(places)) == min(len(recipe.noise), 4), "up to four noises share no place"
        assert all(1 <= place <= 4 for place in places)
        assert {way.path for way in recipe.noise_responses} <= {recipe.speech_response.path}


def test_without_rooms_no_mixture_has_one() -> None:
    assert all(recipe.speech_response is None for recipe in drawn(AUGMENTED, 200, rooms=0))


def test_the_same_seed_draws_the_same_augmented_recipes() -> None:
    assert drawn(AUGMENTED, 50) == drawn(AUGMENTED, 50)
    assert drawn(AUGMENTED, 50) != drawn(AUGMENTED, 50, seed=2)
