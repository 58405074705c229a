"""Every word of fixed.h gives the bits of its Python twin on drawn operands; its vectors hold the corners.

And where a rounding has a definition of its own, both follow it.
"""

from __future__ import annotations

from math import isqrt

import numpy as np
import pytest

from firmware_sim import fixed
from firmware_sim.fixed import I32_MAX, I32_MIN, Ints
from golden_vectors.executors.host_units import run_unit
from golden_vectors.unit_cases.rows import Limits, corners, near_squares
from golden_vectors.units import UNITS, WORDS
from tests.firmware.c_library import units

COUNT = 4_000
RNG = np.random.default_rng(0)
U31 = 1 << 31


def spread(limits: Limits) -> Ints:
    """Corners, uniform values, and values of every magnitude, in drawn order."""
    low, high = limits
    uniform = RNG.integers(low, high, COUNT // 2, endpoint=True, dtype=np.int64)
    scaled = RNG.integers(low, high, COUNT // 2, endpoint=True, dtype=np.int64) >> RNG.integers(0, 62, COUNT // 2)
    every = np.concatenate([np.array(corners(limits), np.int64), uniform, np.clip(scaled, low, high)])
    return RNG.permutation(np.resize(every, COUNT + 1000))


@pytest.mark.parametrize("name", [unit.name for unit in WORDS])
def test_a_word_against_its_python_twin(name: str) -> None:
    columns = {column.name: spread(column.limits) for column in UNITS[name].inputs}
    if name == "mix_q31":  # shares of one whole
        columns["y_q31"] = np.minimum(columns["y_q31"], U31 - columns["x_q31"])
    rows = np.stack(list(columns.values()), axis=1)
    np.testing.assert_array_equal(run_unit(units(), name, rows), UNITS[name].run(rows))


def call(name: str, *operands: Ints) -> Ints:
    """The first result of a word for columns of operands."""
    return run_unit(units(), name, np.stack(operands, axis=1))[:, 0]


def test_network_roundings_go_away_from_zero_at_ties() -> None:
    """Halves that only one rounding rule gets right: x = (2k + 1) * 2^(e - 1), both signs."""
    exponents = np.repeat(np.arange(1, 31), 200)
    x = (2 * RNG.integers(-(1 << 10), 1 << 10, len(exponents)) + 1) << (exponents - 1)
    fits = np.abs(x) <= I32_MAX
    x, exponents = x[fits], exponents[fits]
    away = np.sign(x) * ((np.abs(x) + (1 << (exponents - 1))) >> exponents)
    np.testing.assert_array_equal(call("rdbpot", x, exponents), away)
    np.testing.assert_array_equal(fixed.rdbpot(x, exponents), away)


def test_the_double_of_int_min_squared_is_int_max() -> None:
    least = np.array([I32_MIN])
    assert call("srdhm", least, least)[0] == fixed.srdhm(least, least)[0] == I32_MAX


def nearest_roots(x: Ints) -> Ints:
    """By Python's exact root: half of the root of 4x, rounded."""
    return np.array([(isqrt(4 * v) + 1) >> 1 for v in x.tolist()])


@pytest.mark.parametrize(
    ("word", "roots", "bits"),
    [("sqrt_round_u30", range(1 << 15), 30), ("sqrt_round", spread((0, (1 << 26) - 2)).tolist(), 52)],
)
def test_square_roots_are_the_nearest_integers_wherever_they_change(
    word: str, roots: range | list[int], bits: int
) -> None:
    x = np.array(near_squares(roots), np.int64)
    x = x[x < 1 << bits]
    nearest = nearest_roots(x)
    np.testing.assert_array_equal(call(word, x), nearest)
    np.testing.assert_array_equal(fixed.sqrt_round(x), nearest)


def test_a_normalised_value_is_the_shift_by_its_bits() -> None:
    x = spread((1, (1 << 63) - 1))
    y, bits = run_unit(units(), "normalise", x[:, None]).T
    np.testing.assert_array_equal(bits, [value.bit_length() for value in x.tolist()])
    np.testing.assert_array_equal(y, fixed.shift_left(x, 31 - bits))
