"""wiener.c against wiener.py, fed with powers that no microphone would deliver."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from firmware_sim.contract import NOISE_MIN, PROFILES, VAD_THRESHOLD_Q16, Parameters, Profile
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter as StreamCounter
from firmware_sim.wiener import WienerState, wiener
from golden_vectors.executors.c_host import HostDevice
from golden_vectors.unit_cases.wiener import powers_at_the_threshold
from tests.firmware.c_library import BOTH

RNG = np.random.default_rng(0)
HOPS = 200
MOST_BINS = max(profile.bins for profile in PROFILES.values())


def steady(level: int) -> Ints:
    return np.full((HOPS, MOST_BINS), level)


def any_magnitude() -> Ints:
    return RNG.integers(0, 1 << 57, (HOPS, MOST_BINS)) >> RNG.integers(0, 58, (HOPS, MOST_BINS))


def bursts() -> Ints:
    """Exponential noise with bursts far above it: the VAD opens and closes."""
    noise = RNG.exponential(1 << 24, (HOPS, MOST_BINS))
    noise[100::40] *= 1e5
    noise[150:170] = 0
    return noise.astype(np.int64)


POWERS = {
    "nothing": steady(0),
    "the floor": steady(NOISE_MIN),
    "the ceiling": steady(1 << 57),
    "ceiling after silence": np.concatenate([steady(0)[:40], steady(1 << 57)])[:HOPS],
    "silence after the ceiling": np.concatenate([steady(1 << 57)[:40], steady(0)])[:HOPS],
    "any magnitude": any_magnitude(),
    "bursts": bursts(),
}


@pytest.mark.parametrize("floor_q15", [0, 10362, 32768])
@pytest.mark.parametrize("name", POWERS)
@BOTH
def test_every_tap_of_the_stage_against_python(profile: Profile, name: str, floor_q15: int) -> None:
    state, counter = WienerState(profile, 1), StreamCounter(1)
    device = HostDevice(None, profile, Parameters(0, 0, floor_q15, use_network=False))
    shown = ("power", "noise", "xi_uq16", "likelihood_q16", "vad", "raw_gain_q15", "wiener_gain_q15")
    taps = {tap: device.view(tap) for tap in shown}
    device.library.stapes_wiener.restype = ctypes.c_bool
    for hop, power in enumerate(POWERS[name][:, : profile.bins]):
        noise = state.noise[0]
        expected = wiener(power[None], state, floor_q15, counter)
        taps["power"][:] = power
        assert device.library.stapes_wiener(device.state) == expected.initialising, hop
        np.testing.assert_array_equal(taps["noise"], noise)
        for tap, values in (
            ("xi_uq16", expected.xi_uq16[0]),
            ("likelihood_q16", expected.likelihood_q16),
            ("vad", expected.vad),
            ("raw_gain_q15", expected.raw_gain_q15[0]),
            ("wiener_gain_q15", expected.gain_q15[0]),
        ):
            np.testing.assert_array_equal(taps[tap], values, err_msg=f"hop {hop}, {tap}")
    assert device.counters["wiener"] == (int(counter.saturations[0]), 0)
    if name == "ceiling after silence":
        assert counter.saturations[0] > 0


@pytest.mark.parametrize(("below_q16", "vad"), [(0, 1), (1, 0)])
def test_a_likelihood_equal_to_the_threshold_is_speech_and_one_lsb_less_is_not(below_q16: int, vad: int) -> None:
    seed = PROFILES["seed"]
    learned = WienerState(seed, 1)
    device = HostDevice(None, seed)
    device.library.stapes_wiener.restype = ctypes.c_bool
    for _ in range(seed.noise_init_hops):
        device.view("power")[:] = 1 << 30
        assert device.library.stapes_wiener(device.state)
        wiener(np.full((1, seed.bins), 1 << 30), learned, 0, StreamCounter(1))
    sum_q16 = VAD_THRESHOLD_Q16 * seed.analysis_samples - below_q16
    power = powers_at_the_threshold(learned, sum_q16)
    device.view("power")[:] = power
    assert not device.library.stapes_wiener(device.state)
    assert device.view("likelihood_q16")[0] == sum_q16
    assert device.view("vad")[0] == wiener(power[None], learned, 0, StreamCounter(1)).vad[0] == vad
