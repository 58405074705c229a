"""Ranges of the features and of the LayerNorm."""

from __future__ import annotations

from math import ceil, isqrt

import numpy as np

from firmware_sim import contract
from firmware_sim.contract import Profile
from firmware_sim.fixed import Ints, log2_q16
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import I16, I32, I64, U32, Ledger, Limit
from firmware_sim.ranges.wiener import LOG2, MIX, MUL_Q31, reciprocal

SQRT = Limit("sqrt_round's operand", 0, (1 << 52) - 1)
FEATURE = Limit("22 bits", -(1 << 22) + 1, (1 << 22) - 1)
SHIFT = Limit("shr_round's shift", 1, 62)


def features(power: Ints, noise: int, profile: Profile, ledger: Ledger) -> Interval:
    """Bounds of x_q11 for the largest power of each bin and the largest noise PSD."""
    low, high = _feature(power, noise, profile, ledger)
    return _layer_norm(low, high, profile.bins, ledger)


def _log2(x: int) -> int:
    return int(log2_q16(np.array([x]))[0])


def _feature(power: Ints, noise: int, profile: Profile, ledger: Ledger) -> tuple[int, int]:
    """Lowest and highest feature_q16 of any bin: log2 rises with its operand."""
    loudest = max(int(power.max()), contract.NOISE_MIN)
    ledger.fits("feature_q16", "power", contract.NOISE_MIN, loudest, LOG2)
    ledger.fits("feature_q16", "noise", contract.NOISE_MIN, noise, LOG2)
    silence, loud, noisy = _log2(contract.NOISE_MIN), _log2(loudest), _log2(noise)
    low, high = silence - 2 * (15 << 16), max(loud, noisy) + 1
    ledger.fits("feature_q16", "sum of log2 noise", 0, profile.bins * noisy, MUL_Q31)
    ledger.fits("feature_q16", "feature", low, high, I32)
    ledger.fits("feature_q16", "feature", low, high, FEATURE)
    ledger.tap("feature_q16", low, high)
    return low, high


def _layer_norm(low: int, high: int, bins: int, ledger: Ledger) -> Interval:
    """(f - mean) / deviation for features in [low, high].

    The mean is off by at most `slip`: its own rounding, and that of 1 / bins in q31.
    """
    ends = bins * low, bins * high
    ledger.fits("x_q11", "sum of features", *ends, MUL_Q31)
    slip = 1 + max(abs(end) for end in ends) / 2.0**31
    centred = ceil((high - low + slip) / 16) + 1
    ledger.fits("x_q11", "feature less mean", -centred, centred, I32)
    deviation = _deviation((high - low) / 2, slip, bins, ledger)
    inverse = reciprocal(ledger)[1]
    shift = 11 + deviation.bit_length()
    ledger.fits("x_q11", "shift", 11 + 17, shift, SHIFT)
    product = centred * inverse + (1 << (shift - 1))
    ledger.fits("x_q11", "feature x reciprocal and rounding", -product, product, I64)
    reach = _normalised(centred, slip, bins)
    limit = Limit("FEATURE_LIMIT", -contract.FEATURE_LIMIT_Q11, contract.FEATURE_LIMIT_Q11 - 1)
    x = ledger.limits("x_q11", Interval.of(-reach, reach, bins), limit)
    ledger.fits("x_q11", "normalised feature", x.low, x.high, I16)
    ledger.tap("x_q11", x.low, x.high)
    return x


def _deviation(half_range: float, slip: float, bins: int, ledger: Ledger) -> int:
    """Largest deviation_q20: the mean square around the mean is at most half the range, squared (Popoviciu)."""
    root_q12 = (half_range + slip) / 16 + 0.5
    squares = ceil(bins * root_q12**2)
    ledger.fits("x_q11", "sum of squares", 0, squares, I64)
    ledger.fits("x_q11", "sum of squares", 0, squares, MIX)
    variance = squares * contract.q(1.0 / bins, 31, bits=32) // (1 << 31) + 1 + contract.LAYER_NORM_EPSILON_Q24
    ledger.fits("x_q11", "variance << 16", contract.LAYER_NORM_EPSILON_Q24 << 16, variance << 16, SQRT)
    deviation = isqrt(variance << 16) + 1
    ledger.fits("x_q11", "deviation", 1 << 16, deviation, U32)
    return deviation


def _normalised(centred: int, slip: float, bins: int) -> int:
    """Largest |x_q11| before the limit.

    The others sum to -c up to the roundings, so the mean square is at least (c^2 + (c - t)^2 / (bins - 1)) / bins;
    every c is tried. 1 / bins in q31, the roundings and the reciprocal can only add what is added here.
    """
    c = np.arange(1, centred + 1, dtype=np.float64)
    off = bins * (slip / 16 + 0.5)
    mean_square = (c**2 + np.maximum(c - off, 0.0) ** 2 / (bins - 1)) / bins * (1.0 - bins * 2.0**-31) - 1.0
    deviation_q20 = np.sqrt((np.maximum(mean_square, 0.0) + contract.LAYER_NORM_EPSILON_Q24) * 2.0**16) - 1.0
    x_q11 = c * 2.0**19 / deviation_q20 * (1.0 + 2.0**-29)
    return int(np.floor(x_q11.max() + 0.5))
