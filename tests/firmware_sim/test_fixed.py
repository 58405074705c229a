"""The integer words against Python's big integers: laws, solved ties, ends of ranges, stated errors."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim import fixed
from firmware_sim.meter import Counter

I16 = st.integers(-(1 << 15), (1 << 15) - 1)
I32 = st.integers(-(1 << 31), (1 << 31) - 1)
I32_EDGES = st.sampled_from([-(1 << 31), -(1 << 31) + 1, -(1 << 30), -1, 0, 1, 1 << 30, (1 << 31) - 2, (1 << 31) - 1])
INT32 = I32 | I32_EDGES
GAIN_Q15 = st.integers(0, 1 << 15) | st.sampled_from([0, 1, 32767, 32768])
GAIN_Q31 = st.integers(0, 1 << 31) | st.sampled_from([0, 1, (1 << 31) - 1, 1 << 31])
MULTIPLIER_Q31 = st.integers(1 << 30, (1 << 31) - 1) | st.sampled_from([0, 1 << 30, (1 << 31) - 1])


def ints(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


def half_up(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def half_away(value: Fraction) -> int:
    return half_up(value) if value >= 0 else -half_up(-value)


def wrapped(value: int) -> int:
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


# ---------------------------------------------------------------- shifts and saturation


@given(st.integers(-(1 << 62) + 1, (1 << 62) - 1), st.integers(1, 62))
def test_shr_round_is_division_rounded_half_up(x: int, n: int) -> None:
    if abs(x) + (1 << (n - 1)) < 1 << 63:
        assert fixed.shr_round(ints(x), n)[0] == half_up(Fraction(x, 1 << n))


@pytest.mark.parametrize("n", range(1, 62))
def test_shr_round_sends_every_tie_upwards(n: int) -> None:
    ties = ints(*((2 * k + 1) * (1 << (n - 1)) for k in (-2, -1, 0) if abs(2 * k + 1) << (n - 1) < 1 << 62))
    np.testing.assert_array_equal(fixed.shr_round(ties, n), [(int(t) >> n) + 1 for t in ties])


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, 62))
def test_shr_floor_goes_towards_minus_infinity(x: int, n: int) -> None:
    assert fixed.shr_floor(ints(x), n)[0] == x // (1 << n)


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-62, 31))
def test_shift_left_shifts_right_when_negative(x: int, n: int) -> None:
    assert fixed.shift_left(ints(x), ints(n))[0] == (x << n if n >= 0 else x >> -n)


def test_saturation_counts_the_limited_elements_of_each_stream() -> None:
    counter = Counter(streams=3)
    x = np.array([[32767, 32768, -40000], [-32768, 0, 1], [1 << 40, 5, -32769]], np.int64)
    y = fixed.sat_i16(x, counter)
    np.testing.assert_array_equal(y, [[32767, 32767, -32768], [-32768, 0, 1], [32767, 5, -32768]])
    np.testing.assert_array_equal(counter.saturations, [2, 0, 2])
    fixed.sat_i16(x, counter)
    np.testing.assert_array_equal(counter.saturations, [4, 0, 4])
    np.testing.assert_array_equal(counter.overflows, [0, 0, 0])


@given(st.integers(-(1 << 62), (1 << 62)))
def test_sat_i32_is_the_nearest_int32(x: int) -> None:
    assert fixed.sat_i32(ints(x))[0] == min(max(x, -(1 << 31)), (1 << 31) - 1)


@given(st.integers(-(1 << 62), 1 << 62))
def test_wrap_i32_is_what_a_register_holds(x: int) -> None:
    assert fixed.wrap_i32(ints(x))[0] == wrapped(x) == np.int64(x).astype(np.int32)


# ---------------------------------------------------------------- products


@given(INT32, GAIN_Q15)
def test_mul_q15_is_the_product_rounded_half_up_and_never_larger(x: int, gain: int) -> None:
    y = int(fixed.mul_q15(ints(x), ints(gain))[0])
    assert y == half_up(Fraction(x * gain, 1 << 15))
    assert abs(y) <= abs(x)


def test_mul_q15_with_gain_one_changes_nothing() -> None:
    x = ints(-(1 << 31), -1, 0, 1, (1 << 31) - 1)
    np.testing.assert_array_equal(fixed.mul_q15(x, ints(32768)), x)


@given(INT32, GAIN_Q31)
def test_mul_q31_is_the_product_rounded_half_up(x: int, y: int) -> None:
    assert fixed.mul_q31(ints(x), ints(y))[0] == half_up(Fraction(x * y, 1 << 31))


def test_products_send_every_tie_upwards() -> None:
    odd = ints(-5, -3, -1, 1, 3, 5)
    np.testing.assert_array_equal(fixed.mul_q15(odd, ints(1 << 14)), (odd + 1) // 2)
    np.testing.assert_array_equal(fixed.mul_q31(odd, 1 << 30), (odd + 1) // 2)


@given(st.integers(0, (1 << 61) - 1), GAIN_Q31, st.integers(0, (1 << 61) - 1), st.floats(0, 1))
def test_mix_q31_rounds_once_whatever_the_width(x: int, a: int, y: int, share: float) -> None:
    b = int(((1 << 31) - a) * share)
    assert fixed.mix_q31(ints(x), a, ints(y), b)[0] == half_up(Fraction(x * a + y * b, 1 << 31))


def test_mix_q31_keeps_a_constant_and_rounds_ties_upwards() -> None:
    x = ints(0, 1, 1 << 32, (1 << 61) - 1)
    np.testing.assert_array_equal(fixed.mix_q31(x, 1 << 30, x, 1 << 30), x)
    np.testing.assert_array_equal(fixed.mix_q31(x, 1 << 30, x * 0, 0), (x + 1) // 2)


# ---------------------------------------------------------------- norm, reciprocal, logarithm, root


def around_powers(low: int, high: int) -> npt.NDArray[np.int64]:
    """2^k - 1, 2^k, 2^k + 1 for k in [low, high)."""
    return ints(*(value for k in range(low, high) for value in ((1 << k) - 1, 1 << k, (1 << k) + 1)))


def test_bit_length_is_exact_where_float64_rounds_up() -> None:
    x = np.append(around_powers(1, 63), ints(0, (1 << 63) - 1, (1 << 63) - 513))
    np.testing.assert_array_equal(fixed.bit_length(x), [int(v).bit_length() for v in x])


@given(st.integers(0, (1 << 63) - 1))
def test_bit_length_is_pythons(x: int) -> None:
    assert fixed.bit_length(ints(x))[0] == x.bit_length()


def interval_points(per_interval: int = 257) -> npt.NDArray[np.int64]:
    """Mantissas [2^30, 2^31): both ends and points inside each of the 256 table intervals."""
    starts = (1 << 30) + np.arange(256, dtype=np.int64) * (1 << 22)
    inside = np.linspace(0, (1 << 22) - 1, per_interval).astype(np.int64)
    return (starts[:, None] + inside).ravel()


def test_reciprocal_keeps_its_stated_error_in_every_table_interval() -> None:
    mantissa = interval_points()
    inverse = fixed.reciprocal(mantissa)
    # Exact integers: 2^61 (1 - 2^-17) <= mantissa * inverse <= 2^61 (1 + 2^-30).
    product = [int(m) * int(r) for m, r in zip(mantissa, inverse, strict=True)]
    assert max(product) <= (1 << 61) + (1 << 31)
    assert min(product) >= (1 << 61) - (1 << 44)
    assert inverse.min() >= (1 << 30) - (1 << 10)
    assert inverse.max() < 1 << 31


def test_log2_keeps_its_stated_error_in_every_table_interval_and_at_every_exponent() -> None:
    mantissa = interval_points()
    wide = np.concatenate([mantissa << k for k in (0, 13, 31)] + [mantissa >> k for k in (7, 19)])
    x = np.concatenate([wide, np.arange(1, 5000), around_powers(1, 62)])
    x = x[(x > 0) & (x < 1 << 62)]
    error = fixed.log2_q16(x) / 65536.0 - np.log2(x.astype(np.float64))
    assert np.abs(error).max() < 2.0**-16


def test_log2_of_powers_of_two_is_exact_and_the_logarithm_never_falls() -> None:
    np.testing.assert_array_equal(fixed.log2_q16(ints(*(1 << k for k in range(62)))), [k << 16 for k in range(62)])
    rising = np.unique(np.concatenate([np.arange(1, 100_000), interval_points(33)]))
    assert (np.diff(fixed.log2_q16(rising)) >= 0).all()


def test_sqrt_round_is_the_nearest_integer_at_every_solved_tie() -> None:
    k = np.unique(np.concatenate([np.arange(1, 3000), around_powers(1, 26), np.arange((1 << 26) - 3000, 1 << 26)]))
    k = k[k < (1 << 26) - 1]
    # (k +- 1/2)^2 = k^2 +- k + 1/4: the root is k from k^2 - k + 1 to k^2 + k.
    for offset, expected in ((-k, k - 1), (1 - k, k), (0 * k, k), (k, k), (k + 1, k + 1)):
        np.testing.assert_array_equal(fixed.sqrt_round(k * k + offset), expected)


@given(st.integers(0, (1 << 52) - 1))
def test_sqrt_round_is_within_half_of_the_root(x: int) -> None:
    root = int(fixed.sqrt_round(ints(x))[0])
    assert (2 * root - 1) ** 2 <= 4 * x <= (2 * root + 1) ** 2 or x == root == 0


# ---------------------------------------------------------------- network words


@given(INT32, INT32)
def test_srdhm_is_the_doubled_high_product_rounded_half_up_and_saturated(a: int, b: int) -> None:
    assert fixed.srdhm(ints(a), ints(b))[0] == min(half_up(Fraction(a * b, 1 << 31)), (1 << 31) - 1)


def test_srdhm_saturates_only_the_product_of_the_two_lowest() -> None:
    low = -(1 << 31)
    assert fixed.srdhm(ints(low), low)[0] == (1 << 31) - 1
    assert fixed.srdhm(ints(low), low + 1)[0] == (1 << 31) - 1
    assert fixed.srdhm(ints(low), (1 << 31) - 1)[0] == low + 1


def test_srdhm_ties_go_upwards_also_below_zero() -> None:
    """The bug of a published port: random pairs never meet a tie, solved ones always do."""
    odd = np.arange(-999, 1000, 2, dtype=np.int64)
    np.testing.assert_array_equal(fixed.srdhm(odd, 1 << 30), (odd + 1) // 2)


@given(INT32, st.integers(0, 31))
def test_rdbpot_rounds_half_away_from_zero(x: int, exponent: int) -> None:
    assert fixed.rdbpot(ints(x), exponent)[0] == half_away(Fraction(x, 1 << exponent))


@pytest.mark.parametrize("exponent", range(1, 31))
def test_rdbpot_ties_go_away_from_zero(exponent: int) -> None:
    tie = 1 << (exponent - 1)
    np.testing.assert_array_equal(fixed.rdbpot(ints(tie, -tie, tie - 1, 1 - tie), exponent), [1, -1, 0, 0])


@given(st.integers(-(1 << 30), 1 << 30), MULTIPLIER_Q31, st.integers(-31, 0))
def test_mbqm32_rounds_twice(x: int, multiplier: int, shift: int) -> None:
    high = half_up(Fraction(x * multiplier, 1 << 31))
    assert fixed.mbqm32(ints(x), multiplier, shift)[0] == half_away(Fraction(high, 1 << -shift))


@given(I16, MULTIPLIER_Q31, st.integers(0, 15))
def test_mbqm32_shifts_left_before_it_multiplies(x: int, multiplier: int, shift: int) -> None:
    assert fixed.mbqm32(ints(x), multiplier, shift)[0] == half_up(Fraction((x << shift) * multiplier, 1 << 31))


@given(st.integers(-(1 << 46), 1 << 46), MULTIPLIER_Q31, st.integers(-31, -16))
def test_mbqm64_rounds_once_with_a_15_bit_multiplier(x: int, multiplier: int, shift: int) -> None:
    reduced = 0x7FFF if multiplier >= 0x7FFF0000 else (multiplier + (1 << 15)) >> 16
    assert fixed.mbqm64(ints(x), multiplier, shift)[0] == wrapped(half_up(Fraction(x * reduced, 1 << (15 - shift))))


def test_network_words_take_one_multiplier_per_channel() -> None:
    x, multipliers, shifts = ints(1000, -1000, 7), ints(1 << 30, 3 << 29, (1 << 31) - 1), ints(-3, 2, 0)
    for word in (fixed.mbqm32, fixed.mbqm64):
        together = word(x, multipliers, shifts)
        alone = [word(x[i : i + 1], multipliers[i], int(shifts[i]))[0] for i in range(3)]
        np.testing.assert_array_equal(together, alone)


@given(st.floats(1e-9, 1e4))
def test_quantize_multiplier_keeps_31_bits_of_the_scale(scale: float) -> None:
    multiplier, shift = fixed.quantize_multiplier(scale)
    assert 1 << 30 <= multiplier < 1 << 31
    assert abs(Fraction(multiplier) * Fraction(2) ** (shift - 31) / Fraction(scale) - 1) <= Fraction(1, 1 << 31)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(0.5, (1 << 30, 0)), (1.0, (1 << 30, 1)), (1.0 - 2.0**-40, (1 << 30, 1)), (0.0, (0, 0)), (2.0**-40, (0, 0))],
)
def test_quantize_multiplier_at_the_edges(scale: float, expected: tuple[int, int]) -> None:
    assert fixed.quantize_multiplier(scale) == expected


@pytest.mark.parametrize("word", [fixed.mul_q15, fixed.mul_q31, fixed.srdhm])
def test_products_work_element_by_element(word: Callable[..., npt.NDArray[np.int64]]) -> None:
    x = np.arange(-6, 6, dtype=np.int64).reshape(3, 4) * 100_000_001
    gains = np.arange(12, dtype=np.int64).reshape(3, 4) * 2_700
    expected = [[word(x[i, j : j + 1], gains[i, j : j + 1])[0] for j in range(4)] for i in range(3)]
    np.testing.assert_array_equal(word(x, gains), expected)
