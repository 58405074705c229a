"""Every word of fixed.h gives the bits of its Python twin: at corners, at solved ties, at random."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from math import isqrt

import numpy as np
import pytest

from firmware_sim import fixed
from firmware_sim.fixed import I32_MAX, I32_MIN, Ints
from firmware_sim.meter import Counter
from tests.firmware.c_library import address, call_word, words

COUNT = 20_000
RNG = np.random.default_rng(0)


def corners(low: int, high: int) -> list[int]:
    """Limits, zero, powers of two and three times them, each +-1, within [low, high]."""
    near = [p + d for k in range(63) for p in (1 << k, -(1 << k), 3 << k, -3 << k) for d in (-1, 0, 1)]
    return sorted({x for x in [*near, low, low + 1, high - 1, high, 0] if low <= x <= high})


def spread(low: int, high: int, count: int = COUNT) -> Ints:
    """Corners, uniform values, and values of every magnitude."""
    uniform = RNG.integers(low, high, count // 2, endpoint=True, dtype=np.int64)
    scaled = RNG.integers(low, high, count // 2, endpoint=True, dtype=np.int64) >> RNG.integers(0, 62, count // 2)
    scaled = np.clip(scaled, low, high)
    return np.concatenate([np.array(corners(low, high), np.int64), uniform, scaled])


def operands(*ranges: tuple[int, int]) -> list[Ints]:
    """Arrays of one length: corners of each range against shuffled values of the others."""
    columns = [spread(low, high) for low, high in ranges]
    length = max(map(len, columns))
    return [RNG.permutation(np.resize(column, length)) for column in columns]


I32, U31, GAIN = (I32_MIN, I32_MAX), (0, 1 << 31), (0, 1 << 15)
MULTIPLIER = (1 << 30, I32_MAX)

WORDS: dict[str, tuple[Callable[..., Ints], list[tuple[int, int]]]] = {
    "wrap_i32": (fixed.wrap_i32, [(-(1 << 62), 1 << 62)]),
    "mul_q15": (fixed.mul_q15, [I32, GAIN]),
    "mul_q31": (fixed.mul_q31, [I32, U31]),
    "bit_length": (fixed.bit_length, [(0, (1 << 63) - 1)]),
    "reciprocal": (fixed.reciprocal, [MULTIPLIER]),
    "log2_q16": (fixed.log2_q16, [(1, (1 << 62) - 1)]),
    "sqrt_round": (fixed.sqrt_round, [(0, (1 << 52) - 1)]),
    "sqrt_round_u30": (fixed.sqrt_round, [(0, (1 << 30) - 1)]),
    "srdhm": (fixed.srdhm, [I32, I32]),
    "rdbpot": (fixed.rdbpot, [I32, (0, 31)]),
    "mbqm32": (fixed.mbqm32, [I32, MULTIPLIER, (-31, 30)]),
    "mbqm64": (fixed.mbqm64, [(-(1 << 47) + 1, (1 << 47) - 1), MULTIPLIER, (-31, 14)]),
}


@pytest.mark.parametrize("name", WORDS)
def test_a_word_against_its_python_twin(name: str) -> None:
    twin, ranges = WORDS[name]
    arrays = operands(*ranges)
    np.testing.assert_array_equal(call_word(f"stapes_{name}", *arrays), twin(*arrays))


def test_shifts_with_every_count_against_python() -> None:
    x = spread(-(1 << 62) + 1, (1 << 62) - 1, 400)
    x = np.where(np.abs(x) < 1 << 61, x, x >> 2)
    for n in range(1, 63):
        np.testing.assert_array_equal(call_word("stapes_shr_round", x, np.full(len(x), n)), fixed.shr_round(x, n))


def test_high_words_of_products_floor_or_round_half_up() -> None:
    x, y, total = operands(I32, I32, I32)
    rounded = (x * y + (1 << 31)) >> 32
    np.testing.assert_array_equal(call_word("stapes_mulhi_i32", x, y), (x * y) >> 32)
    np.testing.assert_array_equal(call_word("stapes_mulhi_round", x, y), rounded)
    added = call_word("stapes_mulhi_round_add", total, x, y)
    np.testing.assert_array_equal(added, fixed.wrap_i32(total + rounded))


def test_register_arithmetic_wraps_as_python_says() -> None:
    x, y = operands(I32, I32)
    np.testing.assert_array_equal(call_word("stapes_add_i32", x, y), fixed.wrap_i32(x + y))
    np.testing.assert_array_equal(call_word("stapes_sub_i32", x, y), fixed.wrap_i32(x - y))
    np.testing.assert_array_equal(call_word("stapes_double_i32", x), fixed.wrap_i32(x << 1))


@pytest.mark.parametrize("weight", [0, 1, 42949673, 1 << 30, 2104533975, (1 << 31) - 1, 1 << 31])
def test_mix_against_python(weight: int) -> None:
    x, y = operands((0, (1 << 61) - 1), (0, (1 << 61) - 1))
    rest = (1 << 31) - weight
    expected = fixed.mix_q31(x, weight, y, rest)
    got = call_word("stapes_mix_q31", x, np.full_like(x, weight), y, np.full_like(y, rest))
    np.testing.assert_array_equal(got, expected)


def test_network_roundings_at_solved_ties() -> None:
    """Halves that only one rounding rule gets right: x = (2k + 1) * 2^(e - 1), both signs."""
    exponents = np.repeat(np.arange(1, 31), 200)
    odd = 2 * RNG.integers(-(1 << 10), 1 << 10, len(exponents)) + 1
    x = odd << (exponents - 1)
    fits = np.abs(x) <= I32_MAX
    x, exponents = x[fits], exponents[fits]
    got = call_word("stapes_rdbpot", x, exponents)
    np.testing.assert_array_equal(got, fixed.rdbpot(x, exponents))
    away = np.sign(x) * ((np.abs(x) + (1 << (exponents - 1))) >> exponents)
    np.testing.assert_array_equal(got, away)


def test_doubling_high_product_at_solved_ties() -> None:
    """a * b = (2k + 1) * 2^30: a = 2^15 * odd, b = 2^15 * odd."""
    a, b = ((2 * RNG.integers(-(1 << 14), 1 << 14, 4000) + 1) << 15 for _ in range(2))
    np.testing.assert_array_equal(call_word("stapes_srdhm", a, b), fixed.srdhm(a, b))
    ends = np.array([I32_MIN]), np.array([I32_MIN])
    assert call_word("stapes_srdhm", *ends)[0] == I32_MAX


def test_high_words_of_unsigned_products_floor_or_round_half_up() -> None:
    x, y = operands((0, (1 << 32) - 1), (0, (1 << 32) - 1))
    pairs = list(zip(x.tolist(), y.tolist(), strict=True))
    assert call_word("stapes_mulhi_u32", x, y).tolist() == [a * b >> 32 for a, b in pairs]
    assert call_word("stapes_mulhi_round_u32", x, y).tolist() == [(a * b + (1 << 31)) >> 32 for a, b in pairs]


def test_a_normalised_value_is_the_shift_by_its_bits() -> None:
    x = spread(1, (1 << 63) - 1)
    x = np.concatenate([x, x & ~np.int64(0xFFFFFFFF)])
    for value in (x[x > 0], np.zeros(1, np.int64)):
        bits = np.empty_like(value)
        y = np.empty_like(value)
        words().test_stapes_normalise(address(value), address(bits), address(y), ctypes.c_size_t(value.size))
        np.testing.assert_array_equal(bits, np.maximum(fixed.bit_length(value), 1))
        np.testing.assert_array_equal(y, fixed.shift_left(value, 31 - bits))


def test_reciprocals_and_logarithms_at_both_ends_of_every_table_interval() -> None:
    first = (np.arange(256, dtype=np.int64) + 256) << 22
    ends = np.concatenate([first + d for d in (0, 1, (1 << 7) - 1, 1 << 7, (1 << 21), (1 << 22) - 128, (1 << 22) - 1)])
    np.testing.assert_array_equal(call_word("stapes_reciprocal", ends), fixed.reciprocal(ends))
    for bits in range(1, 63):
        x = np.unique(fixed.shift_left(ends, np.int64(bits - 31)))
        np.testing.assert_array_equal(call_word("stapes_log2_q16", x), fixed.log2_q16(x))
    assert call_word("stapes_log2_q16", np.zeros(1, np.int64))[0] == 0


def near_squares(root: Ints) -> Ints:
    """Squares, and the products root * (root + 1) after which the nearest root changes, each with its neighbours."""
    x = np.concatenate([root * root + d for d in (-1, 0, 1)] + [root * (root + 1) + d for d in (0, 1)])
    kept: Ints = x[x >= 0]
    return kept


def nearest_roots(x: Ints) -> Ints:
    """By Python's exact root: half of the root of 4x, rounded."""
    return np.array([(isqrt(4 * v) + 1) >> 1 for v in x.tolist()])


def test_square_roots_of_30_bits_at_every_place_where_they_change() -> None:
    x = near_squares(np.arange(1 << 15, dtype=np.int64))
    x = x[x < 1 << 30]
    roots = nearest_roots(x)
    np.testing.assert_array_equal(call_word("stapes_sqrt_round_u30", x), roots)
    np.testing.assert_array_equal(fixed.sqrt_round(x), roots)


def test_square_roots_around_squares_of_every_magnitude() -> None:
    x = near_squares(spread(0, (1 << 26) - 2, 40_000))
    roots = nearest_roots(x)
    np.testing.assert_array_equal(call_word("stapes_sqrt_round", x), roots)
    np.testing.assert_array_equal(fixed.sqrt_round(x), roots)


@pytest.mark.parametrize(
    ("word", "factor", "bits"), [("sat_i15", 1, 15), ("sat_i16", 1, 16), ("double_sat_i32", 2, 32)]
)
def test_limits_and_their_counts_against_python(word: str, factor: int, bits: int) -> None:
    x = spread(*I32)
    y = np.empty_like(x)
    counter = Counter(1)
    limit = 1 << (bits - 1)
    expected = fixed.clamp(factor * x[None], -limit, limit - 1, counter)[0]
    count = words()[f"test_stapes_{word}"](address(x), address(y), ctypes.c_size_t(x.size))
    np.testing.assert_array_equal(y, expected)
    assert count == counter.saturations[0] > 0


@pytest.mark.parametrize(
    ("start", "hits", "end"),
    [(0, 0, 0), (0, 7, 7), (2**32 - 2, 1, 2**32 - 1), (2**32 - 2, 5, 2**32 - 1), (2**32 - 1, 2**32 - 1, 2**32 - 1)],
)
def test_a_counter_stops_at_its_maximum(start: int, hits: int, end: int) -> None:
    count = words().test_stapes_count
    count.restype = ctypes.c_uint32
    assert count(ctypes.c_uint32(start), ctypes.c_uint32(hits)) == end
