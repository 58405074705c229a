"""Rows through one unit of the front end: a word, a table, a stage by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import PROFILES, Profile
from firmware_sim.fixed import Ints
from golden_vectors import json_words as words
from golden_vectors.compare import Difference, Rows, element_of_rows, first_row
from golden_vectors.executors.base import Executor, UnitExecutor
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.json_words import Word
from golden_vectors.kinds.base import (
    ANY_SCHEME,
    Built,
    Graphs,
    Header,
    Wanted,
    Witness,
    check_profile,
    profile_facts,
    require,
    whole,
)
from golden_vectors.units import FIRST_PROFILE, UNITS, UNITS_OF, Unit
from golden_vectors.units.base import Column, split
from golden_vectors.vector import Vector


@dataclass(frozen=True)
class UnitCase:
    """Rows through a unit of `units`; scheme and model have no part in it."""

    kind: ClassVar[str] = "unit"
    scheme: ClassVar[str] = ANY_SCHEME

    tc_id: int
    id: str
    group: str
    flags: tuple[str, ...]
    unit: str
    rows: Callable[[], Ints]
    """Makes the rows: (rows, in_width) int64."""
    profile: str = FIRST_PROFILE

    @property
    def function(self) -> Unit:
        """The unit of this profile."""
        return UNITS_OF[self.profile][self.unit]


class UnitKind:
    """Arrays: `in_` and `out_` with the name of each column of the unit, (rows,) or (rows, width)."""

    name = "unit"

    def facts(self, case: UnitCase) -> Header:
        return {"unit": case.unit, "profile": profile_facts(PROFILES[case.profile])}

    def keys(self, header: Header) -> set[str]:
        return set(self.properties())

    def properties(self) -> dict[str, Word]:
        return {"unit": words.one_of(*UNITS), "profile": words.dataclass_of(Profile), "rows": words.whole(1)}

    def described(self) -> Word:
        return words.object_of(self.properties())

    def check(self, header: Header) -> None:
        check_profile(header)
        require(header["unit"] in UNITS, header, "unit", "one of golden_vectors/units")
        require(whole(header["rows"], 1), header, "rows", "a whole number above 0")

    def arrays(self, header: Header) -> Wanted:
        return {name: (column.dtype, _shape(header, column)) for name, column in _named(unit_of(header)).items()}

    def build(self, case: UnitCase, graphs: Graphs) -> Built:
        unit, rows = case.function, case.rows()
        results = NumpyReference().run_unit(case.unit, rows, case.profile)
        parts = [*split(rows, unit.inputs).values(), *split(results, unit.outputs).values()]
        header = {"rows": len(rows)}
        named = zip(_named(unit).items(), parts, strict=True)
        arrays = {name: _narrow(part, column).reshape(_shape(header, column)) for (name, column), part in named}
        return header, arrays, ()

    def runs_on(self, engine: Executor, header: Header) -> bool:
        return isinstance(engine, UnitExecutor)

    def compare(self, engine: UnitExecutor, vector: Vector, bench: Witness) -> tuple[Difference | None, float]:
        unit = unit_of(vector.header)
        expected = _rows(vector, "out_", unit.outputs)
        got = engine.run_unit(unit.name, _rows(vector, "in_", unit.inputs), vector.header["profile"]["name"])
        return _difference(vector, expected, got, unit.outputs), float(np.mean(expected != got))


def unit_of(header: Header) -> Unit:
    """The unit that a vector runs."""
    return UNITS_OF[header["profile"]["name"]][header["unit"]]


def _named(unit: Unit) -> dict[str, Column]:
    """Arrays of a vector -> columns of its unit."""
    sides = (("in_", unit.inputs), ("out_", unit.outputs))
    return {f"{side}{column.name}": column for side, columns in sides for column in columns}


def _shape(header: Header, column: Column) -> tuple[int, ...]:
    return (header["rows"],) if column.width == 1 else (header["rows"], column.width)


def _narrow(values: Ints, column: Column) -> npt.NDArray[Any]:
    """Values in the type of their column; an overflow would be a wrong limit of the column."""
    narrow = values.astype(column.dtype)
    if not np.array_equal(narrow, values):
        raise OverflowError(f"{column.name} does not fit {column.dtype}")
    return narrow


def _rows(vector: Vector, side: str, columns: tuple[Column, ...]) -> Ints:
    parts = [vector.arrays[f"{side}{column.name}"].astype(np.int64).reshape(-1, column.width) for column in columns]
    return np.concatenate(parts, axis=1)


def _difference(vector: Vector, expected: Ints, got: Ints, columns: tuple[Column, ...]) -> Difference | None:
    """The first row that differs, and in it the first column."""
    unit = vector.header["unit"]
    if expected.shape != got.shape:
        return Difference(vector.id, None, unit, "rows", (), f"shape {expected.shape}", f"shape {got.shape}")
    wanted, found = split(expected, columns), split(got, columns)
    for row in first_row(expected, got):
        for column in columns:
            shape = (len(expected),) if column.width == 1 else (len(expected), column.width)
            rows = Rows(wanted[column.name].reshape(shape), found[column.name].reshape(shape))
            difference = element_of_rows(vector.id, row, unit, column.name, rows)
            if difference is not None:
                return difference
    return None
