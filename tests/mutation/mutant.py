"""A mutant: one planted fault as data, and the text that it makes of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = "generated"
"""First folder of a file that the exporter writes: generated/<scheme>/<flavour>/<name>."""
GRAPH = "graph"
"""First folder of a constant of the numpy reference: graph/<model>/<tensor>."""


class PlantError(ValueError):
    """A mutant does not fit the file that it was made for."""


@dataclass(frozen=True)
class Mutant:
    """`before` at offset `start` of `file` becomes `after`.

    kind   c, m7, python, data or by hand
    rule   the operator that made it: shift, compare, statement, ...
    file   from the root of the repository, or below GENERATED or GRAPH
    line   from 1; of a tensor: the element
    place  what names the spot when lines move: the line's text and how many lines before it have the same
    """

    kind: str
    rule: str
    file: str
    line: int
    start: int
    before: str
    after: str
    place: str

    @property
    def id(self) -> str:
        """File and eight hex digits: the same as long as the line and the fault are."""
        content = "\0".join((self.kind, self.file, self.place, self.before, self.after))
        return f"{Path(self.file).stem}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    @property
    def what(self) -> str:
        """One line for a reader."""
        shown = (" ".join(text.split()) or "nothing" for text in (self.before, self.after))
        return "{}: {} -> {}".format(self.rule, *shown)

    def applied(self, text: str) -> str:
        """The file with the fault; raises PlantError when it is another file by now."""
        end = self.start + len(self.before)
        if text[self.start : end] != self.before:
            raise PlantError(f"{self.id}: {self.file} does not hold {self.before!r} at {self.start}")
        return text[: self.start] + self.after + text[end:]

    def found_in(self, text: str) -> Mutant | None:
        """The same fault in a text with the same line elsewhere, or None."""
        wanted, twins, column = self.place.split("\0")
        start = 0
        for line in text.splitlines(keepends=True):
            if line.strip() == wanted:
                if twins == "0":
                    return replace(self, start=start + int(column))
                twins = str(int(twins) - 1)
            start += len(line)
        return None


class Spots:
    """Makes the mutants of one file: offsets to lines and places."""

    def __init__(self, kind: str, file: str, text: str) -> None:
        self.kind, self.file, self.text = kind, file, text
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._lines = text.splitlines()

    def mutant(self, rule: str, start: int, before: str, after: str) -> Mutant:
        """A mutant at an offset of this file."""
        line = _last_not_above(self._starts, start)
        stripped = self._lines[line].strip()
        twins = sum(other.strip() == stripped for other in self._lines[:line])
        place = f"{stripped}\0{twins}\0{start - self._starts[line]}"
        return Mutant(self.kind, rule, self.file, line + 1, start, before, after, place)


def _last_not_above(starts: list[int], offset: int) -> int:
    low, high = 0, len(starts) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if starts[middle] <= offset else (low, middle)
    return low


def shuffled(mutants: Iterable[Mutant], seed: int) -> list[Mutant]:
    """In an order that depends on the seed and each mutant alone, not on what else is there."""
    return sorted(mutants, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.id}".encode()).digest())
