"""nn_paired.c: its operands as the header says, what it does not take, its scheduled loop, its compilers."""

from __future__ import annotations

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.c_writer import CWriter, to_c
from firmware_sim.contract import STAGES
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph, GraphError
from firmware_sim.meter import Counter as StreamCounter
from firmware_sim.ops import FullyConnected
from firmware_sim.ops.fully_connected import paired_rows, paired_sums
from golden_vectors.cc import FIRMWARE, WARNINGS
from golden_vectors.executors.c_m7 import CM7
from golden_vectors.executors.network import Arrays, closed_loop
from golden_vectors.m7 import build
from tests.export.tiny_model import tiny_graph
from tests.firmware.c_library import PROFILE
from tests.firmware.test_nn import C_TYPES, dense
from tests.single_op import tensor

HERE = [compiler for compiler in build.COMPILERS if build.missing_compiler(compiler) is None]
COMPILE_SECONDS = 60
"""A compile takes less than one; a search for registers that does not end takes for ever."""


def test_paired_rows_stand_as_the_header_says() -> None:
    weights = np.arange(15).reshape(5, 3)
    pairs = paired_rows(weights).tolist()
    b_over_a = [[(pair >> 8, pair & 255) for pair in pairs[start : start + 8]] for start in (0, 8)]
    assert b_over_a[0] == [(3, 0), (4, 1), (9, 6), (10, 7), (5, 2), (0, 0), (11, 8), (0, 0)]
    assert b_over_a[1] == [(0, 12), (0, 13), (0, 0), (0, 0), (0, 14), (0, 0), (0, 0), (0, 0)]
    assert paired_rows(np.array([[-1], [127], [-127], [-127]])).tolist() == [256 * 127 - 1, 0, -257 * 127, 0]
    with pytest.raises(GraphError, match="a weight of -128"):
        paired_rows(np.full((4, 2), -128))


def test_sums_of_paired_rows_begin_with_their_biases() -> None:
    biases = np.array([5, -3, -(1 << 31), (1 << 31) - 1, -1])
    words = paired_sums(biases)
    assert words.shape == (2, 6)
    assert words.min() >= 0
    both = (words[:, [2, 5]] << 32 | words[:, [1, 4]]).astype(np.int64)
    row_a = words[:, [0, 3]].astype(np.uint32).view(np.int32).astype(np.int64)
    found = np.stack([row_a, (both - row_a) >> 8], axis=2).reshape(-1)
    np.testing.assert_array_equal(found, [*biases, 0, 0, 0])


@pytest.mark.parametrize("hidden", [3, 17, 30, 50, 81])
@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
@pytest.mark.parametrize("compiler", HERE)
def test_the_scheduled_loop_takes_every_number_of_columns_and_rows(compiler: str, scheme: str, hidden: int) -> None:
    assert_equal_steps(tiny_graph(scheme, hidden, PROFILE), CM7(compiler))


@pytest.mark.parametrize("flag", ["-O0", "-Os", "-fno-omit-frame-pointer"])
@pytest.mark.parametrize("compiler", HERE)
def test_builds_for_a_debugger_or_a_small_flash_give_the_same_bits(compiler: str, flag: str) -> None:
    assert_equal_steps(tiny_graph("int16x8", 33, PROFILE), CM7(compiler, (*build.DSP, flag)))


def assert_equal_steps(graph: Graph, device: CM7) -> None:
    """The network on random codes, every eighth step of them at the ends of the range."""
    limits = np.iinfo(C_TYPES[graph.inputs[0].dtype])
    codes = np.random.default_rng(0).integers(limits.min, limits.max + 1, (40, PROFILE.inputs)) & ~1
    codes[::8] = np.where(codes[::8] < 0, limits.min, limits.max - 1)
    counter = StreamCounter(1)

    def step(arrays: Arrays) -> dict[str, Ints]:
        return graph.run({name: values.astype(np.int64) for name, values in arrays.items()}, counter)

    expected, got = closed_loop(graph, codes, step), device.network_states(graph, codes)
    for name, values in expected.items():
        np.testing.assert_array_equal(got["network.mask" if name == "mask" else name], values, err_msg=name)
        assert len(np.unique(values)) > 10
    saturations, overflows = got["counters"][-1].reshape(-1, 2)[STAGES.index("network")]
    assert saturations > 100
    assert (saturations, overflows) == (counter.saturations[0], counter.overflows[0])


def test_a_vector_that_may_begin_anywhere_takes_the_rows() -> None:
    """The paired kernels load words: a part of another tensor is not for them."""
    op, writer = dense("int16", 4, 6), CWriter(paired=True)
    writer.view(op.inputs[0], tensor("whole", "int16", 9, 1.0), 3)
    op.to_c(writer)
    assert "fully_connected_i16(net->whole + 3" in writer.calls[0]


@pytest.mark.parametrize("dtype", ["int16", "int8"])
def test_a_weight_of_minus_128_takes_the_rows(dtype: str) -> None:
    """It does not share a halfword; the kernel for rows takes every int8."""
    plain, writer = dense(dtype, 4, 6), CWriter(paired=True)
    x, w, b = plain.inputs
    op = FullyConnected([x, replace(w, data=np.full((4, 6), -128, np.int8)), b], plain.outputs, {})
    op.to_c(writer)
    assert "fully_connected_i" in writer.calls[0]


def end(process: subprocess.Popen[bytes]) -> None:
    """End a driver that still runs, with the compiler that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("compiler", HERE)
def test_no_optimisation_keeps_the_compiler_for_ever(compiler: str, tmp_path: Path) -> None:
    for name, content in to_c(None, PROFILE).items():
        (tmp_path / name).write_bytes(content)
    includes = [f"-I{folder}" for folder in (tmp_path, build.PORT, build.PORT / "cmsis", FIRMWARE)]
    base = [*build.COMPILERS[compiler], "-std=c11", "-ffreestanding", *WARNINGS, *build.DSP, *includes]

    def compiled(flags: tuple[str, ...]) -> None:
        target = tmp_path / f"{'_'.join(flags)}.o"
        command = [*base, *flags, "-c", str(FIRMWARE / "nn_paired.c"), "-o", str(target)]
        with subprocess.Popen(command, start_new_session=True) as process:
            try:
                assert process.wait(COMPILE_SECONDS) == 0, flags
            finally:
                end(process)

    levels = ("-O1", "-O2", "-O3", "-Os", "-Og")
    variants = [(level, *frame) for level in levels for frame in ((), ("-fno-omit-frame-pointer",))]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compiled, variants))
    assert len(list(tmp_path.glob("*.o"))) == len(variants)
