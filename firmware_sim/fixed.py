"""The integer words: every rounding and every saturation of Stapes has its name here.

Twin of `firmware/fixed.h`. Arrays are int64 containers that hold the narrower values which the
C twin keeps in int16, int32 or int64; every word states its range. DSP words round half up;
network words (second part) round as TFLite-Micro's reference kernels do. No word depends on a flag.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim import tables
from firmware_sim.meter import Counter, operations

Ints: TypeAlias = npt.NDArray[np.int64]

I16_MIN, I16_MAX = -(1 << 15), (1 << 15) - 1
I32_MIN, I32_MAX = -(1 << 31), (1 << 31) - 1

# ---------------------------------------------------------------- shifts and saturation


def shr_floor(x: Ints, n: int) -> Ints:
    """x >> n, towards minus infinity. n in [0, 62]."""
    operations("shift", x.size)
    return x >> n


def shr_round(x: Ints, n: Ints | int) -> Ints:
    """x / 2^n, rounded half up. n in [1, 62]; |x| < 2^62."""
    operations("round", x.size)
    return (x + (np.int64(1) << (n - 1))) >> n


def shift_left(x: Ints, n: Ints) -> Ints:
    """x * 2^n for n >= 0, floor(x / 2^-n) for n < 0, elementwise; the result must fit int64."""
    operations("shift", x.size)
    return (x << np.maximum(n, 0)) >> np.maximum(-n, 0)


def clamp(x: Ints, low: int, high: int, counter: Counter | None = None) -> Ints:
    """x limited to [low, high]; each limited element counts as one saturation of its stream."""
    operations("saturate", x.size)
    y = np.minimum(np.maximum(x, low), high)
    if counter is not None:
        counter.saturated(y != x)
    return y


def sat_i16(x: Ints, counter: Counter | None = None) -> Ints:
    """x limited to int16."""
    return clamp(x, I16_MIN, I16_MAX, counter)


def sat_i32(x: Ints, counter: Counter | None = None) -> Ints:
    """x limited to int32."""
    return clamp(x, I32_MIN, I32_MAX, counter)


def wrap_i32(x: Ints) -> Ints:
    """x modulo 2^32 as int32: what an int32 register holds."""
    return ((x + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


# ---------------------------------------------------------------- products


def mul_q15(x: Ints, gain_q15: Ints | int) -> Ints:
    """x * gain, rounded half up. x int32, gain_q15 [0, 32768]; the result is no larger than x."""
    operations("mac", x.size)
    return (x * gain_q15 + (1 << 14)) >> 15


def mul_q31(x: Ints, y_q31: Ints | int) -> Ints:
    """x * y, rounded half up. |x| < 2^31, y_q31 [0, 2^31]."""
    operations("mac32", x.size)
    return (x * y_q31 + (1 << 30)) >> 31


def mix_q31(x: Ints, x_q31: Ints | int, y: Ints, y_q31: Ints | int) -> Ints:
    """x * a + y * b, one rounding (half up), for wide unsigned values.

    x, y          int64 [0, 2^61), or above with smaller shares: x * x_q31 + y * y_q31 < 2^92
    x_q31, y_q31  [0, 2^31], their sum at most 2^31
    returns       int64 [0, 2^61)
    """
    operations("mac64", 2 * x.size)
    high = (x >> 32) * x_q31 + (y >> 32) * y_q31
    low = (x & 0xFFFFFFFF) * x_q31 + (y & 0xFFFFFFFF) * y_q31
    return (high << 1) + ((low + (1 << 30)) >> 31)


# ---------------------------------------------------------------- norm, reciprocal, logarithm, root


def bit_length(x: Ints) -> Ints:
    """Bits of x, 0 for 0; x in [0, 2^63). C: 64 - count of leading zeros.

    Clearing the bits that follow a one keeps the float conversion from rounding up to the next power.
    """
    operations("norm", x.size)
    return np.frexp((x & ~(x >> 1)).astype(np.float64))[1].astype(np.int64)


def reciprocal(mantissa: Ints) -> Ints:
    """2^61 / mantissa by table and one Newton step.

    mantissa  int64 [2^30, 2^31), a normalised value
    returns   int64 [2^30 - 2^10, 2^31), relative error in [-2^-17, 2^-30]
    source    Newton-Raphson; start value from tables.RECIPROCAL_UQ16
    """
    operations("mac32", 2 * mantissa.size)
    start = tables.RECIPROCAL_UQ16[(mantissa >> 22) & 0xFF] << 15
    defect = (1 << 32) - ((mantissa * start) >> 30)
    inverse: Ints = (start * defect) >> 31
    return inverse


def log2_q16(x: Ints) -> Ints:
    """Base-2 logarithm by norm, 257-entry table and linear interpolation.

    x        int64 [1, 2^62)
    returns  int64 q16 [0, 62 * 2^16), error below 2^-16
    """
    operations("mac", 2 * x.size)
    bits = bit_length(x)
    mantissa = shift_left(x, 31 - bits)
    index = (mantissa >> 22) & 0xFF
    fraction_q15 = (mantissa >> 7) & 0x7FFF
    left = tables.LOG2_Q24[index]
    step = tables.LOG2_Q24[index + 1] - left
    fraction_q24: Ints = left + ((step * fraction_q15 + (1 << 14)) >> 15)
    return ((bits - 1) << 16) + ((fraction_q24 + (1 << 7)) >> 8)


def sqrt_round(x: Ints) -> Ints:
    """Integer nearest to the square root of x, x in [0, 2^52)."""
    operations("sqrt", x.size)
    root = np.sqrt(x.astype(np.float64)).astype(np.int64)
    root -= root * root > x
    return root + (x - root * root > root)


# ---------------------------------------------------------------- network words (TFLite-Micro's rounding)


def srdhm(a: Ints, b: Ints | int) -> Ints:
    """Saturating rounding doubling high product: (a * b + 2^30) >> 31; INT_MIN * INT_MIN gives INT_MAX.

    a, b     int32
    source   gemmlowp SaturatingRoundingDoublingHighMul, with its truncating division folded into a floor
    """
    operations("mac32", a.size)
    product: Ints = np.minimum((a * b + (1 << 30)) >> 31, I32_MAX)
    return product


def rdbpot(x: Ints, exponent: Ints | int) -> Ints:
    """x / 2^exponent, rounded half away from zero. exponent in [0, 31]."""
    operations("round", x.size)
    mask = (np.int64(1) << exponent) - 1
    return (x >> exponent) + ((x & mask) > ((mask >> 1) + (x < 0)))


def mbqm32(x: Ints, multiplier_q31: Ints | int, shift: Ints | int) -> Ints:
    """x * multiplier * 2^shift with two roundings: TFLite-Micro's int32 MultiplyByQuantizedMultiplier.

    x               int32
    multiplier_q31  int32 [2^30, 2^31), or 0
    shift           int [-31, 30], positive = left
    """
    left, right = np.maximum(shift, 0), np.maximum(-np.asarray(shift), 0)
    return rdbpot(srdhm(wrap_i32(x << left), multiplier_q31), right)


def mbqm64(x: Ints, multiplier_q31: Ints | int, shift: Ints | int) -> Ints:
    """x * multiplier * 2^shift with one rounding (half up) and a 15-bit multiplier: the int64 variant.

    x               int64, |x| < 2^47
    multiplier_q31  int32 [2^30, 2^31), or 0
    shift           int [-31, 14], positive = left
    """
    operations("mac64", x.size)
    m = np.asarray(multiplier_q31, dtype=np.int64)
    reduced = np.where(m < 0x7FFF0000, (m + (1 << 15)) >> 16, 0x7FFF)
    total = 15 - np.asarray(shift, dtype=np.int64)
    return wrap_i32((x * reduced + (np.int64(1) << (total - 1))) >> total)


def quantize_multiplier(scale: float) -> tuple[int, int]:
    """A real scale as (multiplier_q31, shift), value = multiplier * 2^(shift - 31).

    scale    float64 >= 0
    source   TFLite QuantizeMultiplier
    """
    mantissa, shift = np.frexp(scale)
    multiplier = int(np.floor(mantissa * 2.0**31 + 0.5))
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, int(shift))
