"""features.c against features.py."""

from __future__ import annotations

import ctypes

import numpy as np

from firmware_sim.contract import NOISE_MIN
from firmware_sim.features import features, layer_norm
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter as StreamCounter
from tests.firmware.c_library import SEED, Counter, address, library

RNG = np.random.default_rng(0)


def powers(low: int, count: int = 300) -> Ints:
    """(count, bins) of every magnitude in [low, 2^57]."""
    values = RNG.integers(0, 1 << 57, (count, SEED.bins), endpoint=True) >> RNG.integers(0, 58, (count, SEED.bins))
    values[0], values[1] = low, 1 << 57
    return np.maximum(values, low)


def test_features_against_python() -> None:
    power, noise = powers(0), powers(NOISE_MIN)
    gain = RNG.integers(0, 32769, power.shape) >> RNG.integers(0, 17, power.shape)
    gain[0], gain[1] = 0, 32768
    out = np.empty(SEED.bins, np.int32)
    for p, n, g, wanted in zip(power, noise, gain.astype(np.uint16), features(power, noise, gain), strict=True):
        library().stapes_features(address(p), address(n), address(g), address(out))
        np.testing.assert_array_equal(out, wanted)


def test_layer_norm_against_python() -> None:
    """Flat frames, single peaks (which reach the limit) and every spread between."""
    spread = RNG.integers(0, 22, (600, 1))
    feature = RNG.integers(-(1 << 21), 1 << 21, (600, SEED.bins)) >> spread
    feature[:100] = RNG.integers(-(1 << 21), 1 << 21, (100, 1))
    feature[np.arange(50), np.arange(50)] += 1 << 21
    feature[np.arange(50, 100), np.arange(50)] -= 1 << 20
    counters = StreamCounter(len(feature)), Counter()
    out = np.empty(SEED.bins, np.int16)
    for row, wanted in zip(feature.astype(np.int32), layer_norm(feature, counters[0]), strict=True):
        library().stapes_layer_norm(address(row), address(out), ctypes.byref(counters[1]))
        np.testing.assert_array_equal(out, wanted)
    assert counters[1].saturations == counters[0].saturations.sum()
