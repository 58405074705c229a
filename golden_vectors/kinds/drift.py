"""A long stream: its input is a recipe, its trace a line of chained digests for a second of hops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

from firmware_sim.contract import STAGES, Parameters
from golden_vectors import json_words as words
from golden_vectors.compare import Difference, Taps, first_row, share_differing
from golden_vectors.executors import SHORT, family
from golden_vectors.executors.base import Executor, StreamExecutor, StreamInput, StreamRun
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.json_words import Word
from golden_vectors.kinds.base import Built, Graphs, Header, Wanted, Witness, check_model, profile_facts, require
from golden_vectors.kinds.hops import check_stream, stream_properties
from golden_vectors.kinds.stream import (
    counter_difference,
    elements_of,
    hop_ms_of,
    limited,
    stream_input,
    trace_lines,
)
from golden_vectors.signals import HOP, PROFILE, RECIPES, SHIPPED, made
from golden_vectors.vector import Vector, sha256

HOPS_PER_LINE = 250
SHORT_LINES = 2
"""Lines of a drift that an engine of `executors.SHORT` runs: what a second costs there, others do in a minute."""


@dataclass(frozen=True)
class DriftCase:
    """Pcm of a recipe through the whole loop, from home."""

    kind: ClassVar[str] = "drift"

    tc_id: int
    id: str
    group: str
    flags: tuple[str, ...]
    hops: int
    recipe: str
    parameters: Parameters = SHIPPED
    scheme: str = "int16x8"
    model: str = ""
    """Name of MODELS; "": that of the scheme."""


class DriftKind:
    """No arrays; the trace has a line per `HOPS_PER_LINE` hops, each a digest of all hops so far."""

    name = "drift"

    def facts(self, case: DriftCase) -> Header:
        pcm = limited(made(case.recipe, case.hops * HOP))
        return {
            "profile": profile_facts(PROFILE),
            "model": case.model or case.scheme,
            "parameters": asdict(case.parameters),
            "hops": case.hops,
            "hops_per_line": HOPS_PER_LINE,
            "recipe": case.recipe,
            "input_sha256": sha256(pcm.astype("<i2").tobytes()),
        }

    def keys(self, header: Header) -> set[str]:
        return set(self.properties())

    def properties(self) -> dict[str, Word]:
        return {**stream_properties(), "recipe": words.one_of(*RECIPES), "input_sha256": words.SHA256}

    def described(self) -> Word:
        return words.object_of(self.properties())

    def check(self, header: Header) -> None:
        check_model(header)
        check_stream(header, HOPS_PER_LINE)
        check_recipe(header)

    def arrays(self, header: Header) -> Wanted:
        return {}

    def build(self, case: DriftCase, graphs: Graphs) -> Built:
        graph = graphs[case.model or case.scheme]
        pcm = limited(made(case.recipe, case.hops * HOP))
        run = NumpyReference().run_stream(graph, StreamInput(pcm, case.parameters, profile=PROFILE))
        counters = {stage: list(values) for stage, values in run.counters.items()}
        trace = trace_lines({"hops_per_line": HOPS_PER_LINE}, run.taps)
        return {"graph_sha256": graph.digest, "counters": counters}, {}, trace

    def runs_on(self, engine: Executor, header: Header) -> bool:
        return isinstance(engine, StreamExecutor)

    def compare(self, engine: StreamExecutor, vector: Vector, bench: Witness) -> tuple[Difference | None, float]:
        short = not SHORT.isdisjoint((engine.name, family(engine.name)))
        lines = vector.trace[:SHORT_LINES] if short else vector.trace
        stream = stream_input(vector)
        samples = len(lines) * HOPS_PER_LINE * stream.profile.hop_samples
        run = engine.run_stream(bench.graphs[vector.model], replace(stream, pcm=stream.pcm[:samples]))
        got = trace_lines(vector.header, run.taps)
        if got == lines:
            return (None if short else counter_difference(vector, run)), 0.0
        reference = bench.reference_taps(vector)
        share = share_differing(reference["pcm"][: len(run.taps["pcm"])], run.taps["pcm"]) if reference else 1.0
        return _difference(vector, run, got, reference), share


def check_recipe(header: Header) -> None:
    """The input of a vector that holds none; raises ValueError."""
    require(header["recipe"] in tuple(RECIPES), header, "recipe", f"one of {', '.join(RECIPES)}")
    digest = header["input_sha256"]
    require(isinstance(digest, str) and len(digest) == 64, header, "input_sha256", "64 hex digits")


def _difference(vector: Vector, run: StreamRun, got: Sequence[str], reference: Taps | None) -> Difference:
    """The first hop, stage and element that differ, or the first line where the reference is none."""
    line = next(i for i, (a, b) in enumerate(zip(vector.trace, got, strict=False)) if a != b)
    hops = (line + 1) * HOPS_PER_LINE
    if reference is not None:
        wrong = [hop for name, taps in reference.items() for hop in first_row(taps[:hops], run.taps[name][:hops])]
        return next(iter(elements_of(vector, run, min(wrong), reference).values()))
    pairs = zip(STAGES, vector.trace[line].split(), got[line].split(), strict=True)
    stage, expected, digest = next(pair for pair in pairs if pair[1] != pair[2])
    return Difference(vector.id, hops - 1, stage, "digest", (), expected, digest, hop_ms=hop_ms_of(vector))
