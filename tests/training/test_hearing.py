"""HASPI and HASQI: the order of what is heard, seeded, at the level that the package means."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from tests import signals
from training import hearing
from training.files import RunError
from training.hearing import AUDIOGRAM_HZ, AUDIOGRAMS, haspi_hasqi, missing_hearing

RATE = 16_000


@pytest.fixture
def package() -> None:
    """pyclarity, which `make peers` installs; in CI it must be here."""
    reason = missing_hearing()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return signals.recording("speech.flac")[RATE : 2 * RATE].astype(np.float32)


@pytest.mark.usefixtures("package")
def test_noise_costs_a_listener_with_a_hearing_loss_intelligibility_and_quality(clean: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0.0, clean.std(), len(clean)).astype(np.float32)
    best, noisy = haspi_hasqi(clean, clean, "n3"), haspi_hasqi(clean, clean + noise, "n3")
    assert best[0] > noisy[0]
    assert best[1] > 0.9 > noisy[1]


@pytest.mark.usefixtures("package")
def test_a_score_is_the_same_every_time_and_the_global_generator_is_left_alone(clean: np.ndarray) -> None:
    short = clean[: RATE // 2]
    np.random.seed(5)
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    first = haspi_hasqi(short, 0.5 * short, "n2")
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]
    np.random.seed(6)
    assert haspi_hasqi(short, 0.5 * short, "n2") == first


def heard(monkeypatch: pytest.MonkeyPatch, clean: np.ndarray, ear: str) -> tuple[np.ndarray, np.ndarray]:
    """What the package would be given."""
    import clarity.evaluator.haspi
    import clarity.evaluator.hasqi

    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def metric(reference: np.ndarray, _: int, aided: np.ndarray, *__: Any, **___: Any) -> tuple[float]:
        seen.append((reference, aided))
        return (0.5,)

    monkeypatch.setattr(clarity.evaluator.haspi, "haspi_v2", metric)
    monkeypatch.setattr(clarity.evaluator.hasqi, "hasqi_v2", metric)
    assert haspi_hasqi(clean, clean, ear) == (0.5, 0.5)
    return seen[0]


@pytest.mark.usefixtures("package")
def test_the_level_is_one_for_65_db_spl_and_normal_hearing_gets_no_gain(
    monkeypatch: pytest.MonkeyPatch, clean: np.ndarray
) -> None:
    reference, aided = heard(monkeypatch, 0.01 * clean, "nh")
    assert hearing.active_rms(reference.astype(np.float32)) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(aided, reference, atol=1e-9)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("ear", ["n2", "n3", "s2"])
def test_nal_r_amplifies_the_treble_without_a_delay(
    monkeypatch: pytest.MonkeyPatch, clean: np.ndarray, ear: str
) -> None:
    reference, aided = heard(monkeypatch, clean, ear)
    spectra = [np.abs(np.fft.rfft(signal)) ** 2 for signal in (reference, aided)]
    hertz = np.fft.rfftfreq(len(clean), 1 / RATE)
    gain = [10 * np.log10(spectra[1][band].sum() / spectra[0][band].sum()) for band in (hertz < 500, hertz > 3000)]
    assert gain[1] > gain[0] + 6
    lags = [float(aided[8:-8] @ np.roll(reference, lag)[8:-8]) for lag in range(-4, 5)]
    assert int(np.argmax(lags)) == 4


def test_audiograms_are_those_of_the_standard() -> None:
    assert all(len(levels) == len(AUDIOGRAM_HZ) for levels in AUDIOGRAMS.values())
    at = {name: dict(zip(AUDIOGRAM_HZ, levels, strict=True)) for name, levels in AUDIOGRAMS.items()}
    assert (at["n3"][500], at["n3"][2000], at["n3"][6000]) == (35, 50, 65)
    assert (at["s2"][1000], at["s2"][4000]) == (25, 95)


def test_without_the_package_the_command_is_named(monkeypatch: pytest.MonkeyPatch, clean: np.ndarray) -> None:
    monkeypatch.setattr(hearing, "find_spec", lambda _: None)
    with pytest.raises(RunError, match="make peers"):
        haspi_hasqi(clean, clean, "n3")


@pytest.mark.usefixtures("package")
def test_silence_has_no_score() -> None:
    scores = haspi_hasqi(np.zeros(RATE, np.float32), np.full(RATE, 0.1, np.float32), "n3")
    assert np.isnan(scores).tolist() == [True, True]
