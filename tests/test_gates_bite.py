"""The gate is proven: each planted fault must turn `verify` red, at the hop and stage where it acts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from firmware_sim import activations, fixed, stft, tables
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from firmware_sim.meter import Counter
from firmware_sim.network import Network
from golden_vectors.cases import CASES
from golden_vectors.compare import Difference
from golden_vectors.executors.base import StreamInput, StreamRun
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.generate import build
from golden_vectors.kinds.stream import stream_input
from golden_vectors.signals import PROFILE
from golden_vectors.verify import Bench, Outcome
from tests.golden_vectors.models import small_graph, small_graphs

IDS = (
    "speech_rain",
    "level_jump_90db",
    "reset_in_speech",
    "dry_wet",
    "network_speech_int16x8",
    "network_speech_int8",
)


@pytest.fixture(scope="module")
def bench() -> Bench:
    """A few vectors of a small model, with the reference's taps computed before any fault is planted."""
    graphs = small_graphs()
    bench = Bench([build(case, graphs) for case in CASES if case.id in IDS], graphs, steps=50)
    for vector in bench.vectors:
        if vector.kind == "stream":
            assert bench.reference_taps(vector) is not None
    assert set(bench.closed_loop) == set(graphs)
    return bench


def differences(bench: Bench, engine: NumpyReference) -> list[Difference]:
    """First difference of each group that turned red."""
    outcome = Outcome([engine.name])
    bench.run(engine, outcome)
    found = [cell.first for cell in outcome.failures.values()]
    assert all(isinstance(first, Difference) for first in found), found
    return [first for first in found if isinstance(first, Difference)]


def in_speech(found: list[Difference]) -> Difference:
    return next(first for first in found if first.case == "speech_rain")


def test_an_engine_without_a_fault_is_green(bench: Bench) -> None:
    assert differences(bench, NumpyReference()) == []


# ---------------------------------------------------------------- weights


class FaultyGraph(NumpyReference):
    """Runs another graph than it was given."""

    def fault(self, graph: Graph) -> Graph:
        raise NotImplementedError

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        return super().run_network(self.fault(graph), codes)

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        assert graph is not None
        return super().run_stream(self.fault(graph), stream)


@dataclass
class FlippedWeight(FaultyGraph):
    """One bit of one weight is flipped."""

    weights: str
    bit: int

    def fault(self, graph: Graph) -> Graph:
        faulty = copy.deepcopy(graph)
        op = next(op for op in faulty.ops if any(t.name == self.weights for t in op.inputs))
        x, weights, bias = op.inputs
        data = np.array(weights.data)
        data[3, 5] ^= 1 << self.bit
        op.inputs = (x, replace(weights, data=data), bias)
        op.prepare()
        return faulty


@pytest.mark.parametrize(
    ("weights", "tap"),
    [
        ("gru0_x_n_w_i8", "h0"),
        ("gru0_h_rz_w_i8", "h0"),
        ("gru1_h_n_w_i8", "h1"),
        ("fc1_w_i8", "mask"),
        ("fc2_w_i8", "mask"),
    ],
)
def test_a_flipped_weight_is_named_by_step_and_tap(bench: Bench, weights: str, tap: str) -> None:
    engine = FlippedWeight(weights, bit=5)
    found = differences(bench, engine)
    assert {first.case for first in found} >= {"speech_rain", "network_speech_int16x8", "network_speech_int8"}
    assert {first.stage for first in found} == {"network"}
    assert {first.tap.removesuffix("_q15") for first in found} == {tap}
    first = in_speech(found)
    vector = next(vector for vector in bench.vectors if vector.id == "speech_rain")
    faulty = engine.run_stream(small_graph("int16x8"), stream_input(vector)).taps[first.tap]
    right = bench.reference_taps(vector)
    assert right is not None
    hops = np.flatnonzero((faulty != right[first.tap]).any(axis=1))
    assert first.step == hops[0]
    assert first.got == faulty[hops[0]][first.index] != first.expected


# ---------------------------------------------------------------- tables


def with_flipped_bit(table: npt.NDArray[np.int64], index: int, bit: int) -> npt.NDArray[np.int64]:
    changed = np.array(table)
    changed[index] ^= 1 << bit
    return changed


@pytest.mark.parametrize(
    ("name", "index", "bit", "stage", "tap"),
    [
        ("LOG2_Q24", 200, 10, "features", "feature_q16"),
        ("RECIPROCAL_UQ16", 17, 11, "wiener", "likelihood_q16"),
    ],
)
def test_a_wrong_entry_of_a_table_is_named_by_its_stage(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str, index: int, bit: int, stage: str, tap: str
) -> None:
    monkeypatch.setattr(tables, name, with_flipped_bit(getattr(tables, name), index, bit))
    first = in_speech(differences(bench, NumpyReference()))
    assert (first.stage, first.tap) == (stage, tap)


def test_a_window_that_is_one_lsb_off_is_named_by_its_sample(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    right = tables.analysis_window_q31(PROFILE)
    monkeypatch.setattr(tables, "analysis_window_q31", lambda profile: with_flipped_bit(right, 90, 0))
    first = in_speech(differences(bench, NumpyReference()))
    assert (first.stage, first.tap, first.index) == ("window", "frame_q30", (90,))


def test_a_sigmoid_table_that_follows_the_formula_is_not_tflms(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    activations.table.cache_clear()
    monkeypatch.setattr(activations, "SIGMOID_UQ16", activations.sigmoid_formula())
    try:
        found = differences(bench, WithFreshOps())
    finally:
        activations.table.cache_clear()
    assert {first.stage for first in found} == {"network"}
    assert {first.case for first in found} >= {"speech_rain", "network_speech_int16x8"}


class WithFreshOps(FaultyGraph):
    """Prepares every op again, so that it reads the tables of this moment."""

    def fault(self, graph: Graph) -> Graph:
        fresh = copy.deepcopy(graph)
        for op in fresh.ops:
            op.prepare()
        return fresh


# ---------------------------------------------------------------- rounding constants


def test_a_gain_that_truncates_is_named_in_the_gain_stage(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stft, "mul_q15", lambda x, gain_q15: (x * gain_q15) >> 15)
    found = differences(bench, NumpyReference())
    named = {first.case: (first.stage, first.tap) for first in found}
    assert named["dry_wet"] == ("gain", "gain_q15")
    assert named["speech_rain"] == ("gain", "enhanced_q30"), "of a Wiener gain of one and no dry signal nothing is cut"
    assert all(int(first.step or 0) >= PROFILE.noise_init_hops for first in found)


def test_a_faulty_reference_is_named_in_its_stage_although_no_array_of_it_was_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounded_down(spectrum_q30: Ints, gain_q15: Ints) -> Ints:
        return (spectrum_q30 * gain_q15[:, :, None] + (1 << 13)) >> 15

    monkeypatch.setattr(stft, "apply_gain", rounded_down)
    without_reference = Bench(bench.vectors, bench.graphs, steps=50)
    first = in_speech(differences(without_reference, NumpyReference()))
    assert (first.stage, first.tap) == ("gain", "digest")
    assert first.later is not None
    assert (first.later.stage, first.later.tap) == ("overlap_add", "pcm")
    assert int(first.later.step or 0) >= int(first.step or 0) >= PROFILE.noise_init_hops


def test_a_window_that_rounds_half_down_is_named_in_the_first_hop_with_a_tie(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stft, "shr_round", lambda x, n: (x + (1 << (n - 1)) - 1) >> n)
    assert {first.stage for first in differences(bench, NumpyReference())} <= {"window", "overlap_add"}


@pytest.mark.parametrize("scheme", ["int8"])
def test_half_up_instead_of_half_away_is_named_in_the_int8_network(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(fixed, "rdbpot", lambda x, exponent: (x + ((1 << exponent) >> 1)) >> exponent)
    found = differences(bench, NumpyReference())
    assert f"network_speech_{scheme}" in {first.case for first in found}
    assert {first.stage for first in found} == {"network"}


# ---------------------------------------------------------------- state, input, counters


@dataclass
class ForgetfulNetwork(NumpyReference):
    """The GRU's state is lost before one hop of every stream."""

    hop: int

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        step, calls = Network.step, iter(range(stream.hops))

        def forgetting(network: Network, x_q11: Ints, counter: Counter | None = None) -> Ints:
            if next(calls) == self.hop:
                network.reset()
            return step(network, x_q11, counter)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Network, "step", forgetting)
            return super().run_stream(graph, stream)


def test_a_lost_gru_state_is_named_at_its_hop(bench: Bench) -> None:
    first = in_speech(differences(bench, ForgetfulNetwork(50)))
    assert (first.step, first.stage, first.tap) == (50, "network", "h0")


class ChangedInput(NumpyReference):
    """Runs another stream than it was given."""

    def __init__(self, change: Callable[[StreamInput], StreamInput]) -> None:
        self.change = change

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        return super().run_stream(graph, self.change(stream))


def test_a_reset_that_does_nothing_is_named_at_the_reset(bench: Bench) -> None:
    (first,) = differences(bench, ChangedInput(lambda stream: replace(stream, resets=())))
    assert (first.case, first.step, first.stage) == ("reset_in_speech", 45, "window")


def test_a_second_reset_that_does_nothing_is_named_although_the_noise_was_still_being_learned(bench: Bench) -> None:
    (first,) = differences(bench, ChangedInput(lambda stream: replace(stream, resets=stream.resets[:1])))
    assert (first.case, first.step) == ("reset_in_speech", 60)


def test_one_flipped_input_bit_is_named_by_hop_and_sample(bench: Bench) -> None:
    def flip(stream: StreamInput) -> StreamInput:
        if stream.hops <= 70:
            return stream
        pcm = stream.pcm.copy()
        pcm[70 * PROFILE.hop_samples + 3] ^= 1
        return replace(stream, pcm=pcm)

    first = in_speech(differences(bench, ChangedInput(flip)))
    assert (first.step, first.stage, first.tap) == (70, "window", "frame_q30")
    assert first.index == (PROFILE.analysis_samples - PROFILE.hop_samples + 3,)


@dataclass
class ForgottenCounter(NumpyReference):
    """Computes everything right and counts nothing in one stage."""

    stage: str

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        run = super().run_stream(graph, stream)
        return replace(run, counters={**run.counters, self.stage: (0, 0)})


def test_a_saturation_that_nobody_counts_is_named(bench: Bench) -> None:
    (first,) = differences(bench, ForgottenCounter("wiener"))
    assert (first.case, first.step, first.stage, first.tap) == ("level_jump_90db", None, "wiener", "saturations")
    assert int(first.expected) > 0 == first.got
