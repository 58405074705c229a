"""Where two runs part: the first hop, stage, tap and element, with both values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import STAGES
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import TAP_DTYPES, TAPS, Hop
from golden_vectors.errors import WitnessError

Taps: TypeAlias = Mapping[str, npt.NDArray[Any]]
Reference: TypeAlias = Callable[[], Taps | None]
"""Gives the reference's taps of a case, or None when the reference itself disagrees with the vector."""

NETWORK_TAPS = ("h0", "h1", "mask")
"""Results of a network step in order of computation."""
COUNTERS = ("saturations", "overflows")
SCHEDULE = "schedule"
"""Stands for a stage where the hop schedule decides: what is played, and its counters."""


@dataclass(frozen=True, eq=False)
class Rows:
    """A tap over the whole case: (steps, ...) integers each, of one shape; the first row is that of step `start`."""

    expected: npt.NDArray[Any]
    got: npt.NDArray[Any]
    start: int = 0

    @property
    def steps(self) -> range:
        return range(self.start, self.start + len(self.expected))

    def at(self, step: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Expected and got of one step."""
        return self.expected[step - self.start], self.got[step - self.start]


@dataclass(frozen=True)
class Difference:
    """The first place where a run is not what the vector says.

    step      hop of a stream or step of the network; None: after the last one (counters)
    tap       name of the tap, the counter, or "digest" where no expected element is known
    index     element within the tap, () for a scalar
    expected  integer, or hex digits of a digest
    differing elements of the tap that differ, of `size`
    later     after a digest: the first place, this hop or a later one, where the fault shows in a kept tap
    rows      the whole tap, where an element of it differs
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
    rows: Rows | None = field(default=None, compare=False, repr=False)

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
        bits = tap_bits(self.tap)
        share = f"; {self.differing} of {self.size} elements of the tap differ" if self.size > 1 else ""
        return f"{element}: expected {shown(self.expected, bits)}, got {shown(self.got, bits)}{share}"


def tap_bits(tap: str) -> int:
    """Width of a tap on the device."""
    return 8 * np.dtype(TAP_DTYPES.get("pcm" if tap == "played" else tap, np.int32)).itemsize


def shown(value: int | str, bits: int) -> str:
    """Decimal and two's complement hex."""
    return value if isinstance(value, str) else f"{value} ({hexadecimal(value, bits)})"


def hexadecimal(value: int, bits: int) -> str:
    """Two's complement in so many bits, or in 64 where these are too few."""
    if not -(1 << (bits - 1)) <= value < 1 << bits:
        bits = 64
    return f"0x{value & ((1 << bits) - 1):0{bits // 4}x}"


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


def shapes(case: str, stage: str, tap: str, expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> Difference:
    """The difference of two arrays that have not the same shape."""
    return Difference(case, None, stage, tap, (), f"shape {expected.shape}", f"shape {got.shape}")


def first_row(expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> list[int]:
    """The first row in which two arrays of one shape differ, or nothing."""
    rows = np.flatnonzero((expected != got).reshape(len(expected), -1).any(axis=1))
    return [int(rows[0])] if len(rows) else []


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


def element_of_rows(
    case: str, step: int, stage: str, tap: str, rows: Rows, hop_ms: float | None = None
) -> Difference | None:
    """`element` in one step of a whole tap, which the difference keeps."""
    found = element(case, step, stage, tap, *rows.at(step), hop_ms)
    return found and replace(found, rows=rows)


def network_difference(case: str, expected: Taps, got: Mapping[str, Ints]) -> Difference | None:
    """The first step and tap in which two closed loops differ, or None."""
    for tap in NETWORK_TAPS:
        if expected[tap].shape != got[tap].shape:
            return shapes(case, "network", tap, expected[tap], got[tap])
    steps = {tap: first_row(expected[tap], got[tap]) for tap in NETWORK_TAPS}
    first = min((rows[0] for rows in steps.values() if rows), default=None)
    if first is None:
        return None
    rows = {tap: Rows(np.asarray(expected[tap]), np.asarray(got[tap])) for tap in NETWORK_TAPS}
    found = (element_of_rows(case, first, "network", tap, rows[tap]) for tap in NETWORK_TAPS)
    return next(difference for difference in found if difference is not None)


def share_differing(expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> float:
    """Share of elements that differ, [0, 1]; arrays of another shape differ everywhere."""
    return float(np.mean(expected != got)) if expected.shape == got.shape else 1.0
