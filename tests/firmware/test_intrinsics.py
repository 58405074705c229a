"""The intrinsics of both headers against the instructions of the emulated core, over corners and random operands.

One table of calls (intrinsics.c) is compiled with one header after the other: the stubs on the host and on the M7, the
port's header, and `instructions/`, which has nothing but the bare instruction.
"""

from __future__ import annotations

import ctypes
import re
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from golden_vectors.cc import FIRMWARE, WARNINGS, build, find_compiler
from golden_vectors.m7.build import BUILD, COMPILERS, DEFAULT_PART, PORT, m7_command, missing_compiler
from golden_vectors.m7.emulator import Emulator, Image

SOURCE = Path(__file__).with_name("intrinsics.c")
STUBS, REAL, BARE = FIRMWARE / "cmsis_stubs", PORT / "cmsis", SOURCE.parent / "instructions"
HERE = [compiler for compiler in COMPILERS if missing_compiler(compiler) is None]
CHUNK = 1024
"""Operands that the image takes at a time."""

OPERANDS = np.dtype([("a", "<u4"), ("b", "<u4"), ("c", "<u8")])
Operands = npt.NDArray[np.void]
Results = npt.NDArray[np.uint64]
WORDS = (
    0, 1, 0xFFFFFFFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0xFFFF0000, 0x7FFFFFFF, 0x80000000, 0x80008000, 0x7FFF7FFF,
    0x80007FFF, 0x7FFF8000, 0x80808080, 0x7F7F7F7F, 0x00FF00FF, 0xFF00FF00,
)  # fmt: skip
SUMS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 0xFFFFFFFF80000000)
RANDOM = 6144


@cache
def operands() -> Operands:
    """Every triple of corners, both sides of every power of two, and random words of every bit length."""
    edges = [(sign * (1 << bit) + step) % (1 << 32) for bit in range(32) for sign in (1, -1) for step in (-1, 0, 1)]
    solved = [*product(WORDS, WORDS, SUMS), *((edge, edge, edge) for edge in edges)]
    rng = np.random.default_rng(3)
    count = RANDOM + -(len(solved) + RANDOM) % CHUNK
    found = np.empty(len(solved) + count, OPERANDS)
    found[: len(solved)] = solved
    for name, bits, kind in (("a", 32, np.int32), ("b", 32, np.int32), ("c", 64, np.int64)):
        values = rng.integers(0, 1 << bits, count, dtype=f"u{bits // 8}").view(kind)
        found[name][len(solved) :] = (values >> rng.integers(0, bits, count).astype(kind)).view(f"u{bits // 8}")
    return found


@cache
def on_host(header: Path) -> tuple[list[str], Results]:
    """(names of the rows, results (rows, operands)) of a header, compiled for this machine."""
    command = [*(find_compiler() or ()), "-std=c11", "-O1", *WARNINGS, "-fPIC", "-shared"]
    library = ctypes.CDLL(str(build(BUILD.with_name("host"), "libintrinsics.so", command, {}, [SOURCE], [header])))
    library.intrinsic_name.restype = ctypes.c_char_p
    names = [library.intrinsic_name(row).decode() for row in range(library.intrinsic_rows())]
    results = np.empty((len(names), len(operands())), np.uint64)
    for row, out in enumerate(results):
        library.intrinsic_apply(row, operands().ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
                                len(operands()))  # fmt: skip
    return names, results


@cache
def on_m7(header: Path, compiler: str) -> Results:
    """Results (rows, operands) of a header on the emulated core."""
    command = [*m7_command(compiler, DEFAULT_PART), "-DINTRINSICS_IMAGE"]
    sources = [SOURCE, PORT / "startup.c", PORT / "memory.c"]
    core = Emulator(Image.load(build(BUILD, "intrinsics.elf", command, {}, sources, [PORT, header], PORT)),
                    {"operands.bin": operands().tobytes()})  # fmt: skip
    assert core.run() == 0
    chunks = len(operands()) // CHUNK
    results = np.frombuffer(bytes(core.files["results.bin"]), "<u8").reshape(chunks, -1, CHUNK)
    return results.transpose(1, 0, 2).reshape(results.shape[1], -1)


def instructions() -> Results:
    """What the core's instructions give."""
    return on_m7(BARE, "zig")


def first_difference(got: Results, expected: Results, names: list[str]) -> str | None:
    """The first row and operands whose results are not equal, or None."""
    assert got.shape == expected.shape == (len(names), len(operands()))
    for row, i in np.argwhere(got != expected):
        of = " ".join(f"{field}={int(operands()[i][field]):#x}" for field in ("a", "b", "c"))
        return f"{names[row]} of {of}: {got[row, i]:#x}, the core has {expected[row, i]:#x}"
    return None


def offered(header: Path) -> set[str]:
    """Names of the intrinsics that a header defines."""
    text = (header / "cmsis_compiler.h").read_text()
    return set(re.findall(r"^(?:#define|static inline \w+) (__[A-Z][A-Z0-9]+(?:_RORn)?)\(", text, re.MULTILINE))


# ---------------------------------------------------------------- equality


def test_the_stubs_on_this_machine_do_what_the_core_does() -> None:
    names, results = on_host(STUBS)
    assert first_difference(results, instructions(), names) is None


@pytest.mark.parametrize("compiler", HERE)
@pytest.mark.parametrize("header", [STUBS, REAL, BARE], ids=["stubs", "port", "instructions"])
def test_every_header_does_what_the_core_does(header: Path, compiler: str) -> None:
    names, _ = on_host(STUBS)
    assert first_difference(on_m7(header, compiler), instructions(), names) is None


def test_every_width_shift_and_rotation_is_in_the_table() -> None:
    names, _ = on_host(STUBS)
    for name, immediates in (("SSAT", range(1, 33)), ("USAT", range(32)), ("PKHBT", range(32)), ("PKHTB", range(32))):
        assert {f"__{name} {n}" for n in immediates} <= set(names)
    rotations = operands()["b"][operands()["a"] != 0] % 32
    assert set(rotations.tolist()) == set(range(32))


def test_the_headers_offer_the_same_intrinsics_and_the_firmware_uses_no_other() -> None:
    names, _ = on_host(STUBS)
    tested = {name.split()[0] for name in names}
    assert len(tested) == 14
    assert offered(STUBS) == offered(REAL) == offered(BARE) == tested
    sources = [path.read_text() for path in (*FIRMWARE.glob("*.c"), *FIRMWARE.glob("*.h"))]
    used = {name for text in sources for name in re.findall(r"\b__(?!GNUC)[A-Z][A-Z0-9]+(?:_RORn)?(?=\()", text)}
    assert used
    assert used <= tested


# ---------------------------------------------------------------- the comparison can go red

FAULTS = {
    "__CLZ 0": ("x == 0U ? 32 :", "x == 0U ? 31 :"),
    "__SXTB16 0": ("const int32_t high = (int8_t)(uint8_t)(x >> 16);", "const int32_t high = (uint8_t)(x >> 16);"),
    "__UXTB16 0": ("0x00FF00FFU", "0x00FF007FU"),
    "__ROR 0": ("(-n % 32U)", "(31U - n % 32U)"),
    "__SXTB16_RORn 16": ("return __SXTB16(__ROR(x, n))", "return __SXTB16(x >> n)"),
    "__SSAT 1": ("low = -high - 1", "low = -high"),
    "__USAT 0": ("x < 0 ? 0 : x", "x < 0 ? 1 : x"),
    "__PKHBT 1": ("(y << n) & 0xFFFF0000U", "(y & 0xFFFF0000U) << n"),
    "__PKHTB 1": ("(uint32_t)((int32_t)y >> n) & 0xFFFFU", "(uint32_t)((int32_t)(y & 0xFFFFU) >> n)"),
    "__SADD16 0": ("stapes_lanes(stapes_lane_low(x) +", "stapes_lanes(stapes_lane_low(x) -"),
    "__QADD16 0": (
        "__SSAT(stapes_lane_high(x) + stapes_lane_high(y), 16)",
        "stapes_lane_high(x) + stapes_lane_high(y)",
    ),
    "__SHADD16 0": (
        "(stapes_lane_high(x) + stapes_lane_high(y)) >> 1",
        "(stapes_lane_high(x) + stapes_lane_high(y)) / 2",
    ),
    "__SMLAD 0": ("return sum + low + high;", "return sum + low - high;"),
    "__SMLALD 0": ("return sum + (uint64_t)low +", "return sum + (uint32_t)low +"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_wrong_stub_is_named_with_its_operands(name: str, tmp_path: Path) -> None:
    right, wrong = FAULTS[name]
    text = (STUBS / "cmsis_compiler.h").read_text()
    assert text.count(right) == 1
    (tmp_path / "cmsis_compiler.h").write_text(text.replace(right, wrong))
    names, results = on_host(tmp_path)
    complaint = first_difference(results, instructions(), names)
    assert complaint is not None
    assert complaint.startswith(f"{name} of a=0x")
