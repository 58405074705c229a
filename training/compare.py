"""The leaderboard: quality against latency, parameters, MACs and instructions; a plot, and a page to listen on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from training.compare_page import PAGE, chosen, saved_recipes, write_page
from training.evaluation_files import COLUMNS, beside, print_table, read_evaluation
from training.files import RunError, refuse_inputs, write_whole

PLOT = "leaderboard.png"
AXES = {"latency_ms": "latency, ms", "mmac_per_s": "million MAC a second", "params": "parameters"}
"""Costs of the plot's panels; a system that has learned nothing stands at zero."""
QUALITY = ("pesq_wb", "estoi", "haspi_n3_5db")
_LOGARITHMIC = ("mmac_per_s", "params")


def compare(evaluation: Path, folder: Path, mixtures: int, console: Console | None = None) -> Path:
    """Print the leaderboard of a result file, and write the plot, the page and its audio.

    mixtures  how many are rendered and played
    returns   the page
    raises    RunError: the result or its recipes cannot be read, a system of it is gone, an output is an input, or
              nothing can be written
    """
    for name in (PLOT, PAGE):
        refuse_inputs(folder / name, evaluation, beside(evaluation, "recipes.jsonl"))
    result = read_evaluation(evaluation)
    recipes = chosen(saved_recipes(evaluation), mixtures)
    result["systems"] = ranked(result["systems"])
    print_table(result, console)
    plot(result["systems"], folder / PLOT)
    return write_page(result, recipes, folder, PLOT)


def ranked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Best PESQ-WB first; systems without one last."""
    return sorted(rows, key=lambda row: -(row.get("pesq_wb") or 0.0))


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """One panel for each quality and cost, a labelled point a system with its 95 % interval; raises RunError."""
    from matplotlib.figure import Figure

    shown = [name for name in QUALITY if any(row.get(name) is not None for row in rows)]
    if not shown:
        raise RunError(f"nothing to plot: the evaluation has none of {', '.join(QUALITY)}")
    figure = Figure(figsize=(6.2 * len(AXES), 4.6 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), len(AXES), squeeze=False)
    for line, quality in zip(panels, shown, strict=True):
        for panel, cost in zip(line, AXES, strict=True):
            _panel(panel, rows, cost, quality)
    write_whole(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110))


def _panel(panel: Any, rows: list[dict[str, Any]], cost: str, quality: str) -> None:
    costs = [row.get(cost) or 0 for row in rows]
    if cost in _LOGARITHMIC:
        least = min((value for value in costs if value), default=1)
        panel.set_xscale("symlog", linthresh=least, linscale=0.3)
    for row, value in zip(rows, costs, strict=True):
        mean = row.get(quality)
        unknown = row.get(cost) is None and row.get("params") is not None
        if mean is None or unknown:
            continue
        interval = row.get("ci95", {}).get(quality)
        # Rounding may leave a mean a last digit outside of its interval; bars have no negative length.
        error = [[max(mean - interval[0], 0.0)], [max(interval[1] - mean, 0.0)]] if interval else None
        ours = row.get("instructions_per_hop") is not None
        panel.errorbar([value], [mean], error, fmt="o" if ours else "s", capsize=2, alpha=0.8)
        name = {"textcoords": "offset points", "fontsize": 7, "parse_math": False}
        panel.annotate(row["system"], (value, mean), (4, 3), **name)
    panel.set_xlabel(AXES[cost])
    panel.set_ylabel(COLUMNS[quality][0])
    panel.margins(x=0.16)  # room for the names
    panel.grid(alpha=0.3)
