"""The second half of the draw: what happens to a plain mixture on its way to the wearer's microphone.

Again dice over data: the result is a recipe that `rendering` makes sound.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.audio import RATE_HZ
from training.mix_settings import MixSettings, Range
from training.recipes import Colour, MixRecipe, Response, SpeechClip, Step
from training.recording_pool import RecordingPool, samples_of
from training.rooms import NOISES, TALKER

SILENCE_DB = -200.0


def augment(rng: np.random.Generator, recipe: MixRecipe, pool: RecordingPool, settings: MixSettings) -> MixRecipe:
    """A plain recipe, changed by the shares of the settings; rolls no dice while all of them are 0.

    rng       every random number comes from here
    pool      gives the rooms (without any, no mixture has one) and the wearer's voice
    """
    if not settings.augments:
        return recipe
    recipe = _with_shares(rng, recipe, pool, settings)
    recipe = replace(
        recipe,
        speech_colour=_colour(rng, settings.speech_tilt_share, settings.speech_band_share, settings),
        noise_colour=_colour(rng, settings.noise_tilt_share, settings.noise_band_share, settings),
    )
    if pool.rooms and rng.random() < settings.room_share:
        recipe = _in_room(rng, recipe, pool)
    if rng.random() < settings.own_voice_share:
        recipe = _with_own_voice(rng, recipe, pool, settings)
    if rng.random() < settings.step_share:
        recipe = replace(recipe, steps=_steps(rng, recipe.length, settings))
    if rng.random() < settings.clip_share:
        recipe = replace(recipe, clip_db=_uniform(rng, settings.clip_db))
    return recipe


def _with_shares(rng: np.random.Generator, recipe: MixRecipe, pool: RecordingPool, settings: MixSettings) -> MixRecipe:
    """Clean places, streams of which speech or noise is left out, and music."""
    share = rng.random()
    if share < settings.high_snr_share:
        return replace(recipe, snr_db=_uniform(rng, settings.high_snr_db))
    share -= settings.high_snr_share
    if share < settings.noise_free_share:
        return replace(recipe, noise=(), shaped=())
    share -= settings.noise_free_share
    if share < settings.speech_free_share:
        return replace(recipe, speech=())
    if share - settings.speech_free_share < settings.music_share and pool.music:
        return _with_music(rng, recipe, pool, settings)
    return recipe


def _with_music(rng: np.random.Generator, recipe: MixRecipe, pool: RecordingPool, settings: MixSettings) -> MixRecipe:
    """One piece from a random place, in the place of the talker: the network must learn to let it through."""
    row = pool.music[rng.integers(len(pool.music))]
    take = min(samples_of(row), recipe.length)
    start = int(rng.integers(0, samples_of(row) - take + 1))
    recipe = replace(
        recipe, speech=(SpeechClip(str(row.path), start, take, 0),), snr_db=_uniform(rng, settings.high_snr_db)
    )
    return replace(recipe, noise=(), shaped=()) if rng.random() < settings.music_noise_free_share else recipe


def _colour(rng: np.random.Generator, tilt_share: float, band_share: float, settings: MixSettings) -> Colour | None:
    tilted, limited = rng.random() < tilt_share, rng.random() < band_share
    if not (tilted or limited):
        return None
    colour = Colour(
        low_hz=_uniform(rng, settings.low_shelf_hz),
        low_db=_uniform(rng, settings.tilt_db) if tilted else 0.0,
        high_hz=_uniform(rng, settings.high_shelf_hz),
        high_db=_uniform(rng, settings.tilt_db) if tilted else 0.0,
    )
    if not limited:
        return colour
    high_pass_hz = _uniform(rng, settings.high_pass_hz) if rng.random() < 0.5 else 0.0
    return replace(colour, low_pass_hz=_uniform(rng, settings.low_pass_hz), high_pass_hz=high_pass_hz)


def _in_room(rng: np.random.Generator, recipe: MixRecipe, pool: RecordingPool) -> MixRecipe:
    """The talker in front of the wearer, every noise from a place of its own (the fifth from the first again)."""
    path = str(pool.rooms[rng.integers(len(pool.rooms))].path)
    places = rng.permutation(NOISES)[: max(len(recipe.noise), 1)]
    return replace(
        recipe,
        speech_response=Response(path, TALKER),
        noise_responses=tuple(Response(path, int(place)) for place in places) if recipe.noise else (),
    )


def _with_own_voice(
    rng: np.random.Generator, recipe: MixRecipe, pool: RecordingPool, settings: MixSettings
) -> MixRecipe:
    """One or two remarks of a wearer who is somebody else than the talker (where there are two)."""
    talkers = {clip.path for clip in recipe.speech}
    wearer = pool.talker(rng)
    for _ in range(8):
        if not talkers & {str(row.path) for row in wearer}:
            break
        wearer = pool.talker(rng)
    clips = []
    for _ in range(int(rng.integers(1, 3))):
        row = wearer[rng.integers(len(wearer))]
        take = min(int(_uniform(rng, settings.own_s) * RATE_HZ), samples_of(row), recipe.length)
        start = int(rng.integers(0, samples_of(row) - take + 1))
        clips.append(SpeechClip(str(row.path), start, take, int(rng.integers(0, recipe.length - take + 1))))
    return replace(
        recipe,
        own_voice=tuple(clips),
        own_db=_uniform(rng, settings.own_db),
        own_colour=Colour(
            low_db=float(rng.uniform(0.0, 6.0)), high_hz=1200.0, high_db=_uniform(rng, settings.own_dull_db)
        ),
    )


def _steps(rng: np.random.Generator, length: int, settings: MixSettings) -> tuple[Step, ...]:
    below_db = SILENCE_DB if rng.random() < settings.silent_step_share else -_uniform(rng, settings.step_db)
    at = int(rng.uniform(0.2, 0.8) * length)
    return (Step(0, below_db), Step(at, 0.0)) if rng.random() < 0.5 else (Step(at, below_db),)


def _uniform(rng: np.random.Generator, bounds: Range) -> float:
    return float(rng.uniform(*bounds))
