"""What a recipe's filters, rooms, own voice, steps and clipping do to the samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.training.sounds import speechlike, write
from training.audio import RATE_HZ, AudioCache, active_rms
from training.datasets import CorpusError
from training.recipes import Colour, MixRecipe, NoiseClip, Response, SpeechClip, Step
from training.rendering import EARLY_SAMPLES, course, render

LENGTH = 3 * RATE_HZ
DELAY = 3 * EARLY_SAMPLES


@pytest.fixture
def recipe(tmp_path: Path) -> MixRecipe:
    """White noise under bursts of noise, at 10 dB."""
    speech = write(tmp_path / "speech.wav", speechlike(3.0, 1))
    noise = write(tmp_path / "noise.wav", 0.1 * np.random.default_rng(2).standard_normal(LENGTH))
    clips = (SpeechClip(str(speech), 0, LENGTH, 0),)
    return MixRecipe(LENGTH, clips, (NoiseClip(str(noise), 0, 0.0),), (), 10.0, -30.0)


@pytest.fixture
def room(tmp_path: Path) -> str:
    """Talker: direct sound, and an echo of half its strength after 150 ms; noise: direct sound and early echo."""
    taps = np.zeros((DELAY + 1, 2), np.float32)
    taps[0], taps[DELAY, 0], taps[100, 1], taps[DELAY, 1] = 0.5, 0.25, 0.25, 0.25
    path = tmp_path / "room.flac"
    soundfile.write(str(path), taps, RATE_HZ, subtype="PCM_24")
    return str(path)


def without_noise(recipe: MixRecipe, **fields: Any) -> MixRecipe:
    return replace(recipe, noise=(), **fields)


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def band_db(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequency_hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    return float(10 * np.log10(power[(frequency_hz >= low_hz) & (frequency_hz < high_hz)].mean()))


def test_the_target_in_a_room_is_the_early_part_and_the_echo_stays_in_the_mixture(recipe: MixRecipe, room: str) -> None:
    dry, _ = render(without_noise(recipe))
    clean, noisy = render(without_noise(recipe, speech_response=Response(room, 0)))
    np.testing.assert_allclose(clean, dry, atol=1e-6)
    echo = np.concatenate([np.zeros(DELAY), 0.5 * dry[:-DELAY]])
    np.testing.assert_allclose(noisy - clean, echo, atol=1e-6)


def test_a_filter_of_the_talker_is_heard_in_the_target_and_in_its_late_part(recipe: MixRecipe, room: str) -> None:
    colour = Colour(low_pass_hz=3000.0)
    clean, noisy = render(without_noise(recipe, speech_response=Response(room, 0), speech_colour=colour))
    for signal in (clean, noisy - clean):
        assert band_db(signal, 5000, 8000) < band_db(signal, 500, 2500) - 25
    echo = np.concatenate([np.zeros(DELAY), 0.5 * clean[:-DELAY]])
    np.testing.assert_allclose(noisy - clean, echo, atol=1e-5)


def test_noise_takes_the_early_part_of_its_own_way(recipe: MixRecipe, room: str) -> None:
    clean, plain = render(recipe)
    same, heard = render(replace(recipe, noise_responses=(Response(room, 1),)))
    np.testing.assert_array_equal(clean, same)
    noise = plain - clean
    wanted = noise + np.concatenate([np.zeros(100), 0.5 * noise[:-100]])
    assert np.corrcoef(heard - same, wanted)[0, 1] > 0.999


def test_snr_and_level_hold_in_rooms_and_through_filters(recipe: MixRecipe, room: str) -> None:
    changed = replace(
        recipe,
        speech_colour=Colour(high_db=-6.0),
        noise_colour=Colour(low_pass_hz=4000.0, high_pass_hz=200.0),
        noise_responses=(Response(room, 1),),
    )
    clean, noisy = render(changed)
    assert 20 * np.log10(active_rms(clean)) == pytest.approx(-30.0, abs=1e-3)
    assert level_db(noisy - clean) == pytest.approx(-40.0, abs=0.01)


@pytest.mark.parametrize(
    ("colour", "band", "gain_db"),
    [
        (Colour(low_pass_hz=2500.0), (4000, 8000), -24.0),
        (Colour(high_pass_hz=400.0), (20, 100), -24.0),
        (Colour(high_db=6.0), (6000, 8000), 6.0),
        (Colour(low_db=-6.0), (20, 100), -6.0),
    ],
)
def test_filters_of_noise_do_what_their_fields_say(
    recipe: MixRecipe, colour: Colour, band: tuple[int, int], gain_db: float
) -> None:
    clean, plain = render(recipe)
    _, filtered = render(replace(recipe, noise_colour=colour))
    changes = [band_db(filtered - clean, *edges) - band_db(plain - clean, *edges) for edges in (band, (900, 1100))]
    if abs(gain_db) > 10:
        assert changes[0] - changes[1] < gain_db
    else:
        assert changes[0] - changes[1] == pytest.approx(gain_db, abs=0.7)


def test_own_voice_is_kept_in_the_target_at_its_level(recipe: MixRecipe, tmp_path: Path) -> None:
    own = write(tmp_path / "own.wav", speechlike(1.0, 9))
    at = 2 * RATE_HZ
    clip = SpeechClip(str(own), 0, RATE_HZ, at)
    clean, noisy = render(recipe)
    with_own, heard = render(replace(recipe, own_voice=(clip,), own_db=12.0, own_colour=Colour(high_db=-10.0)))
    np.testing.assert_allclose(with_own[:at], clean[:at], atol=1e-6)
    voice = with_own - clean
    assert 20 * np.log10(active_rms(voice)) == pytest.approx(-18.0, abs=0.05)
    assert band_db(voice[at:], 5000, 8000) < band_db(voice[at:], 200, 600) - 8
    np.testing.assert_allclose(heard - with_own, noisy - clean, atol=1e-6)


def test_steps_move_the_noise_alone(recipe: MixRecipe) -> None:
    at = RATE_HZ
    clean, noisy = render(replace(recipe, steps=(Step(0, -200.0), Step(at, 0.0), Step(2 * at, 15.0))))
    plain_clean, plain = render(recipe)
    np.testing.assert_array_equal(clean, plain_clean)
    assert np.abs(noisy[:at] - clean[:at]).max() < 1e-6, "digital silence"
    np.testing.assert_allclose((noisy - plain)[at + 100 : 2 * at], 0.0, atol=1e-6)
    noise = (plain - clean)[2 * at + 100 :]
    assert level_db((noisy - clean)[2 * at + 100 :]) - level_db(noise) == pytest.approx(15.0, abs=0.01)


def test_a_course_goes_on_from_step_to_step_and_ends_with_the_stream() -> None:
    gain = course((Step(0, -20.0), Step(100, 0.0), Step(970, 6.0)), 1000)
    assert gain[0] == pytest.approx(0.1)
    assert 0.1 < gain[140] < 1.0
    np.testing.assert_array_equal(gain[180:970], np.ones(790, np.float32))
    assert 1.0 < gain[-1] < 2.0


def test_the_microphone_clips_the_mixture_and_not_the_target(recipe: MixRecipe) -> None:
    clean, noisy = render(recipe)
    same, clipped = render(replace(recipe, clip_db=6.0))
    np.testing.assert_array_equal(clean, same)
    ceiling = np.abs(noisy).max() * 10 ** (-6 / 20)
    np.testing.assert_allclose(clipped, np.clip(noisy, -ceiling, ceiling), rtol=1e-5)
    assert (np.abs(clipped) == np.abs(clipped).max()).sum() > 10


def test_a_noise_with_a_place_in_the_stream_sounds_there_alone(recipe: MixRecipe) -> None:
    clip = replace(recipe.noise[0], at=RATE_HZ, length=RATE_HZ)
    clean, noisy = render(replace(recipe, noise=(clip,)))
    noise = noisy - clean
    assert not noise[:RATE_HZ].any()
    assert not noise[2 * RATE_HZ :].any()
    assert level_db(noise[RATE_HZ : 2 * RATE_HZ]) == pytest.approx(-40 + 10 * np.log10(3), abs=0.1)


def test_streams_without_speech_or_without_noise_are_silent_there(recipe: MixRecipe) -> None:
    clean, noisy = render(replace(recipe, speech=()))
    assert not clean.any()
    assert level_db(noisy) == pytest.approx(-40.0, abs=0.1)
    clean, noisy = render(without_noise(recipe))
    np.testing.assert_array_equal(clean, noisy)


def test_rendering_with_and_without_a_cache_gives_the_same_samples(recipe: MixRecipe, room: str) -> None:
    full = replace(recipe, speech_response=Response(room, 0), noise_responses=(Response(room, 1),), clip_db=3.0)
    audio = AudioCache()
    for _ in range(2):
        for once, again in zip(render(full), render(full, audio), strict=True):
            np.testing.assert_array_equal(once, again)


def test_a_file_that_is_no_room_is_named(recipe: MixRecipe, tmp_path: Path) -> None:
    slow = write(tmp_path / "slow.wav", np.ones(10), 8000)
    with pytest.raises(CorpusError, match=r"slow.wav is no room of the corpus"):
        render(replace(recipe, speech_response=Response(str(slow), 0)))
