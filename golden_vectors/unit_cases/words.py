"""Rows for the words: grids of corners, and solved ties, edges and table intervals."""

from __future__ import annotations

import numpy as np

from firmware_sim import contract, tables
from firmware_sim.fixed import I32_MAX, I32_MIN, Ints
from golden_vectors.unit_cases.rows import (
    AROUND,
    Draw,
    Limits,
    corners,
    grid,
    near_residue,
    near_squares,
    table,
    ties,
    unique,
    with_product,
)
from golden_vectors.units.base import GAIN, I32, U31, U32
from golden_vectors.units.words import MANTISSA

CLOSE = (-1, 0, 1)


def _odd(limits: Limits, seed: int, count: int = 40) -> list[int]:
    """Factors of every magnitude, most of them odd: those reach every residue."""
    draw = Draw(seed)
    drawn = (draw.magnitudes(limits, count) | 1).tolist()
    return [x for x in (*drawn, *corners(limits)[-6:], *corners(limits)[:6]) if x and limits[0] <= x <= limits[1]]


def _product(x: Limits, y: Limits, bits: int, residue: int, seed: int) -> Ints:
    """Corners of a product of two, and products around the residue at which its rounding turns."""
    return unique(np.concatenate([grid((x, y), seed, CLOSE, 100), near_residue(x, _odd(y, seed), bits, residue, seed)]))


def count() -> Ints:
    end = U32[1]
    edges = [(start, hits) for start in (end - 2, end - 1, end) for hits in (0, 1, 2, 3, end - 1, end)]
    return unique(np.concatenate([np.array(edges), grid((U32, U32), 1, CLOSE, 50)]))


def shr_round() -> Ints:
    draw, limits = Draw(2), (-(1 << 62) + 1, (1 << 62) - 1)
    solved = [(x, n) for n in range(1, 63) for x in ties(n, limits, draw, 1)]
    return unique(np.concatenate([grid((limits, (1, 62)), 2, (0,), 0), np.array(solved)]))


def limit(bits: int) -> Ints:
    """x at the limits and beyond them, with no and with some hits before."""
    edges = [end + d for end in (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) for d in AROUND]
    x = [*edges, *corners(I32)]
    return table([x, np.arange(len(x)) % 2 * 7])


def wrap_i32() -> Ints:
    draw, limits = Draw(3), (-(1 << 62), (1 << 62) - 1)
    turns = [turn * (1 << 31) + d for turn in range(-9, 10) for d in AROUND]
    return unique(table([[*turns, *corners(limits, CLOSE), *draw.magnitudes(limits, 100).tolist()]]))


def add_i32() -> Ints:
    return grid((I32, I32), 4, CLOSE, 100)


def double_i32() -> Ints:
    return table([corners(I32)])


def mul_q15() -> Ints:
    return _product(I32, GAIN, 15, 1 << 14, 5)


def mul_q31() -> Ints:
    return _product((-(1 << 31), 1 << 31), U31, 31, 1 << 30, 6)


def mulhi_u32() -> Ints:
    return _product(U32, U32, 32, 0, 7)


def mulhi_i32() -> Ints:
    return _product(I32, I32, 32, 0, 8)


def mulhi_round() -> Ints:
    return _product(I32, I32, 32, 1 << 31, 9)


def mulhi_round_u32() -> Ints:
    return _product(U32, U32, 32, 1 << 31, 10)


def mulhi_round_add() -> Ints:
    draw, pairs = Draw(11), near_residue(I32, _odd(I32, 11), 32, 1 << 31, 11)
    totals = draw.pick([*corners(I32, CLOSE)], len(pairs))
    return unique(np.concatenate([grid((I32, I32, I32), 11, (0,), 50), np.column_stack([totals, pairs])]))


def mix_q31() -> Ints:
    """Shares of the device and drawn ones, and sums at the tie of the one rounding."""
    draw, wide = Draw(12), (0, (1 << 61) - 1)
    shares = [contract.NOISE_MEMORY_Q31, contract.NOISE_INNOVATION_Q31, 1, 1 << 30, (1 << 31) - 1, 0, 1 << 31]
    shares += draw.integers(U31, 12).tolist()
    alone = [contract.q(1.0 / divisor, 31, bits=32) for divisor in (30, 65)]
    rows: list[tuple[int, ...]] = [(int(x), share, 0, 0) for share in alone for x in corners(wide, CLOSE)[::3]]
    for share in shares:
        rest = (1 << 31) - share
        for y in (0, wide[1], *draw.magnitudes(wide, 3).tolist()):
            for d in (-1, 0, 1):
                x = with_product(share, (1 << 30) + d - y * rest, 31, wide, draw)
                rows += [(x, share, y, rest)] if x is not None else [(wide[1], share, y, rest)]
        x, y = draw.pick(corners(wide, CLOSE), 12).tolist(), draw.pick(corners(wide, CLOSE), 12).tolist()
        rows += [(a, share, b, rest) for a, b in zip(x, y, strict=True)]
    return unique(np.array(rows, np.int64))


def positive(bits: int) -> Ints:
    """Corners of [0, 2^bits), and values whose low word is zero, full or drawn."""
    draw, limits = Draw(13), (0, (1 << bits) - 1)
    high = draw.magnitudes((0, (1 << (bits - 32)) - 1), 60).tolist()
    words = [(h << 32) | low for h in high for low in (0, 1, 0xFFFFFFFF, 1 << 31)]
    return unique(table([[*corners(limits), *words, *draw.magnitudes(limits, 100).tolist()]]))


def reciprocal() -> Ints:
    """Both ends and the middle of every interval of the table."""
    first = (np.arange(256, dtype=np.int64) + 256) << 22
    inside = [first + d for d in (0, 1, 1 << 21, (1 << 22) - 1)]
    return unique(table([np.concatenate([*inside, np.array(corners(MANTISSA)), Draw(14).integers(MANTISSA, 100)])]))


def log2_q16() -> Ints:
    """Ends of every interval, at every exponent in turn; ties of both roundings; 0, which counts as 1."""
    first = (np.arange(256, dtype=np.int64) + 256) << 22
    ends = np.concatenate([first, first + (1 << 22) - 1, first + 128])
    shifts = np.arange(len(ends)) * 7 % 62 - 30
    spread = np.where(shifts > 0, ends << np.maximum(shifts, 0), ends >> np.maximum(-shifts, 0))
    solved = np.array(_log2_ties()[::2], np.int64)
    x = [spread, solved, np.array(corners((0, (1 << 62) - 1), CLOSE))]
    return unique(table([np.concatenate(x)]))


def _log2_ties() -> list[int]:
    """Mantissas at which the interpolation, and those at which its result in q16, is half way, with neighbours."""
    fraction_q15 = np.arange(1 << 15, dtype=np.int64)
    found = []
    for index in range(256):
        left, step = tables.LOG2_Q24[index], tables.LOG2_Q24[index + 1] - tables.LOG2_Q24[index]
        halves = np.flatnonzero((step * fraction_q15) & 0x7FFF == 1 << 14)[:1]
        ends = np.flatnonzero((left + ((step * fraction_q15 + (1 << 14)) >> 15)) & 0xFF == 0x80)[:1]
        for fraction in (*halves.tolist(), *ends.tolist()):
            found += [((256 + index) << 22) + ((fraction + d) << 7) for d in CLOSE if 0 <= fraction + d < 1 << 15]
    return found


def sqrt_round_u30() -> Ints:
    """Where the root changes, and both ends of every interval of the table."""
    draw = Draw(15)
    roots = [*corners((0, 1 << 15)), *range(200), *draw.integers((0, 1 << 15), 150).tolist()]
    ends = [((index << 22) + d) >> (2 * (index % 15)) for index in range(64, 256) for d in (-1, 0)]
    return table([sorted({x for x in (*near_squares(roots), *ends) if x < 1 << 30})])


def sqrt_round() -> Ints:
    draw, limits = Draw(16), (0, (1 << 26) - 2)
    roots = [*corners(limits, CLOSE), *draw.magnitudes(limits, 30).tolist(), *draw.integers(limits, 30).tolist()]
    wide = corners((1 << 30, (1 << 52) - 1), CLOSE)
    return table([sorted({*near_squares(roots), *wide})])


def srdhm() -> Ints:
    return _product(I32, I32, 31, 1 << 30, 17)


def rdbpot() -> Ints:
    draw = Draw(18)
    solved = [(x, exponent) for exponent in range(32) for x in ties(exponent, I32, draw, 4)]
    ends = [(x, exponent) for exponent in range(32) for x in (I32_MIN, I32_MIN + 1, -1, 0, 1, I32_MAX - 1, I32_MAX)]
    return unique(np.array([*solved, *ends], np.int64))


def mbqm32() -> Ints:
    """Ties of the first rounding, of the second one, and values that the shift to the left wraps."""
    draw = Draw(19)
    multipliers = [*_odd(MANTISSA, 19, 24), 1 << 30, I32_MAX]
    first = near_residue(I32, multipliers, 31, 1 << 30, 19)
    rows = [(*pair, shift) for pair, shift in zip(first.tolist(), draw.integers((-31, 0), len(first)), strict=True)]
    for exponent in range(1, 32):
        halved = ties(exponent, (I32_MIN >> 1, I32_MAX >> 1), draw)
        rows += [(2 * x + d, 1 << 30, -exponent) for x in halved for d in (-1, 0)]
    for shift in range(31):
        at = [((1 << 31) >> shift) + d for d in CLOSE]
        rows += [(sign * x, int(draw.pick(multipliers, 1)[0]), shift) for x in at for sign in (1, -1)]
    rows = [row for row in rows if I32_MIN <= row[0] <= I32_MAX]
    cross = grid((I32, MANTISSA, (-31, 30)), 19, (0,), 60)
    return unique(np.concatenate([np.array(rows, np.int64), cross, table([[5, I32_MIN], [0, 0], [-3, 3]])]))


def mbqm64() -> Ints:
    """Ties at every shift, multipliers around the roundings to 15 bits, and results beyond int32."""
    draw, wide = Draw(20), (-(1 << 47) + 1, (1 << 47) - 1)
    edges = [1 << 30, (1 << 30) + 0x7FFF, (1 << 30) + 0x8000, 0x7FFEFFFF, 0x7FFF0000, 0x7FFF7FFF, 0x7FFF8000, I32_MAX]
    edges += [0x7FFE7FFF, 0x7FFE8000, 0x5A5A8000, 0x5A5A7FFF, 0]
    rows: list[tuple[int, ...]] = [
        (x, m, s) for m in edges for s in (-31, -1, 0, 1, 14) for x in (-3, 5, wide[0], wide[1])
    ]
    for shift in range(-31, 15):
        total = 15 - shift
        for reduced in (0x4001, 0x7FFF, *(draw.integers((1 << 14, (1 << 15) - 2), 2) | 1).tolist()):
            for d in CLOSE:
                x = with_product(reduced, (1 << (total - 1)) + d, total, wide, draw)
                rows += [(x, reduced << 16, shift)] if x is not None else []
    cross = grid((wide, MANTISSA, (-31, 14)), 20, (0,), 60)
    return unique(np.concatenate([np.array(rows, np.int64), cross]))
