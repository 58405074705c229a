"""The units: the words of fixed.h, the tables and the stages of the front end, each by itself."""

from __future__ import annotations

from golden_vectors.errors import WitnessError
from golden_vectors.units.base import Unit
from golden_vectors.units.front_end import STAGES, TABLES, TRANSFORMS
from golden_vectors.units.words import WORDS

__all__ = ["STAGES", "TABLES", "TRANSFORMS", "UNITS", "WORDS", "Unit", "unit"]

UNITS: dict[str, Unit] = {unit.name: unit for unit in (*WORDS, *TABLES, *TRANSFORMS, *STAGES)}
"""Name -> unit; firmware/port/units.c has the same."""


def unit(name: str) -> Unit:
    """A unit by name; raises WitnessError when there is none."""
    if name not in UNITS:
        raise WitnessError(f"no unit is called {name}: {', '.join(UNITS)}")
    return UNITS[name]
