"""Mixtures: recipes are data, rendering is a pure function, the evaluation set is fixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from training.audio import RATE_HZ, AudioCache, active_rms
from training.datasets import CorpusError, Recording
from training.mixing import (
    MixRecipe,
    MixSettings,
    RecordingPool,
    draw_recipe,
    evaluation_recipes,
    load_recipes,
    render,
    save_recipes,
)
from training.recipes import NoiseClip, ShapedNoise, SpeechClip
from training.rendering import shaped_noise

LENGTH = 4 * RATE_HZ
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a file of seeded noise with syllable-like bursts; returns its path."""

    def write(name: str, seconds: float, seed: int = 0, rate_hz: int = RATE_HZ, channels: int = 1) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        time_s = np.arange(int(seconds * rate_hz)) / rate_hz
        bursts = 0.1 * rng.standard_normal((len(time_s), channels)) * (1.1 + np.sin(8 * np.pi * time_s))[:, None]
        soundfile.write(str(path), np.clip(bursts, -0.99, 0.99), rate_hz, subtype="PCM_16")
        return path

    return write


@pytest.fixture
def recordings(make: Make) -> list[Recording]:
    """Three talkers and three noise kinds in each of train and test."""
    rows = []
    for split in ("train", "test"):
        for talker in range(3):
            for take in range(3):
                path = make(f"{split}/speech/t{talker}/{take}.wav", 1.0 + 0.25 * take, seed=10 * talker + take)
                speaker = f"{split}{talker}"
                rows.append(Recording(path, "speech", split, speaker, path.stem, "", 1.0 + 0.25 * take, "CC0"))
        for index, kind in enumerate(("babble", "traffic", "rain")):
            path = make(f"{split}/noise/{kind}.flac", 6.0, seed=100 + index)
            rows.append(Recording(path, "noise", split, "", kind, kind, 6.0, "CC0"))
    return rows


def absent(split: str = "train", kind: str = "speech", seconds: float = 2.0, name: str = "a") -> Recording:
    noise_kind = "rain" if kind == "noise" else ""
    return Recording(Path(f"/nowhere/{name}.wav"), kind, split, "talker", name, noise_kind, seconds, "")


def recipe_of(speech_file: Path, noise_file: Path, **fields: Any) -> MixRecipe:
    speech, noise = SpeechClip(str(speech_file), 0, LENGTH, 0), NoiseClip(str(noise_file), 0, 0.0)
    return replace(MixRecipe(LENGTH, (speech,), (noise,), (), 5.0, -26.0), **fields)


def decibels(ratio: float) -> float:
    return 20 * float(np.log10(ratio))


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def test_a_replayed_recipe_gives_the_same_samples(recordings: list[Recording], tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pool = RecordingPool(recordings)
    drawn = [draw_recipe(rng, pool, LENGTH, name=f"mix {index}") for index in range(12)]
    save_recipes(tmp_path / "recipes.jsonl", drawn, root=tmp_path)
    replayed = load_recipes(tmp_path / "recipes.jsonl", root=tmp_path)
    assert replayed == drawn
    assert str(tmp_path) not in (tmp_path / "recipes.jsonl").read_text()
    audio = AudioCache()
    for first, second in zip(drawn, replayed, strict=True):
        for once, again in zip(render(first), render(second, audio), strict=True):
            assert once.dtype == np.float32
            assert once.shape == (LENGTH,)
            np.testing.assert_array_equal(once, again)


def test_the_same_seed_draws_the_same_recipes_and_another_seed_others(recordings: list[Recording]) -> None:
    def draw(seed: int) -> list[MixRecipe]:
        rng = np.random.default_rng(seed)
        return [draw_recipe(rng, recordings, LENGTH) for _ in range(20)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_the_draw_reads_no_audio() -> None:
    rows = [absent(name="a"), absent(kind="noise", name="b")]
    recipe = draw_recipe(np.random.default_rng(0), rows, LENGTH)
    assert {clip.path for clip in recipe.speech} == {"/nowhere/a.wav"}
    with pytest.raises(CorpusError, match=r"cannot read /nowhere/a.wav as audio"):
        render(recipe)


def test_draws_use_every_noise_type_and_keep_the_ranges(recordings: list[Recording]) -> None:
    rng = np.random.default_rng(5)
    pool = RecordingPool(recordings)
    drawn = [draw_recipe(rng, pool, LENGTH) for _ in range(400)]
    babble = sum("babble" in clip.path for recipe in drawn for clip in recipe.noise)
    assert 0.2 < babble / 400 < 0.4
    assert 0.08 < sum(not recipe.noise for recipe in drawn) / 400 < 0.25
    assert any(len(recipe.noise) == 2 for recipe in drawn)
    assert any(recipe.noise and recipe.shaped for recipe in drawn)
    assert all(-5 <= recipe.snr_db <= 15 and -40 <= recipe.level_dbfs <= -18 for recipe in drawn)
    for recipe in drawn:
        assert all("train" in clip.path for clip in recipe.speech + recipe.noise)
        assert len({Path(clip.path).parent for clip in recipe.speech}) == 1, "one talker a mixture"
        for clip, following in zip(recipe.speech, (*recipe.speech[1:], None), strict=True):
            assert clip.at + clip.length <= (following.at if following else LENGTH)


def test_long_recordings_give_pieces_from_all_over_them() -> None:
    rows = [absent(seconds=600.0), absent(kind="noise", seconds=600.0, name="b")]
    rng = np.random.default_rng(1)
    settings = MixSettings(clip_s=3.0)
    starts = [draw_recipe(rng, rows, LENGTH, settings).speech[0].start for _ in range(50)]
    assert max(starts) - min(starts) > 300 * RATE_HZ
    assert all(start + 3 * RATE_HZ <= 600 * RATE_HZ for start in starts)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 15.0])
def test_snr_and_level_are_those_of_the_recipe(make: Make, snr_db: float) -> None:
    recipe = recipe_of(make("s.wav", 4), make("n.wav", 5, seed=1), snr_db=snr_db, level_dbfs=-30.0)
    clean, noisy = render(recipe)
    assert decibels(active_rms(clean)) == pytest.approx(-30.0, abs=1e-3)
    assert decibels(active_rms(clean) / rms(noisy - clean)) == pytest.approx(snr_db, abs=1e-2)


def test_the_lead_in_is_noise_alone_and_does_not_count_for_levels(make: Make) -> None:
    lead_in = RATE_HZ // 2
    speech, noise = make("s.wav", 4), make("n.wav", 5, seed=1)
    recipe = recipe_of(speech, noise, lead_in=lead_in, speech=(SpeechClip(str(speech), 0, LENGTH, lead_in),))
    clean, noisy = render(recipe)
    assert not clean[:lead_in].any()
    assert rms(noisy[:lead_in]) > 0
    assert decibels(active_rms(clean[lead_in:]) / rms((noisy - clean)[lead_in:])) == pytest.approx(5.0, abs=1e-2)


def test_relative_levels_hold_between_noises(make: Make) -> None:
    first, second = make("1.wav", 5, seed=1), make("2.wav", 5, seed=2)
    both = (NoiseClip(str(first), 0, 0.0), NoiseClip(str(second), 0, -10.0))
    recipe = recipe_of(make("s.wav", 4), first, noise=both)
    clean, noisy = render(recipe)
    alone = [soundfile.read(str(path), dtype="float32")[0][:LENGTH] for path in (first, second)]
    weights = np.linalg.lstsq(np.stack([part - part.mean() for part in alone], 1), noisy - clean, rcond=None)[0]
    assert decibels(weights[1] * rms(alone[1]) / (weights[0] * rms(alone[0]))) == pytest.approx(-10.0, abs=0.05)


def test_a_loud_mixture_is_scaled_down_as_a_whole(make: Make) -> None:
    recipe = recipe_of(make("s.wav", 4), make("n.wav", 5, seed=1), snr_db=-15.0, level_dbfs=-6.0)
    clean, noisy = render(recipe)
    assert np.abs(noisy).max() == pytest.approx(0.99, abs=1e-5)
    assert decibels(active_rms(clean) / rms(noisy - clean)) == pytest.approx(-15.0, abs=1e-2)


def test_a_short_noise_goes_round_from_its_start_sample(make: Make) -> None:
    noise = make("n.wav", 0.5, seed=1)
    samples = soundfile.read(str(noise), dtype="float32")[0]
    recipe = recipe_of(make("s.wav", 4), noise, noise=(NoiseClip(str(noise), 100, 0.0),))
    clean, noisy = render(recipe)
    expected = np.resize(np.roll(samples, -100), LENGTH)
    correlation = np.corrcoef(noisy - clean, expected)[0, 1]
    assert correlation > 0.9999


def test_silent_noise_and_silent_speech_stay_silent(tmp_path: Path, make: Make) -> None:
    silence = tmp_path / "silence.wav"
    soundfile.write(str(silence), np.zeros(LENGTH), RATE_HZ)
    clean, noisy = render(recipe_of(make("s.wav", 4), silence))
    np.testing.assert_array_equal(clean, noisy)
    clean, noisy = render(recipe_of(silence, make("n.wav", 5, seed=1)))
    assert not clean.any()
    assert decibels(rms(noisy)) == pytest.approx(-31.0, abs=1e-2)


def test_files_of_another_rate_and_more_channels_become_the_first_at_16_khz(tmp_path: Path) -> None:
    time_s = np.arange(48000) / 48000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time_s)
    soundfile.write(str(tmp_path / "tone.wav"), np.stack([tone, -tone], 1), 48000, subtype="PCM_24")
    samples = AudioCache().get(tmp_path / "tone.wav") / 32768
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / RATE_HZ)
    assert samples.shape == (16000,)
    assert rms((samples - expected)[1000:-1000]) < 1e-3


def test_the_cache_stays_below_its_limit(make: Make) -> None:
    audio = AudioCache(limit_bytes=3 * 2 * RATE_HZ)
    paths = [make(f"{index}.wav", 1.0, seed=index) for index in range(6)]
    first = audio.get(paths[0]).copy()
    for path in paths:
        audio.get(path)
        assert audio.held_bytes <= 3 * 2 * RATE_HZ
    np.testing.assert_array_equal(audio.get(paths[0]), first)


def test_shaped_noise_falls_as_its_slope_says() -> None:
    samples = shaped_noise(ShapedNoise(1, 1.0, 0.0), 1 << 16)
    power = np.abs(np.fft.rfft(samples)) ** 2
    octaves = [power[1 << k : 2 << k].mean() for k in range(8, 15)]
    steps_db = 10 * np.log10(np.array(octaves[1:]) / octaves[:-1])
    np.testing.assert_allclose(steps_db, -6.02, atol=1.0)


def test_babble_is_made_of_talkers_where_no_babble_is_recorded(recordings: list[Recording]) -> None:
    pool = RecordingPool([row for row in recordings if row.noise_kind != "babble"])
    recipe = draw_recipe(np.random.default_rng(0), pool, LENGTH, MixSettings(babble_share=1.0))
    assert 4 <= len(recipe.noise) <= 8
    assert all("speech" in clip.path for clip in recipe.noise)
    assert rms(np.subtract(*render(recipe))) > 0


@pytest.mark.parametrize(("kept", "missing"), [("speech", "noise"), ("noise", "speech")])
def test_a_split_without_speech_or_noise_is_refused(kept: str, missing: str) -> None:
    with pytest.raises(CorpusError, match=f"no {missing} in the train split"):
        RecordingPool([absent(kind=kept)])


def test_the_evaluation_set_brings_every_talker_together_with_every_kind(recordings: list[Recording]) -> None:
    recipes = evaluation_recipes(recordings, count=9, seed=7, snrs=(-5, 0, 5, 10, 15))
    assert len(recipes) == 45
    assert recipes == evaluation_recipes(list(reversed(recordings)), count=9, seed=7, snrs=(-5, 0, 5, 10, 15))
    pairs = {(Path(recipe.speech[0].path).parent.name, Path(recipe.noise[0].path).stem) for recipe in recipes}
    assert len(pairs) == 9
    assert len({recipe.name for recipe in recipes}) == 45
    for recipe in recipes:
        assert all("/test/" in clip.path for clip in recipe.speech + recipe.noise)
        assert recipe.lead_in == recipe.speech[0].at == RATE_HZ // 2
        assert 2.5 * RATE_HZ <= recipe.length - recipe.lead_in <= 8 * RATE_HZ
        assert recipe.level_dbfs == -26.0
    for index in range(0, 45, 5):
        group = recipes[index : index + 5]
        assert [recipe.snr_db for recipe in group] == [-5, 0, 5, 10, 15]
        assert len({(recipe.speech, recipe.noise) for recipe in group}) == 1


def test_evaluation_utterances_end_at_8_seconds() -> None:
    rows = [absent("test", seconds=60.0), absent("test", "noise", 60.0, "b")]
    (recipe,) = evaluation_recipes(rows, count=1, snrs=[0])
    assert recipe.length == 8 * RATE_HZ + RATE_HZ // 2


@pytest.mark.parametrize("line", ["{", "[]", '{"length": 1}', '{"speech": [], "noise": [], "shaped": [], "x": 1}'])
def test_a_line_that_is_no_recipe_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "recipes.jsonl"
    save_recipes(path, [MixRecipe(1, (), (), (), 0.0, -26.0)])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(CorpusError, match=r"recipes.jsonl:2 is not a mixing recipe"):
        load_recipes(path)


def test_a_missing_recipe_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot read recipes from"):
        load_recipes(tmp_path / "none.jsonl")
