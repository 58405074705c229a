"""Recordings of one split, grouped and weighted for the draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from training.audio import RATE_HZ
from training.datasets import CorpusError, Recording


class RecordingPool:
    """Recordings of one split, grouped and weighted for the draw.

    Talkers and noises are weighted by the square root of their seconds: a long one counts more, but never
    drowns the variety of the short ones.
    """

    def __init__(self, recordings: Iterable[Recording], split: str = "train") -> None:
        """raises CorpusError: the split has no speech or no noise"""
        rows = [row for row in recordings if row.split == split]
        self.talkers: dict[str, list[Recording]] = {}
        for row in rows:
            if row.kind == "speech":
                self.talkers.setdefault(row.speaker, []).append(row)
        self.babble = [row for row in rows if row.kind == "noise" and row.noise_kind == "babble"]
        self.noises = [row for row in rows if row.kind == "noise" and row.noise_kind != "babble"]
        self.rooms = [row for row in rows if row.kind == "room"]
        self.music = [row for row in rows if row.kind == "music"]
        if not self.talkers or not (self.noises or self.babble):
            missing = "noise" if self.talkers else "speech"
            raise CorpusError(f"no {missing} in the {split} split: add {missing} recordings or rebuild the corpus")
        self.noises = self.noises or self.babble
        self.talker_lists = [self.talkers[name] for name in sorted(self.talkers)]
        self.talker_shares = _shares([sum(row.seconds for row in clips) for clips in self.talker_lists])
        self.noise_shares = _shares([row.seconds for row in self.noises])

    def talker(self, rng: np.random.Generator) -> list[Recording]:
        """All recordings of one random talker."""
        return self.talker_lists[int(rng.choice(len(self.talker_lists), p=self.talker_shares))]

    def noise(self, rng: np.random.Generator) -> Recording:
        """One random noise that is not babble (unless there is nothing else)."""
        return self.noises[int(rng.choice(len(self.noises), p=self.noise_shares))]


def _shares(seconds: Sequence[float]) -> np.ndarray:
    weights = np.sqrt(np.maximum(np.asarray(seconds, dtype=np.float64), 1e-3))
    return np.asarray(weights / weights.sum())


def samples_of(row: Recording) -> int:
    """Samples of a recording at 16 kHz, at least 1."""
    return max(round(row.seconds * RATE_HZ), 1)
