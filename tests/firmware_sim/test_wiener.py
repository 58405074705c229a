"""The Wiener stage: each step against exact arithmetic, the whole against its float64 twin on real noisy speech."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim import contract, wiener
from firmware_sim.contract import NOISE_MIN, PROFILES, SAMPLE_RATE_HZ, Parameters, Profile
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.meter import Counter
from firmware_sim.wiener import WienerState
from tests import signals, twins

SEED, DEFAULT = PROFILES["seed"], PROFILES["default"]
TRACKERS = pytest.mark.parametrize("profile", [SEED, DEFAULT], ids=["vad", "spp"])
POWER = st.integers(0, 1 << 57) | st.integers(0, 57).map(lambda k: 1 << k) | st.sampled_from([0, 1, (1 << 57) - 1])
NOISE = st.integers(NOISE_MIN, 1 << 57) | st.integers(14, 57).map(lambda k: 1 << k)
GAMMA = st.integers(0, 1 << 31)
HOPS_A_SECOND = SAMPLE_RATE_HZ // 64


def one(value: int) -> npt.NDArray[np.int64]:
    return np.array([[value]], np.int64)


# ---------------------------------------------------------------- steps


@given(POWER, NOISE)
def test_a_posteriori_snr_keeps_its_relative_error(power: int, noise: int) -> None:
    gamma = int(wiener.a_posteriori_snr(one(power), one(noise), Counter(1))[0, 0])
    exact = min(Fraction(power * 65536, noise), Fraction(contract.GAMMA_MAX_UQ16))
    assert abs(gamma - exact) <= exact * (Fraction(1, 1 << 16) + Fraction(1, 1 << 17)) + 1


def test_a_posteriori_snr_is_limited_and_counted() -> None:
    counter = Counter(streams=2)
    power = np.array([[1 << 57, 0], [1 << 28, NOISE_MIN]], np.int64)
    gamma = wiener.a_posteriori_snr(power, np.full((2, 2), NOISE_MIN), counter)
    np.testing.assert_array_equal(counter.saturations, [1, 0])
    np.testing.assert_array_equal(gamma[0], [contract.GAMMA_MAX_UQ16, 0])


@given(GAMMA, GAMMA)
def test_a_priori_snr_is_the_decision_directed_rule_rounded(gamma: int, prior: int) -> None:
    exact = Fraction(98, 100) * prior + Fraction(2, 100) * max(gamma - 65536, 0)
    xi = int(wiener.a_priori_snr(one(gamma), one(prior))[0, 0])
    assert abs(xi - exact) <= Fraction(1, 2) + Fraction(prior + gamma, 1 << 31)
    assert 0 <= xi <= 1 << 31


@given(GAMMA | st.integers(0, 1 << 10))
def test_the_wiener_ratio_keeps_its_relative_error(xi: int) -> None:
    ratio = int(wiener.wiener_ratio(one(xi))[0, 0])
    exact = Fraction(xi << 31, xi + 65536)
    assert abs(ratio - exact) <= exact / (1 << 16) + 1
    assert 0 <= ratio < 1 << 31


def test_the_likelihood_sum_weighs_inner_bins_twice_and_is_near_the_exact_sum() -> None:
    rng = np.random.default_rng(3)
    prior, xi = (np.exp2(rng.uniform(0, 31, (200, 65))).astype(np.int64) for _ in range(2))
    weight = np.full(65, 2.0)
    weight[[0, -1]] = 1.0
    exact = (prior * weight).sum(axis=1) - (np.log1p(xi / 65536.0) * weight).sum(axis=1) * 65536.0
    assert np.abs(wiener.log_likelihood(prior, xi) - exact).max() < 128


@given(NOISE, POWER)
def test_the_noise_psd_follows_slowly_and_never_falls_below_its_floor(noise: int, power: int) -> None:
    exact = Fraction(98, 100) * noise + Fraction(2, 100) * power
    followed = int(wiener.followed_noise(one(noise), one(power))[0, 0])
    assert followed >= NOISE_MIN
    assert abs(followed - max(exact, NOISE_MIN)) <= 1 + Fraction(noise + power, 1 << 31)


@given(GAMMA | st.integers(0, 1 << 21), st.integers(0, contract.PRESENCE_LIMIT_Q31))
def test_speech_absence_keeps_its_error_and_its_mean_moves_by_one_fortieth(gamma: int, presence: int) -> None:
    absence, mean = (int(v[0, 0]) for v in wiener.speech_absence(one(gamma), one(presence)))
    exact = 1.0 - float(twins.speech_presence(np.array(gamma / 65536.0)))
    floor = 0.01 if mean > contract.PRESENCE_LIMIT_Q31 else 0.0
    assert abs(absence / 65536.0 - max(exact, floor)) < 2.0**-14
    assert abs(mean - (0.975 * presence + 0.025 * (1.0 - exact) * 2.0**31)) < 0.025 * 2.0**17 + 2
    assert 0 <= mean <= 1 << 31


def test_a_bin_that_has_long_been_speech_is_not_believed_entirely() -> None:
    """655 / 65536 is 0.01 rounded down; the guard begins above 0.99, not at it."""
    limit = contract.PRESENCE_LIMIT_Q31
    before = (limit - ((1 << 31) * contract.PRESENCE_INNOVATION_Q31 >> 31)) * 1000 // 975
    presence = np.arange(before - 40, before + 40)[None]
    absence, mean = wiener.speech_absence(np.full_like(presence, 1 << 31), presence)
    np.testing.assert_array_equal(absence, np.where(mean > limit, 655, 0))
    assert 0 < (mean > limit).sum() < 80
    assert (mean == limit).any()
    unsure, _ = wiener.speech_absence(one(0), one(1 << 31))
    assert unsure[0, 0] == 63587  # where speech is absent, the guard changes nothing


@given(NOISE, POWER, st.integers(0, 63587))
def test_the_weighted_noise_psd_follows_by_the_absence_of_speech(noise: int, power: int, absence: int) -> None:
    share = Fraction(3, 100) * Fraction(absence, 65536)
    followed = int(wiener.weighted_noise(one(noise), one(power), one(absence))[0, 0])
    assert followed >= NOISE_MIN
    assert abs(followed - max(noise + share * (power - noise), NOISE_MIN)) <= 1 + Fraction(noise + power, 1 << 31)
    assert min(noise, power) - 1 <= followed <= max(noise, power, NOISE_MIN)


# ---------------------------------------------------------------- one hop after the other


def test_the_noise_is_learned_from_the_first_120_ms_while_audio_passes() -> None:
    state = WienerState(SEED, streams=2)
    powers = np.random.default_rng(4).integers(0, 1 << 54, (30, 2, 65))
    for t, power in enumerate(powers):
        np.testing.assert_array_equal(state.noise, np.full((2, 65), NOISE_MIN), err_msg=f"hop {t}")
        taps = wiener.wiener(power, state, 0, Counter(2))
        assert taps.initialising
        np.testing.assert_array_equal(taps.gain_q15, np.full((2, 65), 32768))
        np.testing.assert_array_equal(taps.vad, [0, 0])
    mean = powers.sum(axis=0) / 30.0
    assert np.abs(state.noise / mean - 1.0).max() < 2.0**-25
    assert not wiener.wiener(powers[0], state, 0, Counter(2)).initialising


def test_the_noise_stands_still_while_the_vad_hears_speech() -> None:
    state = WienerState(SEED, streams=2)
    for _ in range(30):
        wiener.wiener(np.full((2, 65), 1 << 30), state, 0, Counter(2))
    before = state.noise
    power = np.stack([np.full(65, 1 << 30), np.full(65, 1 << 38)])
    taps = wiener.wiener(power, state, 0, Counter(2))
    np.testing.assert_array_equal(taps.vad, [0, 1])
    np.testing.assert_array_equal(state.noise[1], before[1])
    np.testing.assert_array_equal(state.noise[0], wiener.followed_noise(before, power)[0])


@pytest.mark.parametrize("floor_q15", [0, 10362, 32768])
def test_gains_stay_between_the_floor_and_one(floor_q15: int) -> None:
    pcm = np.stack(list(signals.adversarial(8000).values()))
    loop = FrameLoop(SEED, None, Parameters(0, 0, floor_q15, use_network=False), streams=len(pcm))
    for hop in loop.hops_of(pcm):
        gain = hop.taps["wiener_gain_q15"]
        assert floor_q15 <= gain.min()
        assert gain.max() <= 32768


@TRACKERS
def test_digital_silence_neither_divides_by_zero_nor_wakes_the_vad(profile: Profile) -> None:
    loop = FrameLoop(profile)
    hops = list(loop.hops_of(signals.silence(6400)[None]))
    assert not any(hop.taps["vad"].any() for hop in hops)
    np.testing.assert_array_equal(hops[-1].taps["noise"], np.full((1, profile.bins), NOISE_MIN))
    assert not any(hop.pcm.any() for hop in hops)


def test_speech_after_digital_silence_passes_almost_unchanged() -> None:
    """Nothing was learned but the floor of one rounding noise: speech is all signal, its SNR meets the ceiling."""
    pcm = signals.speech_after_silence(32_000)[None]
    loop = FrameLoop(SEED)
    out = loop.process(pcm)[0].astype(np.float64)
    wanted, got = pcm[0, 16_000:-64].astype(np.float64), out[16_064:]
    assert ((wanted - got) ** 2).sum() < 1e-4 * (wanted**2).sum()
    assert loop.counters["wiener"].saturations[0] > 0


# ---------------------------------------------------------------- after a pause and a rise of the noise


def level_behind_db(profile: Profile) -> npt.NDArray[np.float64]:
    """How far the noise PSD is below a noise that rose by 20 dB after a second of digital silence; (hops,)."""
    pcm = signals.risen_noise(10 * SAMPLE_RATE_HZ)
    loop = FrameLoop(profile)
    hops = [(hop.taps["noise"][0], hop.taps["power"][0]) for hop in loop.hops_of(pcm[None])]
    noise, power = (np.stack(values)[2 * HOPS_A_SECOND :, 1:-1].astype(float) for values in zip(*hops, strict=True))
    return 10.0 * np.log10(power[HOPS_A_SECOND:].mean() / noise.mean(axis=1))


def test_the_tracker_spp_finds_a_noise_that_rose_by_20_db_after_digital_silence() -> None:
    """Measured: 10 dB are left after 2.7 s, 3 dB after 4.0 s: the guard lets 0.0003 of the input in, hop by hop."""
    behind = level_behind_db(DEFAULT)
    assert behind[0] > 40.0
    recovered = int(np.argmax(behind < 3.0)) / HOPS_A_SECOND
    assert 3.5 < recovered < 4.5
    assert np.abs(behind[5 * HOPS_A_SECOND :]).max() < 3.0


def test_the_tracker_vad_never_finds_it() -> None:
    """Its decision is one for all bins and calls the risen noise speech: the noise PSD freezes."""
    behind = level_behind_db(SEED)
    assert behind.min() > 20.0
    assert np.ptp(behind[1:]) == 0.0


# ---------------------------------------------------------------- against the float64 twin


@dataclass(frozen=True)
class Comparison:
    """Both machines over the same streams: pcm (streams, samples), vad (streams, hops)."""

    device_pcm: npt.NDArray[np.int64]
    twin_pcm: npt.NDArray[np.float64]
    device_vad: npt.NDArray[np.bool_]
    twin_vad: npt.NDArray[np.bool_]

    @property
    def snr_db(self) -> float:
        """Twin's power over the power of the difference, all streams."""
        error = self.twin_pcm - self.device_pcm
        return float(10 * np.log10((self.twin_pcm**2).sum() / (error**2).sum()))


def compare(pcm: signals.Pcm, profile: Profile) -> Comparison:
    """The Wiener stage alone, fixed point and float64."""
    loop = FrameLoop(profile, streams=len(pcm))
    hops = [(hop.pcm, hop.taps["vad"]) for hop in loop.hops_of(pcm)]
    twin = [twins.wiener_only(stream, profile) for stream in pcm]
    return Comparison(
        np.concatenate([out for out, _ in hops], axis=1),
        np.stack([result.pcm for result in twin]),
        np.stack([vad for _, vad in hops], axis=1).astype(bool),
        np.stack([result.vad for result in twin]),
    )


@TRACKERS
def test_a_minute_of_real_noisy_speech_against_the_float64_twin(profile: Profile) -> None:
    pcm = signals.noisy_speech()
    assert pcm.size >= 60 * SAMPLE_RATE_HZ
    result = compare(pcm, profile)
    assert result.snr_db >= 60.0
    assert (result.device_vad == result.twin_vad).mean() >= 0.999
    assert 0.05 < result.twin_vad.mean() < 0.9


@TRACKERS
def test_level_jumps_of_90_db_against_the_float64_twin(profile: Profile) -> None:
    result = compare(signals.level_jumps(32_000)[None], profile)
    assert result.snr_db >= 60.0
    np.testing.assert_array_equal(result.device_vad, result.twin_vad)
