"""The product network: its size, its state, its range."""

from __future__ import annotations

import pytest
import torch

from training.designs import DEFAULT, SEED
from training.student import SIZES, Student, count_parameters, from_q11, shape_for


@pytest.fixture
def student() -> Student:
    torch.manual_seed(0)
    student = Student(shape_for(SEED, 128)).eval()
    with torch.no_grad():
        student.norm.weight.uniform_(0.5, 1.5)
        student.norm.bias.uniform_(-0.5, 0.5)
    return student


def test_the_seed_has_198979_parameters(student: Student) -> None:
    assert count_parameters(student) == 198_979


@pytest.mark.parametrize(("name", "parameters", "limit"), [("base", 199_640, 200_000), ("compact", 45_488, 50_000)])
def test_the_shipped_sizes_stay_within_their_limits(name: str, parameters: int, limit: int) -> None:
    assert count_parameters(Student(shape_for(DEFAULT, SIZES[name]))) == parameters <= limit


def test_state_carries_over_chunks(student: Student) -> None:
    x = torch.randn(3, 40, 65)
    with torch.no_grad():
        whole, last = student(x)
        first, state = student(x[:, :13])
        second, state = student(x[:, 13:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    torch.testing.assert_close(state, last)


def test_the_home_state_is_zeros(student: Student) -> None:
    x = torch.randn(2, 5, 65)
    torch.testing.assert_close(student(x)[0], student(x, torch.zeros(2, 2, 128))[0])


def test_masks_lie_between_zero_and_one(student: Student) -> None:
    mask, _ = student(8 * torch.sign(torch.randn(2, 50, 65)))
    assert mask.min() > 0
    assert mask.max() < 1


def test_its_norm_is_the_affine_part_of_layer_norm(student: Student) -> None:
    features = 5 * torch.randn(2, 6, 65) + 20
    centred = features - features.mean(-1, keepdim=True)
    normalised = centred / (centred.square().mean(-1, keepdim=True) + 2.0**-8).sqrt()
    with torch.no_grad():
        hidden, _ = student.gru(student.norm(features))
        expected = torch.sigmoid(student.fc2(torch.relu(student.fc1(hidden))))
        torch.testing.assert_close(student(normalised)[0], expected, atol=1e-5, rtol=1e-5)


def test_features_come_in_steps_of_2_to_the_minus_11() -> None:
    codes = torch.tensor([-16384, 1, 16383], dtype=torch.int16)
    assert from_q11(codes).tolist() == [-8.0, 2.0**-11, 8.0 - 2.0**-11]
