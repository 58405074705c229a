"""Every engine on every vector that it can run, and a long closed loop of real features for all networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from firmware_sim.fixed import Ints
from firmware_sim.graph import SCHEMES, Graph
from golden_vectors.compare import Difference, Taps, network_difference, share_differing
from golden_vectors.errors import WitnessError
from golden_vectors.executors import SLOW
from golden_vectors.executors.base import Executor
from golden_vectors.executors.network import digest
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.kinds import KINDS
from golden_vectors.kinds.base import ANY_SCHEME
from golden_vectors.kinds.closed_loop import ClosedLoopKind, loop_codes
from golden_vectors.kinds.drift import DriftKind
from golden_vectors.kinds.stream import stream_input, trace_lines
from golden_vectors.side_by_side import side_by_side
from golden_vectors.vector import Vector, write

STEPS = 1_500
"""Steps of the closed loop when nobody asks for another number: 6 s."""

FORGED = "numpy computes otherwise: the vector is forged or stale: see `python -m golden_vectors generate --check`"
"""What it means that the reference has not the bits of a vector."""

_INT8_ROUNDINGS = {
    "": frozenset({"FULLY_CONNECTED", "ADD", "SUB", "MUL", "QUANTIZE"}),
    " (no delegate)": frozenset({"FULLY_CONNECTED", "ADD", "QUANTIZE"}),
    " (reference)": frozenset({"FULLY_CONNECTED"}),
}
"""Kernels of LiteRT and tf.lite -> int8 ops that they round otherwise: XNNPACK, the optimised ones, the reference."""
REPORTED_DISTANCES: Mapping[tuple[str, str], frozenset[str]] = {
    (f"{runtime}{kernels}", "int8"): ops
    for runtime in ("litert", "tf.lite")
    for kernels, ops in _INT8_ROUNDINGS.items()
}
"""(engine, scheme) -> ops that the contract does not call equal there; a case that runs one of them may differ."""


@dataclass
class Cell:
    """One engine on one group of cases.

    equal      cases that were identical
    unequal    cases that were not
    distance   largest share of differing outputs of one case, [0, 1]
    first      the first difference, or why the engine could not run; one that is not tolerated, if there is any
    tolerated  it is a reported distance
    """

    equal: int = 0
    distance: float = 0.0
    first: Difference | str | None = None
    tolerated: bool = False
    unequal: int = 0

    @property
    def failed(self) -> bool:
        return self.first is not None and not self.tolerated


@dataclass
class Outcome:
    """What verify found: cells by (engine, scheme, group), absent engines with their reasons."""

    engines: list[str]
    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> dict[tuple[str, str, str], Cell]:
        return {key: cell for key, cell in self.cells.items() if cell.failed}

    def agreement(self) -> dict[str, dict[str, dict[str, str | float]]]:
        """`{"schemes": {scheme: {engine: "equal" | "absent" | share of differing outputs}}}`."""
        schemes: dict[str, dict[str, str | float]] = {}
        for scheme in (scheme for scheme in SCHEMES if any(key[1] == scheme for key in self.cells)):
            row = schemes.setdefault(scheme, {})
            for engine in self.engines:
                shared = ((engine, scheme), (engine, ANY_SCHEME))
                cells = [cell for key, cell in self.cells.items() if key[:2] in shared]
                row[engine] = "absent" if not cells else "equal"
                if any(cell.first is not None for cell in cells):
                    row[engine] = round(max(cell.distance for cell in cells), 6)
        return {"schemes": schemes}


class Bench:
    """The vectors with their models, and what the reference computes, each computed once.

    raises  WitnessError when a vector was generated for another model than the one at hand
    """

    def __init__(self, vectors: Sequence[Vector], graphs: Mapping[str, Graph], steps: int = STEPS) -> None:
        self.vectors, self.graphs, self.steps = vectors, graphs, steps
        self._taps: dict[str, Taps | None] = {}
        for vector in vectors:
            graph, wanted = graphs.get(vector.model), vector.header.get("graph_sha256")
            if wanted is not None and (graph is None or graph.digest != wanted):
                raise WitnessError(
                    f"vector {vector.id} was generated for graph {wanted[:12]}, the "
                    f"{vector.model} model is {graph.digest[:12] if graph else 'missing'}: give the model of the "
                    "vectors, or bless this one with `python -m golden_vectors generate`"
                )

    def prepare(self) -> None:
        """Compute now what processes that are forked later share."""
        for vector in self.vectors:
            if vector.kind == DriftKind.name:
                stream_input(vector)
        lengths = {vector.header["steps"] for vector in self.vectors if vector.kind == ClosedLoopKind.name}
        assert self.features if self.steps in lengths else self.closed_loop

    def run(self, engine: Executor, outcome: Outcome) -> None:
        """Every case that the engine can run, into the outcome's cells."""
        for model, scheme, group, case in self._work(engine):
            rounded = REPORTED_DISTANCES.get((engine.name, scheme))
            tolerated = rounded is not None and not rounded.isdisjoint(self._ops(model, case))
            cell = outcome.cells.setdefault((engine.name, scheme, group), Cell())
            first: Difference | str | None
            try:
                first, distance = self._compare(engine, model, case)
            except Exception as error:  # a foreign runtime may raise anything; one failure must not hide the others
                first, distance, tolerated = f"{_name(case)}: {_one_line(error)}", 1.0, False
            cell.equal += first is None
            cell.unequal += first is not None
            if first is not None and (cell.first is None or (cell.tolerated and not tolerated)):
                cell.first, cell.tolerated = first, tolerated
            cell.distance = max(cell.distance, distance)

    def _work(self, engine: Executor) -> Iterator[tuple[str, str, str, Vector | None]]:
        """(model, scheme, group, vector); None stands for a closed loop of a length that no vector has."""
        loops = set()
        for vector in self.vectors:
            if vector.kind == ClosedLoopKind.name:
                if vector.header["steps"] != self.steps:
                    continue
                loops.add(vector.model)
            if KINDS[vector.kind].runs_on(engine, vector.header):
                yield vector.model, vector.scheme, str(vector.header["group"]), vector
        for model in () if engine.name in SLOW else self.graphs:
            if model not in loops:
                yield model, self.graphs[model].scheme, "closed loop", None

    def _ops(self, model: str, case: Vector | None) -> set[str]:
        """Kinds of ops that a case runs: those that its header names, else the model's."""
        named = case.header.get("ops") if case is not None else None
        return set(named if named is not None else (op.kind for op in self.graphs[model].ops))

    def _compare(self, engine: Executor, model: str, case: Vector | None) -> tuple[Difference | None, float]:
        if case is not None:
            return KINDS[case.kind].compare(engine, case, self)
        expected = self.closed_loop[model]
        got = engine.run_network(self.graphs[model], self.features[model])
        if digest(got) == digest(expected):
            return None, 0.0
        return network_difference(_name(case), expected, got), share_differing(expected["mask"], got["mask"])

    def reference_taps(self, vector: Vector) -> Taps | None:
        """All taps of the reference, or None when they have not the vector's digests."""
        if vector.id not in self._taps:
            taps = NumpyReference().run_stream(self.graphs[vector.model], stream_input(vector)).taps
            self._taps[vector.id] = taps if trace_lines(vector.header, taps) == vector.trace else None
        return self._taps[vector.id]

    @cached_property
    def features(self) -> dict[str, Ints]:
        """Input codes of the closed loop, by model."""
        return {name: loop_codes("real_features", self.steps, graph.scheme) for name, graph in self.graphs.items()}

    @cached_property
    def closed_loop(self) -> dict[str, dict[str, Ints]]:
        """The reference's long closed loop, by model."""
        engine = NumpyReference()
        return {name: engine.run_network(graph, self.features[name]) for name, graph in self.graphs.items()}


def verify(
    bench: Bench,
    engines: Sequence[Executor],
    jobs: int = 1,
    watch: Callable[[list[str]], None] = lambda waiting: None,
) -> Outcome:
    """Every engine that is here on everything that it can run.

    jobs    how many engines run side by side, in processes forked from this one; 1: none is
    watch   is told which engines have still to come, before the first and after each one
    raises  WitnessError when an engine takes its process with it
    """
    outcome = Outcome([engine.name for engine in engines])
    reasons = {engine.name: engine.available() for engine in engines}
    outcome.absent |= {name: reason for name, reason in reasons.items() if reason is not None}
    here = [engine for engine in engines if reasons[engine.name] is None]
    waiting = [engine.name for engine in here]
    watch(waiting)
    if min(jobs, len(here)) > 1:
        bench.prepare()
        for cells in side_by_side(partial(_cells, bench), here, jobs):
            outcome.cells |= cells
            watch(waiting := waiting[1:])
    else:
        for engine in here:
            bench.run(engine, outcome)
            watch(waiting := waiting[1:])
    return outcome


def _cells(bench: Bench, engine: Executor) -> dict[tuple[str, str, str], Cell]:
    outcome = Outcome([engine.name])
    bench.run(engine, outcome)
    return outcome.cells


def write_agreement(outcome: Outcome, build: Path) -> None:
    """build/agreement.json."""
    write(build, "agreement.json", (json.dumps(outcome.agreement(), indent=2) + "\n").encode())


def _name(case: Vector | None) -> str:
    return "closed_loop" if case is None else case.id


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
