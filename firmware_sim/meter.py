"""What the integer words are counted with: saturations and overflows per stage, operations per word.

Saturation and overflow counters belong to the contract: they are sticky, live in the device state and
must be equal in Python and C. Operation counts are a tool: they cost nothing unless a `Meter` is open.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

WEIGHTS = {
    "add": 1,
    "shift": 1,
    "round": 2,
    "saturate": 1,
    "norm": 2,
    "mac": 1,
    "mac32": 1,
    "mac64": 4,
    "sqrt": 40,
}
"""Weighted operations per element of each word, in the spirit of the ITU-T basic operators (G.191)."""


COUNTER_MAX = (1 << 32) - 1
"""Where the counters stay: they are uint32 on the device."""


@dataclass
class Counter:
    """Sticky counters of one stage, one value per stream (int64, shape (streams,)), [0, COUNTER_MAX]."""

    streams: int
    saturations: npt.NDArray[np.int64] = field(init=False)
    overflows: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.saturations = np.zeros(self.streams, np.int64)
        self.overflows = np.zeros(self.streams, np.int64)

    def saturated(self, hit: npt.NDArray[np.bool_]) -> None:
        """Count the limited elements of a (streams, ...) mask."""
        if np.count_nonzero(hit):  # several times faster than any() on these short arrays
            hits = hit.reshape(self.streams, -1).sum(axis=1)
            self.saturations = np.minimum(self.saturations + hits, COUNTER_MAX)

    def overflowed(self, hit: npt.NDArray[np.bool_]) -> None:
        """Count one overflow for every stream in which any element of the mask is set."""
        if np.count_nonzero(hit):
            hits = hit.reshape(self.streams, -1).any(axis=1)
            self.overflows = np.minimum(self.overflows + hits, COUNTER_MAX)


@dataclass
class Meter:
    """Weighted operation counts of the stages that ran while it was open."""

    stages: dict[str, Tally[str]] = field(default_factory=dict)
    stage: str = ""

    def weighted(self) -> dict[str, int]:
        """Weighted operations per stage."""
        return {name: sum(WEIGHTS[w] * n for w, n in tally.items()) for name, tally in self.stages.items()}


_open: Meter | None = None


def operations(word: str, count: int) -> None:
    """Tell the open meter, if there is one, that `word` ran on `count` elements."""
    if _open is not None:
        _open.stages.setdefault(_open.stage, Tally())[word] += count


def enter_stage(name: str) -> None:
    """Book the following operations under a stage of `contract.STAGES`."""
    if _open is not None:
        _open.stage = name


@contextmanager
def metered() -> Iterator[Meter]:
    """Count the operations of everything that runs inside the block."""
    global _open
    outer, _open = _open, Meter()
    try:
        yield _open
    finally:
        _open = outer
