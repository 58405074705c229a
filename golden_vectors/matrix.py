"""The agreement matrix in README: engine x what was compared, as a run of verify found it, between two markers.

Only a run of every engine writes it, so that a machine which lacks some cannot blank out their rows; any machine can
check the rows of the engines that it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from golden_vectors.errors import WitnessError
from golden_vectors.vector import write
from golden_vectors.verify import Outcome

BEGIN, END = "<!-- agreement: written by verify --matrix -->", "<!-- agreement: end -->"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "words, tables": ("words", "tables"),
    "FFT, Wiener, features": ("fft", "wiener", "features"),
    "each op": ("each op",),
    "gates, layers": ("gates", "layers"),
    "whole loop": ("speech", "levels", "full_scale", "reset", "settings", "drift"),
    "timing": ("timing",),
    "network": ("network",),
    "closed loop": ("closed loop",),
}
"""Column -> groups of vectors; a group that stands nowhere is a column of its own, behind these."""
EQUAL, NOTHING = "equal", "–"

Rows: TypeAlias = dict[str, dict[str, str]]
"""Engine -> column -> cell."""


def column_of(group: str) -> str:
    """The column in which a group of vectors stands."""
    return next((column for column, groups in COLUMNS.items() if group in groups), group)


def rank(group: str) -> int:
    """Place of a group in the order of the columns: what is smallest comes first."""
    names = [name for groups in COLUMNS.values() for name in groups]
    return names.index(group) if group in names else len(names)


def columns(outcome: Outcome) -> list[str]:
    """The columns of what a run compared, in order."""
    found = dict.fromkeys(column_of(group) for engine, _, group in outcome.cells if engine in outcome.engines)
    return [*(name for name in COLUMNS if name in found), *(name for name in found if name not in COLUMNS)]


def rows(outcome: Outcome) -> Rows:
    """The cells of every engine that ran: equal, the reported distance of a scheme, or nothing to compare."""
    cells: dict[tuple[str, str], set[str]] = {}
    for (engine, scheme, group), cell in outcome.cells.items():
        distant = cells.setdefault((engine, column_of(group)), set())
        distant |= {scheme} if cell.first is not None else set()
    here = (engine for engine in outcome.engines if engine not in outcome.absent)
    return {engine: {column: _cell(cells.get((engine, column))) for column in columns(outcome)} for engine in here}


def _cell(distant: set[str] | None) -> str:
    """Without the figure: a runtime chooses its kernels by the processor, so the figure is not the same everywhere."""
    if distant is None:
        return NOTHING
    return ", ".join(f"{scheme}: distance" for scheme in sorted(distant)) or EQUAL


def table(found: Rows) -> str:
    """The rows as Markdown."""
    heads = ["engine", *next(iter(found.values()))]
    lines = [heads, ["---"] * len(heads)]
    lines += [[f"`{engine}`", *cells.values()] for engine, cells in found.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_matrix(outcome: Outcome, page: Path) -> None:
    """Put the table of a run between the markers of a page.

    raises  WitnessError when an engine is absent, something differs, or the page has not the two markers
    """
    for engine, reason in outcome.absent.items():
        raise WitnessError(f"the matrix is written by a run of every engine: {engine} is absent: {reason}")
    if outcome.failures:
        raise WitnessError("the matrix is written by a run without differences: see those above")
    before, _, after = _parts(page)
    content = f"{before}{BEGIN}\n\n{table(rows(outcome))}\n\n{END}{after}"
    write(page.parent, page.name, content.encode())


def check_matrix(outcome: Outcome, page: Path) -> None:
    """The table of a page holds what this run found; absent engines need a row and are not judged.

    raises  WitnessError with the first row, column or cell that is wrong
    """
    written, found = read_matrix(page), rows(outcome)
    for engine in (*outcome.engines, *written):
        if engine not in written or engine not in outcome.engines:
            known = "unknown" if engine in written else "missing"
            raise WitnessError(f"{page.name}: {known} row {engine}: {_remedy(page)}")
    for engine, cells in found.items():
        if list(written[engine]) != list(cells):
            raise WitnessError(f"{page.name}: columns {', '.join(written[engine])}, not as found: {_remedy(page)}")
        for column, cell in cells.items():
            if written[engine][column] != cell:
                what = f"{engine}, {column}: {written[engine][column]!r}, found {cell!r}"
                raise WitnessError(f"{page.name}: {what}: {_remedy(page)}")


def read_matrix(page: Path) -> Rows:
    """The table between the markers of a page; raises WitnessError when there is none."""
    lines = [_split(line) for line in _parts(page)[1].splitlines() if line.startswith("|")]
    if len(lines) < 3 or any(len(line) != len(lines[0]) for line in lines):
        raise WitnessError(f"{page.name}: no table between the markers: {_remedy(page)}")
    return {line[0].strip("`"): dict(zip(lines[0][1:], line[1:], strict=True)) for line in lines[2:]}


def _split(line: str) -> Sequence[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _parts(page: Path) -> tuple[str, str, str]:
    """What stands before, between and behind the markers."""
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WitnessError(f"{page}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    before, begin, rest = text.partition(BEGIN)
    between, end, after = rest.partition(END)
    if not begin or not end:
        raise WitnessError(f"{page}: needs the line {BEGIN} and behind it the line {END}")
    return before, between, after


def _remedy(page: Path) -> str:
    return f"see what changed, then run `python -m golden_vectors verify --matrix {page.name}`"
