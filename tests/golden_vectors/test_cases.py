"""The cases are data that anyone can reproduce, and each says which bug it is there for."""

from __future__ import annotations

import numpy as np
import pytest

from golden_vectors.cases import CASES
from golden_vectors.errors import WitnessError
from golden_vectors.kinds.network import NetworkCase
from golden_vectors.kinds.stream import StreamCase
from golden_vectors.notes import NOTES
from golden_vectors.signals import PROFILE, recording, uniform

STREAMS = [case for case in CASES if isinstance(case, StreamCase)]
NETWORKS = [case for case in CASES if isinstance(case, NetworkCase)]


def stream(name: str) -> StreamCase:
    return next(case for case in STREAMS if case.id == name)


def test_ids_and_numbers_are_unique_and_ascend() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    numbers = [case.tc_id for case in CASES]
    assert numbers == sorted(set(numbers))


def test_every_flag_names_a_bug_and_every_bug_has_a_case() -> None:
    assert {flag for case in CASES for flag in case.flags} == set(NOTES)
    assert all(case.flags for case in CASES)


def test_both_schemes_run_streams_and_networks() -> None:
    assert {case.scheme for case in STREAMS} == {case.scheme for case in NETWORKS} == {"int16x8", "int8"}


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.id)
def test_streams_are_whole_hops_and_longer_than_the_noise_initialisation(case: StreamCase) -> None:
    pcm = case.pcm()
    assert pcm.shape == (case.hops * PROFILE.hop_samples,)
    assert case.hops > PROFILE.noise_init_hops + 10
    np.testing.assert_array_equal(pcm, case.pcm())


def test_the_extremes_are_what_their_names_say() -> None:
    assert set(stream("alternating_full_scale").pcm().tolist()) == {32767, -32768}
    assert set(stream("square_full_scale").pcm().tolist()) == {32767, -32768}
    assert set(stream("dither_1lsb").pcm().tolist()) == {-1, 0, 1}
    assert not stream("silence").pcm().any()
    assert np.count_nonzero(stream("impulse").pcm()) == 4
    quiet, loud = (stream("level_jump_90db").pcm().astype(float)[part] for part in (slice(0, 2880), slice(2880, 4800)))
    assert 20 * np.log10(np.abs(loud).max() / np.abs(quiet).max()) > 90


def test_a_reset_falls_into_speech_and_another_one_into_the_learning_of_the_noise() -> None:
    first, second = stream("reset_in_speech").resets
    assert first > PROFILE.noise_init_hops
    assert second - first < PROFILE.noise_init_hops


def test_network_codes_of_int16x8_are_even_and_both_schemes_reach_the_ends_of_the_range() -> None:
    for case in NETWORKS:
        codes = case.codes()
        assert codes.shape == (case.steps, PROFILE.bins)
        assert case.scheme != "int16x8" or not (codes & 1).any()
        if "extreme" in case.id:
            ends = {"int16x8": (-32768, 32766), "int8": (-128, 127)}[case.scheme]
            assert (codes.min(), codes.max()) == ends


def test_the_generator_is_uniform_reaches_both_ends_and_follows_its_seed() -> None:
    values = uniform(2, 7)(5000)
    assert set(values.tolist()) == {-2, -1, 0, 1, 2}
    assert np.bincount(values + 2).min() > 800
    assert not np.array_equal(values, uniform(2, 8)(5000))


def test_a_recording_that_is_too_short_is_one_clear_line() -> None:
    with pytest.raises(WitnessError, match=r"noisy\.wav: needs 10 mono samples at 16 kHz from sample 500000"):
        recording("noisy.wav", 500_000, 10)
    with pytest.raises(WitnessError, match=r"absent\.wav: cannot be read"):
        recording("absent.wav", 0, 10)
