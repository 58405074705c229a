"""What the tests of explanations share: a bench of small models, and what was found in it."""

from __future__ import annotations

from golden_vectors.cases import CASES
from golden_vectors.executors.base import Executor
from golden_vectors.explain import Explanation, explanations
from golden_vectors.generate import build
from golden_vectors.verify import Bench, Outcome
from tests.golden_vectors.models import small_graphs

NETWORKS = ("network_speech_int16x8", "network_speech_int8")


def bench_of(*ids: str) -> Bench:
    """Vectors of the small models; the reference computes what it needs now, before a fault is planted."""
    graphs = small_graphs()
    bench = Bench([build(case, graphs) for case in CASES if case.id in ids], graphs, steps=20)
    for vector in bench.vectors:
        if vector.kind == "stream":
            assert bench.reference_taps(vector) is not None
    assert set(bench.closed_loop) == set(graphs)
    return bench


def explained(bench: Bench, engine: Executor) -> dict[str, Explanation]:
    """Case -> its explanation, for everything that turned red."""
    outcome = Outcome([engine.name])
    bench.run(engine, outcome)
    found = explanations(bench, [engine], outcome)
    assert set(found) == set(outcome.failures), [cell.first for cell in outcome.failures.values()]
    return {explanation.first.case: explanation for explanation in found.values()}


def operation(found: Explanation) -> tuple[str, str]:
    """Kind and tensor of the first op."""
    assert found.op is not None, found.note
    return found.op.op.kind, found.op.difference.tap


def sources(found: Explanation) -> list[str]:
    """Files and names, without their lines."""
    return [f"{source.file} {source.name}" for source in found.sources]
