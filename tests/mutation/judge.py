"""What the golden vectors say of an engine with a fault: the comparisons of `golden_vectors verify`, cheapest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firmware_sim.graph import Graph
from golden_vectors.executors.base import Executor
from golden_vectors.files import DIRECTORY, load_all
from golden_vectors.vector import Vector
from golden_vectors.verify import STEPS, Bench, Outcome

KINDS = ("unit", "graph", "network", "stream")
"""Kinds of vectors by what they cost, cheapest first; the closed loop comes last."""


@dataclass(frozen=True)
class Found:
    """The case that turned red, and what it said first."""

    case: str
    first: str


class Judge(Bench):
    """A bench that stops at the first difference and asks for no more than that."""

    def __init__(self, vectors: Sequence[Vector], graphs: Mapping[str, Graph], steps: int = STEPS) -> None:
        super().__init__(vectors, graphs, steps)
        self.likely: Sequence[str] = ()
        self._kinds: Sequence[str] = KINDS
        self._outcome, self._case = Outcome([]), ""

    def judge(self, engine: Executor, likely: Sequence[str] = (), kinds: Sequence[str] = KINDS) -> Found | None:
        """None when every case is equal.

        likely  cases to begin with
        kinds   of vectors to ask; the closed loop is asked with all of them
        """
        self.likely, self._kinds, self._outcome = likely, kinds, Outcome([engine.name])
        self.run(engine, self._outcome)
        return next((Found(self._case, str(cell.first)) for cell in self._outcome.failures.values()), None)

    def _work(self, engine: Executor) -> Iterator[Any]:
        for item in sorted(super()._work(engine), key=lambda item: self._rank(item[-1])):
            if self._outcome.failures:
                return
            if (item[-1].kind if item[-1] is not None else "stream") not in self._kinds:
                continue
            self._case = name_of(item[-1])
            yield item

    def _rank(self, case: Vector | None) -> tuple[int, int, int]:
        """Likely cases, then by kind, then by size."""
        name = name_of(case)
        likely = self.likely.index(name) if name in self.likely else len(self.likely)
        if case is None:
            return likely, len(KINDS), 0
        kind = KINDS.index(case.kind) if case.kind in KINDS else 0
        return likely, kind, sum(array.nbytes for array in case.arrays.values())

    def reference_taps(self, vector: Vector) -> None:
        """Nobody reads where exactly a mutant differs."""


def name_of(case: Vector | None) -> str:
    return "closed loop" if case is None else case.id


def load(graphs: Mapping[str, Graph], steps: int = STEPS) -> Judge:
    """The committed vectors, ready to judge."""
    return Judge(load_all(DIRECTORY), graphs, steps)
