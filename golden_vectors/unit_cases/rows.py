"""How rows are made: corners, grids, draws, and equations that put a product on the edge of a rounding.

Integers only, so it is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import TypeAlias

import numpy as np

from firmware_sim.fixed import Ints
from golden_vectors.signals import congruential

Limits: TypeAlias = tuple[int, int]

AROUND = (-2, -1, 0, 1, 2)


class Draw:
    """Draws of a seeded generator: the linear congruential one of `signals`."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def words(self, count: int) -> Ints:
        """(count,) in [0, 2^16): the high halves of the states, whose low bits have short periods."""
        states = congruential(count, self._seed)
        self._seed = int(states[-1]) if count else self._seed
        return states >> 16

    def integers(self, limits: Limits, count: int) -> Ints:
        """(count,) spread evenly over the limits."""
        low, high = limits
        wide = [int("".join(f"{word:04x}" for word in words), 16) for words in self.words(4 * count).reshape(-1, 4)]
        return np.array([low + (value * (high - low + 1) >> 64) for value in wide], np.int64)

    def magnitudes(self, limits: Limits, count: int) -> Ints:
        """(count,) of every magnitude within the limits."""
        shifts = self.words(count) % max(abs(limits[0]), abs(limits[1])).bit_length()
        values: Ints = np.clip(self.integers(limits, count) >> shifts, *limits)
        return values

    def pick(self, values: Sequence[int], count: int) -> Ints:
        """(count,) of the values."""
        return np.array(values, np.int64)[self.words(count) % len(values)]


def corners(limits: Limits, around: Iterable[int] = AROUND) -> list[int]:
    """Limits, zero, powers of two and three times them, each with its neighbours, as far as they are inside."""
    low, high = limits
    around = tuple(around)
    near = [point + d for k in range(63) for point in (1 << k, -(1 << k), 3 << k, -3 << k, 0) for d in around]
    ends = [end + d for end in limits for d in around]
    return sorted({x for x in (*near, *ends) if low <= x <= high})


def core(limits: Limits) -> list[int]:
    """The few corners that are crossed with each other, the most telling ones at even places."""
    low, high = limits
    points = (low, low + 1, high, high - 1, -1, -2, 0, 2, 1, high // 2, high // 2 + 1, low // 2)
    return list(dict.fromkeys(x for x in points if low <= x <= high))


def table(columns: Iterable[Sequence[int] | Ints]) -> Ints:
    """Columns side by side as rows."""
    return np.stack([np.asarray(column, np.int64) for column in columns], axis=1)


def grid(columns: Sequence[Limits], seed: int, around: Iterable[int] = AROUND, more: int = 200) -> Ints:
    """Rows of scalars: the cores crossed, every corner of each column against drawn corners of the others, and `more`
    of every magnitude."""
    draw, around = Draw(seed), tuple(around)
    every = [corners(limits, around) for limits in columns]
    crossed = [core(limits)[:: max(1, len(columns) - 1)] for limits in columns]
    parts = [np.array(list(product(*crossed)), np.int64)]
    for i, values in enumerate(every):
        rest = [draw.pick(other, len(values)) for other in every]
        parts.append(table([*rest[:i], values, *rest[i + 1 :]]))
    parts.append(table(draw.magnitudes(limits, more) for limits in columns))
    return unique(np.concatenate(parts))


def unique(rows: Ints) -> Ints:
    """Each row once, where it came first."""
    first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    kept: Ints = rows[first]
    return kept


# ---------------------------------------------------------------- equations


def solve(factor: int, residue: int, bits: int) -> int | None:
    """The smallest x >= 0 with x * factor = residue modulo 2^bits, or None."""
    even = (factor & -factor).bit_length() - 1 if factor else bits
    if even >= bits or residue % (1 << even):
        return None
    return (residue >> even) * pow(factor >> even, -1, 1 << (bits - even)) % (1 << (bits - even))


def with_product(y: int, residue: int, bits: int, limits: Limits, draw: Draw) -> int | None:
    """A drawn x within the limits with x * y = residue modulo 2^bits, or None where there is none."""
    start = solve(y, residue, bits)
    if start is None:
        return None
    low, high = limits
    first, last = -((start - low) >> bits), (high - start) >> bits
    if first > last:
        return None
    return start + (int(draw.integers((first, last), 1)[0]) << bits)


def near_residue(x: Limits, y: Sequence[int], bits: int, residue: int, seed: int) -> Ints:
    """Rows (x, y) whose product is one below, at and one above the residue modulo 2^bits."""
    draw = Draw(seed)
    rows = [(with_product(value, residue + d, bits, x, draw), value) for value in y for d in (-1, 0, 1)]
    return np.array([row for row in rows if row[0] is not None], np.int64)


def ties(bits: int, limits: Limits, draw: Draw, count: int = 2) -> list[int]:
    """(2k + 1) * 2^(bits - 1) of both signs within the limits, each between its neighbours; zero bits have none."""
    half = (1 << bits) >> 1
    odd = (1, -1, 3, -3, *(2 * draw.magnitudes((limits[0] >> bits, limits[1] >> bits), count) + 1).tolist())
    points = [k * half + d for k in odd for d in (-1, 0, 1)]
    return [x for x in points if limits[0] <= x <= limits[1]]


def near_squares(roots: Iterable[int]) -> list[int]:
    """Around each square, and where the nearest root changes: k^2 - 1, k^2, k (k + 1), k (k + 1) + 1."""
    return sorted({x for k in roots for x in (k * k - 1, k * k, k * (k + 1), k * (k + 1) + 1) if x >= 0})
