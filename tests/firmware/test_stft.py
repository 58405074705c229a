"""stft.c against stft.py: windows, power, gains and overlap-add on their whole ranges."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from firmware_sim import stft
from firmware_sim.contract import PROFILES, Parameters, Profile
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter as StreamCounter
from golden_vectors.executors.c_host import ParameterBlock
from tests.firmware.c_library import PROFILE, Counter, address, library

RNG = np.random.default_rng(0)
WIDE = Profile("wide", 256, 64, 128)
I32_MAX = (1 << 31) - 1


@pytest.mark.parametrize("profile", [*PROFILES.values(), WIDE], ids=lambda profile: profile.name)
def test_window_against_python(profile: Profile) -> None:
    n = profile.analysis_samples
    ends = [np.full(n, level) for level in (-32768, 32767, 0, 1, -1)]
    history = np.concatenate([RNG.integers(-32768, 32768, (200, n)), ends])
    frame = np.empty(n, np.int32)
    for row, expected in zip(history.astype(np.int16), stft.window(history, profile), strict=True):
        library(profile).stapes_window(address(row), address(frame))
        np.testing.assert_array_equal(frame, expected)


def spectra(count: int) -> Ints:
    """Bins of every magnitude up to int32, (count, bins, 2)."""
    values = RNG.integers(-I32_MAX, I32_MAX, (count, PROFILE.bins, 2)) >> RNG.integers(0, 31, (count, 1, 1))
    values[0], values[1] = I32_MAX, -I32_MAX
    return values


def test_power_against_python() -> None:
    x = spectra(300)
    power = np.empty(PROFILE.bins, np.int64)
    for row, expected in zip(x.astype(np.int32), stft.power(x), strict=True):
        library().stapes_power(address(row), address(power))
        np.testing.assert_array_equal(power, expected)


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(),
        Parameters(gain_floor_q15=3277, dry_q15=5000),
        Parameters(gain_floor_q15=32768),
        Parameters(dry_q15=32768),
        Parameters(dry_q15=1, gain_floor_q15=1),
        Parameters(bypass=True, dry_q15=77),
    ],
    ids=str,
)
def test_total_gain_against_python(parameters: Parameters) -> None:
    sizes = PROFILE.bins, PROFILE.band_count
    wiener, mask = (np.append(RNG.integers(0, 32769, (200, n - 2)), [[0, 32768]] * 200, 1) for n in sizes)
    mask = RNG.permuted(mask, axis=1)
    block = ParameterBlock.of(parameters)
    gain = np.empty(PROFILE.bins, np.uint16)
    ones = np.full_like(mask, 32768)
    for initialising in (False, True):
        for used in (mask, ones):
            expected = stft.total_gain(wiener, used, PROFILE, parameters, initialising)
            for w, m, wanted in zip(wiener.astype(np.uint16), used.astype(np.uint16), expected, strict=True):
                given = None if used is ones else address(m)
                library().stapes_total_gain(address(w), given, ctypes.byref(block), initialising, address(gain))
                np.testing.assert_array_equal(gain, wanted)


def test_apply_gain_against_python() -> None:
    x = spectra(300)
    gain = RNG.integers(0, 32769, (300, PROFILE.bins))
    gain[:2] = 32768
    out = np.empty((PROFILE.bins, 2), np.int32)
    for row, g, wanted in zip(x.astype(np.int32), gain.astype(np.uint16), stft.apply_gain(x, gain), strict=True):
        library().stapes_apply_gain(address(row), address(g), address(out))
        np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("profile", [*PROFILES.values(), WIDE], ids=lambda profile: profile.name)
def test_overlap_add_against_python(profile: Profile) -> None:
    """Frames up to four times full scale, so that samples saturate in both directions."""
    scale = 1 << (32 - profile.fft_log2)
    shifts = RNG.integers(0, 20, (200, 1))
    frames = RNG.integers(-scale, scale, (200, profile.analysis_samples)) >> shifts
    overlap = np.zeros((1, profile.hop_samples), np.int64)
    kept = np.zeros(profile.hop_samples, np.int32)
    pcm = np.empty(profile.hop_samples, np.int16)
    stream_counter, counter = StreamCounter(1), Counter()
    for frame in frames:
        expected, overlap = stft.overlap_add(frame[None], overlap, profile, stream_counter)
        library(profile).stapes_overlap_add(
            address(frame.astype(np.int32)), address(kept), address(pcm), ctypes.byref(counter)
        )
        np.testing.assert_array_equal(pcm, expected[0])
        np.testing.assert_array_equal(kept, overlap[0])
    assert counter.saturations == stream_counter.saturations[0] > 0
