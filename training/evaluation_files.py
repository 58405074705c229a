"""What the bench writes: the result as JSON, every mixture as CSV, float and integer side by side, the recipes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.evaluate import Facts, Mixture, facts_row
from training.files import RunError, is_utf8, write_whole
from training.mixing import save_recipes
from training.scores import HEARING, METRICS, Score, difference, system_row
from training.zoo import FLOAT_TWINS

FORMAT = "stapes-evaluation"
VERSION = 1
COLUMNS = {
    "pesq_wb": ("PESQ-WB", 2),
    "stoi": ("STOI", 3),
    "estoi": ("ESTOI", 3),
    "si_sdr_db": ("SI-SDR dB", 1),
    "dnsmos_ovrl": ("DNSMOS", 2),
    "haspi_n3_5db": ("HASPI N3", 3),
    "hasqi_n3_5db": ("HASQI N3", 3),
}
"""Metric of a system's row -> heading and digits, in every table."""
FACTS = ("system", "latency, ms", "params", "MMAC/s", "instr/hop")
"""Headings of what a system is, before its scores."""
_NUMBERS = ("params", "mmac_per_s", "instructions_per_hop")
_LARGEST = 1e12  # no score and no cost comes near
_NEEDED = {"system", "latency_ms", "ci95", *_NUMBERS}
_WIDE = 150
"""Columns of the table where no terminal says how many there are."""


@dataclass(frozen=True)
class Run:
    """Where a result comes from: the command, the corpus' digest."""

    command: str
    corpus: str


def result_of(run: Run, systems: Sequence[Facts], scores: Sequence[Score]) -> dict[str, Any]:
    """The whole result, JSON-ready; the README of its fields is `scores.system_row` and `scores.difference`.

    Beside `systems` there is `over_noisy`, the paired gain of every system, and `integer_loss`, what each fixed-point
    system loses (negative) against its float twin.
    """
    names = [facts.spec.name for facts in systems]
    twins = [(name, FLOAT_TWINS[name]) for name in names if FLOAT_TWINS.get(name) in names]
    rows = [{**facts_row(facts), **system_row([s for s in scores if s.system == facts.spec.name])} for facts in systems]
    return {
        "format": FORMAT,
        "version": VERSION,
        "command": run.command,
        "corpus": run.corpus,
        "systems": rows,
        "over_noisy": {name: difference(scores, name, "noisy") for name in names if name != "noisy"},
        "integer_loss": [
            {"system": name, "float": twin, "metrics": difference(scores, name, twin)} for name, twin in twins
        ],
    }


def write_evaluation(path: Path, result: dict[str, Any], scores: Sequence[Score], mixtures: Sequence[Mixture]) -> None:
    """`path` and, beside it, `*_files.csv`, `*_integer.csv` and `*_recipes.jsonl`; raises RunError: not writable."""
    _write(path, json.dumps(_without_nan(result), indent=2, allow_nan=False) + "\n")
    _write(beside(path, "files.csv"), _table_of(scores))
    _write(beside(path, "integer.csv"), _side_by_side(scores, result["integer_loss"]))
    save_recipes(beside(path, "recipes.jsonl"), [mixture.recipe for mixture in mixtures])


def beside(path: Path, ending: str) -> Path:
    """build/evaluation.json, files.csv -> build/evaluation_files.csv"""
    return path.with_name(f"{path.stem}_{ending}")


def read_evaluation(path: Path) -> dict[str, Any]:
    """A result file; raises RunError: absent, or of another format."""
    try:
        result = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RunError(f"no evaluation at {path}: make one with `python -m training evaluate`") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read as an evaluation: {type(error).__name__}") from None
    if not isinstance(result, dict) or (result.get("format"), result.get("version")) != (FORMAT, VERSION):
        raise RunError(f"{path} is not a {FORMAT} v{VERSION}: make one with `python -m training evaluate`")
    if not all(_is_text(result.get(name, "")) for name in ("command", "corpus")):
        raise RunError(f"{path}: its command or corpus is no text: make one with `python -m training evaluate`")
    rows, losses = result.get("systems"), result.get("integer_loss", [])
    if not isinstance(rows, list) or not rows:
        raise RunError(f"{path} lists no systems: make one with `python -m training evaluate`")
    for place, row in enumerate(rows):
        fault = _fault(row)
        if fault:
            raise RunError(f"{path}: system {place}: {fault}: make one with `python -m training evaluate`")
    if len({row["system"] for row in rows}) < len(rows):
        raise RunError(f"{path} lists a system twice: make one with `python -m training evaluate`")
    if not isinstance(losses, list) or not all(map(_is_loss, losses)):
        raise RunError(f"{path}: its integer_loss is damaged: make one with `python -m training evaluate`")
    return result


def _fault(row: Any) -> str:
    """What of that which the table, the plot and the page take from a system's row is absent or foreign, or ""."""
    if not isinstance(row, dict) or not row.keys() >= _NEEDED or not isinstance(row["ci95"], dict):
        return f"no object with {', '.join(sorted(_NEEDED))}"
    sound = {
        "system": bool(row["system"]) and _is_text(row["system"]),
        "file": row.get("file") is None or _is_text(row["file"]),
        "latency_ms": _is_number(row["latency_ms"], 0),
        **{name: row[name] is None or _is_number(row[name], 0) for name in _NUMBERS},
        **{name: row.get(name) is None or _is_number(row[name]) for name in COLUMNS},
        **{f"ci95 of {name}": _is_interval(row["ci95"].get(name)) for name in COLUMNS},
    }
    return next((f"{name} makes no sense" for name, is_sound in sound.items() if not is_sound), "")


def _is_loss(loss: Any) -> bool:
    if not isinstance(loss, dict) or not isinstance(loss.get("metrics"), dict):
        return False
    return (
        _is_text(loss.get("system"))
        and _is_text(loss.get("float"))
        and all(
            isinstance(facts, dict)
            and _is_number(facts.get("mean"))
            and _is_number(facts.get("lowest"))
            and _is_interval(facts.get("ci95"))
            for facts in loss["metrics"].values()
        )
    )


def _is_text(value: Any) -> bool:
    """Something that a terminal and a page can show."""
    return isinstance(value, str) and value.isprintable() and is_utf8(value)


def _is_number(value: Any, least: float = -_LARGEST) -> bool:
    return type(value) in (int, float) and least <= value <= _LARGEST


def _is_interval(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _without_nan(value: Any) -> Any:
    """JSON has no NaN; what is not there is null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table_of(scores: Sequence[Score]) -> str:
    """One line a mixture and system; an empty cell is a value that is not there."""
    names = [name for name in (*METRICS, *HEARING) if any(name in score.values for score in scores)]
    lines: list[list[object]] = [["system", "file", "pair", "snr_db", "noise", "talker", *names]]
    for score in scores:
        values = [_cell(score.values.get(name, math.nan)) for name in names]
        facts = [score.system, score.recipe, score.pair, f"{score.snr_db:g}", score.noise_kind, score.talker]
        lines.append([*facts, *values])
    return _csv(lines)


def _side_by_side(scores: Sequence[Score], pairs: Sequence[dict[str, Any]]) -> str:
    """One line a mixture and integer system: each metric in integers, in float, and the difference."""
    known = {(score.system, score.recipe): score for score in scores}
    names = [name for name in (*METRICS, *HEARING) if any(name in score.values for score in scores)]
    heads = [f"{name}{part}" for name in names for part in ("", "_float", "_difference")]
    lines: list[list[object]] = [["system", "float", "file", "snr_db", "noise", *heads]]
    for pair in pairs:
        for own in (score for score in scores if score.system == pair["system"]):
            other = known[pair["float"], own.recipe]
            row: list[object] = [own.system, other.system, own.recipe, f"{own.snr_db:g}", own.noise_kind]
            for name in names:
                integer, float_ = own.values.get(name, math.nan), other.values.get(name, math.nan)
                row += [_cell(integer), _cell(float_), _cell(integer - float_)]
            lines.append(row)
    return _csv(lines)


def _cell(value: float) -> str:
    return f"{value:.5f}" if math.isfinite(value) else ""


def _csv(lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


# ---------------------------------------------------------------- the table


def print_table(result: dict[str, Any], console: Console | None = None) -> None:
    """Means per system with half the width of their interval, then what integers lose."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDE)
    rows = result["systems"]
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    table = Table(title="means over all mixtures (HASPI, HASQI: +5 dB), ± half of the 95 % interval over pairs")
    for heading in (*FACTS, *(COLUMNS[name][0] for name in shown)):
        table.add_column(
            heading.replace(", ", "\n"), overflow="fold", justify="left" if heading == "system" else "right"
        )
    for row in rows:
        facts = (f"{row['latency_ms']:g}", *map(short_number, (row["params"], row["mmac_per_s"])))
        instructions = short_number(row["instructions_per_hop"])
        table.add_row(escape(row["system"]), *facts, instructions, *(cell_of(row, name) for name in shown))
    console.print(table)
    for loss in result.get("integer_loss", []):
        console.print(loss_line(loss), soft_wrap=True, highlight=False, markup=False)


def cell_of(row: dict[str, Any], name: str) -> str:
    """A mean and half of its interval's width; a dash where it was not taken."""
    value, digits = row.get(name), COLUMNS[name][1]
    if value is None:
        return "–"
    interval = row["ci95"].get(name)
    half = f" ±{(interval[1] - interval[0]) / 2:.{digits}f}" if interval else ""
    return f"{value:.{digits}f}{half}"


def short_number(value: float | None) -> str:
    """198979 -> 199k; a dash for None."""
    if value is None:
        return "–"
    for scale, unit in ((1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}"


def loss_line(loss: dict[str, Any]) -> str:
    """What integers lose, in one line: mean, interval, and the worst single mixture."""
    parts = []
    for name in ("pesq_wb", "estoi", "si_sdr_db"):
        facts = loss["metrics"].get(name)
        if facts:
            interval = (facts["ci95"] and " [{:+.4f}, {:+.4f}]".format(*facts["ci95"])) or ""
            parts.append(f"{COLUMNS[name][0]} {facts['mean']:+.4f}{interval}, at worst {facts['lowest']:+.3f}")
    return f"integers: {loss['system']} less {loss['float']}: " + "; ".join(parts)
