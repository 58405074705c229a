"""The fixed cases of `python -m training safety`: where a suppressor does harm, if it does any.

A case's name begins with its kind: `clean`, `own`, `music`, `silence`, `rise` or `minutes`. Everything is test split.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from training.audio import RATE_HZ
from training.augment import SILENCE_DB
from training.datasets import Recording
from training.recipes import Colour, MixRecipe, NoiseClip, SpeechClip, Step
from training.recording_pool import RecordingPool, samples_of

CLEAN_SNRS_DB = (30.0, 35.0, 40.0)
RISE_DB = 20.0
EVENT_S, ALONE_S = 5.0, 4.0
"""When noise comes or rises, and how long it is alone from then on."""

_SEED = 13
_LEVEL_DBFS = -26.0
_CASE_S, _MINUTES_S, _CHANGE_S = 14.0, 180.0, 30.0
_LEAD_IN_S, _GAP_S = 0.5, 0.3
_PER_KIND, _PIECES = 2, 6
_OWN_DB, _OWN_SNR_DB, _LONG_SNR_DB = 15.0, 15.0, 5.0


def safety_recipes(recordings: Iterable[Recording]) -> list[MixRecipe]:
    """Clean speech, own voice, music, noise that comes or rises, and minutes of changing noise.

    Those of minutes last 180 s, the others 14 s. Music is left out where the recordings hold none.
    raises    CorpusError: the test split has no speech or no noise
    """
    rng = np.random.default_rng(_SEED)
    pool = RecordingPool(sorted(recordings, key=lambda row: str(row.path)), "test")
    order = np.argsort([-sum(row.seconds for row in clips) for clips in pool.talker_lists], kind="stable")
    talkers = [pool.talker_lists[index] for index in order]
    noises = [pool.noises[index] for index in rng.permutation(len(pool.noises))]
    return [
        *_clean(talkers, noises),
        *_own_voice(talkers, noises),
        *_music(pool.music),
        *_events("silence", (Step(0, SILENCE_DB), Step(_samples(EVENT_S), 0.0)), 5.0, talkers, noises),
        *_events("rise", (Step(_samples(EVENT_S), RISE_DB),), RISE_DB, talkers, noises),
        *_minutes(talkers, noises),
    ]


def _clean(talkers: Sequence[list[Recording]], noises: Sequence[Recording]) -> list[MixRecipe]:
    """Every talker over a noise of his own, hardly to be heard."""
    recipes = []
    for index, clips in enumerate(talkers):
        speech = _speech(clips, _LEAD_IN_S, _CASE_S)
        noise = NoiseClip(str(noises[index % len(noises)].path), 0, 0.0)
        for snr_db in CLEAN_SNRS_DB:
            name = f"clean {snr_db:.0f} dB {clips[0].speaker}"
            lead_in = _samples(_LEAD_IN_S)
            recipes.append(
                MixRecipe(_samples(_CASE_S), speech, (noise,), (), snr_db, _LEVEL_DBFS, lead_in=lead_in, name=name)
            )
    return recipes


def _own_voice(talkers: Sequence[list[Recording]], noises: Sequence[Recording]) -> list[MixRecipe]:
    """The wearer, who speaks from the middle on, 15 dB above a talker in noise."""
    wearer, recipes = talkers[0], []
    for index in range(_PER_KIND):
        clips = talkers[(index + 1) % len(talkers)]
        recipes.append(
            MixRecipe(
                _samples(_CASE_S),
                _speech(clips, _LEAD_IN_S, _CASE_S / 2),
                (NoiseClip(str(noises[index % len(noises)].path), 0, 0.0),),
                (),
                _OWN_SNR_DB,
                _LEVEL_DBFS - _OWN_DB,
                lead_in=_samples(_LEAD_IN_S),
                name=f"own {index + 1} {wearer[0].speaker} over {clips[0].speaker}",
                own_voice=_speech(wearer[7 * index :] or wearer, _CASE_S / 2, _CASE_S),
                own_db=_OWN_DB,
                own_colour=Colour(low_db=3.0, high_hz=1200.0, high_db=-10.0),
            )
        )
    return recipes


def _music(pieces: Sequence[Recording]) -> list[MixRecipe]:
    length = _samples(_CASE_S)
    return [
        MixRecipe(
            length,
            (SpeechClip(str(row.path), 0, min(samples_of(row), length), 0),),
            (),
            (),
            0.0,
            _LEVEL_DBFS,
            name=f"music {row.path.stem}",
        )
        for row in pieces[:_PIECES]
    ]


def _events(
    kind: str, steps: tuple[Step, ...], snr_db: float, talkers: Sequence[list[Recording]], noises: Sequence[Recording]
) -> list[MixRecipe]:
    """Noise that comes or rises at 5 s, alone for 4 s; then speech. Before a rise there is speech too."""
    recipes = []
    for index in range(_PER_KIND):
        clips, noise = talkers[index % len(talkers)], noises[(index + 2) % len(noises)]
        before = _speech(clips, _LEAD_IN_S, EVENT_S - 0.5) if kind == "rise" else ()
        recipes.append(
            MixRecipe(
                _samples(_CASE_S),
                before + _speech(clips, EVENT_S + ALONE_S, _CASE_S),
                (NoiseClip(str(noise.path), 0, 0.0),),
                (),
                snr_db,
                _LEVEL_DBFS,
                name=f"{kind} {index + 1} {clips[0].speaker} in {noise.noise_kind}",
                steps=steps,
            )
        )
    return recipes


def _minutes(talkers: Sequence[list[Recording]], noises: Sequence[Recording]) -> list[MixRecipe]:
    """Three minutes of one talker; every half minute another noise."""
    recipes = []
    for index in range(_PER_KIND):
        clips = talkers[index % len(talkers)]
        changes = [
            NoiseClip(str(noises[(index + 2 * number) % len(noises)].path), 0, 0.0, at, _samples(_CHANGE_S))
            for number, at in enumerate(range(0, _samples(_MINUTES_S), _samples(_CHANGE_S)))
        ]
        recipes.append(
            MixRecipe(
                _samples(_MINUTES_S),
                _speech(clips, _LEAD_IN_S, _MINUTES_S),
                tuple(changes),
                (),
                _LONG_SNR_DB,
                _LEVEL_DBFS,
                lead_in=_samples(_LEAD_IN_S),
                name=f"minutes {index + 1} {clips[0].speaker}",
            )
        )
    return recipes


def _speech(clips: Sequence[Recording], first_s: float, last_s: float) -> tuple[SpeechClip, ...]:
    """Clips one after the other, with gaps of 0.3 s, again from the first where they run out."""
    placed: list[SpeechClip] = []
    at, end, number = _samples(first_s), _samples(last_s), 0
    while at < end:
        row = clips[number % len(clips)]
        take = min(samples_of(row), end - at)
        placed.append(SpeechClip(str(row.path), 0, take, at))
        at += take + _samples(_GAP_S)
        number += 1
    return tuple(placed)


def _samples(seconds: float) -> int:
    return int(seconds * RATE_HZ)
