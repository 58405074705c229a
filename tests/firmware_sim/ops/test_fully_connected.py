"""FULLY_CONNECTED against TFLM's kernels, on random layers and on solved accumulators."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_sim import fixed
from firmware_sim.fixed import Ints
from firmware_sim.graph import Tensor
from firmware_sim.meter import Counter
from firmware_sim.ops import FullyConnected, GraphError
from tests.single_op import assert_as_tflm, in_numpy, single, tensor


def layer(
    dtype: str,
    weights: Ints,
    bias: Ints,
    scales: tuple[float, float | list[float], float],
    zeros: tuple[int, int] = (0, 0),
    relu: bool = False,
) -> FullyConnected:
    """FULLY_CONNECTED of integer arrays; scales of x, weights, y; zero points of x, y."""
    bias_dtype = "int32" if dtype == "int8" else "int64"
    x_scale, w_scale, y_scale = scales
    listed = tuple(float(np.float32(s)) for s in np.atleast_1d(w_scale))
    products = tuple(float(np.float32(np.float32(x_scale) * s)) for s in listed)
    return FullyConnected(
        [
            tensor("x", dtype, weights.shape[1], x_scale, zeros[0]),
            Tensor("w", "int8", weights.shape, listed if len(listed) > 1 else listed[0], 0, weights.astype(np.int8)),
            Tensor("b", bias_dtype, bias.shape, products if len(listed) > 1 else products[0], 0,
                   bias.astype(bias_dtype)),
        ],
        [tensor("y", dtype, len(bias), y_scale, zeros[1])],
        {"relu": relu},
    )  # fmt: skip


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
def test_int8_layers_against_tflm(per_channel: bool, relu: bool) -> None:
    rng = np.random.default_rng(17 + per_channel + 2 * relu)
    for zeros in ((0, 0), (-7, 11)):
        weights, bias = rng.integers(-127, 128, (300, 96)), rng.integers(-60000, 60000, 300)
        scales = np.exp(rng.normal(-5.0, 0.6, 300 if per_channel else 1)).tolist()
        op = layer("int8", weights, bias, (0.02, scales, 0.02 * np.mean(scales) * 900), zeros, relu)
        for _ in range(5):
            y = assert_as_tflm(op, x=rng.integers(-128, 128, 96))
        assert y.min() >= (zeros[1] if relu else -128)
        assert np.unique(y).size > 60


def test_int8_requantisation_of_solved_ties_against_tflm() -> None:
    """The bias is the accumulator: chosen so that the second rounding is halfway, both signs."""
    scale = 0.0123
    multiplier, shift = fixed.quantize_multiplier(float(np.float32(scale)))
    halfway = (2 * np.arange(-127, 127) + 1) << (-shift - 1)
    middle = np.rint(halfway * 2.0**31 / multiplier).astype(np.int64)
    bias = np.unique(np.add.outer(middle, np.arange(-3, 4)))
    op = layer("int8", np.zeros((bias.size, 1), np.int64), bias, (1.0, scale, 1.0))
    y = assert_as_tflm(op, x=np.zeros(1, np.int64))
    single_rounding = np.clip((bias * multiplier + (1 << (30 - shift))) >> (31 - shift), -128, 127)
    assert (y != single_rounding).any(), "the solved accumulators do not tell the roundings apart"


@pytest.mark.parametrize("per_channel", [False, True])
def test_int16_layers_against_tflm(per_channel: bool) -> None:
    rng = np.random.default_rng(5 + per_channel)
    weights, bias = rng.integers(-127, 128, (300, 128)), rng.integers(-(1 << 22), 1 << 22, 300) | 1
    scales = (2.0 ** -rng.integers(5, 9, 300 if per_channel else 1)).tolist()
    for relu in (False, True):
        op = layer("int16", weights, bias, (2.0**-15, scales, 2.0**-11), relu=relu)
        for _ in range(5):
            y = assert_as_tflm(op, x=2 * rng.integers(-16384, 16384, 128))
        assert np.unique(y).size > 100


def test_int16_requantisation_next_to_ties_against_tflm() -> None:
    """Odd accumulators on either side of every kind of halfway point, and of both saturations."""
    for k in (1, 2, 6, 13, 20):
        middle = (2 * np.r_[np.arange(-40, 40), 32766, 32767, 32768, -32768, -32769, -32770] + 1) << (k - 1)
        bias = np.unique(np.add.outer(middle, [-3, -2, -1, 0, 1, 2, 3]) | 1)
        op = layer("int16", np.zeros((bias.size, 1), np.int64), bias, (2.0**-k, 1.0, 1.0))
        y = assert_as_tflm(op, x=np.zeros(1, np.int64))
        assert {-32768, 32767} <= set(y.tolist())


def test_an_even_bias_a_scale_between_powers_of_two_and_an_overflow_are_refused() -> None:
    one = np.ones((1, 1), np.int64)
    with pytest.raises(GraphError, match="even"):
        layer("int16", one, np.array([2]), (2.0**-12, 2.0**-6, 2.0**-11))
    with pytest.raises(GraphError, match="2\\^-k"):
        layer("int16", one, np.array([1]), (2.0**-12, 0.3, 2.0**-11))
    with pytest.raises(GraphError, match="too large"):
        layer("int16", one, np.array([2**46 + 1]), (2.0**-12, 2.0**-6, 2.0**-11))
    with pytest.raises(GraphError, match="overflow"):
        layer("int16", one, np.array([2**46 - 1]), (2.0**-12, 2.0**-6, 2.0**-11))


def test_saturations_are_counted_but_not_the_lower_bound_of_relu() -> None:
    bias = np.array([1 << 20, -(1 << 20), 1]) | 1
    x = np.zeros((1, 1), np.int64)
    counts = {}
    for relu in (False, True):
        counter = Counter(1)
        single(layer("int16", np.zeros((3, 1), np.int64), bias, (2.0**-3, 1.0, 1.0), relu=relu)).run({"x": x}, counter)
        counts[relu] = counter.saturations.tolist()
    assert counts == {False: [2], True: [1]}


def test_the_float64_products_equal_integer_products_at_full_scale() -> None:
    rng = np.random.default_rng(0)
    weights = np.where(rng.integers(0, 2, (40, 512)) > 0, 127, -127)
    x = np.where(rng.integers(0, 2, 512) > 0, 32766, -32768)
    op = layer("int16", weights, np.full(40, 12345), (2.0**-15, 2.0**-6, 2.0**-5))
    expected = fixed.clamp(fixed.shr_round(weights @ x + 12345, 16), -32768, 32767)
    np.testing.assert_array_equal(in_numpy(op, {"x": x})[0], expected)
