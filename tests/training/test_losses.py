"""Losses: least at the clean signal, finite everywhere, solved where a number can be known."""

from __future__ import annotations

import pytest
import torch

from training.losses import LOSSES, make_loss, snr_db


def audio(seed: int, streams: int = 2, samples: int = 8000) -> torch.Tensor:
    return torch.randn(streams, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", LOSSES)
def test_a_nearer_signal_costs_less(name: str) -> None:
    loss, clean, noise = make_loss(name), audio(0), audio(1)
    costs = [float(loss(clean + share * noise, clean)) for share in (0.0, 0.1, 0.5, 1.0)]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("level", [0.0, 1e-4, 1.0, 1e3])
def test_gradients_are_finite_at_any_level(name: str, level: float) -> None:
    enhanced = (level * audio(1)).requires_grad_()
    make_loss(name)(enhanced, torch.zeros(2, 8000)).backward()
    assert enhanced.grad is not None
    assert torch.isfinite(enhanced.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_descending_the_gradient_comes_nearer_to_clean(name: str) -> None:
    loss, clean = make_loss(name), audio(0)
    gain = torch.full((), 0.2, requires_grad=True)
    optimizer = torch.optim.Adam([gain], lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        loss(gain * clean, clean).backward()
        optimizer.step()
    assert float(gain.detach()) == pytest.approx(1.0, abs=0.1)


def test_the_seed_loss_of_equal_signals_is_zero() -> None:
    assert float(make_loss("seed")(audio(0), audio(0))) == 0


def test_the_seed_loss_of_half_the_amplitude_is_known() -> None:
    clean = audio(0)
    scaled = make_loss("seed")(clean / 2, clean)
    # |e - c| = |c| / 2 in time; magnitudes halve, so log-magnitudes differ by ln 2 at every resolution.
    time = float(clean.abs().mean()) / 2
    magnitude = 0.886 / 2  # mean of a Rayleigh variable with unit power
    assert float(scaled) == pytest.approx(time + 0.5 * (magnitude + 0.6931), rel=0.02)


def test_snr_of_a_tenth_of_the_power_is_ten_db() -> None:
    clean = torch.ones(1, 1000)
    assert float(snr_db(clean * (1 + 0.1**0.5), clean)) == pytest.approx(10.0, abs=0.1)


def test_snr_counts_active_streams_alone() -> None:
    clean = torch.stack([torch.ones(1000), torch.zeros(1000)])
    enhanced = clean * (1 + 0.1**0.5) + torch.tensor([[0.0], [1.0]])
    assert float(snr_db(enhanced, clean)) == pytest.approx(10.0, abs=0.1)
    assert float(snr_db(enhanced[1:], clean[1:])) == 0


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown loss 'l3': choose one of perceptual, compressed, seed"):
        make_loss("l3")
