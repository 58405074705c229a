"""The numpy reference over a network with one changed constant."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from golden_vectors.executors.base import StreamInput, StreamRun
from golden_vectors.executors.numpy_reference import NumpyReference
from tests.mutation.mutant import Mutant


class FaultyGraph(NumpyReference):
    """Runs the network with the mutant's constant wherever the right network is asked for."""

    def __init__(self, right: Graph, mutant: Mutant) -> None:
        self._right, self._faulty = right, changed(right, mutant)

    def _graph(self, graph: Graph) -> Graph:
        return self._faulty if graph.digest == self._right.digest else graph

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        return super().run_network(self._graph(graph), codes)

    def run_graph(self, graph: Graph, inputs: Mapping[str, Ints], names: Sequence[str]) -> dict[str, Ints]:
        return super().run_graph(self._graph(graph), inputs, names)

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        return super().run_stream(None if graph is None else self._graph(graph), stream)


def changed(graph: Graph, mutant: Mutant) -> Graph:
    """A copy of the graph with element `mutant.start` of a constant changed from `before` to `after`."""
    faulty = copy.deepcopy(graph)
    name = mutant.file.split("/", 2)[2]
    op = next(op for op in faulty.ops if any(tensor.name == name for tensor in op.inputs))
    tensors = list(op.inputs)
    at = next(i for i, tensor in enumerate(tensors) if tensor.name == name)
    data = np.array(tensors[at].data)
    assert data.flat[mutant.start] == int(mutant.before)
    data.flat[mutant.start] = int(mutant.after)
    tensors[at] = replace(tensors[at], data=data)
    op.inputs = tuple(tensors)
    op.prepare()
    return faulty
