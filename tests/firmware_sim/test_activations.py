"""LOGISTIC and TANH against TFLM's kernels over every input, and the table they rest on."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_sim import activations
from firmware_sim.activations import SIGMOID_UQ16, sigmoid_formula
from firmware_sim.ops import GraphError, Logistic, Tanh
from tests.recover_sigmoid_table import recover
from tests.single_op import assert_as_tflm, tensor, whole


def activation(op: type[Logistic], dtype: str, scale: float, zero: int = 0) -> Logistic:
    size = whole(dtype).size
    out_scale, out_zero = op.codes[dtype]
    return op([tensor("x", dtype, size, scale, zero)], [tensor("y", dtype, size, out_scale, out_zero)])


def test_the_sigmoid_table_recovered_from_the_tflm_kernel_is_ours() -> None:
    differences = recover()
    assert len(differences) == 44
    table = sigmoid_formula()
    for entry, difference in differences.items():
        table[entry] += difference
    np.testing.assert_array_equal(table, SIGMOID_UQ16)


@pytest.mark.parametrize("op", [Logistic, Tanh])
@pytest.mark.parametrize("exponent", range(-16, -7))
def test_int16_over_every_input_against_tflm(op: type[Logistic], exponent: int) -> None:
    y = assert_as_tflm(activation(op, "int16", 2.0**exponent), x=whole("int16"))
    assert (np.diff(y) >= 0).all()


@pytest.mark.parametrize("op", [Logistic, Tanh])
@pytest.mark.parametrize(("scale", "zero"), [(2**-4, 0), (2**-5, 0), (0.05, 3), (0.11, -17), (0.004, 0)])
def test_int8_over_every_input_against_tflm(op: type[Logistic], scale: float, zero: int) -> None:
    y = assert_as_tflm(activation(op, "int8", scale, zero), x=whole("int8"))
    assert (np.diff(y) >= 0).all()


def test_tanh_of_the_recipe_leaves_room_for_an_even_state() -> None:
    table = activations.table("TANH", "int16", 2.0**-13, 0)
    assert np.abs(table.astype(int)).max() == 32746


def test_an_int16_input_scale_between_powers_of_two_is_refused() -> None:
    with pytest.raises(GraphError, match="input scale"):
        activation(Logistic, "int16", 3e-4)
