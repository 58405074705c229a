"""Any graph of ops on single rows, without a state: each op alone, the gates, every tensor of every layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from golden_vectors import json_words as words
from golden_vectors.compare import Difference, element, first_row, shapes
from golden_vectors.executors.base import SATURATIONS, Executor, GraphExecutor
from golden_vectors.executors.c_host import CHost
from golden_vectors.executors.c_program import CProgram
from golden_vectors.executors.network import revealed
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.json_words import Word
from golden_vectors.kinds.base import Built, Graphs, Header, Wanted, Witness, listed, require, text, whole
from golden_vectors.kinds.network import NETWORK_DTYPES
from golden_vectors.op_graph import odd_graph, op_graph
from golden_vectors.vector import Vector

Rows: TypeAlias = Callable[[Graph, Graph], dict[str, Ints]]
"""Graph of the case, model of its scheme -> name of an input -> (n, width) int64."""
Shown: TypeAlias = Callable[[Graph], tuple[str, ...]]
"""Graph of the case -> computed tensors that the vector holds."""

MODEL, OPS, ODD_OPS = "model", "ops", "odd_ops"
_OWN = {OPS: op_graph, ODD_OPS: odd_graph}
_DIGESTS = {MODEL: "graph_sha256"} | dict.fromkeys(_OWN, "ops_sha256")
"""Graph of a case -> key of its digest: the model at hand must have it, or the graph of this program."""


@dataclass(frozen=True)
class GraphCase:
    """Independent rows of inputs, and the tensors that they give.

    graph  MODEL, or OPS: `op_graph` of the scheme, or ODD_OPS: `odd_graph`, which no device's C runs
    """

    kind: ClassVar[str] = "graph"

    tc_id: int
    id: str
    group: str
    flags: tuple[str, ...]
    scheme: str
    rows: Rows
    shown: Shown
    graph: str = OPS


class GraphKind:
    """Arrays: `in_` and the name of an input, then the tensors by name, in order of computation, (rows, width); and
    `SATURATIONS`, for engines that count.
    """

    name = "graph"

    def facts(self, case: GraphCase) -> Header:
        return {"graph": case.graph}

    def keys(self, header: Header) -> set[str]:
        return {"graph", "rows", "inputs", "tensors", "ops", _DIGESTS.get(str(header.get("graph")), _DIGESTS[OPS])}

    def properties(self) -> dict[str, Word]:
        return {
            "graph": words.one_of(*_DIGESTS),
            "rows": words.whole(1),
            "inputs": words.list_of(words.TEXT),
            "tensors": words.list_of(words.tuple_of(words.TEXT, words.TEXT)),
            "ops": words.list_of(words.TEXT),
            **dict.fromkeys(_DIGESTS.values(), words.SHA256),
        }

    def described(self) -> Word:
        own = words.object_of(self.properties())
        own["required"] = [key for key in own["required"] if key not in _DIGESTS.values()]
        return {**own, "oneOf": [{"required": [key]} for key in dict.fromkeys(_DIGESTS.values())]}

    def check(self, header: Header) -> None:
        require(header["graph"] in _DIGESTS, header, "graph", f"one of {', '.join(_DIGESTS)}")
        require(whole(header["rows"], 1), header, "rows", "a whole number above 0")
        require(header["scheme"] in NETWORK_DTYPES, header, "scheme", f"one of {', '.join(NETWORK_DTYPES)}")
        for key in ("inputs", "ops"):
            require(listed(header[key], text) and len(header[key]) > 0, header, key, "a list of names")
        require(listed(header["tensors"], _named), header, "tensors", "a list of [tensor, op]")
        own = _OWN.get(header["graph"])
        if own is not None and header["ops_sha256"] != own(header["scheme"]).digest:
            raise ValueError("it was made for another graph of ops than this program's")

    def arrays(self, header: Header) -> Wanted:
        names = (*(f"in_{name}" for name in header["inputs"]), *(name for name, _ in header["tensors"]))
        rows = int(header["rows"])
        return dict.fromkeys(names, (NETWORK_DTYPES[header["scheme"]], (rows, None))) | {
            SATURATIONS: ("<i4", (rows, 1))
        }

    def build(self, case: GraphCase, graphs: Graphs) -> Built:
        graph, dtype = graph_of(case.graph, case.scheme, graphs), NETWORK_DTYPES[case.scheme]
        inputs, part = case.rows(graph, graphs[case.scheme]), revealed(graph, case.shown(graph))
        outputs = NumpyReference().run_graph(graph, inputs, [t.name for t in part.outputs])
        kinds = {name: op.kind for op in part.ops for name in op.results}
        tensors = [[name, kind] for name, kind in kinds.items() if name in outputs]
        header = {
            _DIGESTS[case.graph]: graph.digest,
            "rows": len(next(iter(inputs.values()))),
            "inputs": list(inputs),
            "tensors": tensors,
            "ops": sorted(set(kinds.values())),
        }
        arrays = {f"in_{name}": values for name, values in inputs.items()}
        arrays |= {name: outputs[name] for name, _ in tensors}
        counted = {SATURATIONS: outputs[SATURATIONS].astype("<i4")}
        return header, {name: values.astype(dtype) for name, values in arrays.items()} | counted, ()

    def runs_on(self, engine: Executor, header: Header) -> bool:
        in_c = isinstance(engine, CHost | CProgram)
        return isinstance(engine, GraphExecutor) and not (in_c and header["graph"] == ODD_OPS)

    def compare(self, engine: GraphExecutor, vector: Vector, bench: Witness) -> tuple[Difference | None, float]:
        graph, header = graph_of(vector.header["graph"], vector.scheme, bench.graphs), vector.header
        inputs = {name: vector.arrays[f"in_{name}"].astype(np.int64) for name in header["inputs"]}
        kinds = dict(header["tensors"])
        got = engine.run_graph(graph, inputs, list(kinds))
        if SATURATIONS in got:
            kinds[SATURATIONS] = "counter"
        return graph_difference(vector.id, kinds, vector.arrays, got), _share(kinds, vector.arrays, got)


def graph_of(name: str, scheme: str, graphs: Graphs) -> Graph:
    """The graph that a case runs on."""
    return graphs[scheme] if name == MODEL else _OWN[name](scheme)


def graph_difference(
    case: str, kinds: Mapping[str, str], expected: Mapping[str, npt.NDArray[Any]], got: Mapping[str, Ints]
) -> Difference | None:
    """The first tensor, in order of computation, that differs in any row: where a fault begins.

    kinds  tensor -> kind of its op
    """
    for tensor, kind in kinds.items():
        stage = f"network {kind}"
        if expected[tensor].shape != got[tensor].shape:
            return shapes(case, stage, tensor, expected[tensor], got[tensor])
        for row in first_row(expected[tensor], got[tensor]):
            return element(case, row, stage, tensor, expected[tensor][row], got[tensor][row])
    return None


def _share(kinds: Mapping[str, str], expected: Mapping[str, npt.NDArray[Any]], got: Mapping[str, Ints]) -> float:
    """Share of all elements that differ, [0, 1]; another shape differs everywhere."""
    if any(expected[name].shape != got[name].shape for name in kinds):
        return 1.0
    return sum(int((expected[name] != got[name]).sum()) for name in kinds) / sum(expected[name].size for name in kinds)


def _named(row: Any) -> bool:
    return listed(row, text) and len(row) == 2
