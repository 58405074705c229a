"""Features and LayerNorm against float64: a few LSB, level-invariant, limited where they say so."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_sim import contract, features
from firmware_sim.contract import NOISE_MIN, PROFILES, WIENER_FLOOR_Q15, Parameters
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.meter import Counter
from tests import signals, twins

SEED, DEFAULT = PROFILES["seed"], PROFILES["default"]


def random_spectra(frames: int = 2000) -> tuple[features.Ints, features.Ints, features.Ints]:
    """Powers, noise PSDs and gains over their whole ranges."""
    rng = np.random.default_rng(5)
    power = np.exp2(rng.uniform(0, 57, (frames, 65))).astype(np.int64)
    noise = np.maximum(np.exp2(rng.uniform(10, 57, (frames, 65))).astype(np.int64), NOISE_MIN)
    gain = np.minimum(np.exp2(rng.uniform(-1, 15.2, (frames, 65))).astype(np.int64), 32768)
    return power, noise, gain


def test_features_and_normalisation_on_their_whole_ranges_against_float64() -> None:
    power, noise, gain = random_spectra()
    raw, normalised = twins.features(power.astype(float), noise.astype(float), gain / 32768.0, SEED)
    feature_q16 = features.features(power, noise, gain, SEED)
    assert np.abs(feature_q16 - raw * 65536.0).max() < 3.0
    x_q11 = features.layer_norm(feature_q16, Counter(len(power)))
    assert np.abs(x_q11 - normalised * 2048.0).max() < 1.0


def test_real_noisy_speech_against_the_twin_through_the_whole_front_end() -> None:
    """The Wiener gain enters as a logarithm; with the floor the network was trained with, its errors stay small."""
    pcm = signals.noisy_speech(seconds=4.0)
    loop = FrameLoop(SEED, None, Parameters(use_network=False, wiener_floor_q15=WIENER_FLOOR_Q15), len(pcm))
    x_q11 = np.stack([hop.taps["x_q11"] for hop in loop.hops_of(pcm)], axis=1)
    floor = WIENER_FLOOR_Q15 / 32768.0
    twin = np.stack([twins.wiener_only(stream, SEED, floor).normalised for stream in pcm])
    error = np.abs(x_q11 - twin * 2048.0)
    assert error.max() <= 8.0
    assert np.sqrt((error**2).mean()) <= 1.0


def test_nearly_flat_spectra_are_held_down_by_epsilon() -> None:
    """Ripples of the size of sqrt(epsilon): features are rounded to q12 before the division: up to 5 LSB."""
    ripple = np.random.default_rng(7).normal(0.0, 0.04, (200, 65)) + 20.0
    feature_q16 = np.rint(ripple * 65536.0).astype(np.int64)
    centred = ripple - ripple.mean(axis=1, keepdims=True)
    expected = centred / np.sqrt(centred.var(axis=1, keepdims=True) + 2.0**-8)
    assert np.abs(features.layer_norm(feature_q16, Counter(200)) - expected * 2048.0).max() < 5.0


def test_normalised_features_do_not_depend_on_the_level() -> None:
    rng = np.random.default_rng(6)
    feature_q16 = rng.integers(10 << 16, 40 << 16, (50, 65))
    counter = Counter(50)
    louder = feature_q16 + (7 << 16)
    np.testing.assert_array_equal(features.layer_norm(feature_q16, counter), features.layer_norm(louder, counter))
    assert not counter.saturations.any()


def test_a_flat_spectrum_is_zero_and_a_single_peak_meets_the_limit() -> None:
    counter = Counter(streams=3)
    feature_q16 = np.full((3, 65), 20 << 16, np.int64)
    feature_q16[1, 30] += 40 << 16
    feature_q16[2, 30] -= 40 << 16
    x_q11 = features.layer_norm(feature_q16, counter)
    np.testing.assert_array_equal(x_q11[0], np.zeros(65))
    assert x_q11[1].argmax() == 30
    assert abs(x_q11[1, 30] + x_q11[2, 30]) <= 2
    assert np.abs(x_q11).max() <= contract.FEATURE_LIMIT_Q11


def test_values_beyond_the_limit_are_counted() -> None:
    counter = Counter(streams=2)
    feature_q16 = np.zeros((2, 513), np.int64)
    feature_q16[1, 4] = 40 << 16
    x_q11 = features.layer_norm(feature_q16, counter)
    np.testing.assert_array_equal(counter.saturations, [0, 1])
    assert x_q11[1, 4] == contract.FEATURE_LIMIT_Q11 - 1


def test_the_dc_place_tells_the_mean_noise_level() -> None:
    power, noise, gain = random_spectra(100)
    told = features.features(power, noise, gain, SEED)[:, 0]
    assert np.abs(told - np.log2(noise.astype(float)).mean(axis=1) * 65536.0).max() < 2.0
    changed = power.copy()
    changed[:, 0] = 1 << 50
    np.testing.assert_array_equal(features.features(changed, noise, gain, SEED)[:, 0], told)


@pytest.mark.parametrize("gain", [0, 1])
def test_a_gain_of_zero_counts_as_one_lsb(gain: int) -> None:
    power = np.full((1, 65), 1 << 40, np.int64)
    feature_q16 = features.features(power, np.full((1, 65), NOISE_MIN), np.full((1, 65), gain), SEED)
    np.testing.assert_array_equal(feature_q16[0, 1:], np.full(64, (40 - 30) << 16))


# ---------------------------------------------------------------- bands and the gain channel


def random_bins(frames: int = 500) -> tuple[features.Ints, features.Ints, features.Ints]:
    """Powers, noise PSDs and gains of the default profile, independent from bin to bin."""
    rng = np.random.default_rng(8)
    power, noise = (np.exp2(rng.uniform(low, 57, (frames, DEFAULT.bins))).astype(np.int64) for low in (0, 14))
    return power, noise, rng.integers(0, 32769, (frames, DEFAULT.bins))


def test_features_of_bands_and_the_gain_channel_against_float64() -> None:
    power, noise, gain = random_bins()
    raw, normalised = twins.features(power.astype(float), noise.astype(float), gain / 32768.0, DEFAULT)
    feature_q16 = features.features(power, noise, gain, DEFAULT)
    assert feature_q16.shape == (500, 64)
    assert np.abs(feature_q16 - raw * 65536.0).max() < 3.0
    x_q11 = features.network_input(feature_q16, gain, DEFAULT, Counter(500))
    assert x_q11.shape == (500, 128)
    assert np.abs(x_q11[:, :64] - normalised[:, :64] * 2048.0).max() < 1.0
    below = normalised[:, 64:] * 2048.0 - x_q11[:, 64:]  # a floor of a rounded mean
    assert below.min() >= -0.125
    assert below.max() < 1.0


def test_the_gain_channel_is_centred_and_its_ends_are_exact() -> None:
    gain = np.array([[0], [16384], [32768], [3], [4]]) * np.ones(DEFAULT.bins, np.int64)
    ends = features.gain_features(gain, DEFAULT)
    np.testing.assert_array_equal(ends, np.array([[-4096], [0], [4096], [-4096], [-4095]]) * np.ones(64, np.int64))


def test_the_gain_channel_leaves_the_log_power_alone() -> None:
    power, noise, gain = random_bins(20)
    np.testing.assert_array_equal(
        features.features(power, noise, gain, DEFAULT), features.features(power, noise, 32768 - gain, DEFAULT)
    )


def test_a_band_is_the_rounded_mean_of_its_bins_and_of_no_other() -> None:
    """Every sum of three, where 1 / 3 in q31 is not exact, up to the largest; ties of two and four go up."""
    for width in (1, 2, 3, 4):
        band = DEFAULT.band_widths.index(width)
        bins = np.flatnonzero(np.array(DEFAULT.band_of_bin) == band)
        sums = np.concatenate([np.arange(-2000, 2000), (57 << 16) * width - np.arange(2000)])
        x = np.zeros((len(sums), DEFAULT.bins), np.int64)
        x[:, bins[-1]] = sums
        mean = features.band_mean(x, DEFAULT)
        np.testing.assert_array_equal(mean[:, band], (2 * sums + width) // (2 * width))
        np.testing.assert_array_equal(np.delete(mean, band, axis=1), np.zeros((len(sums), 63)))
