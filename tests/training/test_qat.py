"""Training that rounds as the device does: the forward pass is the exported graph, and gradients pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from export.quantize import quantize
from export.student import load_student
from firmware_sim.blocks import INT16X8
from firmware_sim.network import encode_features
from tests.training.small import recordings
from training.designs import DEFAULT
from training.handoff import Calibration, calibration, save_student
from training.mixing import RecordingPool
from training.qat import QuantizedStudent, fold, on_grid
from training.student import Student, from_q11, shape_for


@pytest.fixture(scope="module")
def features() -> Calibration:
    return calibration(RecordingPool(recordings()), DEFAULT)


def student(hidden: int = 24, spread: float = 4.0) -> Student:
    """Weights as wide as training leaves them: gates that saturate, candidates at their limits."""
    torch.manual_seed(3)
    student = Student(shape_for(DEFAULT, hidden))
    with torch.no_grad():
        student.norm.weight.uniform_(0.5, 1.5)
        student.norm.bias.uniform_(-0.3, 0.3)
        for parameter in student.gru.parameters():
            parameter *= spread
    return student


@pytest.mark.parametrize("spread", [1.0, 4.0, 12.0])
def test_against_export_masks_and_states_are_those_of_the_integer_graph(
    features: Calibration, tmp_path: Path, spread: float
) -> None:
    quantized = QuantizedStudent(student(spread=spread))
    quantized.write_back()
    save_student(tmp_path / "student.npz", quantized.student, DEFAULT, features, {})
    graph = quantize(load_student(tmp_path / "student.npz"), INT16X8)

    x_q11 = features.x_q11[:400].astype(np.int64)
    with torch.no_grad():
        mask, state = quantized.double()(from_q11(torch.from_numpy(x_q11)).double()[None])
    codes = graph.home_state(1)
    for x, expected in zip(x_q11, mask[0], strict=True):
        out = graph.run({"x": encode_features(x[None], "int16x8"), **codes})
        np.testing.assert_array_equal(out["mask"][0], expected.numpy() * 2**15)
        codes = {name: out[f"{name}_next"] for name in codes}
    np.testing.assert_array_equal([codes["h0"][0], codes["h1"][0]], state[:, 0].numpy() * 2**15)


def test_written_back_weights_stay_where_they_are() -> None:
    quantized = QuantizedStudent(student())
    quantized.write_back()
    once = [parameter.clone() for parameter in quantized.student.parameters()]
    quantized.write_back()
    assert all(torch.equal(*pair) for pair in zip(once, quantized.student.parameters(), strict=True))


def test_folding_changes_no_mask() -> None:
    plain, folded = student(spread=1.0), student(spread=1.0)
    fold(folded)
    x = torch.randn(2, 30, DEFAULT.inputs)
    torch.testing.assert_close(plain(x)[0], folded(x)[0])
    assert torch.all(folded.norm.weight == 1)


def test_rounding_is_near_the_float_student() -> None:
    plain, quantized = student(spread=1.0), QuantizedStudent(student(spread=1.0))
    x = torch.randn(2, 50, DEFAULT.inputs)
    with torch.no_grad():
        difference = (plain(x)[0] - quantized(on_grid(x, 2.0**-11))[0]).abs().max()
    assert 0 < difference < 0.02


def test_every_weight_learns_through_the_roundings() -> None:
    quantized = QuantizedStudent(student(spread=1.0))
    quantized(torch.randn(4, 20, DEFAULT.inputs))[0].square().mean().backward()
    for name, parameter in quantized.student.named_parameters():
        if not name.startswith("norm."):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_a_gradient_stops_where_the_device_saturates() -> None:
    value = torch.tensor([-20.0, 0.3, 20.0], requires_grad=True)
    on_grid(value, 2.0**-11).sum().backward()
    assert value.grad is not None
    assert value.grad.tolist() == [0.0, 1.0, 0.0]


def test_rounding_is_half_up() -> None:
    assert on_grid(torch.tensor([-1.5, -0.5, 0.5, 1.5]), 1.0).tolist() == [-1.0, 0.0, 1.0, 2.0]
