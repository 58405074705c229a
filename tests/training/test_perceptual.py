"""The terms of the perceptual loss against the field's own formulas and on solved cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests import signals
from training.metrics import stoi
from training.perceptual import PerceptualLoss, band_matrix, bark_of_hz, threshold_db


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    """Four seconds of speech (1, 64000), RMS 1."""
    clean = torch.from_numpy(signals.recording("speech.flac")[None, : 4 * 16_000].astype(np.float32))
    return clean / clean.square().mean().sqrt()


def terms(loss: PerceptualLoss, enhanced: torch.Tensor, clean: torch.Tensor) -> tuple[float, float, float]:
    (spectrum, power), (target, target_power) = loss._spectrum(enhanced), loss._spectrum(clean)
    return (
        float(loss._compressed(spectrum, power, target, target_power)),
        float(loss._disturbance(power, target_power)),
        float(loss._correlation(power, target_power)),
    )


def test_equal_signals_have_no_distance_and_full_correlation(speech: torch.Tensor) -> None:
    compressed, disturbance, correlation = terms(PerceptualLoss(), speech, speech)
    assert compressed == 0
    assert disturbance == pytest.approx(0, abs=2e-4)
    assert correlation == pytest.approx(1, abs=1e-3)


def test_the_correlation_orders_mixtures_as_estoi_does(speech: torch.Tensor) -> None:
    loss, noise = PerceptualLoss(), torch.randn(speech.shape, generator=torch.Generator().manual_seed(0))
    pairs = []
    for level in (0.03, 0.1, 0.3, 1.0):
        noisy = speech + level * noise
        pairs.append((terms(loss, noisy, speech)[2], stoi(speech[0].numpy(), noisy[0].numpy(), extended=True)))
    ours, estoi = zip(*pairs, strict=True)
    assert list(ours) == sorted(ours, reverse=True)
    np.testing.assert_allclose(ours, estoi, atol=0.12)


def test_noise_that_is_added_costs_more_than_speech_that_is_missing(speech: torch.Tensor) -> None:
    loss = PerceptualLoss()
    added, missing = terms(loss, 2 * speech, speech)[1], terms(loss, 0.5 * speech, speech)[1]
    assert added > missing > 0


def test_what_hides_below_the_threshold_costs_no_loudness(speech: torch.Tensor) -> None:
    faint = 1e-4 * torch.randn(speech.shape, generator=torch.Generator().manual_seed(0))
    assert terms(PerceptualLoss(), faint, torch.zeros_like(speech))[1] < 0.01
    assert terms(PerceptualLoss(), 1e3 * faint, torch.zeros_like(speech))[1] > 0.3


def test_the_scales_pass_through_known_points() -> None:
    assert bark_of_hz(np.array(1000.0)) == pytest.approx(8.5, abs=0.1)
    assert threshold_db(np.array(3300.0)) == pytest.approx(-5.0, abs=0.2)
    assert threshold_db(np.array(100.0)) == pytest.approx(23.0, abs=1.0)


def test_bands_share_every_bin_between_their_edges() -> None:
    matrix = band_matrix(np.array([100.0, 110.0, 1000.0]))
    assert matrix.shape == (257, 2)
    np.testing.assert_allclose(matrix.sum(axis=0), [10 / 31.25, 890 / 31.25], rtol=1e-6)


def test_chunks_that_are_too_short_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than a segment of 24"):
        PerceptualLoss()(torch.ones(1, 2000), torch.ones(1, 2000))
