"""Metrics: the right function, the right order of arguments, the right units."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests import signals
from training import metrics
from training.files import RunError
from training.metrics import DNSMOS_SAMPLES, dnsmos, pesq_wb, si_sdr_db, stoi


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return signals.recording("speech.flac")[: 5 * 16000].astype(np.float32)


@pytest.fixture(scope="module")
def noise(clean: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=len(clean)).astype(np.float32)
    return noise * clean.std()


def test_pesq_is_wideband_and_highest_for_the_clean_signal(clean: np.ndarray, noise: np.ndarray) -> None:
    assert pesq_wb(clean, clean) == pytest.approx(4.644, abs=0.001)  # the end of P.862.2's scale
    assert 1.0 < pesq_wb(clean, clean + noise) < pesq_wb(clean, clean + 0.1 * noise) < 4.5


def test_pesq_of_silence_is_not_a_number() -> None:
    silence = np.zeros(32000, np.float32)
    assert math.isnan(pesq_wb(silence, silence))


def test_stoi_is_one_for_the_clean_signal_and_estoi_is_stricter(clean: np.ndarray, noise: np.ndarray) -> None:
    assert stoi(clean, clean) == pytest.approx(1.0, abs=1e-6)
    assert 0 < stoi(clean, clean + noise, extended=True) < stoi(clean, clean + noise) < 1


def test_si_sdr_of_an_orthogonal_error_is_the_power_ratio() -> None:
    t = np.arange(16000) / 16000
    target, error = np.sin(2 * np.pi * 100 * t), np.sin(2 * np.pi * 300 * t)
    assert si_sdr_db(target, target + 0.1 * error) == pytest.approx(20.0, abs=1e-6)


def test_si_sdr_ignores_level_and_offset(clean: np.ndarray, noise: np.ndarray) -> None:
    value = si_sdr_db(clean, clean + noise)
    assert si_sdr_db(clean, 3 * (clean + noise) + 0.5) == pytest.approx(value, abs=1e-3)


def test_si_sdr_is_finite_for_silence(clean: np.ndarray) -> None:
    assert math.isfinite(si_sdr_db(clean, np.zeros_like(clean)))
    assert math.isfinite(si_sdr_db(np.zeros_like(clean), clean))


def test_dnsmos_prefers_speech_to_speech_in_noise(clean: np.ndarray, noise: np.ndarray) -> None:
    best, noisy = dnsmos(clean), dnsmos(clean + 0.5 * noise)
    assert set(best) == {"dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl"}
    assert all(1.0 < noisy[name] < best[name] < 5.0 for name in best)
    assert best["dnsmos_bak"] - noisy["dnsmos_bak"] > 1.0


def test_dnsmos_judges_one_window_and_repeats_what_is_shorter(clean: np.ndarray) -> None:
    once = clean[: 3 * 16000]
    assert dnsmos(once) == dnsmos(np.tile(once, 4))
    assert dnsmos(np.resize(once, DNSMOS_SAMPLES)) == dnsmos(once)


def test_without_speechmos_the_command_is_named(monkeypatch: pytest.MonkeyPatch, clean: np.ndarray) -> None:
    monkeypatch.setattr(metrics, "find_spec", lambda _: None)
    metrics._dnsmos_session.cache_clear()
    with pytest.raises(RunError, match="pip install speechmos"):
        dnsmos(clean)
