"""The intrinsics in plain C do what the Armv7-M manual says of the instructions; the words here are its pseudocode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.firmware.c_library import call_word

MASK = (1 << 32) - 1
EDGES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0x80008000, 0x7FFF7FFF, MASK]


def signed(x: int, bits: int) -> int:
    """The low `bits` bits of x as a signed number."""
    x &= (1 << bits) - 1
    return x - (1 << bits) if x >> (bits - 1) else x


def halves(x: int) -> tuple[int, int]:
    return signed(x, 16), signed(x >> 16, 16)


def smlad(x: int, y: int, total: int) -> int:
    return (total + sum(a * b for a, b in zip(halves(x), halves(y), strict=True))) & MASK


def smlald(x: int, y: int, total: int) -> int:
    return signed(total + sum(a * b for a, b in zip(halves(x), halves(y), strict=True)), 64)


def ssat(x: int, bits: int) -> int:
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, x))


def usat(x: int, bits: int) -> int:
    return max(0, min((1 << bits) - 1, x))


def sxtb16(x: int) -> int:
    return signed(x, 8) & 0xFFFF | (signed(x >> 16, 8) & 0xFFFF) << 16


def uxtb16(x: int) -> int:
    return x & 0xFF | (x >> 16 & 0xFF) << 16


def lanes(x: int, y: int, word: Callable[[int], int]) -> int:
    """word(sum) of the two lanes."""
    low, high = (word(a + b) & 0xFFFF for a, b in zip(halves(x), halves(y), strict=True))
    return low | high << 16


def sadd16(x: int, y: int) -> int:
    return lanes(x, y, lambda total: total)


def qadd16(x: int, y: int) -> int:
    return lanes(x, y, lambda total: ssat(total, 16))


def shadd16(x: int, y: int) -> int:
    return lanes(x, y, lambda total: total >> 1)


def pkhbt(x: int, y: int, n: int) -> int:
    return x & 0xFFFF | (y << n) & 0xFFFF0000


def pkhtb(x: int, y: int, n: int) -> int:
    return x & 0xFFFF0000 | (signed(y, 32) >> n) & 0xFFFF


def ror(x: int, n: int) -> int:
    return (x >> n | x << (32 - n)) & MASK


def clz(x: int) -> int:
    return 32 - x.bit_length()


WORD, SIGNED, WIDE = (0, MASK), (-(1 << 31), (1 << 31) - 1), (-(1 << 63), (1 << 63) - 1)

INTRINSICS: dict[str, tuple[Callable[..., int], list[tuple[int, int]]]] = {
    "__CLZ": (clz, [WORD]),
    "__SSAT": (ssat, [SIGNED, (1, 32)]),
    "__USAT": (usat, [SIGNED, (0, 31)]),
    "__SXTB16": (sxtb16, [WORD]),
    "__UXTB16": (uxtb16, [WORD]),
    "__ROR": (ror, [WORD, (0, 31)]),
    "__SADD16": (sadd16, [WORD, WORD]),
    "__QADD16": (qadd16, [WORD, WORD]),
    "__SHADD16": (shadd16, [WORD, WORD]),
    "__PKHBT": (pkhbt, [WORD, WORD, (0, 31)]),
    "__PKHTB": (pkhtb, [WORD, WORD, (1, 31)]),
    "__SMLAD": (smlad, [WORD, WORD, WORD]),
    "__SMLALD": (smlald, [WORD, WORD, WIDE]),
}


@pytest.mark.parametrize("name", INTRINSICS)
def test_an_intrinsic_against_the_manual(name: str) -> None:
    pseudocode, ranges = INTRINSICS[name]
    rng = np.random.default_rng(0)
    columns = []
    for low, high in ranges:
        edges = [x for x in (*EDGES, *(-e for e in EDGES), low, high) if low <= x <= high]
        mixed = np.concatenate([rng.choice(edges, 2000), rng.integers(low, high, 2000, endpoint=True)])
        columns.append(rng.permutation(mixed).astype(np.int64))
    expected = [pseudocode(*map(int, row)) for row in zip(*columns, strict=True)]
    np.testing.assert_array_equal(call_word(name, *columns), np.array(expected, np.int64))
