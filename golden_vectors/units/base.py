"""What a unit is: a piece of the front end as a function of one row of integers to another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.fixed import I16_MAX, I16_MIN, I32_MAX, I32_MIN, Ints
from golden_vectors.errors import WitnessError

Columns: TypeAlias = Mapping[str, Ints]
"""Name of a column -> (rows, width) int64."""

I16, I32 = (I16_MIN, I16_MAX), (I32_MIN, I32_MAX)
U8, U16, U32 = (0, (1 << 8) - 1), (0, (1 << 16) - 1), (0, (1 << 32) - 1)
I64 = (-(1 << 63), (1 << 63) - 1)
GAIN, U31 = (0, 1 << 15), (0, 1 << 31)


@dataclass(frozen=True)
class Column:
    """Consecutive elements of a row that belong together: an argument or a result.

    limits  lowest and highest value that the unit takes or gives
    width   elements
    """

    name: str
    limits: tuple[int, int]
    width: int = 1

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Narrowest little-endian integer type that holds the limits: how vectors store the column."""
        low, high = self.limits
        names = ("<u1", "<i1", "<u2", "<i2", "<u4", "<i4", "<i8")
        return next(np.dtype(name) for name in names if np.iinfo(name).min <= low and high <= np.iinfo(name).max)


@dataclass(frozen=True)
class Unit:
    """A word, a table or a stage; its twin is in firmware/port/units.c.

    inputs, outputs  columns of a row in order
    function         columns of the inputs -> columns of the outputs, all rows at once
    """

    name: str
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    function: Callable[[Columns], Columns]

    @cached_property
    def in_width(self) -> int:
        return sum(column.width for column in self.inputs)

    @cached_property
    def out_width(self) -> int:
        return sum(column.width for column in self.outputs)

    def run(self, rows: Ints) -> Ints:
        """(rows, in_width) int64 -> (rows, out_width) int64; raises WitnessError for a value outside its limits."""
        given = split(rows, self.inputs)
        for column in self.inputs:
            low, high = column.limits
            wrong = (given[column.name] < low) | (given[column.name] > high)
            if wrong.any():
                row, value = int(np.argwhere(wrong)[0][0]), int(given[column.name][wrong][0])
                raise WitnessError(f"{self.name}: {column.name} of row {row} is {value}, outside [{low}, {high}]")
        return join(self.function(given), self.outputs)


def split(rows: Ints, columns: Sequence[Column]) -> dict[str, Ints]:
    """Rows (n, all widths) as columns (n, width)."""
    ends = np.cumsum([column.width for column in columns])
    parts = np.split(rows, ends[:-1], axis=1)
    return {column.name: part for column, part in zip(columns, parts, strict=True)}


def join(parts: Mapping[str, npt.NDArray[np.generic]], columns: Sequence[Column]) -> Ints:
    """Columns, each (n,) or (n, width), as rows (n, all widths) int64."""
    return np.concatenate(
        [np.asarray(parts[column.name], np.int64).reshape(-1, column.width) for column in columns], axis=1
    )
