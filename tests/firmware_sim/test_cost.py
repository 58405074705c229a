"""Operation counts: linear in the streams, summed as they say; the estimate names its table; memory is counted."""

from __future__ import annotations

import re
from collections import Counter as Tally

import numpy as np
import pytest

from export.c_writer import to_c
from firmware_sim import cost, fft
from firmware_sim.contract import PROFILES, STAGES, Profile
from firmware_sim.cost import INSTRUCTIONS, NETWORK_MAC_INSTRUCTIONS, Recorder, memory
from firmware_sim.frame_loop import TAPS, FrameLoop, tap_bytes
from firmware_sim.graph import Graph
from firmware_sim.meter import WEIGHTS
from tests import signals

SEED = PROFILES["seed"]


def recorded(loop: FrameLoop, pcm: signals.Pcm) -> Recorder:
    recorder = Recorder(loop.streams)
    for start in range(0, pcm.shape[1] - 63, 64):
        chunk = pcm[:, start : start + 64]
        recorder.run(lambda chunk=chunk: loop.process_hop(chunk))
    return recorder


def test_every_word_has_a_weight_and_an_instruction_count() -> None:
    assert set(INSTRUCTIONS) == set(WEIGHTS)


def test_mean_worst_and_worst_of_each_stage_are_what_they_say() -> None:
    recorder = Recorder()
    recorder.hops = [
        {"window": Tally(add=10), "network": Tally(mac=100)},
        {"window": Tally(add=30), "network": Tally(mac=20)},
    ]
    result = recorder.cost()
    assert [stage.name for stage in result.stages] == list(STAGES)
    assert (result.mean_operations, result.worst_operations, result.worst_of_each_stage) == (80.0, 110, 130)
    by_name = {stage.name: stage for stage in result.stages}
    assert (by_name["window"].mean_operations, by_name["window"].worst_operations) == (20.0, 30)
    assert by_name["window"].instructions == 30 * INSTRUCTIONS["add"]
    assert by_name["network"].instructions == 100 * NETWORK_MAC_INSTRUCTIONS
    assert result.instructions == by_name["window"].instructions + by_name["network"].instructions


def test_the_cost_of_a_stream_does_not_depend_on_its_company(graphs: dict[str, Graph]) -> None:
    pcm = signals.noisy_speech(0.3)
    alone = recorded(FrameLoop(SEED, graphs["int16x8"]), pcm[:1]).cost()
    together = recorded(FrameLoop(SEED, graphs["int16x8"], streams=4), pcm).cost()
    assert alone == together


def test_every_stage_costs_something_and_the_network_at_least_its_products(graphs: dict[str, Graph]) -> None:
    graph = graphs["int16x8"]
    result = recorded(FrameLoop(SEED, graph), signals.mixture(0.0, 0.3)[None]).cost()
    assert all(stage.worst_operations > 0 for stage in result.stages)
    products = sum(t.data.size for t in graph.tensors.values() if t.data is not None and t.dtype == "int8")
    assert result.stages[STAGES.index("network")].worst_operations >= products
    text = "\n".join(result.rows(SEED))
    assert "estimate" in text
    assert f"{result.worst_of_each_stage:,}" in text


def test_the_estimate_of_the_transforms_is_near_the_counted_kernels() -> None:
    """Compiled for the core and counted under emulation, forward takes 6,600 instructions and inverse 8,300."""
    result = recorded(FrameLoop(SEED), signals.mixture(0.0, 0.2)[None]).cost()
    estimate = {stage.name: stage.instructions for stage in result.stages}
    assert 0.5 < estimate["rfft"] / 6600 < 1.5
    assert 0.5 < estimate["irfft"] / 8300 < 1.5


def test_tap_memory_is_what_the_taps_weigh() -> None:
    hop = FrameLoop(SEED).process_hop(np.zeros((1, 64), np.int16))
    front_end = [name for name in TAPS if name not in ("h0", "h1")]
    assert sum(len(tap_bytes(name, hop.taps[name])) for name in front_end) == memory(SEED, None).ram["taps"]
    assert cost.tap_sizes(SEED) == {name: hop.taps[name].size for name in front_end}


@pytest.mark.parametrize("scheme", ["int16x8", "int8", None])
def test_memory_is_what_the_generated_headers_say(scheme: str | None, graphs: dict[str, Graph]) -> None:
    graph = graphs[scheme] if scheme else None
    header = to_c(graph, SEED)["stapes_model.h"].decode()
    state, flash = (int(re.findall(pattern, header)[0]) for pattern in (r"STATE_BYTES (\d+)U", r"flash (\d+)"))
    padding = sum(int(size) for size in re.findall(r"(\d+)  padding", header))
    found = memory(SEED, graph)
    assert sum(found.ram.values()) == state - padding - (graph is None)  # C has no empty struct
    assert sum(found.flash.values()) == flash
    assert found.rows()[0].startswith(f"RAM {sum(found.ram.values()):,} bytes: taps")


@pytest.mark.parametrize("n", [32, 64, 128, 256, 512, 1024])
def test_bit_reversal_pairs_are_counted(n: int) -> None:
    profile = Profile("any", n, 16, 32)
    order = fft.bit_reversal(n // 2)
    twiddles, split = 8 * (3 * n // 8), 12 * (n // 2)
    assert memory(profile, None).flash["FFT tables"] == twiddles + split + 4 * int((order > np.arange(n // 2)).sum())
