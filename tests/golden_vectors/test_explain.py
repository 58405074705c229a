"""A first difference is bisected to the op or tap that made it: place, neighbours and source are the right ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from firmware_sim import features, fft, fixed, frame_loop, stft, wiener
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from firmware_sim.ops import Logistic
from golden_vectors import cc
from golden_vectors.cases import CASES
from golden_vectors.compare import Difference, Rows, element_of_rows
from golden_vectors.executors.base import Executor, StreamInput, StreamRun
from golden_vectors.executors.c_host import CHost
from golden_vectors.executors.litert import LiteRt
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.executors.onnxruntime import OnnxReference, OnnxRuntime
from golden_vectors.executors.tflm import TfliteMicro
from golden_vectors.explain import Explanation, lines
from golden_vectors.first_op import EQUAL, HIDDEN, REFERENCE, revealed, stream_codes
from golden_vectors.generate import build
from golden_vectors.kinds.stream import stream_input
from golden_vectors.kinds.unit import UnitCase
from golden_vectors.signals import PROFILE
from golden_vectors.units import UNITS
from golden_vectors.verify import Bench
from tests.golden_vectors.explaining import NETWORKS, bench_of, explained, operation, sources
from tests.golden_vectors.models import small_graph, small_graphs
from tests.test_gates_bite import ChangedInput, FaultyGraph, FlippedWeight, ForgetfulNetwork


@pytest.fixture(scope="module")
def bench() -> Bench:
    return bench_of("speech_rain", "speech_int8", *NETWORKS)


# ---------------------------------------------------------------- the op


@pytest.mark.parametrize("tensor", ["gru0_x_n", "gru1_h_n", "fc2"])
def test_a_flipped_weight_is_named_by_its_op_tensor_and_row(bench: Bench, tensor: str) -> None:
    found = explained(bench, FlippedWeight(f"{tensor}_w_i8", bit=5))
    assert set(found) >= {"speech_rain", *NETWORKS}
    for case, explanation in found.items():
        assert operation(explanation) == ("FULLY_CONNECTED", tensor), case
        assert explanation.op is not None
        assert explanation.op.difference.index == (3,)
        ops = small_graph("int8" if "int8" in case and "int16" not in case else "int16x8").ops
        assert case == "closed_loop" or ops[explanation.op.index].results == (tensor,)
    kernels = {sources(explanation)[1] for explanation in found.values()}
    assert kernels <= {f"firmware/nn_dense.c stapes_fully_connected_{width}" for width in ("i16", "i8")}
    assert sources(found["speech_rain"])[0] == "firmware_sim/ops/fully_connected.py FullyConnected.run"


class FlippedSigmoid(FaultyGraph):
    """The lowest bit of one table, that of the first layer's gates, is flipped for positive arguments."""

    def fault(self, graph: Graph) -> Graph:
        faulty = copy.deepcopy(graph)
        op = next(op for op in faulty.ops if isinstance(op, Logistic))
        op.table = op.table.copy()
        op.table[1 : len(op.table) // 2] ^= 1
        return faulty


def test_a_wrong_entry_of_the_sigmoid_is_named_by_its_op(bench: Bench) -> None:
    found = explained(bench, FlippedSigmoid())
    assert {operation(explanation) for explanation in found.values()} == {("LOGISTIC", "gru0_rz")}
    assert "firmware/nn_elementwise.h stapes_logistic_i16" in sources(found["speech_rain"])
    assert "firmware/nn_elementwise.h stapes_lookup_i8" in sources(found["speech_int8"])
    place = next(row for row in found["speech_rain"].neighbours if row.first)
    assert place.cells[-2:] in (("0x0001", "+1"), ("0x0001", "-1"))


@dataclass
class Foreign:
    """A runtime that runs a faulty graph."""

    runtime: Executor

    @property
    def name(self) -> str:
        return "foreign"

    def available(self) -> str | None:
        return self.runtime.available()

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        return self.runtime.run_network(FlippedWeight("gru1_x_n_w_i8", 5).fault(graph), codes)


@pytest.mark.parametrize(
    "runtime", [OnnxRuntime(), OnnxReference(), TfliteMicro(), LiteRt("reference"), CHost()], ids=lambda r: str(r.name)
)
def test_every_runtime_shows_every_tensor(bench: Bench, monkeypatch: pytest.MonkeyPatch, runtime: Executor) -> None:
    monkeypatch.setattr(cc, "optimised", lambda command: ("-O0",))
    if runtime.available() is not None:  # absent here, present in CI
        assert "install" in str(runtime.available())
        return
    graph, codes = small_graph("int16x8"), bench.features["int16x8"][:6]
    expected = NumpyReference().run_network(revealed(graph), codes)
    assert len(expected) == sum(len(op.outputs) for op in graph.ops)
    got = runtime.run_network(revealed(graph), codes)
    assert {name: rows.tolist() for name, rows in got.items()} == {
        name: rows.tolist() for name, rows in expected.items()
    }


def test_a_foreign_runtime_is_bisected_like_the_reference(bench: Bench) -> None:
    runtime = next((r for r in (OnnxRuntime(), TfliteMicro(), LiteRt()) if r.available() is None), NumpyReference())
    found = explained(bench, Foreign(runtime))
    assert operation(found["network_speech_int16x8"]) == ("FULLY_CONNECTED", "gru1_x_n")


class Hiding(FlippedWeight):
    """Shows the mask and the states, whatever else the graph gives."""

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        run = super().run_network(graph, codes)
        return {name: run[name] for name in ("mask", "h0", "h1")}


class Failing(FlippedWeight):
    """Cannot run a graph with more outputs than the product's."""

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        if len(graph.outputs) > 3:
            raise RuntimeError("arena\ntoo small")
        return super().run_network(graph, codes)


@pytest.mark.parametrize(("engine", "note"), [(Hiding, HIDDEN), (Failing, f"{HIDDEN}: RuntimeError: arena too small")])
def test_an_engine_that_hides_its_tensors_is_named_with_its_tap_and_says_so(
    bench: Bench, engine: type[FlippedWeight], note: str
) -> None:
    found = explained(bench, engine("gru1_h_n_w_i8", 5))["network_speech_int16x8"]
    assert (found.op, found.note, found.place.tap) == (None, note, "h1")
    assert "firmware_sim/network.py Network.step" in sources(found)
    assert f"  note  {note}" in lines(found, set())


def test_a_lost_gru_state_is_not_blamed_on_an_op(bench: Bench) -> None:
    found = explained(bench, ForgetfulNetwork(50))["speech_rain"]
    assert (found.op, found.note, found.first.step) == (None, EQUAL, 50)
    assert sources(found) == ["firmware_sim/network.py Network.step", "firmware/frame_loop.c stapes_process_hop"]


def test_a_reference_that_has_changed_is_not_taken_for_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_of("network_speech_int8")
    monkeypatch.setattr(fixed, "rdbpot", lambda x, exponent: (x + ((1 << exponent) >> 1)) >> exponent)
    found = explained(bench, NumpyReference())["network_speech_int8"]
    assert (found.op, found.note) == (None, REFERENCE)


@pytest.mark.parametrize("case", ["overrun", "lost_hops", "restart", "reset_in_speech"])
def test_the_network_of_a_stream_is_replayed_without_held_and_lost_hops_from_its_last_home(case: str) -> None:
    vector = build(next(one for one in CASES if one.id == case), small_graphs())
    last = int(vector.header["hops"]) - 1
    taps = NumpyReference().run_stream(small_graph("int16x8"), stream_input(vector)).taps
    for hop in (last, last - 12):
        codes, hops = stream_codes(vector, hop, taps)
        run = NumpyReference().run_network(small_graph("int16x8"), codes)
        for tap in ("h0", "h1"):
            assert (run[tap] == taps[tap][hops]).all(), (tap, hop)
        assert hops[-1] >= min(hop, last - 1)


# ---------------------------------------------------------------- the other stages


@dataclass
class Patched(NumpyReference):
    """The reference with another function in one of its modules."""

    module: ModuleType
    replaced: str
    function: Callable[..., Any]

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.module, self.replaced, self.function)
            return super().run_stream(graph, stream)


def rounded_down(spectrum_q30: Ints, gain_q15: Ints) -> Ints:
    return (spectrum_q30 * gain_q15[:, :, None]) >> 15


def off_by_a_bit(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with the lowest bit of the last element of its first result flipped."""

    def wrong(*arguments: Any) -> Any:
        result = function(*arguments)
        first = (result[0] if isinstance(result, tuple) else result).copy()
        first.flat[-1] ^= 1
        return (first, *result[1:]) if isinstance(result, tuple) else first

    return wrong


@pytest.fixture(scope="module")
def quiet_bench() -> Bench:
    return bench_of("dither_1lsb")


@pytest.mark.parametrize(
    ("module", "function", "tap"),
    [
        (stft, "window", "frame_q30"),
        (fft, "rfft", "spectrum_q30"),
        (stft, "power", "power"),
        (wiener, "weighted_noise", "noise"),
        (wiener, "a_priori_snr", "xi_uq16"),
        (wiener, "track_by_presence", "likelihood_q16"),
        (frame_loop, "features", "feature_q16"),
        (features, "layer_norm", "x_q11"),
        (features, "gain_features", "x_q11"),
        (stft, "total_gain", "gain_q15"),
        (stft, "apply_gain", "enhanced_q30"),
        (fft, "irfft", "frame_out"),
        (stft, "overlap_add", "pcm"),
    ],
)
def test_one_wrong_bit_of_a_function_is_named_by_its_tap_and_its_function(
    quiet_bench: Bench, module: ModuleType, function: str, tap: str
) -> None:
    found = explained(quiet_bench, Patched(module, function, off_by_a_bit(getattr(module, function))))["dither_1lsb"]
    assert (found.first.tap, found.first.stage) == (tap, frame_loop.TAPS[tap])
    assert found.sources[0].name == function
    assert found.sources[1].language == "C"
    (place,) = (row for row in found.neighbours if row.first)
    assert place.cells[-2].endswith("1"), "the lowest bit"
    assert place.cells[-1] in ("+1", "-1")


def test_a_gain_that_is_applied_without_rounding_is_named_by_its_function(bench: Bench) -> None:
    found = explained(bench, Patched(stft, "apply_gain", rounded_down))["speech_rain"]
    assert (found.first.stage, found.place.tap) == ("gain", "enhanced_q30")
    assert sources(found) == ["firmware_sim/stft.py apply_gain", "firmware/stft.c stapes_apply_gain"]
    place = next(row for row in found.neighbours if row.first)
    assert place.cells[-1] == "-1"
    assert {row.index[1] for row in found.neighbours} == {place.index[1]}, "real and imaginary parts are not mixed"


def test_one_flipped_input_bit_is_named_with_its_neighbours_and_later_hops(bench: Bench) -> None:
    def flip(stream: StreamInput) -> StreamInput:
        pcm = stream.pcm.copy()
        pcm[70 * PROFILE.hop_samples + 3] ^= 1
        return replace(stream, pcm=pcm)

    found = explained(bench, ChangedInput(flip))["speech_rain"]
    at = PROFILE.analysis_samples - PROFILE.hop_samples + 3
    assert sources(found) == ["firmware_sim/stft.py window", "firmware/stft.c stapes_window"]
    places = [(row.step, row.index[0]) for row in found.neighbours]
    assert places == [(69, at), *((70, at + i) for i in range(-2, 3)), (71, at)]
    differing = [place for place, row in zip(places, found.neighbours, strict=True) if row.cells[-1]]
    assert differing == [(70, at)], "the sample has another place in the next frame"
    behind = PROFILE.analysis_samples // PROFILE.hop_samples - 1
    assert found.later == f"frame_q30 differs in {behind} of the 49 hops behind it as well"


def test_a_dropped_tap_without_a_reference_shows_the_neighbours_of_the_first_kept_one() -> None:
    bench = bench_of("speech_rain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stft, "apply_gain", rounded_down)
        fresh = Bench(bench.vectors, bench.graphs, steps=20)
        found = explained(fresh, NumpyReference())["speech_rain"]
    assert (found.first.tap, found.place.tap) == ("digest", "pcm")
    assert found.note.startswith("the reference on this machine has not the digests of the vector")
    assert "firmware_sim/stft.py total_gain" in sources(found)


class OffByOneWord(NumpyReference):
    """A word that is one too high for one of its rows."""

    def run_unit(self, name: str, rows: Ints, profile: str = "seed") -> Ints:
        results = super().run_unit(name, rows, profile).copy()
        if name == "srdhm":
            results[5, 0] += 1
        return results


def test_a_wrong_word_is_named_with_its_inputs_and_its_function() -> None:
    case = next(one for one in CASES if isinstance(one, UnitCase) and one.unit == "srdhm")
    vector = build(case, {})
    found = explained(Bench([vector], small_graphs(), steps=2), OffByOneWord())[case.id]
    assert (found.first.stage, found.first.step, found.unit) == ("srdhm", 5, "row")
    given = [int(vector.arrays[f"in_{column.name}"][5]) for column in UNITS["srdhm"].inputs]
    assert found.note.startswith("row 5 is given ")
    assert all(f" = {value} (0x" in found.note for value in given)
    assert sources(found) == ["firmware_sim/fixed.py srdhm", "firmware/fixed.h stapes_srdhm"]
    assert [row.step for row in found.neighbours] == [4, 5, 6]


# ---------------------------------------------------------------- the block


def in_rows(values: Ints, wrong: Ints, step: int, tap: str) -> Explanation:
    found = element_of_rows("case", step, "wiener", tap, Rows(values, wrong), 4.0)
    assert found is not None
    return Explanation(found, None, "", 16, ())


def test_neighbours_end_at_the_edges_of_the_tap_and_of_the_case() -> None:
    values = np.arange(12).reshape(3, 4)
    for step, column, count in ((0, 0, 4), (1, 1, 6), (2, 3, 4)):
        wrong = values.copy()
        wrong[step, column] ^= 1
        rows = in_rows(values, wrong, step, "gain_q15").neighbours
        assert len(rows) == count
        (first,) = (row for row in rows if row.first)
        assert (first.step, first.index) == (step, (column,))


def test_a_scalar_has_neighbours_in_time_alone() -> None:
    values = np.array([5, -1, 7])
    found = in_rows(values, np.array([5, -2, 7]), 1, "likelihood_q16")
    assert [row.cells for row in found.neighbours] == [
        ("0", "5", "5", "0x0005", "0x0005", "", ""),
        ("1", "-1", "-2", "0xffff", "0xfffe", "0x0001", "-1"),
        ("2", "7", "7", "0x0007", "0x0007", "", ""),
    ]


def test_a_counter_has_no_neighbours_but_the_functions_of_its_stage(bench: Bench) -> None:
    from golden_vectors.explain import explain

    first = Difference("speech_rain", None, "wiener", "saturations", (), 3, 0)
    found = explain(bench, NumpyReference(), "int16x8", first)
    assert (found.neighbours, found.later, found.what) == ([], "", "")
    assert "firmware/wiener.c a_posteriori_snr" in sources(found)


def test_the_block_of_a_terminal_is_indented_and_shows_a_function_once(bench: Bench) -> None:
    found = explained(bench, FlippedWeight("fc2_w_i8", 5))
    seen: set[object] = set()
    first, second = (lines(found[case], seen) for case in ("speech_rain", "network_speech_int16x8"))  # type: ignore[arg-type]
    assert all(line.startswith(("  ", "> ")) for line in (*first, *second))
    assert any("acc = self._accumulate(x)" in line for line in first)
    assert not any("acc = self._accumulate(x)" in line for line in second)
    assert sum(line.startswith(">") for line in first) == 1
    assert any(line.startswith("  op ") and "FULLY_CONNECTED" in line and "fc2[3] int16" in line for line in first)
