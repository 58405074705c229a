"""The base of every system: one channel at its own rate, delays taken out, a fingerprint of what it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.files import RunError
from training.zoo import base
from training.zoo.base import RATE_HZ, Audio, System, fingerprint, frames_of, from_pcm, package_file, to_pcm


class Late(System):
    """Everything as it was, some samples late."""

    name = "late"
    loudness = 1.0

    def __init__(self, rate_hz: int, delay_samples: int) -> None:
        self.rate_hz, self.delay_samples = rate_hz, delay_samples

    def process(self, audio: Audio) -> Audio:
        return self.loudness * np.concatenate([np.zeros(self.delay_samples, np.float32), audio])[: len(audio)]


def tone(samples: int) -> Audio:
    return (0.25 * np.sin(2 * np.pi * 440 / RATE_HZ * np.arange(samples))).astype(np.float32)[None]


@pytest.mark.parametrize("delay", [0, 1, 333])
def test_a_constant_delay_is_taken_out_and_the_end_is_kept(delay: int) -> None:
    noisy = np.random.default_rng(0).normal(0.0, 0.1, (2, 1001)).astype(np.float32)
    np.testing.assert_array_equal(Late(RATE_HZ, delay)(noisy), noisy)


@pytest.mark.parametrize("samples", [RATE_HZ, RATE_HZ + 1, RATE_HZ - 7])
def test_another_rate_is_converted_there_and_back_without_a_shift(samples: int) -> None:
    noisy = tone(samples)
    returned = Late(48_000, 960)(noisy)
    assert returned.shape == noisy.shape
    assert returned.dtype == np.float32
    np.testing.assert_allclose(returned[:, 800:-800], noisy[:, 800:-800], atol=1e-4)


def test_an_oracle_without_clean_speech_is_refused() -> None:
    oracle = Late(RATE_HZ, 0)
    oracle.needs_clean = True
    with pytest.raises(RunError, match="late is an oracle"):
        oracle(tone(100))


def test_the_fingerprint_follows_what_is_computed_and_who_computes_it() -> None:
    system = Late(RATE_HZ, 5)
    mark = fingerprint(system)
    assert fingerprint(Late(RATE_HZ, 9)) == mark  # its delay is taken out: the same result
    system.loudness = 0.99
    assert fingerprint(system) != mark
    system.loudness, system.name = 1.0, "later"
    assert fingerprint(system) != mark
    system.name, system.latency_ms = "late", 1.0
    assert fingerprint(system) != mark


def test_the_fingerprint_does_not_see_last_bits_of_floats() -> None:
    system = Late(RATE_HZ, 0)
    mark = fingerprint(system)
    system.loudness = 1.0 + 1e-7
    assert fingerprint(system) == mark


def test_the_version_of_a_package_is_part_of_what_a_system_is(monkeypatch: pytest.MonkeyPatch) -> None:
    system = Late(RATE_HZ, 0)
    system.package = "somebody"
    assert system.identity() == ""
    monkeypatch.setattr(base, "version", lambda package: f"{package} 2")
    assert system.identity() == "somebody 2"


def test_a_missing_package_names_the_command() -> None:
    system = Late(RATE_HZ, 0)
    system.package, system.module = "no-such-package", "no_such_module"
    assert system.available() == "no-such-package is not installed: make peers"
    with pytest.raises(RunError, match="make peers"):
        package_file("no_such_module", "weights.onnx")
    assert package_file("training", "zoo", "base.py") == Path(base.__file__)


def test_pcm_saturates_and_comes_back() -> None:
    np.testing.assert_array_equal(to_pcm(np.array([-2.0, -1.0, 0.5, 1.0])), [-32768, -32768, 16384, 32767])
    codes = np.array([-32768, -1, 0, 32767], np.int16)
    np.testing.assert_array_equal(to_pcm(from_pcm(codes)), codes)


def test_the_last_frame_is_filled_with_zeros() -> None:
    assert [list(frame) for frame in frames_of(np.arange(5), 3)] == [[0, 1, 2], [3, 4, 0]]
