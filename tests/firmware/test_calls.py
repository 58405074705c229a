"""What the functions of a hop call: kernels call nothing, stages copy whole buffers, no helper of a compiler runs."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from golden_vectors.executors.c_m7 import INPUT
from golden_vectors.executors.cc_m7 import COMPILERS, DSP, build_m7, missing_compiler
from golden_vectors.executors.emulator import Emulator, Image
from tests.firmware.c_library import SEED, model

HERE = [compiler for compiler in COMPILERS if missing_compiler(compiler) is None]
MEMORY = ("memcpy", "memset", "__aeabi_mem")
COPIERS = {"stapes_process_hop", "stapes_network_step"}
"""They copy or clear whole buffers."""
PARTS_OF_THE_FFT = {"complex_fft", "radix4", "first_stage", "middle_stage", "last_stage", "undo_bit_reversal"}
"""Static functions of fft.c, which a compiler may or may not inline."""


def branches(code: bytes, start: int) -> Iterator[int]:
    """Targets of BL and B.W in Thumb code (Armv7-M manual, encodings T1 and T4); constants between may add others."""
    at = 0
    while at + 2 <= len(code):
        first, second = struct.unpack_from("<HH", code + b"\0\0", at)
        if first & 0xF800 == 0xF000 and second & 0x9000 == 0x9000:
            sign, j1, j2 = first >> 10 & 1, second >> 13 & 1, second >> 11 & 1
            offset = (1 - sign ^ j1) << 23 | (1 - sign ^ j2) << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1
            yield start + at + 4 + offset - (sign << 24)
        at += 4 if first >= 0xE800 else 2


def calls(path: Path) -> dict[str, set[str]]:
    """Function of an image -> the other functions that it calls or ends in; the code is read where it runs."""
    device, found = Emulator(Image.load(path), {INPUT: b""}), {}
    assert device.run() == 0
    for function in device.image.functions:
        code = bytes(device.core.mem_read(function.start, function.end - function.start))
        targets = {device.image.function_at(target) for target in branches(code, function.start)}
        found[function.name] = targets - {function.name, ""}
    return found


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """Every function that a function may run."""
    known, waiting = {start}, [start]
    while waiting:
        new = graph[waiting.pop()] - known
        known |= new
        waiting += new
    return known


def calls_of_kernels(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """What the functions that a network step calls, call in their turn."""
    kernels = {name for name in graph["stapes_network_step"] if not name.startswith(MEMORY)}
    return {name: graph[name] for name in kernels if graph[name]}


@pytest.mark.parametrize("compiler", HERE)
@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
def test_a_hop_runs_nothing_but_its_stages_and_copies_of_whole_buffers(scheme: str, compiler: str) -> None:
    graph = calls(build_m7(model(scheme), SEED, compiler=compiler))
    functions = reached(graph, "stapes_process_hop")
    stages = {name for name in functions if not name.startswith(MEMORY)}
    assert {"stapes_network_step", "stapes_rfft", "stapes_wiener", "stapes_features"} <= stages
    assert {name for name in stages if not name.startswith("stapes_")} <= PARTS_OF_THE_FFT
    assert {name for name in stages if any(called.startswith(MEMORY) for called in graph[name])} <= COPIERS
    assert any(name.startswith("stapes_fully_connected") for name in graph["stapes_network_step"])
    assert calls_of_kernels(graph) == {}


@pytest.mark.parametrize("compiler", HERE)
def test_a_word_that_is_not_inlined_is_seen(compiler: str) -> None:
    graph = calls(build_m7(model("int16x8"), SEED, compiler=compiler, flags=(*DSP, "-fno-inline")))
    assert "limit_i16" in calls_of_kernels(graph)["stapes_add_i16"]


def test_branches_are_decoded_as_the_manual_has_them() -> None:
    """nop; bl +0x100; b.w -8; movw r0, 0xF7FF: assembled by hand."""
    code = bytes.fromhex("00bf00f080f8fff7fcbf4ff2ff70")
    assert list(branches(code, 0x1000)) == [0x1002 + 4 + 0x100, 0x1006 + 4 - 8]
