"""What the tests of the firmware share: its C functions called through ctypes, and a model to run on it."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from export.quantize import quantize
from firmware_sim.blocks import RECIPES
from firmware_sim.contract import DEFAULT_PROFILE, PROFILES, Profile
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from golden_vectors.cc import UNITS, build_host
from golden_vectors.executors.host_units import load_units
from tests.synthetic_student import synthetic_student

PROFILE = PROFILES[DEFAULT_PROFILE]
BOTH = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
QUICK = ("-O1",)
"""Flags of the libraries that tests build beside the optimised one: they compile fast."""
DSP = (*QUICK, "-DSTAPES_DSP")
"""The same with the dot products of the Cortex-M's intrinsics."""


@cache
def model(scheme: str, profile: Profile = PROFILE) -> Graph:
    """A network of the product's size; random weights move its states more than trained ones would."""
    hidden = {"seed": 128}.get(profile.name, 120)
    return quantize(synthetic_student(hidden=hidden, profile=profile), RECIPES[scheme])


class Counter(ctypes.Structure):
    """stapes_counter_t."""

    _fields_ = (("saturations", ctypes.c_uint32), ("overflows", ctypes.c_uint32))


@cache
def library(profile: Profile = PROFILE, *more_sources: Path, flags: tuple[str, ...] = QUICK) -> ctypes.CDLL:
    """The device without a network, and further C files."""
    return ctypes.CDLL(str(build_host(None, profile, flags=flags, more_sources=more_sources)))


@cache
def words() -> ctypes.CDLL:
    """The intrinsics of cmsis_stubs as functions over arrays."""
    return library(PROFILE, Path(__file__).with_name("words.c"))


@cache
def units() -> ctypes.CDLL:
    """The device with its units, for `host_units.run_unit`."""
    return load_units(build_host(None, PROFILES["seed"], flags=QUICK, more_sources=UNITS))


def call_word(name: str, *operands: Ints) -> Ints:
    """An intrinsic of words.c over arrays of one length."""
    arrays = [np.ascontiguousarray(x, np.int64) for x in operands]
    out = np.empty_like(arrays[0])
    words()[f"test_{name}"](*(x.ctypes.data_as(ctypes.c_void_p) for x in (*arrays, out)), ctypes.c_size_t(out.size))
    return out


def address(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    """Pointer to a contiguous array, for an argument; it keeps the array alive."""
    assert array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.c_void_p)
