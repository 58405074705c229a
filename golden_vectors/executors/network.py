"""One step of a runtime, in closed loop or on single rows: what the network executors share.

The executors of this folder translate the graph themselves, so that they judge the graph and not a file
that lies around.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Step: TypeAlias = Callable[[Arrays], Mapping[str, npt.NDArray[Any]]]
"""One step: arrays (streams, n) of the inputs' dtypes by name -> outputs by name."""


class StepExecutor:
    """A network executor that is one step of a runtime.

    streams  whether a step takes any number of streams, or one
    """

    streams: ClassVar[bool] = True

    def step(self, graph: Graph) -> Step:
        """The graph, translated and loaded."""
        raise NotImplementedError

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        """See `base.Executor.run_network`."""
        return closed_loop(graph, codes, self.step(graph))

    def run_graph(self, graph: Graph, inputs: Mapping[str, Ints], names: Sequence[str]) -> dict[str, Ints]:
        """See `base.GraphExecutor.run_graph`."""
        part = revealed(graph, names)
        return rows_of(part, inputs, self.step(part), self.streams)


def missing(module: str, extra: str = "engines") -> str | None:
    """None if the module can be imported, else the command that installs it."""
    return None if find_spec(module) else f'{module} is not installed: pip install -e ".[{extra}]"'


@contextlib.contextmanager
def quiet(descriptor: int) -> Iterator[None]:
    """Send what C++ prints to file descriptor 1 or 2 elsewhere meanwhile."""
    stream = {1: sys.stdout, 2: sys.stderr}[descriptor]
    stream.flush()
    saved = os.dup(descriptor)
    try:
        with open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), descriptor)
        yield
    finally:
        os.dup2(saved, descriptor)
        os.close(saved)


def closed_loop(graph: Graph, codes: Ints, step: Step) -> dict[str, Ints]:
    """Feed each step's states into the next one, from home; see `base.Executor.run_network`."""
    dtypes = {t.name: t.dtype for t in graph.inputs}
    states = {name: value.astype(dtypes[name]) for name, value in graph.home_state().items()}
    x_name = graph.inputs[0].name
    results = [t.name for t in graph.outputs if t not in graph.states.values()]
    history: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in (*results, *states)}
    for x in codes.astype(dtypes[x_name]):
        outputs = step({x_name: x[np.newaxis], **states})
        states = {name: np.asarray(outputs[f"{name}_next"]).reshape(1, -1) for name in states}
        for name in results:
            history[name].append(np.asarray(outputs[name]).reshape(-1).copy())
        for name, state in states.items():
            history[name].append(state[0])
    return {name: np.stack(rows).astype(np.int64) for name, rows in history.items()}


def revealed(graph: Graph, names: Sequence[str]) -> Graph:
    """The ops of a graph that some of its tensors depend on, with these tensors as outputs."""
    needed, ops = set(names), []
    for op in reversed(graph.ops):
        if needed.intersection(op.results):
            needed.update(op.operands)
            ops.append(op)
    inputs = [t for t in graph.inputs if t.name in needed]
    return Graph(graph.scheme, ops[::-1], inputs, [graph.tensors[name] for name in names], graph.meta)


def filled(graph: Graph, inputs: Mapping[str, Ints]) -> dict[str, Ints]:
    """All inputs of a graph: the given ones, states at home, 0; name -> (n, width)."""
    count = len(next(iter(inputs.values())))
    home = graph.home_state(count)
    zeros = {t.name: np.zeros((count, *t.shape), np.int64) for t in graph.inputs}
    return {**zeros, **home, **inputs}


def rows_of(graph: Graph, inputs: Mapping[str, Ints], step: Step, streams: bool) -> dict[str, Ints]:
    """A step on independent rows, all at once if it takes streams; see `base.GraphExecutor.run_graph`."""
    arrays = {t.name: inputs[t.name].astype(t.dtype) for t in graph.inputs}
    count = len(next(iter(arrays.values())))
    parts = [slice(None)] if streams else [slice(row, row + 1) for row in range(count)]
    shown: dict[str, list[Ints]] = {t.name: [] for t in graph.outputs}
    for part in parts:
        outputs = step({name: values[part] for name, values in arrays.items()})
        for name, rows in shown.items():
            rows.append(np.asarray(outputs[name]).astype(np.int64).reshape(-1, *graph.tensors[name].shape))
    return {name: np.concatenate(rows) for name, rows in shown.items()}


def digest(run: Mapping[str, Ints]) -> str:
    """sha256 over names and values of a run."""
    content = hashlib.sha256()
    for name in sorted(run):
        content.update(name.encode())
        content.update(np.ascontiguousarray(run[name], "<i8").tobytes())
    return content.hexdigest()


def distance(run: Mapping[str, Ints], reference: Mapping[str, Ints]) -> float:
    """Share of values that differ, over all tensors."""
    different = sum(int((run[name] != values).sum()) for name, values in reference.items())
    return different / sum(values.size for values in reference.values())
