"""Every table against its formula in wider arithmetic, at its stated error."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_sim import tables
from firmware_sim.contract import PROFILES, Profile

ASYMMETRIC = [Profile("a", 256, 64, 128), Profile("b", 512, 64, 128), Profile("c", 256, 32, 64)]
ALL_PROFILES = [*PROFILES.values(), *ASYMMETRIC]
by_name = pytest.mark.parametrize("profile", ALL_PROFILES, ids=lambda p: p.name)


def test_reciprocal_guess_is_within_2_to_minus_9_everywhere_in_each_interval() -> None:
    index = np.arange(256)
    for edge in (index, index + 1.0):
        mantissa = 0.5 + edge / 512.0
        relative = tables.RECIPROCAL_UQ16 / 2.0**15 * mantissa - 1.0
        assert np.abs(relative).max() <= 2.0**-9


def test_log2_entries_are_rounded_and_interpolation_keeps_its_error() -> None:
    grid = np.log2(1.0 + np.arange(257) / 256.0)
    assert np.abs(tables.LOG2_Q24 / 2.0**24 - grid).max() <= 2.0**-25
    fine = np.linspace(0.0, 256.0, 256 * 64 + 1)
    chord = np.interp(fine, np.arange(257), grid)
    assert np.abs(chord - np.log2(1.0 + fine / 256.0)).max() < 2.0**-18.4


def test_sqrt_entries_are_rounded_and_interpolation_keeps_its_error() -> None:
    grid = np.sqrt(np.arange(257) / 256.0) * 2.0**16
    error = np.abs(tables.SQRT_UQ16 - grid)
    assert error[:256].max() <= 0.5
    assert tables.SQRT_UQ16[256] == (1 << 16) - 1
    fine = np.linspace(64.0, 256.0, 192 * 64 + 1)
    chord = np.interp(fine, np.arange(257), grid)
    assert np.abs(chord - np.sqrt(fine / 256.0) * 2.0**16).max() < 0.25


def test_absence_entries_are_rounded_and_interpolation_keeps_its_error() -> None:
    """Also beyond the table, where absence counts as none."""
    xi = 10.0**1.5
    fine = np.linspace(0.0, 256.0, 256 * 64 + 1)
    odds = (1.0 + xi) * np.exp(-fine / 16.0 * xi / (1.0 + xi))
    exact = odds / (1.0 + odds) * 2.0**16
    assert np.abs(tables.ABSENCE_UQ16 - exact[::64]).max() <= 0.5
    chord = np.interp(fine, np.arange(257), exact[::64])
    assert 2.0 < np.abs(chord - exact).max() < 2.9
    assert tables.ABSENCE_UQ16[-1] == 0
    assert exact[-1] < 0.5
    assert (np.diff(tables.ABSENCE_UQ16) <= 0).all()


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_band_tables_follow_the_widths(profile: Profile) -> None:
    starts, inverse = tables.band_starts(profile), tables.band_inverse_q31(profile)
    np.testing.assert_array_equal(np.diff([*starts, profile.bins]), profile.band_widths)
    assert np.abs(inverse - 2.0**31 / np.array(profile.band_widths)).max() <= 0.5


@by_name
def test_windows_fit_their_formats_within_one_lsb(profile: Profile) -> None:
    analysis, synthesis = tables.analysis_window_q31(profile), tables.synthesis_window_q30(profile)
    assert analysis.min() >= 0
    assert analysis.max() < 1 << 31
    assert np.abs(analysis - tables.analysis_window(profile) * 2.0**31).max() <= 1.0
    assert synthesis.min() >= 0
    assert synthesis.max() < 1 << 31
    assert np.abs(synthesis - tables.synthesis_window(profile) * 2.0**30).max() <= 0.5


@by_name
def test_windows_reconstruct_perfectly_without_a_divisor(profile: Profile) -> None:
    m, hop = profile.synthesis_samples, profile.hop_samples
    product = tables.analysis_window(profile)[-m:] * tables.synthesis_window(profile)
    np.testing.assert_allclose(product[:hop] + product[hop:], 1.0, rtol=0, atol=1e-15)


def test_the_seed_windows_are_the_periodic_sqrt_hann() -> None:
    seed = PROFILES["seed"]
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(128) / 128)
    np.testing.assert_allclose(tables.analysis_window(seed) ** 2, hann, rtol=0, atol=1e-15)
    np.testing.assert_allclose(tables.synthesis_window(seed), tables.analysis_window(seed), rtol=0, atol=1e-15)


@pytest.mark.parametrize("length", [16, 32, 64, 128, 256, 512])
def test_twiddles_are_the_cosine_and_sine_within_one_lsb(length: int) -> None:
    table = tables.twiddle_q31(length)
    angle = 2.0 * np.pi * np.arange(3 * length // 4) / length
    exact = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 2.0**31
    assert table.shape == exact.shape
    assert np.abs(table - exact).max() <= 1.0
    assert table.max() == (1 << 31) - 1
    assert table.min() >= -(1 << 31)


@pytest.mark.parametrize("length", [32, 64, 128, 256, 512, 1024])
def test_split_coefficients_are_halves_that_add_up(length: int) -> None:
    a, b = tables.split_q31(length)
    angle = 2.0 * np.pi * np.arange(length // 2) / length
    assert np.abs(a[:, 0] - (1.0 - np.sin(angle)) * 2.0**30).max() <= 1.0
    assert np.abs(a[:, 1] + np.cos(angle) * 2.0**30).max() <= 1.0
    assert np.abs(b[:, 0] - (1.0 + np.sin(angle)) * 2.0**30).max() <= 1.0
    np.testing.assert_array_equal(a[:, 1], -b[:, 1])


@pytest.mark.parametrize("table", [tables.RECIPROCAL_UQ16, tables.LOG2_Q24, tables.SQRT_UQ16, tables.twiddle_q31(64)])
def test_tables_cannot_be_written(table: tables.Table) -> None:
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0
