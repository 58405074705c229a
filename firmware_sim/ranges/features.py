"""Ranges of the features and of the LayerNorm."""

from __future__ import annotations

from math import ceil, isqrt

import numpy as np

from firmware_sim import contract, tables
from firmware_sim.contract import Profile
from firmware_sim.fixed import Ints, log2_q16, mul_q31
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import I16, I32, I64, U32, Ledger, Limit
from firmware_sim.ranges.wiener import LOG2, MIX, MUL_Q31, UNITY_Q31, reciprocal

SQRT = Limit("sqrt_round's operand", 0, (1 << 52) - 1)
FEATURE = Limit("22 bits", -(1 << 22) + 1, (1 << 22) - 1)
SHIFT = Limit("shr_round's shift", 1, 62)


def features(power: Ints, noise: int, profile: Profile, ledger: Ledger) -> Interval:
    """Bounds of x_q11 for the largest power of each bin and the largest noise PSD."""
    low, high = _feature(power, noise, profile, ledger)
    x = _layer_norm(low, high, profile.band_count, ledger)
    if profile.gain_channel:
        gain = _gain_channel(profile, ledger)
        x = Interval(np.concatenate([x.low, gain.low]), np.concatenate([x.high, gain.high]))
    ledger.tap("x_q11", x.low, x.high)
    return x


def _band_mean(what: str, low: int, high: int, profile: Profile, ledger: Ledger) -> tuple[int, int]:
    """Ends of a mean of bins in [low, high], by the words that compute it, over every band."""
    inverse = tables.band_inverse_q31(profile)
    ledger.fits("band", "1 / bins", inverse, inverse, UNITY_Q31)
    least, largest = (np.array(profile.band_widths) * end for end in (low, high))
    ledger.fits("band", f"sum of {what}", least, largest, MUL_Q31)
    return int(mul_q31(least, inverse).min()), int(mul_q31(largest, inverse).max())


def _gain_channel(profile: Profile, ledger: Ledger) -> Interval:
    """The mean gain of each band, moved to around zero."""
    ends = _band_mean("gains", 0, contract.UNITY_GAIN_Q15, profile, ledger)
    low, high = ((end >> 2) - (contract.UNITY_GAIN_Q15 >> 3) for end in ends)
    ledger.fits("x_q11", "gain feature", low, high, I16)
    limit = Limit("FEATURE_LIMIT", -contract.FEATURE_LIMIT_Q11, contract.FEATURE_LIMIT_Q11 - 1)
    ledger.fits("x_q11", "gain feature", low, high, limit)
    return Interval.of(low, high, profile.band_count)


def _log2(x: int) -> int:
    return int(log2_q16(np.array([x]))[0])


def _feature(power: Ints, noise: int, profile: Profile, ledger: Ledger) -> tuple[int, int]:
    """Lowest and highest feature_q16 of any band: log2 rises with its operand."""
    loudest = max(int(power.max()), contract.NOISE_MIN)
    ledger.fits("feature_q16", "power", contract.NOISE_MIN, loudest, LOG2)
    ledger.fits("feature_q16", "noise", contract.NOISE_MIN, noise, LOG2)
    silence, loud, noisy = _log2(contract.NOISE_MIN), _log2(loudest), _log2(noise)
    gain = 0 if profile.gain_channel else 2 * (15 << 16)
    low, high = _band_mean("log2 powers", silence - gain, max(loud, noisy) + 1, profile, ledger)
    ledger.fits("feature_q16", "sum of log2 noise", 0, profile.bins * noisy, MUL_Q31)
    ledger.fits("feature_q16", "feature", low, high, I32)
    ledger.fits("feature_q16", "feature", low, high, FEATURE)
    ledger.tap("feature_q16", low, high)
    return low, high


def _layer_norm(low: int, high: int, bands: int, ledger: Ledger) -> Interval:
    """(f - mean) / deviation for features in [low, high].

    The mean is off by at most `slip`: its own rounding, and that of 1 / bands in q31.
    """
    ends = bands * low, bands * high
    ledger.fits("x_q11", "sum of features", *ends, MUL_Q31)
    slip = 1 + max(abs(end) for end in ends) / 2.0**31
    centred = ceil((high - low + slip) / 16) + 1
    ledger.fits("x_q11", "feature less mean", -centred, centred, I32)
    deviation = _deviation((high - low) / 2, slip, bands, ledger)
    inverse = reciprocal(ledger)[1]
    shift = 11 + deviation.bit_length()
    ledger.fits("x_q11", "shift", 11 + 17, shift, SHIFT)
    product = centred * inverse + (1 << (shift - 1))
    ledger.fits("x_q11", "feature x reciprocal and rounding", -product, product, I64)
    reach = _normalised(centred, slip, bands)
    limit = Limit("FEATURE_LIMIT", -contract.FEATURE_LIMIT_Q11, contract.FEATURE_LIMIT_Q11 - 1)
    x = ledger.limits("x_q11", Interval.of(-reach, reach, bands), limit)
    ledger.fits("x_q11", "normalised feature", x.low, x.high, I16)
    return x


def _deviation(half_range: float, slip: float, bands: int, ledger: Ledger) -> int:
    """Largest deviation_q20: the mean square around the mean is at most half the range, squared (Popoviciu)."""
    root_q12 = (half_range + slip) / 16 + 0.5
    squares = ceil(bands * root_q12**2)
    ledger.fits("x_q11", "sum of squares", 0, squares, I64)
    ledger.fits("x_q11", "sum of squares", 0, squares, MIX)
    variance = squares * contract.q(1.0 / bands, 31, bits=32) // (1 << 31) + 1 + contract.LAYER_NORM_EPSILON_Q24
    ledger.fits("x_q11", "variance << 16", contract.LAYER_NORM_EPSILON_Q24 << 16, variance << 16, SQRT)
    deviation = isqrt(variance << 16) + 1
    ledger.fits("x_q11", "deviation", 1 << 16, deviation, U32)
    return deviation


def _normalised(centred: int, slip: float, bands: int) -> int:
    """Largest |x_q11| before the limit.

    The others sum to -c up to the roundings, so the mean square is at least (c^2 + (c - t)^2 / (bands - 1)) / bands;
    every c is tried. 1 / bands in q31, the roundings and the reciprocal can only add what is added here.
    """
    c = np.arange(1, centred + 1, dtype=np.float64)
    off = bands * (slip / 16 + 0.5)
    mean_square = (c**2 + np.maximum(c - off, 0.0) ** 2 / (bands - 1)) / bands * (1.0 - bands * 2.0**-31) - 1.0
    deviation_q20 = np.sqrt((np.maximum(mean_square, 0.0) + contract.LAYER_NORM_EPSILON_Q24) * 2.0**16) - 1.0
    x_q11 = c * 2.0**19 / deviation_q20 * (1.0 + 2.0**-29)
    return int(np.floor(x_q11.max() + 0.5))
