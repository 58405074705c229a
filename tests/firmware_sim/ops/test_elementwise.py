"""ADD, SUB, MUL, QUANTIZE and SPLIT against TFLM's kernels: whole int8 domains, int16 boundary grids, solved ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.fixed import Ints
from firmware_sim.ops import Add, GraphError, Mul, Op, Quantize, Split, Sub
from firmware_sim.ops.base import Rescale
from tests.single_op import assert_as_tflm, boundary, in_numpy, pairs, tensor, whole

RECIPE_SUMS = [(-11, -11, -11), (-13, -13, -13), (-15, -15, -14), (-15, -14, -14)]
"""Exponents of the scales of a, b, y that the GRU's recipe uses in int16."""


def binary(op: type[Op], dtype: str, size: int, scales: tuple[float, ...], zeros: tuple[int, ...] = (0, 0, 0)) -> Op:
    a, b, y = (tensor(n, dtype, size, s, z) for n, s, z in zip("aby", scales, zeros, strict=True))
    return op([a, b], [y])


def int16_pairs() -> tuple[Ints, Ints]:
    rng = np.random.default_rng(3)
    a, b = pairs(boundary("int16"), boundary("int16"))
    more = rng.integers(-32768, 32768, (2, 20000))
    return np.concatenate([a, more[0]]), np.concatenate([b, more[1]])


@pytest.mark.parametrize("op", [Add, Sub, Mul])
@pytest.mark.parametrize(("scales", "zeros"), [((0.05, 0.031, 0.06), (3, -9, 12)), ((2**-5, 2**-5, 2**-5), (0, 0, 0))])
def test_int8_pairs_against_tflm(op: type[Op], scales: tuple[float, ...], zeros: tuple[int, ...]) -> None:
    a, b = pairs(whole("int8"), whole("int8"))
    y = assert_as_tflm(binary(op, "int8", a.size, scales, zeros), a=a, b=b)
    assert np.unique(y).size > 100


@pytest.mark.parametrize("op", [Add, Sub])
@pytest.mark.parametrize("exponents", RECIPE_SUMS)
def test_int16_sums_of_the_recipe_against_tflm(op: type[Op], exponents: tuple[int, ...]) -> None:
    a, b = int16_pairs()
    y = assert_as_tflm(binary(op, "int16", a.size, tuple(2.0**e for e in exponents)), a=a, b=b)
    assert y.max() > 32000


@pytest.mark.parametrize("op", [Add, Sub, Mul])
def test_int16_pairs_of_any_scales_against_tflm(op: type[Op]) -> None:
    a, b = int16_pairs()
    assert_as_tflm(binary(op, "int16", a.size, (3.1e-4, 2.2e-4, 4.3e-4)), a=a, b=b)


def test_half_sums_round_away_from_zero_against_tflm() -> None:
    """(a - b) / 2 with odd differences of both signs: half up would be one more for the negative ones."""
    a, b = np.array([1, -1, 3, -3, 32767, -32768]), np.array([0, 0, 0, 0, 0, 1])
    y = assert_as_tflm(binary(Sub, "int16", 6, (2**-15, 2**-15, 2**-14)), a=a, b=b)
    assert y.tolist() == [1, -1, 2, -2, 16384, -16385]


@pytest.mark.parametrize("exponents", [(-15, -13, -13), (-15, -14, -14)])
def test_int16_products_of_the_recipe_against_tflm(exponents: tuple[int, ...]) -> None:
    a, b = int16_pairs()
    odd = np.r_[np.arange(-255, 256, 2)]
    tie_a, tie_b = pairs(128 * odd, 128 * odd)  # products are odd multiples of 2^14: the second rounding ties
    near_a, near_b = pairs(odd, np.arange(-300, 300))
    a, b = np.concatenate([a, tie_a, near_a]), np.concatenate([b, tie_b, near_b])
    a = np.clip(a, -32768, 32767)
    y = assert_as_tflm(binary(Mul, "int16", a.size, tuple(2.0**e for e in exponents)), a=a, b=b)
    assert (y != np.clip((a * b + (1 << 14)) >> 15, -32768, 32767)).any(), "no tie tells the roundings apart"


@settings(max_examples=150, deadline=None)
@given(
    op=st.sampled_from([Add, Sub]),
    dtype=st.sampled_from(["int8", "int16"]),
    exponents=st.tuples(*[st.integers(-18, -3)] * 3),
    seed=st.integers(0, 2**31),
)
def test_the_single_division_equals_the_three_requantisations(
    op: type[Add], dtype: str, exponents: tuple[int, int, int], seed: int
) -> None:
    limits = np.iinfo(dtype)
    a, b = np.random.default_rng(seed).integers(limits.min, limits.max + 1, (2, 400))
    try:
        page = binary(op, dtype, 400, tuple(2.0**e for e in exponents))
    except GraphError:
        assert max(exponents[:2]) + 1 - exponents[2] >= (20 if dtype == "int8" else 15)
        return
    assert isinstance(page, Add)
    short = in_numpy(page, {"a": a, "b": b})[0]
    page.shifts = None
    np.testing.assert_array_equal(short, in_numpy(page, {"a": a, "b": b})[0])


@settings(max_examples=200, deadline=None)
@given(exponent=st.integers(-31, 8), x=st.lists(st.integers(-(2**22), 2**22), min_size=1, max_size=50))
def test_the_multiply_free_rescale_equals_the_general_one(exponent: int, x: list[int]) -> None:
    values = np.array(x, np.int64)
    rescale = Rescale([2.0**exponent])
    short = rescale(values)
    assert rescale.log2 == exponent
    rescale.log2 = None
    np.testing.assert_array_equal(short, rescale(values))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (("int16", 2**-14, 0), ("int16", 2**-15, 0)),
        (("int16", 2**-15, 0), ("int16", 2**-14, 0)),
        (("int16", 3e-4, 0), ("int8", 0.07, 5)),
        (("int8", 0.07, 5), ("int16", 3e-4, 0)),
        (("int8", 0.1, 3), ("int8", 0.07, -3)),
    ],
)
def test_quantize_over_its_whole_domain_against_tflm(
    source: tuple[str, float, int], target: tuple[str, float, int]
) -> None:
    x = whole(source[0])
    (dtype, scale, zero), (out_dtype, out_scale, out_zero) = source, target
    op = Quantize([tensor("x", dtype, x.size, scale, zero)], [tensor("y", out_dtype, x.size, out_scale, out_zero)])
    y = assert_as_tflm(op, x=x)
    if target == ("int16", 2**-15, 0):
        np.testing.assert_array_equal(y, np.clip(2 * x, -32768, 32767))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_split_against_tflm(dtype: str) -> None:
    parts = [tensor(name, dtype, 64, 0.5) for name in ("p", "q")]
    x = np.random.default_rng(0).integers(-128, 128, 128)
    first = assert_as_tflm(Split([tensor("x", dtype, 128, 0.5)], parts), x=x)
    np.testing.assert_array_equal(first, x[:64])


def test_ops_refuse_tensors_that_do_not_fit() -> None:
    with pytest.raises(GraphError, match="ADD at y: the shapes differ"):
        Add([tensor("a", "int8", 3, 0.1), tensor("b", "int8", 4, 0.1)], [tensor("y", "int8", 3, 0.2)])
    with pytest.raises(GraphError, match="scale of y is too small"):
        binary(Mul, "int16", 2, (0.5, 0.5, 0.1))
    with pytest.raises(GraphError, match="wrong number"):
        Mul([tensor("a", "int8", 3, 0.1)], [tensor("y", "int8", 3, 0.2)])
    with pytest.raises(GraphError, match="unknown attribute"):
        Quantize([tensor("a", "int8", 3, 0.1)], [tensor("y", "int8", 3, 0.2)], {"relu": True})
    with pytest.raises(GraphError, match="equal parts"):
        Split([tensor("x", "int8", 5, 0.5)], [tensor(n, "int8", 2, 0.5) for n in "pq"])
