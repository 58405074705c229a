"""What `python -m training safety` says and writes: the table, build/safety.json, and the thresholds."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.files import write_whole
from training.safety import CaseResult

LIMITS = {"pesq_wb_out": 4.0, "haspi_out": 0.95}
"""Least values of the `clean` cases: whoever speaks in a quiet place must come through unharmed."""

_WIDTH = 160
_COLUMNS = {
    "PESQ": ("pesq_wb", 2),
    "STOI": ("stoi", 3),
    "HASPI": ("haspi", 3),
    "SI-SDR dB": ("si_sdr_db", 1),
}


def missed(result: CaseResult) -> list[str]:
    """The limits that a `clean` case does not keep, e.g. `pesq_wb_out 3.81 < 4`; none of other kinds."""
    if result.kind != "clean":
        return []
    values = {name: result.measures[name] for name in LIMITS if name in result.measures}
    return [f"{name} {value:.3g} < {LIMITS[name]:g}" for name, value in values.items() if not value >= LIMITS[name]]


def notes_of(results: Sequence[CaseResult], student: Path | None) -> list[str]:
    """What was not measured, and why."""
    notes = []
    if not any("haspi_out" in result.measures for result in results):
        notes.append("HASPI not measured: pyclarity is not installed (make peers)")
    if not any(result.kind == "music" for result in results):
        notes.append("no music: the recordings hold none (`python -m training corpus` brings some)")
    if student is None:
        notes.append("no drift against the float student: there is no student of this model (--student)")
    return notes


def write_safety(path: Path, model: str, results: Sequence[CaseResult], notes: Sequence[str]) -> None:
    """The measures of every case, values that are not finite as null; raises RunError."""
    cases = [
        {
            "name": result.name,
            "measures": {name: _finite(value) for name, value in result.measures.items()},
            "minutes": {name: [_finite(value) for value in values] for name, values in result.minutes.items()},
            "missed": missed(result),
        }
        for result in results
    ]
    page = {"model": model, "limits": LIMITS, "notes": list(notes), "cases": cases}
    text = json.dumps(page, indent=1, allow_nan=False) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _finite(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None


def print_safety(results: Sequence[CaseResult], notes: Sequence[str], console: Console | None = None) -> None:
    """The table of all cases (input -> output), the minutes of the long ones, and what was not measured."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)  # a log of 80 columns would leave out every name
    table = Table(title="do no harm: input -> output of the device")
    table.add_column("case")
    for heading in (*_COLUMNS, "level dB", "recovery s", "max |h|", "verdict"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        cells = [_pair(result.measures, name, digits) for name, digits in _COLUMNS.values()]
        table.add_row(escape(result.name), *cells, *_single(result.measures), verdict(result))
    console.print(table)
    for result in results:
        for name, values in result.minutes.items():
            console.print(f"{result.name}, by minute: {name} {'  '.join(f'{value:.3g}' for value in values)}")
    for note in notes:
        console.print(note, markup=False)


def _pair(measures: dict[str, Any], name: str, digits: int) -> str:
    if f"{name}_out" not in measures:
        return ""
    return f"{measures[f'{name}_in']:.{digits}f} -> {measures[f'{name}_out']:.{digits}f}"


def _single(measures: dict[str, Any]) -> list[str]:
    peaks = [value for name, value in measures.items() if name.startswith("peak_")]
    level = f"{measures['level_db']:+.1f}" if "level_db" in measures else ""
    recovery = f"{measures['recovery_s']:.1f}" if "recovery_s" in measures else ""
    return [level, recovery, " ".join(f"{peak:.3f}" for peak in peaks)]


def verdict(result: CaseResult) -> str:
    """`kept`, or what was missed; nothing where there is no limit."""
    if result.kind != "clean":
        return ""
    return "; ".join(missed(result)) or "kept"
