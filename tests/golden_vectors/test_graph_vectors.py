"""Vectors of ops, gates and layers: what they hold, that engines agree on them, and that a fault turns them red."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from export.c_writer import to_c
from firmware_sim import activations, fixed
from firmware_sim.contract import PROFILES
from firmware_sim.fixed import Ints
from firmware_sim.graph import SCHEMES, Graph
from firmware_sim.meter import Counter
from firmware_sim.ops import OPS as PAGES
from firmware_sim.ops import Add, FullyConnected, GraphError, Logistic, Mul, Op, Rescale, Split
from golden_vectors import generate, graph_cases, graph_rows
from golden_vectors.compare import Difference
from golden_vectors.errors import WitnessError
from golden_vectors.executors import registry
from golden_vectors.executors.base import GraphExecutor
from golden_vectors.executors.c_host import CHost
from golden_vectors.executors.litert import KERNELS, LiteRt
from golden_vectors.executors.network import revealed
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.executors.onnxruntime import LEVELS, OnnxReference, OnnxRuntime
from golden_vectors.executors.tflm import TfliteMicro
from golden_vectors.files import DIRECTORY
from golden_vectors.kinds import KINDS
from golden_vectors.kinds import graph as page
from golden_vectors.op_graph import ELEMENTWISE, META, odd_graph, op_graph
from golden_vectors.schema import check_arrays, check_header
from golden_vectors.vector import Vector
from golden_vectors.verify import REPORTED_DISTANCES, Bench
from tests.golden_vectors.models import small_graphs

IDS = [case.id for case in graph_cases.CASES]
EXACT: list[GraphExecutor] = [TfliteMicro(), OnnxReference(), *(OnnxRuntime(level) for level in LEVELS)]


@cache
def vectors() -> dict[str, Vector]:
    """Every vector of graphs, made with the small models."""
    return {case.id: generate.build(case, small_graphs()) for case in graph_cases.CASES}


@cache
def bench() -> Bench:
    return Bench(list(vectors().values()), small_graphs())


def difference(engine: GraphExecutor, name: str) -> Difference | None:
    found: Difference | None = KINDS["graph"].compare(engine, vectors()[name], bench())[0]
    return found


# ---------------------------------------------------------------- agreement


@pytest.mark.parametrize("engine", EXACT, ids=lambda engine: engine.name)
def test_engines_agree_with_numpy_on_every_vector(engine: GraphExecutor) -> None:
    assert [str(found) for name in IDS if (found := difference(engine, name))] == []


def test_the_device_s_c_agrees_on_tensors_and_counts() -> None:
    engine = CHost()
    run = [name for name in IDS if KINDS["graph"].runs_on(engine, vectors()[name].header)]
    assert set(IDS) - set(run) == {"op_add_odd_int16x8"}
    assert [str(found) for name in run if (found := difference(engine, name))] == []
    vector = vectors()["op_add_int8"]
    got = engine.run_graph(op_graph("int8"), inputs_of(vector), ["add_clip"])
    np.testing.assert_array_equal(got["saturations"], vector.arrays["saturations"])


def test_only_the_device_s_c_is_spared_sums_that_it_refuses() -> None:
    for engine in registry():
        assert KINDS["graph"].runs_on(engine, vectors()["op_add_odd_int16x8"].header) != engine.name.startswith("c_")
    with pytest.raises(GraphError, match="the int16 C kernel needs scales of 2\\^k"):
        to_c(odd_graph("int16x8"), PROFILES[META["profile"]])


@pytest.mark.parametrize("kernels", KERNELS)
def test_litert_differs_nowhere_but_in_the_ops_that_are_named(kernels: str) -> None:
    engine = LiteRt(kernels)
    for name in IDS:
        found, scheme = difference(engine, name), vectors()[name].scheme
        named = REPORTED_DISTANCES.get((engine.name, scheme), frozenset())
        assert found is None or found.stage.removeprefix("network ") in named
        assert found is None or not bench()._ops(scheme, vectors()[name]).isdisjoint(named)
    assert difference(engine, "op_fully_connected_int8") is not None


def inputs_of(vector: Vector) -> dict[str, Ints]:
    return {name: vector.arrays[f"in_{name}"].astype(np.int64) for name in vector.header["inputs"]}


# ---------------------------------------------------------------- what they hold


def test_headers_and_arrays_are_complete() -> None:
    for vector in vectors().values():
        check_header({**vector.header, "files": {"npz": "0" * 64}})
        check_arrays(vector.header, vector.arrays)


def test_every_op_page_has_a_vector_in_each_scheme() -> None:
    assert {f"op_{kind.lower()}_{scheme}" for kind in PAGES for scheme in SCHEMES} <= set(IDS)


def test_each_way_of_an_op_is_shown_once() -> None:
    for scheme in SCHEMES:
        shown = [name for v in vectors().values() if v.scheme == scheme for name, _ in v.header["tensors"]]
        ways = {name for name, *_ in ELEMENTWISE[scheme]} | {
            "fc",
            "fc_relu",
            "fc_rows",
            "fc_rows_relu",
            "fc_lowest",
            "split_2",
        }
        assert all(shown.count(name) == 1 for name in ways)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "QUANTIZE"])
def test_every_rescale_that_can_tie_meets_ties_of_both_signs(kind: str, scheme: str) -> None:
    inputs = inputs_of(vectors()[f"op_{kind.lower()}_{scheme}"])
    tied = 0
    for op in op_graph(scheme).ops:
        if op.kind == kind and set(op.operands) <= set(inputs) and not op.results[0].startswith(("gates", "gru")):
            pairs = np.stack([inputs[name].reshape(-1) for name in op.operands], axis=-1)
            every, rescale = graph_rows._before_rounding(op, graph_rows._candidates(op))
            before, _ = graph_rows._before_rounding(op, pairs)
            for sign in (1, -1):
                possible = (graph_rows.halves(rescale, every) & (np.sign(every) == sign)).any()
                met = (graph_rows.halves(rescale, before) & (np.sign(before) == sign)).any()
                assert met or not possible, op.results
                tied += int(possible)
    assert tied >= 2


@pytest.mark.parametrize("name", [f"op_{kind}_{s}" for kind in ("add", "sub", "mul", "quantize") for s in SCHEMES])
def test_both_ends_are_reached_and_saturations_are_counted(name: str) -> None:
    vector = vectors()[name]
    low, high = graph_rows.limits(vector.scheme)
    values = np.concatenate([vector.arrays[tensor].reshape(-1) for tensor, _ in vector.header["tensors"]])
    assert (values.min(), values.max()) == (low, high)
    inputs = np.concatenate([values.reshape(-1) for values in inputs_of(vector).values()])
    assert (inputs.min(), inputs.max()) == (low, high)
    assert vector.arrays["saturations"][-1, 0] > 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_accumulators_lie_on_both_sides_of_a_step_in_every_row(scheme: str) -> None:
    x = inputs_of(vectors()[f"op_fully_connected_{scheme}"])["x"]
    for name in ("fc", "fc_relu", "fc_lowest", "fc_rows", "fc_rows_relu"):
        op = next(op for op in op_graph(scheme).ops if op.results == (name,))
        assert isinstance(op, FullyConnected)
        sums = x @ op.inputs[1].values.T + op.folded_bias
        for row, column in enumerate(sums.T):
            near = np.sort(np.unique(column))
            step = 2 if scheme == "int16x8" else 1
            assert (np.diff(near) == step).any(), (name, row)


@pytest.mark.parametrize(("name", "points"), [("logistic", 256), ("tanh", 192), ("tanh_whole", 257)])
def test_every_step_of_the_int16_table_is_entered_from_both_sides(name: str, points: int) -> None:
    op = next(op for op in op_graph("int16x8").ops if op.results == (name,))
    x = inputs_of(vectors()[f"op_{op.kind.lower()}_int16x8"])[op.operands[0]].reshape(-1)
    unit = graph_rows.table_index(op, x)
    for sign in (1, -1):
        assert set(range(points)) <= set(unit[np.sign(x) == sign].tolist()) | {0}


def test_int8_tables_are_whole() -> None:
    for name in ("op_logistic_int8", "op_tanh_int8", "op_quantize_int8"):
        assert all(len(np.unique(values)) == 256 for values in inputs_of(vectors()[name]).values())


def test_the_committed_vectors_of_graphs_stay_small() -> None:
    files = [DIRECTORY / f"{name}.{end}" for name in IDS for end in ("json", "npz")]
    assert sum(path.stat().st_size for path in files) < 900_000


# ---------------------------------------------------------------- faults

Patch = pytest.MonkeyPatch
BINARY = ("op_add", "op_sub", "op_mul")


def half_up(patch: Patch) -> None:
    patch.setattr(fixed, "rdbpot", lambda x, n: np.where(np.asarray(n) > 0, fixed.shr_round(x, np.maximum(n, 1)), x))


def half_even(patch: Patch) -> None:
    def rounded(x: Ints, n: Ints | int) -> Ints:
        whole = np.int64(1) << np.asarray(n, np.int64)
        return np.asarray(np.rint(x / whole), np.int64)

    patch.setattr(fixed, "rdbpot", rounded)


def wrapping(patch: Patch) -> None:
    def wrapped(x: Ints, low: int, high: int, counter: Counter | None = None) -> Ints:
        return np.asarray((x - low) % (high - low + 1) + low, np.int64)

    patch.setattr(fixed, "clamp", wrapped)


def uncounted(patch: Patch) -> None:
    patch.setattr(Counter, "saturated", lambda self, hit: None)


def one_table_bit(patch: Patch) -> None:
    def looked_up(self: Logistic, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        (x,) = operands
        return [self.table[x].astype(np.int64) ^ (x == self.inputs[0].limits[1])]

    patch.setattr(Logistic, "run", looked_up)


def swapped_parts(patch: Patch) -> None:
    run = Split.run
    patch.setattr(Split, "run", lambda self, operands, counter: run(self, operands, counter)[::-1])


def narrow_bias(patch: Patch) -> None:
    def accumulate(self: FullyConnected, x: Ints) -> Ints:
        _, weights, bias = self.inputs
        zero = self.inputs[0].zero_point
        return (x - zero) @ weights.values.T + bias.values.astype(np.int16)

    patch.setattr(FullyConnected, "_accumulate", accumulate)


def unfolded_zero_point(patch: Patch) -> None:
    patch.setattr(FullyConnected, "_accumulate", lambda self, x: x @ self.inputs[1].values.T + self.inputs[2].values)


def one_rounding(patch: Patch) -> None:
    def run(self: Mul, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        product = (operands[0] - self.inputs[0].zero_point) * (operands[1] - self.inputs[1].zero_point)
        y = fixed.mbqm32(product, self.rescale.multiplier, -np.asarray(self.rescale.right))
        shift = 31 + int(self.rescale.right)
        y = (product * int(self.rescale.multiplier) + (1 << (shift - 1))) >> shift
        return [fixed.clamp(y + self.outputs[0].zero_point, *self.outputs[0].limits, counter)]

    patch.setattr(Mul, "run", run)


def wrong_sign_of_zero_point(patch: Patch) -> None:
    run = Add.run

    def shifted(self: Add, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        return run(self, [x + 2 * t.zero_point for x, t in zip(operands, self.inputs, strict=True)], counter)

    patch.setattr(Add, "run", shifted)


def longer_table(patch: Patch) -> None:
    exact = activations._interpolate
    patch.setattr(activations, "_interpolate", lambda m, n, end: exact(np.where(m >> n == 255, 254 << n, m), n, end))
    retabled(patch)


def late_saturation(patch: Patch) -> None:
    patch.setattr(activations, "_shl_sat", lambda x, n: fixed.wrap_i32(x << n))
    retabled(patch)


def retabled(patch: Patch) -> None:
    def looked_up(self: Logistic, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        x = self.inputs[0]
        return [activations.table.__wrapped__(self.kind, x.dtype, x.scales[0], x.zero_point)[operands[0]].astype("i8")]

    patch.setattr(Logistic, "run", looked_up)


def shorter_left(patch: Patch) -> None:
    def shorter(self: Add, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        a, b = (rescale(x << 14) for x, rescale in zip(operands, (self.rescale_a, self.rescale_b), strict=True))
        rescale_y = Rescale([2.0 * max(t.scales[0] for t in self.inputs) / (2.0**14 * self.outputs[0].scales[0])])
        return [fixed.clamp(rescale_y(a + self.sign * b), *self.outputs[0].limits, counter)]

    patch.setattr(Add, "run", shorter)


FAULTS: list[tuple[Callable[[Patch], None], tuple[str, ...]]] = [
    (half_up, (*(f"{op}_{scheme}" for op in BINARY for scheme in SCHEMES), "op_quantize_int16x8", "op_quantize_int8",
               "op_fully_connected_int8")),
    (half_even, (*(f"{op}_{scheme}" for op in BINARY for scheme in SCHEMES), "op_quantize_int16x8")),
    (wrapping, tuple(f"{op}_{s}" for op in (*BINARY, "op_quantize", "op_fully_connected") for s in SCHEMES)),
    (uncounted, tuple(f"{op}_{s}" for op in (*BINARY, "op_quantize", "op_fully_connected") for s in SCHEMES)),
    (one_table_bit, tuple(f"{op}_{s}" for op in ("op_logistic", "op_tanh") for s in SCHEMES)),
    (swapped_parts, tuple(f"op_split_{scheme}" for scheme in SCHEMES)),
    (narrow_bias, ("op_fully_connected_int16x8",)),
    (unfolded_zero_point, ("op_fully_connected_int8",)),
    (one_rounding, ("op_mul_int16x8", "op_mul_int8")),
    (longer_table, ("op_tanh_int16x8",)),
    (late_saturation, ("op_tanh_int8",)),
    (shorter_left, ("op_add_odd_int16x8",)),
    (wrong_sign_of_zero_point, ("op_add_int8", "op_sub_int8")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "name"), [(f, n) for f, names in FAULTS for n in names], ids=lambda x: getattr(x, "__name__", x)
)
def test_a_fault_in_an_op_turns_its_vector_red(fault: Callable[[Patch], None], name: str) -> None:
    vectors(), bench()
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        found = difference(NumpyReference(), name)
    assert found is not None
    kind = name.removeprefix("op_").rsplit("_", 1)[0].removesuffix("_odd").upper()
    assert found.stage == (f"network {kind}" if fault is not uncounted else "network counter")


class Rewired(NumpyReference):
    """The reference on a graph in which one op reads or writes other tensors."""

    def __init__(self, at: str, change: Callable[[Op], Op]) -> None:
        self.at, self.change = at, change

    def run_graph(self, graph: Graph, inputs: dict[str, Ints], names: Sequence[str]) -> dict[str, Ints]:  # type: ignore[override]
        ops = [self.change(op) if self.at in op.results else op for op in graph.ops]
        return super().run_graph(Graph(graph.scheme, ops, graph.inputs, graph.outputs, graph.meta), inputs, names)


def test_swapped_gates_are_named_by_their_tensor() -> None:
    swapped = Rewired("gates_r", lambda op: type(op)(op.inputs, op.outputs[::-1]))
    for scheme in SCHEMES:
        found = difference(swapped, f"gates_{scheme}")
        assert found is not None
        assert (found.tap, found.stage) == ("gates_r", "network SPLIT")


def test_a_gate_that_reads_another_tensor_is_named_by_its_result() -> None:
    for scheme in SCHEMES:
        z = op_graph(scheme).tensors["gates_z"]
        other = Rewired("gates_r_h_n", lambda op, z=z: Mul([z, op.inputs[1]], op.outputs))
        found = difference(other, f"gates_{scheme}")
        assert found is not None
        assert str(found).startswith(f"gates_{scheme}: step 0, stage network MUL, gates_r_h_n[")


def test_a_layer_that_reads_the_state_before_its_step_is_named() -> None:
    for scheme in SCHEMES:
        before = small_graphs()[scheme].tensors["h0"]
        late = Rewired("gru1_x_n", lambda op, before=before: FullyConnected([before, *op.inputs[1:]], op.outputs))
        found = difference(late, f"layers_{scheme}")
        assert found is not None
        assert (found.tap, found.stage) == ("gru1_x_n", "network FULLY_CONNECTED")


def test_a_tensor_of_another_shape_is_a_difference() -> None:
    vector = vectors()["op_split_int8"]
    got = {name: values[:, 1:].astype(np.int64) for name, values in vector.arrays.items()}
    found = page.graph_difference("case", {"split_0": "SPLIT"}, vector.arrays, got)
    assert found is not None
    assert found.expected == f"shape {vector.arrays['split_0'].shape}"


# ---------------------------------------------------------------- refusals


def header(name: str, **changes: object) -> dict[str, object]:
    return {**vectors()[name].header, "files": {"npz": "0" * 64}, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ops_sha256": "0" * 64}, "it was made for another graph of ops than this program's"),
        ({"graph": "other"}, "graph must be one of model, ops"),
        ({"rows": 0}, "rows must be a whole number above 0"),
        ({"tensors": [["add_half"]]}, "tensors must be a list of"),
        ({"inputs": []}, "inputs must be a list of names"),
        ({"scheme": "any"}, "scheme must be one of"),
    ],
)
def test_a_header_that_is_not_ours_is_one_clear_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_header(header("op_add_int16x8", **changes))


def test_layers_of_another_model_are_refused() -> None:
    vector = vectors()["layers_int8"]
    foreign = replace(vector, header={**vector.header, "graph_sha256": "1" * 64})
    with pytest.raises(WitnessError, match="vector layers_int8 was generated for graph 111111111111"):
        Bench([foreign], small_graphs())


def test_only_what_a_tensor_depends_on_is_run() -> None:
    part = revealed(op_graph("int16x8"), ["gates_rz"])
    assert [op.kind for op in part.ops] == ["ADD", "LOGISTIC"]
    assert [t.name for t in part.inputs] == ["gates_x_rz", "gates_h_rz"]
