"""Intervals of integer vectors: what a tensor of the network can hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_sim.fixed import Ints


@dataclass(frozen=True, eq=False)
class Interval:
    """Elementwise bounds of a vector.

    low, high  (n,) int64, both ends belong to it
    step       power of two that divides every value: 2 says that all of them are even
    """

    low: Ints
    high: Ints
    step: int = 1

    @classmethod
    def of(cls, low: int, high: int, size: int, step: int = 1) -> Interval:
        """The same bounds for every element."""
        return cls(np.full(size, low, np.int64), np.full(size, high, np.int64), step)

    def __sub__(self, offset: int) -> Interval:
        """Every value less a constant."""
        return self if offset == 0 else Interval(self.low - offset, self.high - offset)

    def shifted(self, bits: int) -> Interval:
        """Every value times 2^bits."""
        return Interval(self.low << bits, self.high << bits, self.step << bits)

    def part(self, start: int, stop: int) -> Interval:
        """The elements [start, stop)."""
        return Interval(self.low[start:stop], self.high[start:stop], self.step)

    def hull(self, other: Interval) -> Interval:
        """Smallest interval that holds both."""
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Interval(low, high, min(self.step, other.step))

    def within(self, other: Interval) -> bool:
        """Whether no value of this one is outside the other."""
        inside = bool((self.low >= other.low).all() and (self.high <= other.high).all())
        return inside and self.step % other.step == 0

    def meet(self, other: Interval) -> Interval:
        """Values in both, for two bounds that are known to hold at once."""
        low, high = np.maximum(self.low, other.low), np.minimum(self.high, other.high)
        return Interval(low, high, max(self.step, other.step))

    def times(self, other: Interval) -> Interval:
        """Products of independent values."""
        corners = np.stack([x * y for x in (self.low, self.high) for y in (other.low, other.high)])
        return Interval(corners.min(axis=0), corners.max(axis=0), self.step * other.step)

    def limited(self, low: int, high: int) -> Interval:
        """After saturation to [low, high]: a limit that is reached keeps no common divisor."""
        inside = bool((self.low >= low).all() and (self.high <= high).all())
        return Interval(np.clip(self.low, low, high), np.clip(self.high, low, high), self.step if inside else 1)
