"""Window, gain, overlap-add: stated ranges and rounding, and the whole path without a gain is the identity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim import fft, stft, tables
from firmware_sim.contract import PROFILES, Parameters, Profile
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.meter import Counter
from tests import signals

SEED = PROFILES["seed"]
DEFAULT = PROFILES["default"]
PROFILES_UNDER_TEST = [SEED, DEFAULT, Profile("a", 256, 64, 128), Profile("b", 512, 64, 128), Profile("c", 256, 32, 64)]
GAIN = st.integers(0, 32768)


def test_the_windowed_frame_stays_inside_the_guard_of_the_fft() -> None:
    for level in (-32768, 32767):
        frame = stft.window(np.full((1, 128), level, np.int64), SEED)
        assert frame.min() >= -fft.GUARD
        assert frame.max() < fft.GUARD


def test_the_windowed_frame_is_the_product_rounded_half_up() -> None:
    history = np.random.default_rng(0).integers(-32768, 32768, (3, 128))
    product = history.astype(object) * tables.analysis_window_q31(SEED).astype(object)
    np.testing.assert_array_equal(stft.window(history, SEED), (product + (1 << 15)) // (1 << 16))


@given(GAIN, GAIN, GAIN, GAIN)
def test_total_gain_is_floored_and_mixed(wiener: int, mask: int, floor: int, dry: int) -> None:
    parameters = Parameters(gain_floor_q15=floor, dry_q15=dry)
    gain = int(stft.total_gain(np.full((1, 65), wiener), np.full((1, 65), mask), SEED, parameters, False)[0, 9])
    wet = max(wiener * mask / 32768, floor)
    assert abs(gain - (dry + wet * (32768 - dry) / 32768)) <= 1.0
    assert dry <= gain <= 32768


@pytest.mark.parametrize(
    ("parameters", "initialising", "expected"),
    [
        (Parameters(), False, 8192),
        (Parameters(gain_floor_q15=10_000), False, 10_000),
        (Parameters(dry_q15=32768), False, 32768),
        (Parameters(dry_q15=16384), False, 20480),
        (Parameters(bypass=True), False, 32768),
        (Parameters(), True, 32768),
    ],
)
def test_total_gain_of_solved_cases(parameters: Parameters, initialising: bool, expected: int) -> None:
    half = np.full((2, 65), 16384, np.int64)
    np.testing.assert_array_equal(
        stft.total_gain(half, half, SEED, parameters, initialising), np.full((2, 65), expected)
    )


def test_every_bin_takes_the_mask_of_its_band() -> None:
    mask = np.arange(64)[None] * 512
    gain = stft.total_gain(np.full((1, 129), 32768), mask, DEFAULT, Parameters(gain_floor_q15=0), False)[0]
    np.testing.assert_array_equal(gain[:30], np.arange(30) * 512)  # a bin a band
    np.testing.assert_array_equal(gain[30:34], np.array([30, 30, 31, 31]) * 512)
    np.testing.assert_array_equal(gain[-5:], np.array([62, 63, 63, 63, 63]) * 512)
    np.testing.assert_array_equal(gain, np.array(DEFAULT.band_of_bin) * 512)


def test_power_is_the_squared_magnitude_and_fits_its_range_at_the_guard() -> None:
    spectrum = np.array([[[fft.GUARD - 1, -fft.GUARD], [3, 4], [-7, 0]]], np.int64)
    exact = [((int(re) ** 2 + int(im) ** 2) >> 4) for re, im in spectrum[0]]
    np.testing.assert_array_equal(stft.power(spectrum), [exact])
    assert exact[0] <= 1 << 57


def test_overlap_add_counts_samples_that_leave_int16() -> None:
    counter = Counter(streams=2)
    frame = np.zeros((2, 128), np.int64)
    frame[1, 32:40] = 1 << 24
    pcm, _ = stft.overlap_add(frame, np.zeros((2, 64), np.int64), SEED, counter)
    np.testing.assert_array_equal(counter.saturations, [0, 8])
    assert pcm.max() == 32767


@pytest.mark.parametrize("profile", PROFILES_UNDER_TEST, ids=lambda p: p.name)
def test_identity_mode_returns_the_delayed_input_within_one_lsb(profile: Profile) -> None:
    pcm = np.stack([*signals.adversarial(6400).values(), signals.mixture(5.0, 0.4)])
    loop = FrameLoop(profile, None, Parameters(use_network=False, bypass=True), streams=len(pcm))
    out = loop.process(pcm).astype(np.int64)
    delay = profile.stream_delay_samples
    assert delay == profile.latency_samples - profile.hop_samples
    assert np.abs(out[:, delay:] - pcm[:, :-delay]).max() <= 1
    assert np.abs(out[:, :delay]).max() <= 1
    assert all(not counter.overflows.any() for counter in loop.counters.values())
