"""features.c against features.py."""

from __future__ import annotations

import ctypes

import numpy as np

from firmware_sim.contract import NOISE_MIN, Profile
from firmware_sim.features import features, gain_features, layer_norm
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter as StreamCounter
from tests.firmware.c_library import BOTH, Counter, address, library

RNG = np.random.default_rng(0)


def powers(profile: Profile, low: int, count: int = 300) -> Ints:
    """(count, bins) of every magnitude in [low, 2^57]."""
    shape = (count, profile.bins)
    values = RNG.integers(0, 1 << 57, shape, endpoint=True) >> RNG.integers(0, 58, shape)
    values[0], values[1] = low, 1 << 57
    return np.maximum(values, low)


def gains(profile: Profile, count: int = 300) -> Ints:
    """(count, bins) of every magnitude, both ends first."""
    gain = RNG.integers(0, 32769, (count, profile.bins)) >> RNG.integers(0, 17, (count, profile.bins))
    gain[0], gain[1] = 0, 32768
    return gain


@BOTH
def test_features_against_python(profile: Profile) -> None:
    power, noise, gain = powers(profile, 0), powers(profile, NOISE_MIN), gains(profile)
    out = np.empty(profile.band_count, np.int32)
    expected = features(power, noise, gain, profile)
    for p, n, g, wanted in zip(power, noise, gain.astype(np.uint16), expected, strict=True):
        library(profile).stapes_features(address(p), address(n), address(g), address(out))
        np.testing.assert_array_equal(out, wanted)


@BOTH
def test_gain_features_against_python(profile: Profile) -> None:
    gain = gains(profile)
    out = np.empty(profile.band_count, np.int16)
    for g, wanted in zip(gain.astype(np.uint16), gain_features(gain, profile), strict=True):
        library(profile).stapes_gain_features(address(g), address(out))
        np.testing.assert_array_equal(out, wanted)


@BOTH
def test_layer_norm_against_python(profile: Profile) -> None:
    """Flat frames, single peaks (which reach the limit) and every spread between."""
    spread = RNG.integers(0, 22, (600, 1))
    feature = RNG.integers(-(1 << 21), 1 << 21, (600, profile.band_count)) >> spread
    feature[:100] = RNG.integers(-(1 << 21), 1 << 21, (100, 1))
    feature[np.arange(50), np.arange(50)] += 1 << 21
    feature[np.arange(50, 100), np.arange(50)] -= 1 << 20
    counters = StreamCounter(len(feature)), Counter()
    out = np.empty(profile.band_count, np.int16)
    for row, wanted in zip(feature.astype(np.int32), layer_norm(feature, counters[0]), strict=True):
        library(profile).stapes_layer_norm(address(row), address(out), ctypes.byref(counters[1]))
        np.testing.assert_array_equal(out, wanted)
    assert counters[1].saturations == counters[0].saturations.sum()
