"""Why a cell of the matrix is not equal: place, op, neighbours, source, in one object and as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from firmware_sim.contract import Profile
from golden_vectors.compare import Difference, hexadecimal, shown, tap_bits
from golden_vectors.executors.base import Executor
from golden_vectors.first_op import BEHIND, FirstOp, first_op, stream_codes
from golden_vectors.kinds.base import ANY_SCHEME
from golden_vectors.kinds.unit import unit_of
from golden_vectors.matrix import rank
from golden_vectors.source import Source, of_op, of_tap
from golden_vectors.units import UNITS
from golden_vectors.vector import Vector
from golden_vectors.verify import Bench, Outcome

Key: TypeAlias = tuple[str, str, str]
"""Engine, scheme, group."""

REACH = 2
"""Neighbours on each side of an element."""
MOST_INPUTS = 4
"""Elements of an input of a unit that are shown."""
SHOWN_LINES = 8
"""Lines of a function on the terminal; the page has more."""
MOST_EXPLAINED = 3
"""First differences of an engine that the terminal explains: one fault turns many groups red."""


@dataclass(frozen=True)
class Neighbour:
    """An element near the first one that differs; hop and index say where."""

    step: int
    index: tuple[int, ...]
    expected: int
    got: int
    bits: int
    first: bool

    @property
    def cells(self) -> tuple[str, ...]:
        """Place, both values, both in hex, the bits that differ, the distance in LSB."""
        place = f"{self.step} {list(self.index) if self.index else ''}".rstrip()
        values = str(self.expected), str(self.got)
        pair = hexadecimal(self.expected, self.bits), hexadecimal(self.got, self.bits)
        if self.expected == self.got:
            return place, *values, *pair, "", ""
        changed = hexadecimal(self.expected ^ self.got, self.bits)
        return place, *values, *pair, changed, f"{self.got - self.expected:+d}"


HEADS = ("[element]", "expected", "got", "expected", "got", "bits that differ", "LSB")
"""Of a table of neighbours, behind the word for a step."""


@dataclass(frozen=True)
class Explanation:
    """What is known of a first difference.

    first       as verify found it
    op          the first op of the network whose result differs, if that is where it arises
    note        why it goes no deeper than `first`, or ""
    bits        width of the tap or tensor that `place` lies in
    unit        what a row of a tap is: "hop", "step" of a network, "row" of a unit
    """

    first: Difference
    op: FirstOp | None
    note: str
    bits: int
    sources: Sequence[Source]
    unit: str = "hop"

    @property
    def place(self) -> Difference:
        """The deepest difference that is known."""
        return self.op.difference if self.op is not None else self.first.later or self.first

    @property
    def what(self) -> str:
        """The op in one line."""
        if self.op is None:
            return ""
        found = self.op.difference
        tensor = f"tensor {found.tap}{list(found.index)} int{self.bits}"
        numbers = f"expected {shown(found.expected, self.bits)}, got {shown(found.got, self.bits)}"
        share = f"{found.differing} of {found.size} elements differ"
        return f"op {self.op.index} {self.op.op.kind}, {self.unit} {found.step}, {tensor}: {numbers}; {share}"

    @property
    def later(self) -> str:
        """How many of the rows behind the first one differ as well."""
        first = self.first.later or self.first
        if first.rows is None or first.step is None:
            return ""
        behind = [step for step in first.rows.steps if step > first.step]
        wrong = sum(bool(np.any(a != b)) for a, b in map(first.rows.at, behind))
        return f"{first.tap} differs in {wrong} of the {len(behind)} {self.unit}s behind it as well"

    @property
    def neighbours(self) -> list[Neighbour]:
        """The elements beside the first one, and itself one row before and behind."""
        place = self.place
        if place.rows is None or place.step is None or place.rows.expected.ndim != 1 + len(place.index):
            return []
        steps = [step for step in (place.step - 1, place.step, place.step + 1) if step in place.rows.steps]
        return [self._neighbour(step, index) for step in steps for index in self._indices(step)]

    def _indices(self, step: int) -> Iterator[tuple[int, ...]]:
        """Along the axis of the bins or samples in the row itself, the element alone in the others."""
        place = self.place
        assert place.rows is not None
        if step != place.step or not place.index:
            yield place.index
            return
        middle, rest = place.index[0], place.index[1:]
        for i in range(max(middle - REACH, 0), min(middle + REACH + 1, place.rows.expected.shape[1])):
            yield (i, *rest)

    def _neighbour(self, step: int, index: tuple[int, ...]) -> Neighbour:
        place = self.place
        assert place.rows is not None
        expected, got = (int(row[index]) for row in place.rows.at(step))
        return Neighbour(step, index, expected, got, self.bits, (step, index) == (place.step, place.index))


def explain(bench: Bench, engine: Executor, scheme: str, first: Difference) -> Explanation:
    """Bisect the first difference of an engine as deep as the engine shows itself."""
    found, known = _op_of(bench, engine, scheme, first), first.later or first
    unit = "hop" if known.hop_ms is not None else "row" if scheme == ANY_SCHEME else "step"
    if isinstance(found, FirstOp):
        paired = bool(getattr(engine, "paired", engine.name.startswith("c_m7")))
        return Explanation(first, found, "", found.bits, of_op(found.op, paired), unit)
    sources = of_tap(first.stage, first.tap, scheme, _profile(bench, first), first.index)
    bits = _bits(bench, scheme, known)
    return Explanation(first, None, found, bits, sources, unit)


def _op_of(bench: Bench, engine: Executor, scheme: str, first: Difference) -> FirstOp | str:
    """The op of a difference in the network; else what the reader should know, or ""."""
    if first.tap == "digest":
        return "the reference on this machine has not the digests of the vector either: no expected element is known"
    if first.tap == "noise":
        return "a hop uses the noise PSD that the hop before left: it was computed there"
    vector = next((vector for vector in bench.vectors if vector.id == first.case), None)
    if vector is not None and vector.kind == "unit" and first.step is not None:
        return _inputs(vector, first.step)
    model = vector.model if vector is not None else scheme
    if first.stage != "network" or first.step is None or isinstance(first.expected, str):
        return ""
    if vector is not None and vector.kind in ("stream", "drift"):
        taps = vector.arrays if "x_q11" in vector.arrays else bench.reference_taps(vector)
        assert taps is not None, "without the reference's taps the first difference is a digest"
        codes, hops = stream_codes(vector, first.step, taps)
    else:
        if vector is None or vector.kind == "closed_loop":
            codes = bench.features[model]
        else:
            codes = vector.arrays["input_x"].astype(np.int64)
        codes = codes[: first.step + 1 + BEHIND]
        hops = np.arange(len(codes))
    if not len(codes):
        return "the network does not run in this hop"
    return first_op(engine, bench.graphs[model], first, codes, hops)


def _profile(bench: Bench, first: Difference) -> Profile | None:
    """The profile that the case runs; None where it is of no profile."""
    headers = (vector.header for vector in bench.vectors if vector.id == first.case)
    facts: dict[str, Any] | None = next(headers, {}).get("profile")
    return Profile(**facts) if isinstance(facts, dict) else None


def _inputs(vector: Vector, row: int) -> str:
    """What a row of a unit is given, as far as it fits a line."""
    given = []
    for column in unit_of(vector.header).inputs:
        values = vector.arrays[f"in_{column.name}"][row].reshape(-1).tolist()
        text = [shown(value, 8 * column.dtype.itemsize) for value in values[:MOST_INPUTS]]
        given.append(f"{column.name} = {', '.join(text)}{' ...' if len(values) > MOST_INPUTS else ''}")
    return f"row {row} is given {'; '.join(given)}"


def _bits(bench: Bench, scheme: str, known: Difference) -> int:
    """Width of a tap: on the device, as the code of a network that runs alone, or as a column of a unit."""
    if scheme == ANY_SCHEME and known.stage in UNITS:
        columns = {column.name: column for column in UNITS[known.stage].outputs}
        return 8 * columns[known.tap].dtype.itemsize if known.tap in columns else 32
    tensor = bench.graphs[scheme].tensors.get(known.tap) if scheme in bench.graphs and known.hop_ms is None else None
    return tap_bits(known.tap) if tensor is None else 8 * np.dtype(tensor.dtype).itemsize


# ---------------------------------------------------------------- text


def lines(found: Explanation, seen: set[Source], language: str = "Python") -> list[str]:
    """The explanation for a terminal, indented; the text of a function once, for `seen` remembers it.

    language  of the functions whose text is shown: the engine's own
    """
    facts = [("op", found.what), ("note", found.note), ("then", found.later)]
    text = [f"  {name:5} {fact}" for name, fact in facts if fact]
    text += _table(found)
    for source in found.sources:
        text.append(f"  {source.language:7} {source}")
        if source.language == language and source not in seen:
            text += [f"          {line}" for line in source.lines[:SHOWN_LINES]]
        seen.add(source)
    return text


def _table(found: Explanation) -> list[str]:
    """Neighbours in columns; an arrow points at the first element."""
    rows = found.neighbours
    if not rows:
        return []
    heads = (f"{found.unit} {HEADS[0]}", *HEADS[1:])
    widths = [max(map(len, column)) for column in zip(heads, *(row.cells for row in rows), strict=True)]

    def line(mark: str, cells: Sequence[str]) -> str:
        return f"{mark} " + "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    return [line(" ", heads), *(line(">" if row.first else " ", row.cells) for row in rows)]


def explanations(
    bench: Bench, engines: Sequence[Executor], outcome: Outcome, most: int | None = None
) -> dict[Key, Explanation]:
    """Every failure of an outcome that is a difference, smallest cases first; an engine that raised has said why.

    most  of each engine; None: all
    """
    named, found = {engine.name: engine for engine in engines}, dict[Key, Explanation]()
    counts: Counter[str] = Counter()
    for key, cell in sorted(outcome.failures.items(), key=lambda item: rank(item[0][2])):
        name, scheme, _ = key
        if isinstance(cell.first, Difference) and (most is None or counts[name] < most):
            found[key] = explain(bench, named[name], scheme, cell.first)
            counts[name] += 1
    return found
