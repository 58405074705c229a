"""Pcm through the whole loop, from home: every stage of every hop, every counter, what is played when hops are late."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import SAMPLE_RATE_HZ, STAGES, Parameters, Profile
from firmware_sim.frame_loop import TAP_DTYPES, TAPS
from firmware_sim.ping_pong import Status, next_behind
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
from golden_vectors.executors.base import EVENTS, RESTART, Executor, StreamExecutor, StreamInput, StreamRun
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.kinds.base import (
    Graphs,
    Header,
    Shape,
    Wanted,
    Witness,
    check_fields,
    listed,
    require,
    shortened,
    whole,
)
from golden_vectors.signals import HOP, PROFILE, Signal
from golden_vectors.vector import Vector

Pcm: TypeAlias = npt.NDArray[np.int16]

KEPT_TAPS = ("likelihood_q16", "vad", "wiener_gain_q15", "x_q11", "h0", "h1", "mask_q15", "gain_q15", "pcm")
"""Taps that a stream vector carries in full; the digests cover the others, whose expected elements come from the
reference once it agrees with those digests."""

EVENT_KEYS = {"events", "schedule"}
"""Keys of a stream in which hops were late or lost, or the device restarted; its vector also holds `played`."""
_HEX = frozenset("0123456789abcdef")
_DIGEST_DIGITS = 16


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
    parameters: Parameters = field(default_factory=Parameters)
    resets: tuple[int, ...] = ()
    scheme: str = "int16x8"
    events: tuple[tuple[int, str], ...] = ()

    def pcm(self) -> Pcm:
        """(hops * hop_samples,) int16."""
        samples = self.signal(self.hops * HOP)
        return np.clip(samples, -32768, 32767).astype(np.int16)


def narrowest(name: str) -> npt.DTypeLike:
    """Little-endian dtype in which a tap is stored: its width on the device."""
    return np.dtype(np.uint8 if name == "vad" else TAP_DTYPES.get(name, np.int32)).newbyteorder("<")


def stream_input(vector: Vector) -> StreamInput:
    """What a stream vector feeds its executor."""
    header: dict[str, Any] = vector.header
    return StreamInput(
        vector.arrays["input_pcm"].astype("int16"),
        Parameters(**header["parameters"]),
        tuple(header["resets"]),
        Profile(**header["profile"]),
        tuple((hop, kind) for hop, kind in header.get("events", ())),
    )


class StreamKind:
    """Arrays: input_pcm and `KEPT_TAPS`, each (hops, ...); the header has a digest per hop and stage."""

    name = "stream"

    def facts(self, case: StreamCase) -> Header:
        return {
            "profile": asdict(PROFILE),
            "parameters": asdict(case.parameters),
            "resets": list(case.resets),
            "hops": case.hops,
            "stages": list(STAGES),
            **({"events": [list(event) for event in case.events]} if case.events else {}),
        }

    def keys(self, header: Header) -> set[str]:
        keys = {"profile", "parameters", "resets", "hops", "stages", "digests", "counters", "graph_sha256"}
        return keys | EVENT_KEYS if "events" in header else keys

    def check(self, header: Header) -> None:
        _check_stream(header)

    def arrays(self, header: Header) -> Wanted:
        hops, profile = int(header["hops"]), Profile(**header["profile"])
        widths: dict[str, Shape] = {
            "likelihood_q16": (),
            "vad": (),
            "h0": (None,),
            "h1": (None,),
            "pcm": (profile.hop_samples,),
        }
        kept = {name: (narrowest(name), (hops, *widths.get(name, (profile.bins,)))) for name in KEPT_TAPS}
        played: Wanted = {"played": ("<i2", (hops, profile.hop_samples))}
        return {"input_pcm": ("<i2", (hops * profile.hop_samples,)), **kept, **(played if "events" in header else {})}

    def build(self, case: StreamCase, graphs: Graphs) -> tuple[Header, dict[str, npt.NDArray[Any]]]:
        graph = graphs[case.scheme]
        stream = StreamInput(case.pcm(), case.parameters, case.resets, PROFILE, case.events)
        run = NumpyReference().run_stream(graph, stream)
        header = {
            "graph_sha256": graph.digest,
            "digests": digest_lines(run.taps),
            "counters": {stage: list(values) for stage, values in run.counters.items()},
        }
        kept = {name: run.taps[name].astype(narrowest(name)) for name in KEPT_TAPS}
        if run.played is not None:
            header["schedule"] = run.schedule
            kept["played"] = run.played.astype("<i2")
        return header, {"input_pcm": stream.pcm.astype("<i2"), **kept}

    def runs_on(self, engine: Executor) -> bool:
        return isinstance(engine, StreamExecutor)

    def compare(self, engine: StreamExecutor, vector: Vector, bench: Witness) -> tuple[Difference | None, float]:
        run = engine.run_stream(bench.graphs[vector.scheme], stream_input(vector))
        first = stream_difference(vector, run, lambda: bench.reference_taps(vector))
        return first, share_differing(vector.arrays["pcm"], run.taps["pcm"]) if first else 0.0


# ---------------------------------------------------------------- header


def _check_stream(header: Header) -> None:
    hops, resets = header["hops"], header["resets"]
    check_fields(header, "profile", Profile)
    check_fields(header, "parameters", Parameters)
    require(whole(hops, 1), header, "hops", "a whole number above 0")
    inside = listed(resets, lambda hop: whole(hop) and hop < hops)
    require(inside and resets == sorted(set(resets)), header, "resets", f"ascending hops below {hops}")
    require(header["stages"] == list(STAGES), header, "stages", f"{', '.join(STAGES)}")
    _check_digests(header["digests"], hops)
    if "events" in header:
        _check_events(header)
    counters = header["counters"]
    complete = isinstance(counters, dict) and set(counters) == set(STAGES)
    require(complete, header, "counters", f"two numbers for each of {', '.join(STAGES)}")
    for stage, pair in counters.items():
        if not (listed(pair, whole) and len(pair) == 2):
            raise ValueError(f"counters of {stage} must be two whole numbers, they are {shortened(pair)}")


def _check_events(header: Header) -> None:
    """Events that can follow each other, and the counters that they lead to."""
    events, hops = header["events"], header["hops"]
    known = listed(events, lambda e: isinstance(e, list) and len(e) == 2 and whole(e[0]) and e[1] in EVENTS)
    require(known and events != [], header, "events", f"pairs of a hop and one of {', '.join(EVENTS)}")
    restarts = [hop for hop, kind in events if kind == RESTART]
    statuses = [(hop, Status(kind)) for hop, kind in events if kind != RESTART]
    for hit in (restarts, [hop for hop, _ in statuses]):
        inside = hit == sorted(set(hit)) and all(hop < hops for hop in hit)
        require(inside, header, "events", f"at ascending hops below {hops}, statuses and restarts each")
    behind = False
    for hop in range(hops):
        status = dict(statuses).get(hop, Status.ON_TIME)
        if status is Status.LOST and hop in (0, *header["resets"], *restarts):
            raise ValueError(f"events: hop {hop} comes from home, where there are no taps yet: it cannot be lost")
        behind = next_behind(status, behind, f"events: hop {hop}")
    counted = header["schedule"]
    complete = (
        isinstance(counted, dict) and set(counted) == set(schedule.COUNTERS) and all(map(whole, counted.values()))
    )
    require(complete, header, "schedule", f"a whole number for each of {', '.join(schedule.COUNTERS)}")


def _check_digests(digests: Any, hops: int) -> None:
    if not isinstance(digests, list) or len(digests) != hops:
        given = f"{len(digests)} lines" if isinstance(digests, list) else shortened(digests)
        raise ValueError(f"digests must be {hops} lines, one per hop; they are {given}")
    for hop, line in enumerate(digests):
        words = line.split(" ") if isinstance(line, str) else []
        if len(words) != len(STAGES) or any(len(word) != _DIGEST_DIGITS or set(word) - _HEX for word in words):
            raise ValueError(
                f"digests of hop {hop} must be {len(STAGES)} words of {_DIGEST_DIGITS} hex digits, "
                f"they are {shortened(line, 170)}"
            )


# ---------------------------------------------------------------- comparison


def stream_difference(vector: Vector, run: StreamRun, reference: Reference) -> Difference | None:
    """None when every tap of every hop and every counter is what the vector says."""
    expected, got = vector.header["digests"], digest_lines(run.taps)
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
        return _counter_difference(vector, run)
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
    return element_of_rows(vector.id, rows[0], SCHEDULE, "played", Rows(expected, got), _hop_ms(vector))


def _kept(vector: Vector) -> Taps:
    """The taps that every stream vector has; raises WitnessError, since what is absent is not equal."""
    absent = [name for name in KEPT_TAPS if name not in vector.arrays]
    if absent:
        raise WitnessError(f"vector {vector.id} is incomplete: it lacks {', '.join(absent)}")
    return {name: vector.arrays[name] for name in TAPS if name in KEPT_TAPS}


def _at_hop(vector: Vector, run: StreamRun, hop: int, got: list[str], reference: Reference) -> Difference:
    """The first stage of this hop that differs: its first element, or its digest if no expected one is known."""
    kept = _kept(vector)
    wrong = _elements(vector, run, hop, kept)
    digests = zip(STAGES, vector.header["digests"][hop].split(), got[hop].split(), strict=True)
    stage, expected, digest = next(row for row in digests if row[1] != row[2] or row[0] in wrong)
    known = _elements(vector, run, hop, {**(reference() or {}), **kept}).get(stage)
    if known is not None:
        return known
    later = [row for name, rows in kept.items() for row in first_row(rows, run.taps[name])]
    seen = next(iter(_elements(vector, run, min(later), kept).values())) if later else None
    return Difference(vector.id, hop, stage, "digest", (), expected, digest, hop_ms=_hop_ms(vector), later=seen)


def _elements(vector: Vector, run: StreamRun, hop: int, taps: Taps) -> dict[str, Difference]:
    """Stage -> its first element that differs in this hop, in order of computation."""
    found: dict[str, Difference] = {}
    for name, stage in TAPS.items():
        if name in taps and stage not in found:
            first = element_of_rows(vector.id, hop, stage, name, Rows(taps[name], run.taps[name]), _hop_ms(vector))
            found |= {stage: first} if first else {}
    return found


def _hop_ms(vector: Vector) -> float:
    return 1000.0 * float(vector.header["profile"]["hop_samples"]) / SAMPLE_RATE_HZ


def _counter_difference(vector: Vector, run: StreamRun) -> Difference | None:
    for stage in STAGES:
        for name, wanted, found in zip(COUNTERS, vector.header["counters"][stage], run.counters[stage], strict=True):
            if wanted != found:
                return Difference(vector.id, None, stage, name, (), wanted, found)
    for name, wanted in vector.header.get("schedule", {}).items():
        if wanted != run.schedule.get(name):
            return Difference(vector.id, None, SCHEDULE, name, (), wanted, run.schedule.get(name, "nothing"))
    return None
