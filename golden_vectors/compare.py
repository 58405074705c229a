"""Where two runs part: the first hop, stage, tap and element, with both values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import SAMPLE_RATE_HZ, STAGES
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import TAP_DTYPES, TAPS, Hop
from golden_vectors.errors import WitnessError
from golden_vectors.executors.base import StreamRun
from golden_vectors.schema import KEPT_TAPS
from golden_vectors.vector import Vector

Taps: TypeAlias = Mapping[str, npt.NDArray[Any]]
Reference: TypeAlias = Callable[[], Taps | None]
"""Gives the reference's taps of a case, or None when the reference itself disagrees with the vector."""

NETWORK_TAPS = ("h0", "h1", "mask")
"""Results of a network step in order of computation."""
COUNTERS = ("saturations", "overflows")
SCHEDULE = "schedule"
"""Stands for a stage where the hop schedule decides: what is played, and its counters."""


@dataclass(frozen=True)
class Difference:
    """The first place where a run is not what the vector says.

    step      hop of a stream or step of the network; None: after the last one (counters)
    tap       name of the tap, the counter, or "digest" where no expected element is known
    index     element within the tap, () for a scalar
    expected  integer, or hex digits of a digest
    differing elements of the tap that differ, of `size`
    later     after a digest: the first place, this hop or a later one, where the fault shows in a kept tap
    """

    case: str
    step: int | None
    stage: str
    tap: str
    index: tuple[int, ...]
    expected: int | str
    got: int | str
    differing: int = 1
    size: int = 1
    hop_ms: float | None = None
    later: Difference | None = None

    def __str__(self) -> str:
        seen = f"; seen at {self.later.place()}" if self.later else ""
        return f"{self.case}: {self.place()}{seen}"

    def place(self) -> str:
        """Where and what, without the case."""
        where = "at the end"
        if self.step is not None:
            where = f"step {self.step}" if self.hop_ms is None else f"hop {self.step} ({self.step * self.hop_ms:g} ms)"
        return f"{where}, stage {self.stage}, {self.values()}"

    def values(self) -> str:
        """The element, both values, and how many others differ."""
        element = f"{self.tap}{list(self.index) if self.index else ''}"
        bits = 8 * np.dtype(TAP_DTYPES.get("pcm" if self.tap == "played" else self.tap, np.int32)).itemsize
        share = f"; {self.differing} of {self.size} elements of the tap differ" if self.size > 1 else ""
        return f"{element}: expected {_shown(self.expected, bits)}, got {_shown(self.got, bits)}{share}"


def _shown(value: int | str, bits: int) -> str:
    """Decimal and two's complement hex."""
    if isinstance(value, str):
        return value
    return f"{value} (0x{value & ((1 << bits) - 1):0{bits // 4}x})"


def digest_lines(taps: Taps) -> list[str]:
    """One line per hop: the digest of each stage, in the order of STAGES.

    taps  every name of TAPS -> (hops, ...)
    """
    missing = [name for name in TAPS if name not in taps]
    if missing:
        raise WitnessError(f"the executor does not show tap {missing[0]}")
    lines = []
    for hop in range(len(taps["pcm"])):
        digests = Hop(hop, {name: taps[name][hop : hop + 1] for name in TAPS}).digests()
        lines.append(" ".join(digests[stage] for stage in STAGES))
    return lines


def stream_difference(vector: Vector, run: StreamRun, reference: Reference) -> Difference | None:
    """None when every tap of every hop and every counter is what the vector says."""
    expected, got = vector.header["digests"], digest_lines(run.taps)
    if len(got) != len(expected):
        return Difference(vector.id, None, "overlap_add", "hops", (), len(expected), len(got))
    kept = _kept(vector)
    for name, rows in kept.items():
        if rows.shape != run.taps[name].shape:
            return _shapes(vector.id, TAPS[name], name, rows, run.taps[name])
    hops = [hop for hop, (a, b) in enumerate(zip(expected, got, strict=True)) if a != b]
    hops += [hop for name, rows in kept.items() for hop in _first_row(rows, run.taps[name])]
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
        return _shapes(vector.id, SCHEDULE, "played", expected, got)
    rows = _first_row(expected, got)
    if not rows:
        return None
    return element(vector.id, rows[0], SCHEDULE, "played", expected[rows[0]], got[rows[0]], _hop_ms(vector))


def _kept(vector: Vector) -> Taps:
    """The taps that every stream vector has; raises WitnessError, since what is absent is not equal."""
    absent = [name for name in KEPT_TAPS if name not in vector.arrays]
    if absent:
        raise WitnessError(f"vector {vector.id} is incomplete: it lacks {', '.join(absent)}")
    return {name: vector.arrays[name] for name in TAPS if name in KEPT_TAPS}


def _shapes(case: str, stage: str, tap: str, expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> Difference:
    return Difference(case, None, stage, tap, (), f"shape {expected.shape}", f"shape {got.shape}")


def _first_row(expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> list[int]:
    """The first row in which two arrays of one shape differ, or nothing."""
    rows = np.flatnonzero((expected != got).reshape(len(expected), -1).any(axis=1))
    return [int(rows[0])] if len(rows) else []


def _at_hop(vector: Vector, run: StreamRun, hop: int, got: list[str], reference: Reference) -> Difference:
    """The first stage of this hop that differs: its first element, or its digest if no expected one is known."""
    kept = _kept(vector)
    wrong = _elements(vector, run, hop, kept)
    digests = zip(STAGES, vector.header["digests"][hop].split(), got[hop].split(), strict=True)
    stage, expected, digest = next(row for row in digests if row[1] != row[2] or row[0] in wrong)
    known = _elements(vector, run, hop, {**(reference() or {}), **kept}).get(stage)
    if known is not None:
        return known
    later = [row for name, rows in kept.items() for row in _first_row(rows, run.taps[name])]
    seen = next(iter(_elements(vector, run, min(later), kept).values())) if later else None
    return Difference(vector.id, hop, stage, "digest", (), expected, digest, hop_ms=_hop_ms(vector), later=seen)


def _elements(vector: Vector, run: StreamRun, hop: int, taps: Taps) -> dict[str, Difference]:
    """Stage -> its first element that differs in this hop, in order of computation."""
    found: dict[str, Difference] = {}
    for name, stage in TAPS.items():
        if name in taps and stage not in found:
            first = element(vector.id, hop, stage, name, taps[name][hop], run.taps[name][hop], _hop_ms(vector))
            found |= {stage: first} if first else {}
    return found


def _hop_ms(vector: Vector) -> float:
    return 1000.0 * float(vector.header["profile"]["hop_samples"]) / SAMPLE_RATE_HZ


def element(
    case: str, step: int, stage: str, tap: str, expected: Any, got: Any, hop_ms: float | None = None
) -> Difference | None:
    """The first element in which two arrays of one tap differ, or None."""
    wanted, found = np.asarray(expected, np.int64), np.asarray(got, np.int64)
    if wanted.shape != found.shape:
        return Difference(case, step, stage, tap, (), f"shape {wanted.shape}", f"shape {found.shape}", hop_ms=hop_ms)
    places = np.argwhere(wanted != found)
    if not len(places):
        return None
    at = tuple(int(i) for i in places[0])
    return Difference(case, step, stage, tap, at, int(wanted[at]), int(found[at]), len(places), wanted.size, hop_ms)


def _counter_difference(vector: Vector, run: StreamRun) -> Difference | None:
    for stage in STAGES:
        for name, wanted, found in zip(COUNTERS, vector.header["counters"][stage], run.counters[stage], strict=True):
            if wanted != found:
                return Difference(vector.id, None, stage, name, (), wanted, found)
    for name, wanted in vector.header.get("schedule", {}).items():
        if wanted != run.schedule.get(name):
            return Difference(vector.id, None, SCHEDULE, name, (), wanted, run.schedule.get(name, "nothing"))
    return None


def network_difference(case: str, expected: Taps, got: Mapping[str, Ints]) -> Difference | None:
    """The first step and tap in which two closed loops differ, or None."""
    for tap in NETWORK_TAPS:
        if expected[tap].shape != got[tap].shape:
            return _shapes(case, "network", tap, expected[tap], got[tap])
    steps = {tap: _first_row(expected[tap], got[tap]) for tap in NETWORK_TAPS}
    first = min((rows[0] for rows in steps.values() if rows), default=None)
    if first is None:
        return None
    found = (element(case, first, "network", tap, expected[tap][first], got[tap][first]) for tap in NETWORK_TAPS)
    return next(difference for difference in found if difference is not None)


def share_differing(expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> float:
    """Share of elements that differ, [0, 1]; arrays of another shape differ everywhere."""
    return float(np.mean(expected != got)) if expected.shape == got.shape else 1.0
