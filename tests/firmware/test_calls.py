"""What the functions of a hop call: kernels call nothing, stages copy whole buffers, no helper of a compiler runs."""

from __future__ import annotations

import pytest

from golden_vectors.m7.build import COMPILERS, DSP, build_m7, missing_compiler
from golden_vectors.m7.elf import Elf
from golden_vectors.m7.stack import HOP, StackAnalysis
from tests.firmware.c_library import PROFILE, model

HERE = [compiler for compiler in COMPILERS if missing_compiler(compiler) is None]
MEMORY = ("memcpy", "memset", "__aeabi_mem")
COPIERS = {"stapes_process_hop", "analyse", "synthesise", "stapes_network_step"}
"""They copy or clear whole buffers."""
STATIC = {"analyse", "synthesise", "complex_fft", "radix4", "first_stage", "middle_stage", "last_stage",
          "undo_bit_reversal"}  # fmt: skip
"""Static functions of frame_loop.c and fft.c, which a compiler may or may not inline."""
LAST_ROWS = {"stapes_fully_connected_last"}
"""The one function that kernels share: see nn_paired.c."""


def analysis(scheme: str, compiler: str, *flags: str) -> StackAnalysis:
    return StackAnalysis(Elf.load(build_m7(model(scheme), PROFILE, compiler=compiler, flags=(*DSP, *flags))))


def calls_of_kernels(image: StackAnalysis, prefix: str = "stapes_") -> set[str]:
    """What the functions that a network step calls, call in their turn; those whose names begin with `prefix`."""
    kernels = {name for name in image.called("stapes_network_step") if name.startswith(prefix)}
    return set().union(*(image.called(name) for name in kernels))


@pytest.mark.parametrize("compiler", HERE)
@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
def test_a_hop_runs_nothing_but_its_stages_and_copies_of_whole_buffers(scheme: str, compiler: str) -> None:
    image = analysis(scheme, compiler)
    stages = {name for name in image.reached(HOP) if not name.startswith(MEMORY)}
    assert {"stapes_network_step", "stapes_rfft", "stapes_wiener", "stapes_features"} <= stages
    assert {name for name in stages if not name.startswith("stapes_")} <= STATIC
    assert {name for name in stages if any(called.startswith(MEMORY) for called in image.called(name))} <= COPIERS
    assert any(name.startswith("stapes_fully_connected") for name in image.called("stapes_network_step"))
    assert calls_of_kernels(image) <= LAST_ROWS


@pytest.mark.parametrize("compiler", HERE)
def test_a_word_that_is_not_inlined_is_seen(compiler: str) -> None:
    image = analysis("int16x8", compiler, "-fno-inline")
    assert "stapes_put_four_i16" in calls_of_kernels(image, "stapes_fully_connected") - LAST_ROWS
