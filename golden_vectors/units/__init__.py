"""The units: the words of fixed.h, the tables and the stages of the front end, each by itself and of each profile."""

from __future__ import annotations

from firmware_sim.contract import PROFILES, Profile
from golden_vectors.errors import WitnessError
from golden_vectors.units.base import Unit
from golden_vectors.units.front_end import stages_of, tables_of, transforms_of
from golden_vectors.units.words import WORDS

__all__ = ["FIRST_PROFILE", "UNITS", "UNITS_OF", "WORDS", "Unit", "unit", "units_of"]

FIRST_PROFILE = "seed"
"""Profile of the units whose case names none; words are the same in all."""


def units_of(profile: Profile) -> dict[str, Unit]:
    """Name -> unit; firmware/port/units.c has the same."""
    return {unit.name: unit for unit in (*WORDS, *tables_of(profile), *transforms_of(profile), *stages_of(profile))}


UNITS_OF: dict[str, dict[str, Unit]] = {name: units_of(profile) for name, profile in PROFILES.items()}
"""Name of a profile -> its units."""
UNITS = UNITS_OF[FIRST_PROFILE]


def unit(name: str, profile: str = FIRST_PROFILE) -> Unit:
    """A unit by name; raises WitnessError when there is none."""
    if name not in UNITS_OF[profile]:
        raise WitnessError(f"no unit is called {name}: {', '.join(UNITS_OF[profile])}")
    return UNITS_OF[profile][name]
