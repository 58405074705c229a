"""The contract: one way from float to integer, profiles as data, parameters that cannot be out of range."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim import contract
from firmware_sim.contract import PROFILES, ContractError, Parameters, Profile, q


@given(st.floats(-0.9999, 0.9999), st.integers(1, 31))
def test_q_is_the_nearest_integer(value: float, fraction_bits: int) -> None:
    assert abs(Fraction(value) * 2**fraction_bits - q(value, fraction_bits, bits=33)) <= Fraction(1, 2)


@pytest.mark.parametrize(("value", "expected"), [(0.5, 1), (-0.5, -1), (1.5, 2), (-2.5, -3), (0.0, 0)])
def test_q_rounds_ties_away_from_zero(value: float, expected: int) -> None:
    assert q(value, 0, bits=8) == expected


@pytest.mark.parametrize(
    ("value", "bits", "signed"),
    [(1.0, 16, True), (-1.00005, 16, True), (2.0, 16, False), (-0.001, 16, False), (float("inf"), 16, True),
     (float("nan"), 16, True)],
)  # fmt: skip
def test_q_refuses_what_does_not_fit(value: float, bits: int, signed: bool) -> None:
    with pytest.raises(ContractError):
        q(value, 15, bits=bits, signed=signed)


def test_q_accepts_the_ends_of_the_range() -> None:
    assert q(-1.0, 15, bits=16) == -32768
    assert q(32767 / 32768, 15, bits=16) == 32767
    assert q(65535 / 32768, 15, bits=16, signed=False) == 65535


def test_the_seed_profile_has_the_sizes_and_the_latency_that_the_design_promises() -> None:
    seed = PROFILES["seed"]
    assert (seed.analysis_samples, seed.hop_samples, seed.synthesis_samples) == (128, 64, 128)
    assert (seed.bins, seed.fft_log2, seed.noise_init_hops) == (65, 7, 30)
    assert (seed.latency_samples, seed.latency_ms, seed.stream_delay_samples) == (128, 8.0, 64)


def test_the_default_profile_hears_twice_as_finely_at_the_same_latency() -> None:
    default = PROFILES["default"]
    assert contract.DEFAULT_PROFILE == "default"
    assert (default.analysis_samples, default.hop_samples, default.bins, default.fft_log2) == (256, 64, 129, 8)
    assert (default.latency_ms, default.stream_delay_samples, default.noise_init_hops) == (8.0, 64, 30)
    assert (default.band_count, default.inputs, default.gain_channel) == (64, 128, True)


def test_bands_partition_the_bins_in_order() -> None:
    for profile in (*PROFILES.values(), Profile("every bin", 256, 64, 128)):
        steps = [b - a for a, b in itertools.pairwise(profile.band_of_bin)]
        assert len(profile.band_of_bin) == sum(profile.band_widths) == profile.bins
        assert set(steps) <= {0, 1}
        assert profile.band_of_bin[:2] == (0, 1)
        assert profile.band_of_bin[-1] == profile.band_count - 1
        assert [profile.band_of_bin.count(b) for b in range(profile.band_count)] == list(profile.band_widths)
    seed = PROFILES["seed"]
    assert (seed.band_count, seed.inputs, seed.band_of_bin) == (65, 65, tuple(range(65)))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"bands": ((65, 1), (1, 1))}, "hold 66 of 65 bins"),
        ({"bands": ((1, 1), (21, 3))}, "hold 64 of 65 bins"),
        ({"bands": ((1, 2), (63, 1))}, "first band must be bin 0"),
        ({"bands": ((1, 1), (0, 2), (64, 1))}, "no bins"),
        ({"bands": ((1, 1), (1, 0), (64, 1))}, "no bins"),
        ({"bands": ((66, 1), (-1, 1))}, "no bins"),
        ({"analysis_samples": 256, "bands": ((1, 1), (1, 128))}, "more than 64"),
        ({"noise_tracker": "ear"}, "'ear' is not known"),
        ({"wiener_floor_q15": 32769}, "wiener_floor_q15"),
        ({"wiener_floor_q15": -1}, "wiener_floor_q15"),
    ],
)
def test_profiles_refuse_bands_and_methods_that_cannot_work(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        replace(PROFILES["seed"], **changed)


@pytest.mark.parametrize(
    "sizes", [(100, 50, 100), (16, 8, 16), (2048, 64, 128), (128, 32, 128), (64, 64, 128), (0, 0, 0)]
)
def test_profiles_refuse_sizes_that_cannot_work(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ContractError, match="profile odd"):
        Profile("odd", *sizes)


def test_gain_constants_complement_each_other_to_one() -> None:
    assert contract.NOISE_MEMORY_Q31 + contract.NOISE_INNOVATION_Q31 == 1 << 31
    assert contract.DECISION_DIRECTED_Q31 + contract.DECISION_INNOVATION_Q31 == 1 << 31
    assert contract.PRESENCE_MEMORY_Q31 + contract.PRESENCE_INNOVATION_Q31 == 1 << 31


@pytest.mark.parametrize("name", ["gain_floor_q15", "dry_q15", "wiener_floor_q15"])
@pytest.mark.parametrize("value", [-1, 32769])
def test_parameters_outside_unity_are_refused(name: str, value: int) -> None:
    with pytest.raises(ContractError, match=name):
        Parameters(**{name: value})
