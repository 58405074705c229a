"""Which op of the network parts first: the closed loop once more, with every tensor as an output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from firmware_sim.network import decode_mask, encode_features
from firmware_sim.ops import Op
from firmware_sim.ping_pong import Status
from golden_vectors.compare import Difference, Rows, Taps, element_of_rows
from golden_vectors.executors.base import Executor
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.kinds.stream import stream_input
from golden_vectors.vector import Vector

EQUAL = (
    "run alone from home with every tensor shown, the network of this engine is equal: look around it (state between "
    "hops, codes of features and mask), or at what the engine fuses when tensors are hidden"
)
REFERENCE = "the reference on this machine does not compute what the vector says either: no expected tensor is known"
BEHIND = 8
"""Steps behind the first difference that are run as well: neighbours in time."""
HIDDEN = "this engine does not show the tensors between these results"


@dataclass(frozen=True, eq=False)
class FirstOp:
    """The first op whose result differs.

    index       in graph.ops
    difference  the first element of its first tensor that differs; its stage is the op's kind, its tap the tensor
    """

    index: int
    op: Op
    difference: Difference

    @property
    def bits(self) -> int:
        """Width of the tensor."""
        tensor = next(t for t in self.op.outputs if t.name == self.difference.tap)
        return 8 * np.dtype(tensor.dtype).itemsize


def revealed(graph: Graph) -> Graph:
    """The same ops with every computed tensor among the outputs, those of the graph first."""
    others = [t for op in graph.ops for t in op.outputs if t not in graph.outputs]
    return Graph(graph.scheme, graph.ops, graph.inputs, [*graph.outputs, *others], graph.meta)


def first_op(engine: Executor, graph: Graph, first: Difference, codes: Ints, hops: Ints) -> FirstOp | str:
    """The first op that differs in a closed loop from home, or why it cannot be named.

    first  what is known: a result of the network
    codes  (steps, bins) what the network reads, up to the step that differs and `BEHIND` more
    hops   (steps,) the hop of the case in which each of these steps runs
    """
    whole = revealed(graph)
    expected = NumpyReference().run_network(whole, codes)
    if not _says_the_same(expected, graph, first, hops):
        return REFERENCE
    try:
        got = engine.run_network(whole, codes)
    except Exception as error:  # a foreign runtime may raise anything; what has been found stays true
        return f"{HIDDEN}: " + " ".join(f"{type(error).__name__}: {error}".split())
    if expected.keys() != got.keys() or any(got[name].shape != rows.shape for name, rows in expected.items()):
        return HIDDEN
    return _first(whole, first, {name: Rows(rows, got[name]) for name, rows in expected.items()}, hops)


def _says_the_same(run: Mapping[str, Ints], graph: Graph, first: Difference, hops: Ints) -> bool:
    """The reference's run has the expected element of the difference."""
    step = int(np.searchsorted(hops, int(first.step or 0), "right")) - 1
    row = decode_mask(run["mask"][step], graph.scheme) if first.tap == "mask_q15" else run[first.tap][step]
    return int(row[first.index]) == first.expected


def _first(graph: Graph, known: Difference, taps: Mapping[str, Rows], hops: Ints) -> FirstOp | str:
    """The earliest step in which any tensor differs, in it the first op."""
    names = {after.name: before for before, after in graph.states.items()}
    steps = np.any([(rows.expected != rows.got).any(axis=1) for rows in taps.values()], axis=0)
    if not steps.any():
        return EQUAL
    step = int(np.flatnonzero(steps)[0])
    for index, op in enumerate(graph.ops):
        for tensor in op.outputs:
            rows = _by_hop(taps[names.get(tensor.name, tensor.name)], hops)
            found = element_of_rows(known.case, int(hops[step]), op.kind, tensor.name, rows, known.hop_ms)
            if found is not None:
                return FirstOp(index, op, found)
    raise AssertionError("every tensor is the result of an op")


def _by_hop(rows: Rows, hops: Ints) -> Rows:
    """Rows of steps as rows of hops: where the network did not run, its results stay."""
    first = int(hops[0])
    at = np.searchsorted(hops, np.arange(first, int(hops[-1]) + 1), "right") - 1
    return Rows(rows.expected[at], rows.got[at], first)


def stream_codes(vector: Vector, hop: int, taps: Taps) -> tuple[Ints, Ints]:
    """What the network of a stream reads from home to some steps behind a hop: codes (steps, bins), hops (steps,).

    taps  expected x_q11: the vector's arrays, or the reference's taps where the vector holds none
    """
    stream = stream_input(vector)
    homes = sorted({0, *stream.resets, *stream.restarts, stream.hops})
    home, end = max(h for h in homes if h <= hop), min(h for h in homes if h > hop)
    statuses = stream.statuses
    runs = [h for h in range(home, min(end, hop + 1 + BEHIND)) if not statuses[h].held]
    hops = np.array([h for h in runs if statuses[h] is not Status.LOST], np.int64)
    return encode_features(taps["x_q11"][hops].astype(np.int64), vector.scheme), hops
