"""The cases are data that anyone can reproduce, and each says which bug it is there for."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from golden_vectors.cases import CASES
from golden_vectors.errors import WitnessError
from golden_vectors.kinds.network import NetworkCase
from golden_vectors.kinds.stream import StreamCase, limited
from golden_vectors.notes import NOTES
from golden_vectors.signals import PROFILE, check_made, recording, recordings_with_levels, uniform

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


def test_the_sweep_passes_every_bin_and_ends_at_no_full_scale() -> None:
    case = stream("sweep")
    frames = case.pcm().astype(float)[32 * 64 :].reshape(-1, 64)
    bins = np.abs(np.fft.rfft(frames, 128)).argmax(axis=1)
    assert np.abs(case.pcm()).max() == 31999
    assert bins[0] <= 1
    assert bins.max() >= 62
    assert (np.diff(bins[:-1]) >= -1).all()
    assert len(set(bins.tolist())) > 35


def test_inputs_made_of_integers_alone_are_the_same_on_every_machine() -> None:
    digests = {
        "sweep": "2f503a0c090a1ef8",
        "noise_full_scale": "3ab55e20b81bdf1f",
        "drift_60s": "36bfb4c940d8aa3c",
    }
    for case in CASES:
        if case.id in digests:
            pcm = case.pcm() if isinstance(case, StreamCase) else limited(recordings_with_levels(960_000))
            assert hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest()[:16] == digests.pop(case.id)
    assert not digests


def test_clipped_speech_rests_at_both_ends_of_the_range_for_samples_on_end() -> None:
    pcm = stream("speech_clipped").pcm()
    assert 0.1 < np.mean(np.abs(pcm.astype(int)) >= 32767) < 0.5
    for end in (32767, -32768):
        assert ((pcm[:-1] == end) & (pcm[1:] == end)).sum() > 50


def test_a_long_stream_meets_silence_quiet_and_clipped_speech() -> None:
    pcm = limited(recordings_with_levels(960_000)).astype(float).reshape(40, 24_000)
    level = np.sqrt((pcm**2).mean(axis=1))
    assert (level == 0).any()
    assert ((level > 0) & (level < 100)).any()
    assert (np.abs(pcm).max(axis=1) >= 32767).sum() >= 3


def test_a_recipe_that_makes_another_input_is_one_line() -> None:
    header = {"id": "x", "recipe": "real_features", "input_sha256": hashlib.sha256(b"abc").hexdigest()}
    check_made(header, np.frombuffer(b"abc", np.uint8))
    with pytest.raises(WitnessError, match="vector x: the recipe real_features makes another input here: restore data"):
        check_made(header, np.frombuffer(b"abd", np.uint8))


def test_a_reset_falls_into_speech_and_another_one_into_the_learning_of_the_noise() -> None:
    first, second = stream("reset_in_speech").resets
    assert first > PROFILE.noise_init_hops
    assert second - first < PROFILE.noise_init_hops


def test_network_codes_of_int16x8_are_even_and_both_schemes_reach_the_ends_of_the_range() -> None:
    for case in NETWORKS:
        codes = case.codes()
        assert codes.shape == (case.steps, PROFILE.inputs)
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
