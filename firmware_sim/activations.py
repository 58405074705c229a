"""TFLite-Micro's LOGISTIC and TANH in integers: a table of 256 (int8) or 65,536 (int16) outputs.

int16 interpolates a 256-entry sigmoid table; int8 is gemmlowp's fixed-point arithmetic. Both are the
definition, not an approximation that we chose: the TFLM kernels give the same bits over the whole domain.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim import fixed
from firmware_sim.fixed import I32_MAX, Ints

_ONE_HIGHER = (
    4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46,
    49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255,
)  # fmt: skip
"""Where TFLM's table is one above the formula (tests/recover_sigmoid_table.py reads it off the kernel)."""


def sigmoid_formula() -> Ints:
    """65536 * sigmoid(i / 24), rounded; i in [0, 255]."""
    return np.floor(65536.0 / (1.0 + np.exp(-np.arange(256) / 24.0)) + 0.5).astype(np.int64)


def _sigmoid_table() -> Ints:
    table = sigmoid_formula()
    table[list(_ONE_HIGHER)] += 1
    table.setflags(write=False)
    return table


SIGMOID_UQ16 = _sigmoid_table()
"""TFLM's sigmoid_table_uint16: sigmoid(i / 24), q16, [32768, 65535]."""


@cache
def table(kind: str, dtype: str, scale: float, zero_point: int) -> npt.NDArray[Any]:
    """Outputs of every input, in the order 0 .. max, min .. -1.

    kind     "LOGISTIC" or "TANH"
    returns  int8 (256) or int16 (65536), read-only
    """
    bits = 8 if dtype == "int8" else 16
    x = np.roll(np.arange(-(1 << (bits - 1)), 1 << (bits - 1), dtype=np.int64), 1 << (bits - 1))
    if dtype == "int8":
        y = _int8(kind, x - zero_point, scale)
    else:
        scaled, magnitude = _to_table_step(x, scale, kind)
        y = _logistic_i16(scaled, magnitude) if kind == "LOGISTIC" else _tanh_i16(scaled, magnitude)
    outputs = y.astype(dtype)
    outputs.setflags(write=False)
    return outputs


# ---------------------------------------------------------------- int16: table and interpolation


def _to_table_step(x: Ints, scale: float, kind: str) -> tuple[Ints, Ints]:
    """x in units of 1/12288 and its magnitude: LOGISTIC's table has a step of 512 units, TANH's of 256.

    scale  2^-16 to 2^-8. TFLM scales by 3 from 2^-12 (TANH also from 2^-11); from every other power of
           two it normalises to a multiplier of 24576 and a rounding shift, which is the same value up
           to the rounding of half a unit
    """
    bits = int(np.log2(scale)) + 12
    exact = bits == 0 or (kind == "TANH" and bits == 1)
    scaled = x * (3 << bits) if exact else fixed.shr_round(x * 24576, 13 - bits)
    return scaled, np.abs(scaled)


def _interpolate(magnitude: Ints, step_bits: int, end: int) -> Ints:
    """Table value with step_bits fraction bits; `end` beyond the last step."""
    index = magnitude >> step_bits
    left = SIGMOID_UQ16[np.minimum(index, 254)]
    right = SIGMOID_UQ16[np.minimum(index, 254) + 1]
    inside = (left << step_bits) + (magnitude & ((1 << step_bits) - 1)) * (right - left)
    return np.where(index >= 255, end << step_bits, inside)


def interpolation_reach(kind: str) -> int:
    """Largest |value| on the way from the int16 table to the output, the table's origin and rounding included."""
    step_bits, end = (9, 0x7FFF << 1) if kind == "LOGISTIC" else (8, 0xFFFF)
    largest = int(_interpolate(np.arange(256 << step_bits), step_bits, end).max())
    return largest + (1 << (16 + step_bits)) + (1 << (step_bits + 1))


def _logistic_i16(scaled: Ints, magnitude: Ints) -> Ints:
    """Sigmoid in q15, [0, 32767]; the table is used for |x| and mirrored."""
    r = _interpolate(magnitude, 9, 0x7FFF << 1)
    return np.where(scaled >= 0, r + (1 << 9), (1 << 25) - r + (1 << 9) - 1) >> 10


def _tanh_i16(scaled: Ints, magnitude: Ints) -> Ints:
    """tanh(x) = 2 sigmoid(2x) - 1 in q15: the table at half the step."""
    r = _interpolate(magnitude, 8, 0xFFFF)
    return np.where(scaled >= 0, r - (1 << 23) + (1 << 7), -r + (1 << 23) + (1 << 7) - 1) >> 8


# ---------------------------------------------------------------- int8: gemmlowp fixed point

_INTEGER_BITS = 4
"""gemmlowp FixedPoint<int32, 4>: q27, [-16, 16)."""
_EXP_BITS = ((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242))
"""exp(-2^k) in q31, by exponent k: one factor for each set bit of the remainder."""


def _int8(kind: str, centred: Ints, scale: float) -> Ints:
    """Outputs of the int8 kernel for x - zero_point."""
    multiplier, left = fixed.quantize_multiplier(scale * 2.0 ** (31 - _INTEGER_BITS))
    radius = int(15.0 * 2.0 ** (31 - _INTEGER_BITS) / 2.0**left)
    inside = np.where(np.abs(centred) < radius, centred, 0)
    q27 = fixed.mbqm32(inside, multiplier, left)
    logistic = kind == "LOGISTIC"
    y = fixed.rdbpot(_gemmlowp_logistic(q27), 23) - 128 if logistic else fixed.rdbpot(_gemmlowp_tanh(q27), 24)
    y = np.clip(y, -128, 127)
    return np.where(centred >= radius, 127, np.where(centred <= -radius, -128, y))


def _gemmlowp_logistic(x: Ints) -> Ints:
    """Sigmoid of q27 in q31."""
    positive = _shl_sat(_one_over_one_plus(_exp_negative(-np.abs(x), _INTEGER_BITS)), 1)
    y = np.where(x > 0, positive, fixed.wrap_i32(I32_MAX - positive))
    return np.where(x == 0, 1 << 30, y)


def _gemmlowp_tanh(x: Ints) -> Ints:
    """tanh of q27 in q31: (1 - e) / (1 + e), e = exp(-2|x|)."""
    e = _exp_negative(-np.abs(x), _INTEGER_BITS + 1)
    magnitude = _shl_sat(fixed.wrap_i32(_one_over_one_plus(e) - (1 << 29)), 2)
    return np.where(x == 0, 0, np.where(x < 0, -magnitude, magnitude))


def _shl_sat(x: Ints, n: int) -> Ints:
    """x << n limited to int32, with gemmlowp's thresholds."""
    limit = (1 << (31 - n)) - 1
    return np.where(x > limit, I32_MAX, np.where(x < -limit, fixed.I32_MIN, fixed.wrap_i32(x << n)))


def _exp_negative(a: Ints, integer_bits: int) -> Ints:
    """exp(a) in q31 for a <= 0: a polynomial on [-1/4, 0) times one factor per remaining bit."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    residue = fixed.wrap_i32((a & (quarter - 1)) - quarter)
    result = _exp_quarter(_shl_sat(residue, integer_bits))
    remainder = fixed.wrap_i32(residue - a)
    for exponent, factor in _EXP_BITS:
        if integer_bits > exponent:
            bit = remainder & (1 << (fraction_bits + exponent))
            result = np.where(bit, fixed.srdhm(result, factor), result)
    return np.where(a == 0, I32_MAX, result)


def _exp_quarter(a: Ints) -> Ints:
    """exp(a) in q31 for a in [-1/4, 0): Taylor series around -1/8."""
    x = fixed.wrap_i32(a + (1 << 28))
    x2 = fixed.srdhm(x, x)
    x3, x4 = fixed.srdhm(x2, x), fixed.srdhm(x2, x2)
    series = fixed.srdhm(fixed.wrap_i32(fixed.rdbpot(x4, 2) + x3), 715827883)  # 1/3
    tail = fixed.rdbpot(fixed.wrap_i32(series + x2), 1)
    return fixed.wrap_i32(1895147668 + fixed.srdhm(fixed.wrap_i32(x + tail), 1895147668))  # exp(-1/8)


def _one_over_one_plus(a: Ints) -> Ints:
    """1 / (1 + a) in q29 for a in [0, 1] q31: three Newton steps from 48/17 - 32/17 d."""
    half = (a + I32_MAX + 1) // 2
    x = fixed.wrap_i32(1515870810 + fixed.srdhm(half, -1010580540))
    for _ in range(3):
        defect = fixed.wrap_i32((1 << 29) - fixed.srdhm(half, x))
        x = fixed.wrap_i32(x + _shl_sat(fixed.srdhm(x, defect), 2))
    return x
