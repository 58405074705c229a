"""The cases of graphs: each op, the gates, a cell, every tensor of the model."""

from __future__ import annotations

from collections.abc import Callable

from firmware_sim.fixed import Ints
from firmware_sim.graph import SCHEMES, Graph
from firmware_sim.ops import Add, FullyConnected, Logistic, Mul, Op, Quantize, Split, Sub, Tanh
from golden_vectors import dense_rows, graph_rows
from golden_vectors.kinds.graph import MODEL, ODD_OPS, OPS, GraphCase, Rows, Shown

FIRST = 201
"""tcId of the first of these cases."""
EACH_OP, GATES, LAYERS = "each op", "gates", "layers"

_OPS: tuple[tuple[type[Op], Callable[[Graph, str], dict[str, Ints]], tuple[str, ...]], ...] = (
    (Add, graph_rows.pair_rows, ("TieAway", "Saturation", "LargestShift")),
    (Sub, graph_rows.pair_rows, ("TieAway", "Saturation", "LargestShift")),
    (Mul, graph_rows.pair_rows, ("TwoRoundings", "Saturation", "LargestShift")),
    (Quantize, graph_rows.single_rows, ("TieAway", "Saturation", "LargestShift")),
    (Split, graph_rows.split_rows, ("SplitOrder",)),
    (Logistic, graph_rows.single_rows, ("TableIndex",)),
    (Tanh, graph_rows.single_rows, ("TableIndex",)),
    (FullyConnected, dense_rows.dense_rows, ("BiasWidth", "TieAway", "Saturation", "LowestWeight")),
)


def _alone(make: Callable[[Graph, str], dict[str, Ints]], op: type[Op]) -> Rows:
    return lambda graph, model: make(graph, op.kind)


def _of_kind(op: type[Op]) -> Shown:
    """The results of ops of this kind that read inputs alone, beside those of the gates, the cell and the mask."""

    def shown(graph: Graph) -> tuple[str, ...]:
        ends = {t.name for t in graph.inputs}
        alone = [found for found in graph.ops if type(found) is op and ends.issuperset(found.operands)]
        return tuple(name for found in alone for name in found.results if not name.startswith(("gates", "gru", "mask")))

    return shown


def _starting(*starts: str) -> Shown:
    """Every computed tensor whose name starts with one of these."""
    return lambda graph: tuple(name for op in graph.ops for name in op.results if name.startswith(starts))


def _dense(graph: Graph) -> tuple[str, ...]:
    """The results of every FULLY_CONNECTED."""
    return tuple(op.results[0] for op in graph.ops if isinstance(op, FullyConnected))


def _cases() -> tuple[GraphCase, ...]:
    """Numbered from `FIRST` on, scheme by scheme."""
    cases: list[GraphCase] = []

    def add(name: str, group: str, flags: tuple[str, ...], rows: Rows, shown: Shown, graph: str = OPS) -> None:
        cases.append(GraphCase(FIRST + len(cases), f"{name}_{scheme}", group, flags, scheme, rows, shown, graph))

    for scheme in SCHEMES:
        for op, make, flags in _OPS:
            own = () if scheme == "int16x8" or op is Split else ("ZeroPoint",)
            add(f"op_{op.kind.lower()}", EACH_OP, (*flags, *own), _alone(make, op), _of_kind(op))
        add("gates", GATES, ("SwappedGates", "ResetGateForm"), graph_rows.gate_rows, _starting("gates_"))
        add("cell_random", LAYERS, ("SwappedGates", "BiasWidth"), graph_rows.cell_rows, _starting("gru0_", "h0_next"))
        if scheme == "int8":  # whose steps are a thousand times wider than what one bit of a weight changes
            add("weights", LAYERS, ("LostWeight",), graph_rows.weight_rows, _dense, MODEL)
        add("layers", LAYERS, ("LayerOrder", "ResetGateForm"), graph_rows.model_rows, _starting(""), MODEL)
    odd = ("TieAway", "Saturation")
    cases.append(GraphCase(FIRST + len(cases), "op_add_odd_int16x8", EACH_OP, odd, "int16x8", graph_rows.odd_rows,
                           _starting("add_", "sub_"), ODD_OPS))  # fmt: skip
    return tuple(cases)


CASES = _cases()
