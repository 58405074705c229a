"""The words of fixed.h. Where fixed.py has the same word, that is its definition; the others are one line here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from firmware_sim import fixed
from firmware_sim.fixed import I32_MAX, Ints
from firmware_sim.meter import Counter
from golden_vectors.units.base import GAIN, I16, I32, I64, U16, U31, U32, Column, Columns, Unit

Word = Callable[..., Ints]

COUNTER_MAX = (1 << 32) - 1
MANTISSA = (1 << 30, I32_MAX)
"""A normalised value, or the multiplier of a requantising pair."""


def _word(name: str, function: Word, result: tuple[int, int], **arguments: tuple[int, int]) -> Unit:
    """A word whose result is `y`; arguments are passed in order."""
    columns = tuple(Column(argument, limits) for argument, limits in arguments.items())

    def rows(given: Columns) -> Columns:
        return {"y": function(*(given[column.name] for column in columns))}

    return Unit(name, columns, (Column("y", result),), rows)


def _limit(name: str, bits: int, factor: int = 1) -> Unit:
    """factor * x limited to `bits` bits; hits go up by one where that changes it."""

    def rows(given: Columns) -> Columns:
        counter = Counter(len(given["x"]))
        y = fixed.clamp(factor * given["x"], -(1 << (bits - 1)), (1 << (bits - 1)) - 1, counter)
        return {"y": y, "hits": given["hits"][:, 0] + counter.saturations}

    hits = Column("hits", (0, 1 << 31))
    return Unit(name, (Column("x", I32), hits), (Column("y", I16 if bits <= 16 else I32), hits), rows)


def _normalised(given: Columns) -> Columns:
    bits = np.maximum(fixed.bit_length(given["x"]), 1)
    return {"y": fixed.shift_left(given["x"], 31 - bits), "bits": bits}


def _log2(x: Ints) -> Ints:
    """The twin takes 1 for 0, as every caller of the Python word does beforehand."""
    return fixed.log2_q16(np.maximum(x, 1))


def _mixed(given: Columns) -> Columns:
    """The Python word takes one pair of shares for all rows."""
    rows = zip(*(given[name][:, 0] for name in ("x", "x_q31", "y", "y_q31")), strict=True)
    return {"z": np.array([fixed.mix_q31(x, int(x_q31), y, int(y_q31)) for x, x_q31, y, y_q31 in rows], np.int64)}


def _high_u32(x: Ints, y: Ints, half: int = 0) -> Ints:
    """High word of an unsigned product, in Python's own integers: it does not fit int64."""
    pairs = zip(x.ravel().tolist(), y.ravel().tolist(), strict=True)
    return np.array([(a * b + half) >> 32 for a, b in pairs], np.int64)


def _high_round(x: Ints, y: Ints) -> Ints:
    return (x * y + (1 << 31)) >> 32


_WIDE = (0, (1 << 61) - 1)

WORDS = (
    _word("count", lambda counter, hits: np.minimum(counter + hits, COUNTER_MAX), U32, counter=U32, hits=U32),
    _word("shr_round", fixed.shr_round, (-(1 << 61), 1 << 61), x=(-(1 << 62) + 1, (1 << 62) - 1), n=(1, 62)),
    _limit("sat_i15", 15),
    _limit("sat_i16", 16),
    _limit("double_sat_i32", 32, factor=2),
    _word("wrap_i32", fixed.wrap_i32, I32, x=(-(1 << 62), (1 << 62) - 1)),
    _word("add_i32", lambda x, y: fixed.wrap_i32(x + y), I32, x=I32, y=I32),
    _word("sub_i32", lambda x, y: fixed.wrap_i32(x - y), I32, x=I32, y=I32),
    _word("double_i32", lambda x: fixed.wrap_i32(2 * x), I32, x=I32),
    _word("mul_q15", fixed.mul_q15, I32, x=I32, gain_q15=GAIN),
    _word("mul_q31", fixed.mul_q31, (-(1 << 31), 1 << 31), x=(-(1 << 31), 1 << 31), y_q31=U31),
    _word("mulhi_u32", _high_u32, U32, x=U32, y=U32),
    _word("mulhi_i32", lambda x, y: (x * y) >> 32, I32, x=I32, y=I32),
    _word("mulhi_round", _high_round, I32, x=I32, y=I32),
    _word(
        "mulhi_round_add",
        lambda total, x, y: fixed.wrap_i32(total + _high_round(x, y)),
        I32,
        total=I32,
        x=I32,
        y=I32,
    ),
    _word("mulhi_round_u32", lambda x, y: _high_u32(x, y, 1 << 31), U32, x=U32, y=U32),
    Unit(
        "mix_q31",
        (Column("x", _WIDE), Column("x_q31", U31), Column("y", _WIDE), Column("y_q31", U31)),
        (Column("z", _WIDE),),
        _mixed,
    ),
    _word("bit_length", fixed.bit_length, (0, 63), x=(0, I64[1])),
    Unit("normalise", (Column("x", (0, I64[1])),), (Column("y", U31), Column("bits", (1, 63))), _normalised),
    _word("reciprocal", fixed.reciprocal, U31, mantissa=MANTISSA),
    _word("log2_q16", _log2, (0, 62 << 16), x=(0, (1 << 62) - 1)),
    _word("sqrt_round_u30", fixed.sqrt_round, U16, x=(0, (1 << 30) - 1)),
    _word("sqrt_round", fixed.sqrt_round, (0, 1 << 26), x=(0, (1 << 52) - 1)),
    _word("srdhm", fixed.srdhm, I32, a=I32, b=I32),
    _word("rdbpot", fixed.rdbpot, I32, x=I32, exponent=(0, 31)),
    _word("mbqm32", fixed.mbqm32, I32, x=I32, multiplier_q31=(0, I32_MAX), shift=(-31, 30)),
    _word(
        "mbqm64",
        fixed.mbqm64,
        I32,
        x=(-(1 << 47) + 1, (1 << 47) - 1),
        multiplier_q31=(0, I32_MAX),
        shift=(-31, 14),
    ),
)
