"""What the proof of ranges writes down: bounds against the width that holds them, and reachable saturations."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log2
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.ranges.interval import Interval

Wide: TypeAlias = npt.NDArray[np.object_]
"""Exact Python integers: a bound may be larger than any register."""

ADVICE = "this is a constant of the device, no choice of the model: change the stage's scaling"


class RangeError(ValueError):
    """A value that can leave what holds it; one line: stage, layer and row, the bound, what to do."""


class Limit(NamedTuple):
    """Inclusive range of a register, or of a word's operand."""

    name: str
    low: int
    high: int


I8, I16, I32, I64 = (Limit(f"int{n}", -(1 << (n - 1)), (1 << (n - 1)) - 1) for n in (8, 16, 32, 64))
U16, U32, U64 = (Limit(f"uint{n}", 0, (1 << n) - 1) for n in (16, 32, 64))


@dataclass(frozen=True)
class Bound:
    """A quantity that must fit.

    stage, place  where: stage of the loop; tensor, tap or word
    what          which quantity
    limit         what holds it
    low, high     exact lowest and highest value of each row (or element), 1-D
    """

    stage: str
    place: str
    what: str
    limit: Limit
    low: Wide
    high: Wide

    @property
    def margins(self) -> list[float]:
        """Bits of room of each row: how often both ends may double; negative where the limit is passed."""
        return [_room(self.limit, low, high) for low, high in zip(self.low, self.high, strict=True)]

    @property
    def worst(self) -> int:
        """Row with the least room."""
        margins = self.margins
        return margins.index(min(margins))

    @property
    def margin(self) -> float:
        """Bits of room of the worst row."""
        return min(self.margins)

    @property
    def holds(self) -> bool:
        """Whether every row fits."""
        return bool((self.low >= self.limit.low).all() and (self.high <= self.limit.high).all())


@dataclass(frozen=True)
class Saturation:
    """An operation that limits its result: what would come out if it did not.

    low, high  of each element before it is limited, 1-D
    limit      what it is limited to
    """

    stage: str
    place: str
    limit: Limit
    low: Wide
    high: Wide

    @property
    def verdict(self) -> str:
        """ "impossible" is proven; "reachable" says that the interval does not exclude it."""
        return "reachable" if self.reachable else "impossible"

    @property
    def reachable(self) -> int:
        """Elements whose interval passes the limit; 0: a saturation is impossible."""
        return int(((self.low < self.limit.low) | (self.high > self.limit.high)).sum())


@dataclass
class Ledger:
    """All bounds and saturations of a proof, in order of computation.

    taps  name of a tap of the frame loop, or of a tensor -> lowest and highest value of each element
    """

    stage: str = ""
    bounds: list[Bound] = field(default_factory=list)
    saturations: list[Saturation] = field(default_factory=list)
    taps: dict[str, tuple[Wide, Wide]] = field(default_factory=dict)

    def fits(self, place: str, what: str, low: Any, high: Any, limit: Limit, advice: str = ADVICE) -> None:
        """Write down that [low, high] fits `limit`; raises RangeError naming the row with the largest excess."""
        bound = Bound(self.stage, place, what, limit, *_wide(low, high))
        if not bound.holds:
            raise RangeError(_refusal(bound, advice))
        self.bounds.append(bound)

    def limits(self, place: str, values: Interval, limit: Limit) -> Interval:
        """Write down that `values` are limited; returns what is left of them."""
        self.saturations.append(Saturation(self.stage, place, limit, *_wide(values.low, values.high)))
        return values.limited(limit.low, limit.high)

    def tap(self, name: str, low: Any, high: Any) -> None:
        """Write down what an observable value can be."""
        self.taps[name] = _wide(low, high)

    @property
    def rows(self) -> int:
        """How many single values have been proven to fit."""
        return sum(len(bound.low) for bound in self.bounds)


def _wide(low: Any, high: Any) -> tuple[Wide, Wide]:
    """Both ends as 1-D arrays of Python integers."""
    ends = np.broadcast_arrays(np.asarray(low, np.object_), np.asarray(high, np.object_))
    flat = [end.reshape(-1) for end in ends]
    return flat[0], flat[1]


def _room(limit: Limit, low: int, high: int) -> float:
    """Bits by which the interval may grow; the ends are counted from outside, so a full register has 0."""
    rooms = [63.0]
    if high > 0:
        rooms.append(log2((limit.high + 1) / (high + 1)))
    if low < 0:
        rooms.append(log2(-limit.low / -low) if limit.low < 0 else -63.0)
    return min(rooms)


def _refusal(bound: Bound, advice: str) -> str:
    """One line for the user."""
    row = bound.worst
    where = bound.place if len(bound.low) == 1 else f"{bound.place}, row {row}"
    return (
        f"{bound.stage}: {where}: {bound.what} reaches [{bound.low[row]}, {bound.high[row]}], beyond "
        f"{bound.limit.name} [{bound.limit.low}, {bound.limit.high}]: {advice}"
    )
