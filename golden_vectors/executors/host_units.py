"""The units of firmware/port/units.c in a library of this machine, driven over ctypes."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from firmware_sim.fixed import Ints
from golden_vectors.errors import WitnessError


class _Unit(ctypes.Structure):
    """The first members of stapes_unit_t."""

    _fields_ = (("name", ctypes.c_char_p), ("in_width", ctypes.c_uint32), ("out_width", ctypes.c_uint32))


def load_units(path: Path) -> ctypes.CDLL:
    """A library that was built with `cc.UNITS`, for `run_unit`."""
    library = ctypes.CDLL(str(path))
    library.stapes_unit_find.restype = ctypes.POINTER(_Unit)
    library.stapes_unit_run.restype = None
    return library


def run_unit(library: ctypes.CDLL, name: str, rows: Ints) -> Ints:
    """See `base.UnitExecutor.run_unit`; raises WitnessError when the library has no such unit."""
    unit = library.stapes_unit_find(name.encode("ascii"))
    if not unit or unit.contents.in_width != rows.shape[1]:
        raise WitnessError(f"the device has no unit {name} of {rows.shape[1]} values")
    given = np.ascontiguousarray(rows, np.int64)
    results = np.empty((len(rows), unit.contents.out_width), np.int64)
    pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (given, results))
    library.stapes_unit_run(unit, *pointers, ctypes.c_size_t(len(rows)))
    return results
