"""An endless signal of real recordings in changing conditions, the same at every call, readable from any hop on.

A steady noise breathes by a few decibels over minutes; in it, scenes of four seconds come and go without a fade:
speech at any SNR, other noise, speech that clips, pauses, drop-outs. The steady noise is the quietest of all that is
heard, and comes back often, on purpose: the tracker vad follows the noise only while its VAD says so, and once it
has heard a second of something quieter, digital silence above all, all else is speech to it for good. Hours after
that would test a noise PSD that never moves. The tracker spp follows it bin by bin whatever comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from firmware_sim.contract import SAMPLE_RATE_HZ

Pcm = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]

DATA = Path(__file__).parents[2] / "tests" / "data"
SEED = 4
SCENE_SECONDS = 4
SCENE_SAMPLES = SCENE_SECONDS * SAMPLE_RATE_HZ

NOISE_DBFS = -55.0
BREATH_DB, BREATH_SECONDS = 2.0, 420.0
"""RMS level of the steady noise, and how it moves."""
KINDS = {
    "pause": (0.30, None, (0.0, 0.0)),
    "drop-out": (0.04, None, (0.0, 0.0)),
    "speech in noise": (0.34, "speech.flac", (-60.0, -30.0)),
    "loud speech": (0.08, "speech.flac", (-30.0, -12.0)),
    "clipped speech": (0.06, "speech.flac", (-6.0, 0.0)),
    "other noise": (0.10, "noise.flac", (-50.0, -12.0)),
    "noisy speech": (0.08, "noisy.wav", (-50.0, -12.0)),
}
"""What is heard: how often, which recording, between which RMS levels (dBFS)."""
DROP_OUT_SECONDS = 0.016


@cache
def recording(name: str) -> Floats:
    """A committed recording, RMS 1."""
    samples, rate = soundfile.read(DATA / name)
    if rate != SAMPLE_RATE_HZ:
        raise ValueError(f"{name}: {rate} Hz, not {SAMPLE_RATE_HZ}")
    return np.asarray(samples / np.sqrt(np.mean(samples**2)), np.float64)


@dataclass(frozen=True)
class Scene:
    """Four seconds of one condition.

    number  in the stream
    kind    of KINDS
    dbfs    RMS level of its recording
    start   where in the recording it begins, as a share of it
    """

    number: int
    kind: str
    dbfs: float
    start: float

    @classmethod
    def draw(cls, number: int, seed: int = SEED) -> Scene:
        """Scene `number` of a stream; no other scene has to be drawn for it."""
        rng = np.random.default_rng((seed, number))
        kind = str(rng.choice(list(KINDS), p=[share for share, _, _ in KINDS.values()]))
        return cls(number, kind, float(rng.uniform(*KINDS[kind][2])), float(rng.uniform()))

    def pcm(self) -> Pcm:
        """(SCENE_SAMPLES,) int16."""
        first, name = self.number * SCENE_SAMPLES, KINDS[self.kind][1]
        samples = _looped("noise.flac", first) * self._breath()
        if name is not None:
            samples += _looped(name, int(self.start * len(recording(name)))) * 10.0 ** (self.dbfs / 20.0)
        if self.kind == "drop-out":
            samples[: round(DROP_OUT_SECONDS * SAMPLE_RATE_HZ)] = 0.0
        return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)

    def _breath(self) -> Floats:
        """Gain of the steady noise, steady for 10 ms."""
        seconds = self.number * SCENE_SECONDS + np.arange(100 * SCENE_SECONDS) / 100.0
        level_db = NOISE_DBFS + BREATH_DB * np.sin(2.0 * np.pi * seconds / BREATH_SECONDS)
        return np.repeat(10.0 ** (level_db / 20.0), SAMPLE_RATE_HZ // 100)


def _looped(name: str, first: int) -> Floats:
    """A scene's length of a recording that begins anew where it ends."""
    samples = recording(name)
    looped: Floats = samples.take(np.arange(first, first + SCENE_SAMPLES), mode="wrap")
    return looped


def read(start: int, stop: int, seed: int = SEED) -> Pcm:
    """Samples [start, stop) of the stream, (stop - start,) int16."""
    first, last = start // SCENE_SAMPLES, -(-stop // SCENE_SAMPLES)
    scenes = [Scene.draw(number, seed).pcm() for number in range(first, last)]
    origin = first * SCENE_SAMPLES
    return np.concatenate([np.zeros(0, np.int16), *scenes])[start - origin : stop - origin]
