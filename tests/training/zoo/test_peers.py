"""The peers: each aligned with its input, of its length, free of a memory from call to call, and quieter in noise."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from tests import signals
from training.zoo import PEERS, Spec, System, make
from training.zoo.base import Audio

LAGS = range(-160, 161)
NEAR = 8
"""Samples, half a millisecond: WebRTC's high-pass turns phases, so that its best lag is not quite its delay."""


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> System:
    """A peer that is here; in CI every one must be."""
    system = make(Spec(request.param))
    reason = system.available()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    return system


@pytest.fixture(scope="module")
def noisy() -> Audio:
    """float32 (2, 48001): a second of noise alone, then speech at 15 dB, and the same at another place."""
    streams = []
    for start in (0, 16_000):
        noise = signals.recording("noise.flac")[start : start + 48_001]
        speech = signals.recording("speech.flac")[start : start + 48_001].copy()
        speech[:16_000] = 0.0
        mixed = speech + noise * (speech.std() / noise.std() * 10 ** (-15 / 20))
        streams.append(signals.to_pcm(0.5 * mixed) / np.float32(32768))
    return np.stack(streams).astype(np.float32)


def best_lag(noisy: Audio, processed: Audio) -> int:
    """Lag of `processed` behind `noisy` at which both agree best."""
    inside = slice(len(LAGS), -len(LAGS))
    return max(LAGS, key=lambda lag: float(noisy[inside] @ np.roll(processed, -lag)[inside]))


def test_a_peer_is_aligned_of_equal_length_and_forgets_between_calls(peer: System, noisy: Audio) -> None:
    processed = peer(noisy)
    assert processed.shape == noisy.shape
    assert processed.dtype == np.float32
    assert np.isfinite(processed).all()
    assert abs(best_lag(noisy[0], processed[0])) <= NEAR
    np.testing.assert_array_equal(peer(noisy[1:]), processed[1:])
    pause = slice(12_000, 15_000)  # after three quarters of a second of noise
    assert np.std(processed[0, pause]) < 0.8 * np.std(noisy[0, pause])


def test_a_wrong_delay_is_found(noisy: Audio) -> None:
    shift: Callable[[Audio], Audio] = lambda audio: np.roll(audio, NEAR + 1)  # noqa: E731
    assert abs(best_lag(noisy[0], noisy[0])) == 0
    assert abs(best_lag(noisy[0], shift(noisy[0]))) > NEAR


def test_a_peer_says_what_it_costs(peer: System) -> None:
    assert peer.latency_ms >= 1000 * peer.delay_samples / peer.rate_hz
    assert peer.identity()
    assert peer.params is None or peer.params > 10_000
