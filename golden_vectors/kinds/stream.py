"""Pcm through the whole loop, from home: every stage of every hop, every counter, what is played when hops are late."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import SAMPLE_RATE_HZ, STAGES, Parameters, Profile
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import TAP_DTYPES, TAPS
from golden_vectors import json_words as words
from golden_vectors import trace
from golden_vectors.compare import (
    COUNTERS,
    SCHEDULE,
    Difference,
    Reference,
    Rows,
    Taps,
    digest_lines,
    element_of_rows,
    first_row,
    shapes,
    share_differing,
)
from golden_vectors.errors import WitnessError
from golden_vectors.executors import schedule
from golden_vectors.executors.base import EVENTS, Executor, StreamExecutor, StreamInput, StreamRun
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.json_words import Word
from golden_vectors.kinds.base import (
    Built,
    Graphs,
    Header,
    Shape,
    Wanted,
    Witness,
    check_model,
    profile_facts,
)
from golden_vectors.kinds.hops import EVENT_KEYS, check_events, check_resets, check_stream, stream_properties
from golden_vectors.signals import HOP, PROFILE, SHIPPED, Signal, check_made, made
from golden_vectors.vector import Vector

Pcm: TypeAlias = npt.NDArray[np.int16]

KEPT_TAPS = ("likelihood_q16", "vad", "mask_q15", "pcm")
"""Taps that a stream vector carries in full; the digests cover the others, whose expected elements come from the
reference once it agrees with those digests."""


@dataclass(frozen=True)
class StreamCase:
    """Pcm through the whole loop, from home."""

    kind: ClassVar[str] = "stream"

    tc_id: int
    id: str
    group: str
    flags: tuple[str, ...]
    hops: int
    signal: Signal
    parameters: Parameters = SHIPPED
    resets: tuple[int, ...] = ()
    scheme: str = "int16x8"
    events: tuple[tuple[int, str], ...] = ()
    model: str = ""
    """Name of MODELS; "": that of the scheme."""

    def pcm(self) -> Pcm:
        """(hops * hop_samples,) int16."""
        return limited(self.signal(self.hops * HOP))


def narrowest(name: str) -> npt.DTypeLike:
    """Little-endian dtype in which a tap is stored: its width on the device."""
    return np.dtype(np.uint8 if name == "vad" else TAP_DTYPES.get(name, np.int32)).newbyteorder("<")


def stream_input(vector: Vector) -> StreamInput:
    """What a vector of hops feeds its executor: its own samples, or what its recipe makes."""
    header: dict[str, Any] = vector.header
    return StreamInput(
        vector.arrays["input_pcm"].astype("int16") if "input_pcm" in vector.arrays else recipe_pcm(header),
        Parameters(**header["parameters"]),
        tuple(header.get("resets", ())),
        Profile(**header["profile"]),
        tuple((hop, kind) for hop, kind in header.get("events", ())),
    )


def recipe_pcm(header: Header) -> Pcm:
    """Input of a long stream, which no file holds; raises WitnessError when it is not that of the header."""
    hops = int(header["hops"])
    pcm = limited(made(header["recipe"], hops * int(header["profile"]["hop_samples"])))
    check_made(header, pcm.astype("<i2"))
    return pcm


def limited(samples: Ints) -> Pcm:
    """Saturated to int16."""
    pcm: Pcm = np.clip(samples, -32768, 32767).astype(np.int16)
    return pcm


def trace_lines(header: Header, taps: Taps) -> tuple[str, ...]:
    """The trace of these taps, name of TAPS -> (hops, ...)."""
    step = int(header["hops_per_line"])
    return tuple(digest_lines(taps)) if step == 1 else trace.chained(taps, step)


class StreamKind:
    """Arrays: input_pcm and `KEPT_TAPS`, each (hops, ...); the trace has a digest per hop and stage."""

    name = "stream"

    def facts(self, case: StreamCase) -> Header:
        return {
            "profile": profile_facts(PROFILE),
            "model": case.model or case.scheme,
            "parameters": asdict(case.parameters),
            "resets": list(case.resets),
            "hops": case.hops,
            "hops_per_line": 1,
            **({"events": [list(event) for event in case.events]} if case.events else {}),
        }

    def keys(self, header: Header) -> set[str]:
        return set(self.properties()) - (set() if "events" in header else EVENT_KEYS)

    def properties(self) -> dict[str, Word]:
        return {
            **stream_properties(),
            "resets": words.list_of(words.whole()),
            "events": words.list_of(words.tuple_of(words.whole(), words.one_of(*EVENTS))),
            "schedule": words.closed(dict.fromkeys(schedule.COUNTERS, words.whole())),
        }

    def described(self) -> Word:
        return words.object_of(self.properties(), EVENT_KEYS)

    def check(self, header: Header) -> None:
        check_model(header)
        check_stream(header, 1)
        check_resets(header)
        if "events" in header:
            check_events(header)

    def arrays(self, header: Header) -> Wanted:
        hops, profile = int(header["hops"]), Profile(**header["profile"])
        widths: dict[str, Shape] = {
            "likelihood_q16": (),
            "vad": (),
            "mask_q15": (profile.band_count,),
            "pcm": (profile.hop_samples,),
        }
        kept = {name: (narrowest(name), (hops, *widths[name])) for name in KEPT_TAPS}
        played: Wanted = {"played": ("<i2", (hops, profile.hop_samples))}
        return {"input_pcm": ("<i2", (hops * profile.hop_samples,)), **kept, **(played if "events" in header else {})}

    def build(self, case: StreamCase, graphs: Graphs) -> Built:
        graph = graphs[case.model or case.scheme]
        stream = StreamInput(case.pcm(), case.parameters, case.resets, PROFILE, case.events)
        run = NumpyReference().run_stream(graph, stream)
        header = {
            "graph_sha256": graph.digest,
            "counters": {stage: list(values) for stage, values in run.counters.items()},
        }
        kept = {name: run.taps[name].astype(narrowest(name)) for name in KEPT_TAPS}
        if run.played is not None:
            header["schedule"] = run.schedule
            kept["played"] = run.played.astype("<i2")
        return header, {"input_pcm": stream.pcm.astype("<i2"), **kept}, tuple(digest_lines(run.taps))

    def runs_on(self, engine: Executor, header: Header) -> bool:
        return isinstance(engine, StreamExecutor)

    def compare(self, engine: StreamExecutor, vector: Vector, bench: Witness) -> tuple[Difference | None, float]:
        run = engine.run_stream(bench.graphs[vector.model], stream_input(vector))
        first = stream_difference(vector, run, lambda: bench.reference_taps(vector))
        return first, share_differing(vector.arrays["pcm"], run.taps["pcm"]) if first else 0.0


# ---------------------------------------------------------------- comparison


def stream_difference(vector: Vector, run: StreamRun, reference: Reference) -> Difference | None:
    """None when every tap of every hop and every counter is what the vector says."""
    expected, got = vector.trace, digest_lines(run.taps)
    if len(got) != len(expected):
        return Difference(vector.id, None, "overlap_add", "hops", (), len(expected), len(got))
    kept = _kept(vector)
    for name, rows in kept.items():
        if rows.shape != run.taps[name].shape:
            return shapes(vector.id, TAPS[name], name, rows, run.taps[name])
    hops = [hop for hop, (a, b) in enumerate(zip(expected, got, strict=True)) if a != b]
    hops += [hop for name, rows in kept.items() for hop in first_row(rows, run.taps[name])]
    played = _played_difference(vector, run)
    if played is not None and (not hops or played.step is None or played.step < min(hops)):
        return played
    if not hops:
        return counter_difference(vector, run)
    return _at_hop(vector, run, min(hops), got, reference)


def _played_difference(vector: Vector, run: StreamRun) -> Difference | None:
    """The first sample that is not played as a vector with events says."""
    if "events" not in vector.header:
        return None
    expected, got = vector.arrays["played"], run.played
    if got is None:
        raise WitnessError(f"the executor does not show what is played in {vector.id}")
    if expected.shape != got.shape:
        return shapes(vector.id, SCHEDULE, "played", expected, got)
    rows = first_row(expected, got)
    if not rows:
        return None
    return element_of_rows(vector.id, rows[0], SCHEDULE, "played", Rows(expected, got), hop_ms_of(vector))


def _kept(vector: Vector) -> Taps:
    """The taps that every stream vector has; raises WitnessError, since what is absent is not equal."""
    absent = [name for name in KEPT_TAPS if name not in vector.arrays]
    if absent:
        raise WitnessError(f"vector {vector.id} is incomplete: it lacks {', '.join(absent)}")
    return {name: vector.arrays[name] for name in TAPS if name in KEPT_TAPS}


def _at_hop(vector: Vector, run: StreamRun, hop: int, got: list[str], reference: Reference) -> Difference:
    """The first stage of this hop that differs: its first element, or its digest if no expected one is known."""
    kept = _kept(vector)
    wrong = elements_of(vector, run, hop, kept)
    digests = zip(STAGES, vector.trace[hop].split(), got[hop].split(), strict=True)
    stage, expected, digest = next(row for row in digests if row[1] != row[2] or row[0] in wrong)
    known = elements_of(vector, run, hop, {**(reference() or {}), **kept}).get(stage)
    if known is not None:
        return known
    later = [row for name, rows in kept.items() for row in first_row(rows, run.taps[name])]
    seen = next(iter(elements_of(vector, run, min(later), kept).values())) if later else None
    return Difference(vector.id, hop, stage, "digest", (), expected, digest, hop_ms=hop_ms_of(vector), later=seen)


def elements_of(vector: Vector, run: StreamRun, hop: int, taps: Taps) -> dict[str, Difference]:
    """Stage -> its first element that differs in this hop, in order of computation."""
    found: dict[str, Difference] = {}
    for name, stage in TAPS.items():
        if name in taps and stage not in found:
            first = element_of_rows(vector.id, hop, stage, name, Rows(taps[name], run.taps[name]), hop_ms_of(vector))
            found |= {stage: first} if first else {}
    return found


def hop_ms_of(vector: Vector) -> float:
    return 1000.0 * float(vector.header["profile"]["hop_samples"]) / SAMPLE_RATE_HZ


def counter_difference(vector: Vector, run: StreamRun) -> Difference | None:
    for stage in STAGES:
        for name, wanted, found in zip(COUNTERS, vector.header["counters"][stage], run.counters[stage], strict=True):
            if wanted != found:
                return Difference(vector.id, None, stage, name, (), wanted, found)
    for name, wanted in vector.header.get("schedule", {}).items():
        if wanted != run.schedule.get(name):
            return Difference(vector.id, None, SCHEDULE, name, (), wanted, run.schedule.get(name, "nothing"))
    return None
