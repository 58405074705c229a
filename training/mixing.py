"""The random draw of mixtures: for training without end, for evaluation once and for all.

The draw rolls the dice over lists of recordings and touches no audio; `rendering.render` turns a recipe into
audio and rolls none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from training.audio import RATE_HZ, AudioCache
from training.augment import augment
from training.datasets import Recording
from training.mix_settings import AUGMENTED, PLAIN, MixSettings
from training.recipes import (
    MixRecipe,
    NoiseClip,
    ShapedNoise,
    SpeechClip,
    load_recipes,
    save_recipes,
)
from training.recording_pool import RecordingPool
from training.recording_pool import samples_of as _samples
from training.rendering import render
from training.safety_recipes import safety_recipes

__all__ = [
    "AUGMENTED",
    "EVALUATION_SNRS_DB",
    "PLAIN",
    "AudioCache",
    "MixRecipe",
    "MixSettings",
    "RecordingPool",
    "draw_recipe",
    "evaluation_recipes",
    "load_recipes",
    "render",
    "safety_recipes",
    "save_recipes",
]

EVALUATION_SNRS_DB = (-5.0, 0.0, 5.0, 10.0, 15.0)
_EVALUATION_LEAD_IN = RATE_HZ // 2
_EVALUATION_S = (2.5, 8.0)
_EVALUATION_GAP = RATE_HZ // 8


def draw_recipe(
    rng: np.random.Generator,
    recordings: RecordingPool | Iterable[Recording],
    length: int = 20 * RATE_HZ,
    settings: MixSettings | None = None,
    name: str = "",
) -> MixRecipe:
    """One random training mixture: one talker over one of babble, recorded noise or shaped noise, then augmented.

    rng           every random number comes from here, so the same state gives the same recipe
    recordings    a RecordingPool; a plain list is pooled (its train split) at each call, which is slower
    length        samples of the stream
    settings      PLAIN by default
    raises        CorpusError: no speech or no noise to draw from
    """
    settings = settings or PLAIN
    pool = recordings if isinstance(recordings, RecordingPool) else RecordingPool(recordings)
    noise, shaped = _draw_noise(rng, pool, length, settings)
    recipe = MixRecipe(
        length=length,
        speech=_draw_speech(rng, pool, length, settings),
        noise=noise,
        shaped=shaped,
        snr_db=float(rng.uniform(*settings.snr_db)),
        level_dbfs=float(rng.uniform(*settings.level_dbfs)),
        name=name,
    )
    return augment(rng, recipe, pool, settings)


def _draw_speech(
    rng: np.random.Generator, pool: RecordingPool, length: int, settings: MixSettings
) -> tuple[SpeechClip, ...]:
    clips = pool.talker(rng)
    longest = int(settings.clip_s * RATE_HZ)
    placed = []
    at = min(int(rng.uniform(*settings.lead_in_s) * RATE_HZ), length // 2)
    while at < length:
        row = clips[rng.integers(len(clips))]
        size = _samples(row)
        start = int(rng.integers(0, size - longest + 1)) if size > longest else 0
        take = min(size, longest, length - at)
        placed.append(SpeechClip(str(row.path), start, take, at))
        gap_s = settings.pause_s if rng.random() < settings.pause_share else settings.gap_s
        at += take + int(rng.uniform(*gap_s) * RATE_HZ)
    return tuple(placed)


def _draw_noise(
    rng: np.random.Generator, pool: RecordingPool, length: int, settings: MixSettings
) -> tuple[tuple[NoiseClip, ...], tuple[ShapedNoise, ...]]:
    share = rng.random()
    if share < settings.babble_share:
        clips = _draw_babble(rng, pool, length, settings)
    elif share < settings.babble_share + settings.shaped_share:
        return (), (_draw_shaped(rng, 0.0, settings),)
    else:
        clips = [_noise_clip(rng, pool.noise(rng), length)]
        if rng.random() < settings.second_noise_share:
            level_db = float(rng.uniform(*settings.second_noise_db))
            clips.append(_noise_clip(rng, pool.noise(rng), length, level_db))
    if rng.random() < settings.shaped_on_top_share:
        return tuple(clips), (_draw_shaped(rng, float(rng.uniform(*settings.shaped_on_top_db)), settings),)
    return tuple(clips), ()


def _draw_babble(rng: np.random.Generator, pool: RecordingPool, length: int, settings: MixSettings) -> list[NoiseClip]:
    """A babble recording, or, where there is none, several talkers at once."""
    if pool.babble:
        return [_noise_clip(rng, pool.babble[rng.integers(len(pool.babble))], length)]
    low, high = settings.babble_voices
    voices = [pool.talker(rng) for _ in range(int(rng.integers(low, high + 1)))]
    rows = [clips[rng.integers(len(clips))] for clips in voices]
    return [_noise_clip(rng, row, length, float(rng.uniform(-5.0, 3.0))) for row in rows]


def _draw_shaped(rng: np.random.Generator, level_db: float, settings: MixSettings) -> ShapedNoise:
    return ShapedNoise(int(rng.integers(2**32)), float(rng.uniform(*settings.slope)), level_db)


def _noise_clip(rng: np.random.Generator, row: Recording, length: int, level_db: float = 0.0) -> NoiseClip:
    """A random window; a recording shorter than the stream goes round from a random sample."""
    size = _samples(row)
    starts = size - length + 1 if size >= length else size
    return NoiseClip(str(row.path), int(rng.integers(0, max(starts, 1))), level_db)


def evaluation_recipes(
    recordings: Iterable[Recording],
    count: int = 8,
    seed: int = 7,
    snrs: Sequence[float] = EVALUATION_SNRS_DB,
    split: str = "test",
) -> list[MixRecipe]:
    """The fixed evaluation set: `count` speech/noise pairs, each at every SNR (count * len(snrs) recipes).

    Talkers and noise kinds go round robin until every talker has met every kind. A mixture has 0.5 s of noise
    alone, then an utterance of 2.5 to 8 s at -26 dBFS active level.
    raises        CorpusError: the split has no speech or no noise
    """
    rng = np.random.default_rng(seed)
    pool = RecordingPool(sorted(recordings, key=lambda row: str(row.path)), split)
    talkers = _shuffled(rng, [_shuffled(rng, clips) for clips in pool.talker_lists])
    kinds: dict[str, list[Recording]] = {}
    for row in sorted({*pool.noises, *pool.babble}, key=lambda row: str(row.path)):
        kinds.setdefault(row.noise_kind, []).append(row)
    noises = _shuffled(rng, [_shuffled(rng, kinds[kind]) for kind in sorted(kinds)])
    cycle = int(np.lcm(len(talkers), len(noises)))
    used = [0] * len(talkers)
    recipes = []
    for pair in range(count):
        talker = pair % len(talkers)
        clips = noises[(pair + pair // cycle) % len(noises)]
        speech, used[talker] = _utterance(talkers[talker], used[talker])
        length = speech[-1].at + speech[-1].length
        noise = _noise_clip(rng, clips[pair // len(noises) % len(clips)], length)
        for snr_db in snrs:
            name = f"{pair:03d}_{snr_db:+.0f}dB"
            recipes.append(MixRecipe(length, speech, (noise,), (), float(snr_db), -26.0, RATE_HZ // 2, name))
    return recipes


def _utterance(clips: Sequence[Recording], first: int) -> tuple[tuple[SpeechClip, ...], int]:
    """Clips from `first` on until 2.5 s are full, cut at 8 s, and the index of the next unused clip."""
    shortest, longest = (int(seconds * RATE_HZ) for seconds in _EVALUATION_S)
    placed: list[SpeechClip] = []
    at = 0
    while at - _EVALUATION_GAP < shortest:
        row = clips[first % len(clips)]
        first += 1
        take = min(_samples(row), longest - at)
        placed.append(SpeechClip(str(row.path), 0, take, _EVALUATION_LEAD_IN + at))
        at += take + _EVALUATION_GAP
    return tuple(placed), first


_Item = TypeVar("_Item")


def _shuffled(rng: np.random.Generator, items: Sequence[_Item]) -> list[_Item]:
    return [items[index] for index in rng.permutation(len(items))]
