"""Ranges of the network: nothing that runs leaves its interval, every row's bound is attained, faults are named."""

from __future__ import annotations

import numpy as np
import pytest

from export.__main__ import BLESSED
from firmware_sim.fixed import Ints
from firmware_sim.graph import SCHEMES, Graph, Tensor
from firmware_sim.meter import Counter
from firmware_sim.ops import Add, FullyConnected, Mul, Quantize, Tanh
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import Bound, Ledger, RangeError
from firmware_sim.ranges.network import network, reachable_states
from tests.export.tiny_model import tiny_graph
from tests.single_op import tensor

LIMITS = {"int16x8": (-32768, 32766, 2), "int8": (-128, 127, 1)}
"""Network input of each scheme: lowest, highest, step."""
RNG = np.random.default_rng(3)


def any_input(graph: Graph) -> Interval:
    low, high, step = LIMITS[graph.scheme]
    return Interval.of(low, high, graph.tensors["x"].shape[0], step)


def proof(graph: Graph) -> Ledger:
    ledger = Ledger("network")
    network(graph, any_input(graph), ledger)
    return ledger


@pytest.fixture(scope="module", params=[*SCHEMES, "tiny int16x8", "tiny int8"])
def graph(request: pytest.FixtureRequest) -> Graph:
    name: str = request.param
    return tiny_graph(name.split()[1]) if name.startswith("tiny") else Graph.load(BLESSED[name])


def accumulator(ledger: Ledger, op: FullyConnected) -> Bound:
    (bound,) = [b for b in ledger.bounds if b.place == op.results[0] and b.what == "accumulator"]
    return bound


def drawn(interval: Interval, streams: int) -> Ints:
    """Extremes and values between, multiples of the step."""
    inside = RNG.integers(interval.low, interval.high + 1, (streams, len(interval.low)))
    corner = np.where(RNG.integers(0, 2, inside.shape) > 0, interval.high, interval.low)
    values = np.where(np.arange(streams)[:, None] % 2 == 0, corner, inside)
    values[:2] = interval.low, interval.high
    return values // interval.step * interval.step


def escapes(graph: Graph, ledger: Ledger, steps: int = 12) -> list[str]:
    """Tensors, accumulators and impossible saturations that a run from extreme and random states finds wrong."""
    x = any_input(graph)
    states = {name: drawn(bound, 64) for name, bound in reachable_states(graph, x).items()}
    impossible = {s.place for s in ledger.saturations if not s.reachable}
    wrong = []
    for _ in range(steps):
        values = {"x": drawn(x, 64), **states}
        for op in graph.ops:
            operands = [values[name] for name in op.operands]
            counter = Counter(64)
            values.update(zip(op.results, op.run(operands, counter), strict=True))
            if counter.saturations.any() and op.results[0] in impossible:
                wrong.append(f"saturation of {op.results[0]}")
            if isinstance(op, FullyConnected):
                acc, bound = op._accumulate(operands[0]), accumulator(ledger, op)
                if (acc < bound.low).any() or (acc > bound.high).any():
                    wrong.append(f"accumulator of {op.results[0]}")
        for name, value in values.items():
            low, high = ledger.taps[f"network.{name}"]
            if (value < low).any() or (value > high).any():
                wrong.append(name)
        states = {name: values[after.name] for name, after in graph.states.items()}
    return wrong


def test_no_tensor_accumulator_or_saturation_leaves_its_proof(graph: Graph) -> None:
    assert escapes(graph, proof(graph)) == []


def test_bounds_of_a_part_of_the_inputs_are_caught() -> None:
    for scheme in SCHEMES:
        graph, ledger = tiny_graph(scheme), Ledger("network")
        low, high, step = LIMITS[scheme]
        network(graph, Interval.of(low // 16, high // 16 // step * step, 65, step), ledger)
        assert {"x", "accumulator of gru0_x_rz"} <= set(escapes(graph, ledger))


def test_states_from_home_stay_in_their_bounds(graph: Graph) -> None:
    bounds, x = reachable_states(graph, any_input(graph)), any_input(graph)
    states = graph.home_state(16)
    for _ in range(40):
        outputs = graph.run({"x": drawn(x, 16), **states})
        states = {name: outputs[after.name] for name, after in graph.states.items()}
        for name, value in states.items():
            assert (value >= bounds[name].low).all()
            assert (value <= bounds[name].high).all()
            assert (value % bounds[name].step == 0).all()


def test_every_accumulator_bound_is_attained_by_the_input_that_loads_its_row_most(graph: Graph) -> None:
    ledger = proof(graph)
    for op in graph.ops:
        if not isinstance(op, FullyConnected):
            continue
        low, high = (end.astype(np.int64) for end in ledger.taps[f"network.{op.operands[0]}"])
        weights = op.inputs[1].values
        half = np.int64(1) << (np.asarray(op.shifts) - 1) if op.rescale is None else 0
        bound = accumulator(ledger, op)
        assert (np.diag(op._accumulate(np.where(weights > 0, high, low))) + half == bound.high).all()
        assert (np.diag(op._accumulate(np.where(weights > 0, low, high))) == bound.low).all()


def test_a_bound_that_forgets_the_bias_is_caught(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FullyConnected, "accumulator_range", FullyConnected._dot_range)
    loud = np.full(graph.ops[0].inputs[0].shape, LIMITS[graph.scheme][1])
    assert isinstance(graph.ops[0], FullyConnected)
    bound = accumulator(proof(graph), graph.ops[0])
    monkeypatch.undo()
    assert (bound.high != accumulator(proof(graph), graph.ops[0]).high).any()
    worst = np.where(graph.ops[0].inputs[1].values > 0, loud, any_input(graph).low)
    acc = np.diag(graph.ops[0]._accumulate(worst))
    assert (acc > bound.high).any()


def test_the_state_cannot_saturate_in_any_shipped_model() -> None:
    for scheme in SCHEMES:
        ledger = proof(Graph.load(BLESSED[scheme]))
        verdicts = {s.place: s.reachable for s in ledger.saturations}
        assert verdicts["h0_next"] == verdicts["h1_next"] == 0
        assert verdicts["gru0_n_in"] == 120


# ---------------------------------------------------------------- models that must be refused


def layer(weights: Ints, bias: Ints, dtype: str = "int16") -> FullyConnected:
    scales = (2.0**-12, 2.0**-7, 2.0**-11) if dtype == "int16" else (2.0**-4, 2.0**-7, 2.0**-4)
    bias_dtype = {"int16": "int64", "int8": "int32"}[dtype]
    w = Tensor("w", "int8", weights.shape, scales[1], 0, weights.astype(np.int8))
    b = Tensor("b", bias_dtype, bias.shape, scales[0] * scales[1], 0, bias.astype(bias_dtype))
    x, y = tensor("x", dtype, weights.shape[1], scales[0]), tensor("fc9", dtype, len(bias), scales[2])
    return FullyConnected([x, w, b], [y])


def test_a_row_with_a_huge_bias_is_refused_by_layer_and_row() -> None:
    weights, bias = np.full((5, 4), 127), np.ones(5, np.int64)
    bias[3] = 2**31 - 1 - 2**7 - 127 * 32766 * 4  # the rounding constant of a shift by 8 just fits
    x = Interval.of(-32768, 32766, 4, step=2)
    layer(weights, bias).bounds([x], Ledger("network"))
    bias[3] += 2
    refusal = r"network: fc9, row 3: accumulator reaches .*, 2147483649\], beyond int32 .*: scale this row"
    with pytest.raises(RangeError, match=refusal):
        layer(weights, bias).bounds([x], Ledger("network"))


@pytest.mark.parametrize(("dtype", "columns"), [("int16", 520), ("int8", 140_000)])
def test_a_layer_too_wide_for_int32_is_refused_by_row(dtype: str, columns: int) -> None:
    weights = np.ones((3, columns), np.int64)
    weights[2] = 127
    low, high = (-32768, 32766) if dtype == "int16" else (-128, 127)
    x = Interval.of(low, high, columns, step=2)
    with pytest.raises(RangeError, match="fc9, row 2: sum of products reaches"):
        layer(weights, np.ones(3, np.int64), dtype).bounds([x], Ledger("network"))


def test_an_add_whose_shift_overflows_is_refused() -> None:
    a, b, y = (tensor(name, "int16", 3, 2.0**-11) for name in ("a", "b", "sum9"))
    op = Add([a, b], [y])
    operands = [Interval.of(-32768, 32767, 3)] * 2
    op.bounds(operands, Ledger("network"))
    op.shifts = (0, 17, 0)
    with pytest.raises(RangeError, match="network: sum9, row 0: sum in the C reaches"):
        op.bounds(operands, Ledger("network"))


def test_an_input_that_can_be_odd_is_refused_where_a_tie_would_be_possible() -> None:
    op = layer(np.ones((1, 2)), np.ones(1, np.int64))
    op.bounds([Interval.of(-4, 4, 2, step=2)], Ledger("network"))
    with pytest.raises(RangeError, match="fc9: an input can be odd"):
        op.bounds([Interval.of(-4, 4, 2)], Ledger("network"))


def test_a_doubling_that_can_saturate_is_no_even_input_any_more() -> None:
    x, y = tensor("x", "int16", 2, 2.0**-14), tensor("y", "int16", 2, 2.0**-15)
    for reach, step in ((16383, 2), (16384, 1)):
        (doubled,) = Quantize([x], [y]).bounds([Interval.of(-reach, reach, 2)], Ledger())
        assert doubled.limited(-32768, 32767).step == step


# ---------------------------------------------------------------- what intervals cannot see


def test_without_the_blend_rule_the_state_would_seem_to_saturate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware_sim.ranges.blend.Blends.refined", lambda self, op, result, values: result)
    ledger = Ledger("network")
    with pytest.raises(RangeError, match="an input can be odd"):
        network(tiny_graph("int16x8"), Interval.of(-32768, 32766, 65, 2), ledger)
    verdicts = {s.place: s.reachable for s in proof(tiny_graph("int8")).saturations}
    assert verdicts["h0_next"] > 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_product_that_can_pass_the_whole_breaks_the_blend_rule(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = Mul.prepare

    def doubling(self: Mul) -> None:
        prepare(self)
        if self.results[0].endswith("kept"):
            self.rescale.right -= 1
            self.rescale.log2 = None

    monkeypatch.setattr(Mul, "prepare", doubling)
    graph = tiny_graph(scheme)
    if scheme == "int16x8":
        with pytest.raises(RangeError, match="an input can be odd"):
            proof(graph)
    else:
        assert {s.place: s.reachable for s in proof(graph).saturations}["h0_next"] > 0


def test_the_images_of_a_table_are_its_extremes_over_any_interval() -> None:
    op = Tanh([tensor("x", "int16", 1, 2.0**-13)], [tensor("y", "int16", 1, 2.0**-15)])
    whole = np.arange(-32768, 32768)
    outputs = op.table[whole]
    for low, high in ((-32768, 32767), (-9, -5), (-5, 7), (3, 900), (-1, -1), (0, 0), (-32768, -1)):
        (y,) = op.bounds([Interval.of(low, high, 1)], Ledger())
        inside = outputs[(whole >= low) & (whole <= high)]
        assert (y.low[0], y.high[0]) == (inside.min(), inside.max())
