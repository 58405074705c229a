"""The optimiser: singular values, gates apart, vectors as AdamW, resumed as if never stopped."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from training.muon import GATES, Muon, orthogonalised
from training.student import Student, StudentShape

SHAPE = StudentShape(inputs=12, hidden=8, bands=6)
RATE = 1e-2


def student(seed: int = 0) -> Student:
    torch.manual_seed(seed)
    return Student(SHAPE)


def set_gradients(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def step(network: Student, optimizer: torch.optim.Optimizer, seed: int) -> None:
    set_gradients(network, seed)
    optimizer.step()


@pytest.mark.parametrize("shape", [(8, 8), (5, 30), (30, 5), (3, 16, 24)])
def test_singular_values_end_near_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    values = torch.linalg.svdvals(orthogonalised(1e3 * torch.randn(shape)))
    assert values.shape[-1] == min(shape[-2:])
    assert values.max() < 1.25
    assert values.median() > 0.65


def test_the_singular_vectors_stay() -> None:
    torch.manual_seed(2)
    left, _, right = torch.linalg.svd(torch.randn(6, 6))
    result = left.mT @ orthogonalised(left @ torch.diag(torch.arange(1.0, 7.0)) @ right) @ right.mT
    assert (result - torch.diag(result.diagonal())).abs().max() < 1e-4


def test_no_gradient_is_no_step_and_zero_gradient_is_finite() -> None:
    network = student()
    before = network.fc1.weight.detach().clone()
    optimizer = Muon(network, RATE, 0.0)
    optimizer.step()
    assert torch.equal(network.fc1.weight, before)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(network.fc1.weight, before)


def test_a_loud_gate_does_not_silence_the_others() -> None:
    plain, loud = student(), student()
    for network in (plain, loud):
        set_gradients(network, 3)
    hidden = SHAPE.hidden
    assert loud.gru.weight_hh_l0.grad is not None
    loud.gru.weight_hh_l0.grad[:hidden] *= 1e4
    for network in (plain, loud):
        Muon(network, RATE, 0.0).step()
    assert plain.gru.weight_hh_l0.shape[0] == GATES * hidden
    assert torch.equal(plain.gru.weight_hh_l0[hidden:], loud.gru.weight_hh_l0[hidden:])


def test_vectors_step_as_adamw_steps() -> None:
    ours, theirs = student(), student()
    vectors = [p for p in theirs.parameters() if p.ndim != 2]
    pair = Muon(ours, RATE, 0.1), torch.optim.AdamW(vectors, lr=RATE, weight_decay=0.0)
    for seed in range(3):
        step(ours, pair[0], seed)
        step(theirs, pair[1], seed)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True) if a.ndim != 2)
    assert not torch.equal(ours.fc1.weight, theirs.fc1.weight)


def test_matrices_decay_and_stay_small_under_noise() -> None:
    decaying, free = student(), student()
    for network, decay in ((decaying, 0.5), (free, 0.0)):
        optimizer = Muon(network, 0.1, decay)
        for seed in range(200):
            step(network, optimizer, seed)
    assert free.gru.weight_hh_l0.norm() > 3 * decaying.gru.weight_hh_l0.norm()


def test_it_finds_a_matrix() -> None:
    torch.manual_seed(4)
    layer, target, x = nn.Linear(8, 8), torch.randn(8, 8), torch.randn(64, 8)
    optimizer = Muon(layer, 5 * RATE, 0.0)
    losses = []
    for _ in range(300):
        optimizer.zero_grad()
        loss = (layer(x) - x @ target.mT).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.02 * losses[0]


def test_a_loaded_state_goes_on_to_the_bit() -> None:
    whole = student()
    optimizer = Muon(whole, RATE, 1e-4)
    step(whole, optimizer, 0)
    resumed = student(9)
    resumed.load_state_dict(whole.state_dict())
    second = Muon(resumed, RATE, 1e-4)
    second.load_state_dict(deepcopy(optimizer.state_dict()))  # as a file would hold it
    step(whole, optimizer, 1)
    step(resumed, second, 1)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
