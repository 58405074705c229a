"""Vectors whose input is a recipe: a late fault is found by a chained digest and named to its element."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from golden_vectors.compare import Difference
from golden_vectors.executors import SHORT, family, registry
from golden_vectors.executors.base import StreamInput, StreamRun
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.generate import build
from golden_vectors.kinds.closed_loop import ClosedLoopCase
from golden_vectors.kinds.drift import HOPS_PER_LINE, SHORT_LINES, DriftCase
from golden_vectors.vector import Vector
from golden_vectors.verify import Bench, Outcome
from tests.golden_vectors.models import small_graphs

HOPS, STEPS = 3 * HOPS_PER_LINE, 40
CASES = (
    DriftCase(1, "drift", "drift", ("Drift",), HOPS, "recordings_with_levels"),
    ClosedLoopCase(2, "loop", "closed loop", ("ClosedLoop",), STEPS, "real_features", "int16x8"),
)


class Faulty(NumpyReference):
    """The reference with one element changed, in the tap of a hop or step."""

    def __init__(self, tap: str, step: int, name: str = "faulty") -> None:
        self.tap, self.place, self.name = tap, step, name
        self.hops = 0

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        run = super().run_stream(graph, stream)
        self.hops = stream.hops
        if self.tap == "counters":
            return replace(run, counters={**run.counters, "rfft": (1, 0)})
        if self.place < stream.hops:
            run.taps[self.tap][self.place, 3] += 1
        return run

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        run = super().run_network(graph, codes)
        if self.tap in run:
            run[self.tap][self.place, 3] += 1
        return run


@pytest.fixture(scope="module")
def vectors() -> list[Vector]:
    return [build(case, small_graphs()) for case in CASES]


@pytest.fixture(scope="module")
def bench(vectors: list[Vector]) -> Bench:
    return Bench(vectors, small_graphs(), steps=STEPS)


def outcome(bench: Bench, engine: NumpyReference) -> dict[str, Difference | str | None]:
    """Group -> first difference, of int16x8."""
    found = Outcome([engine.name])
    bench.run(engine, found)
    return {group: cell.first for (_, scheme, group), cell in found.cells.items() if scheme == "int16x8"}


def test_long_vectors_hold_no_arrays_and_a_line_for_each_second(vectors: list[Vector]) -> None:
    drift, loop = vectors
    assert set(drift.files()) == {"drift.json", "drift.trace"}
    assert set(loop.files()) == {"loop.json"}
    lines = drift.files()["drift.trace"].decode().splitlines()
    assert [line.split()[0] for line in lines] == ["hop", "249", "499", "749"]


def test_an_engine_without_a_fault_is_equal(bench: Bench) -> None:
    assert outcome(bench, NumpyReference()) == {"drift": None, "closed loop": None}


@pytest.mark.parametrize(("tap", "hop"), [("power", 300), ("h1", 749), ("pcm", 0), ("frame_q30", 250)])
def test_a_fault_in_a_long_stream_is_named_by_hop_stage_and_element(bench: Bench, tap: str, hop: int) -> None:
    first = outcome(bench, Faulty(tap, hop))["drift"]
    assert isinstance(first, Difference)
    assert (first.step, first.tap, first.index) == (hop, tap, (3,))
    assert first.got == int(first.expected) + 1


def test_a_counter_at_the_end_of_a_long_stream_is_compared(bench: Bench) -> None:
    first = outcome(bench, Faulty("counters", 0))["drift"]
    assert isinstance(first, Difference)
    assert (first.stage, first.tap, first.got) == ("rfft", "saturations", 1)


@pytest.mark.parametrize("name", ["c_m7 (zig)", "c_host (sanitized)"])
def test_an_emulator_runs_the_first_lines_alone(bench: Bench, name: str) -> None:
    short = SHORT_LINES * HOPS_PER_LINE
    late, early = Faulty("pcm", short, name), Faulty("pcm", short - 1, name)
    assert outcome(bench, late)["drift"] is None
    assert late.hops == short
    assert isinstance(outcome(bench, early)["drift"], Difference)


def test_a_trace_that_the_reference_has_not_is_named_by_its_line(vectors: list[Vector]) -> None:
    drift = vectors[0]
    words = drift.trace[1].split()
    forged = replace(drift, trace=(drift.trace[0], " ".join([*words[:5], "0" * 16, *words[6:]]), drift.trace[2]))
    first = outcome(Bench([forged], small_graphs(), STEPS), NumpyReference())["drift"]
    assert isinstance(first, Difference)
    assert (first.step, first.stage, first.tap, first.expected) == (499, "gain", "digest", "0" * 16)


# ---------------------------------------------------------------- closed loop


def test_a_fault_in_the_closed_loop_is_named_by_step_and_element(bench: Bench) -> None:
    first = outcome(bench, Faulty("h0", 31))["closed loop"]
    assert isinstance(first, Difference)
    assert (first.case, first.step, first.tap, first.index) == ("loop", 31, "h0", (3,))


def test_a_fault_that_moves_the_reference_too_is_red_for_the_reference(vectors: list[Vector]) -> None:
    loop = vectors[1]
    moved = replace(loop, header={**loop.header, "run_sha256": "0" * 64})
    first = outcome(Bench([moved], small_graphs(), STEPS), NumpyReference())["closed loop"]
    assert isinstance(first, Difference)
    assert (first.tap, first.expected) == ("digest", "0" * 64)


def test_another_number_of_steps_is_compared_with_numpy_at_run_time(vectors: list[Vector]) -> None:
    bench = Bench(vectors, small_graphs(), steps=STEPS - 1)
    work = [(model, case.id if case else None) for model, _, group, case in bench._work(NumpyReference())]
    assert work == [("int16x8", "drift"), ("int16x8", None), ("int8", None), ("compact", None)]
    assert outcome(bench, NumpyReference()) == {"drift": None, "closed loop": None}
    with_vector = [
        case.id if case else None for *_, case in Bench(vectors, small_graphs(), STEPS)._work(NumpyReference())
    ]
    assert with_vector == ["drift", "loop", None, None]


def test_a_recipe_is_saturated_to_int16(vectors: list[Vector]) -> None:
    from golden_vectors.kinds.stream import recipe_pcm

    pcm = recipe_pcm(vectors[0].header)
    assert pcm.dtype == np.int16
    assert len(pcm) == HOPS * 64


def test_engines_that_run_a_part_are_engines_that_exist() -> None:
    names = {engine.name for engine in registry()}
    assert names | {family(name) for name in names} >= SHORT
