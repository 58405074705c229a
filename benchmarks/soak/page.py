"""The figures of a soak: one JSON file, one picture."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soak.distance import COLUMNS, Trend
from firmware_sim.audio import replacing
from golden_vectors import pictures

TITLES = {
    "snr_db": "SNR against floats (dB)",
    "max_lsb": "largest sample difference (LSB)",
    "mask_rms": "mask, RMS difference",
    "h0_rms": "GRU state h0, RMS difference",
    "h1_rms": "GRU state h1, RMS difference",
    "noise_psd_db": "noise PSD, RMS ratio (dB)",
    "vad_differs": "hops with another VAD (share)",
}
LOGARITHMIC = ("max_lsb", "noise_psd_db")


def distance_facts(minutes: dict[str, list[float]]) -> dict[str, Any]:
    """What the JSON file says about the distance: every minute, the trend of every column, how it is spread."""
    facts: dict[str, Any] = {"minutes": {name: [_short(v) for v in values] for name, values in minutes.items()}}
    for name in COLUMNS[1:]:
        values = np.array(minutes[name], np.float64)
        values = values[np.isfinite(values)]
        trend = Trend.of(minutes["hours"], minutes[name])
        facts[name] = {
            **({"min": values.min(), "median": np.median(values), "max": values.max()} if len(values) else {}),
            "trend": asdict(trend) if trend else None,
        }
    return facts


def _short(value: float) -> float | None:
    """Six digits; None where there is no value, which JSON has no number for."""
    return float(f"{value:.6g}") if isfinite(value) else None


def write_json(path: Path, scheme: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Put a scheme's facts beside those of the others; returns all of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    known[scheme] = facts
    with replacing(path) as part:
        part.write_text(json.dumps(known, indent=1, sort_keys=True, allow_nan=False) + "\n")
    return known


def draw(path: Path, schemes: dict[str, Any]) -> None:
    """Every column of every scheme over the hours, with its median, its worst and its trend.

    raises  WitnessError without matplotlib
    """
    pictures.require()
    from matplotlib.figure import Figure

    figure = Figure((7.0 * len(schemes), 2.1 * len(TITLES)), layout="constrained")
    grid = figure.subplots(len(TITLES), len(schemes), sharex=True, sharey="row", squeeze=False)
    for column, (scheme, facts) in enumerate(sorted(schemes.items())):
        for axes, (name, title) in zip(grid[:, column], TITLES.items(), strict=True):
            _panel(axes, name, facts["distance"])
            axes.set_ylabel(title, fontsize=8)
        proven = f"{facts['segments_proven']} of {facts['segments']} segments proven"
        grid[0, column].set_title(f"{scheme}: {facts['hours']:.2f} h, {facts['hops']:,} hops, {proven}", fontsize=10)
        grid[-1, column].set_xlabel("audio time (hours)")
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=100, metadata={"Software": None})


def _panel(axes: Any, name: str, distance: dict[str, Any]) -> None:
    """One column of one scheme: a point a minute; a line says its median, the worst and the trend."""
    hours = distance["minutes"]["hours"]
    values = np.array([np.nan if v is None else v for v in distance["minutes"][name]], np.float64)
    if not np.isfinite(values).any():
        return
    axes.plot(hours, values, ".", markersize=2.5, color="#5b7fa6")
    facts = distance[name]
    worst = "min" if name == "snr_db" else "max"
    for kind, style in (("median", "-"), (worst, ":")):
        if kind in facts:
            axes.axhline(
                facts[kind], linestyle=style, linewidth=0.8, color="#1c2126", label=f"{kind} {facts[kind]:.4g}"
            )
    if trend := facts["trend"]:
        ends = np.array([hours[0], hours[-1]])
        text = f"trend {trend['per_hour']:+.2g} ± {trend['standard_error']:.1g} per hour"
        axes.plot(ends, trend["start"] + trend["per_hour"] * ends, "--", linewidth=1.2, color="#c0392b", label=text)
    if name in LOGARITHMIC and np.nanmin(values) > 0:
        axes.set_yscale("log")
    axes.legend(fontsize=7, loc="upper right")
    axes.tick_params(labelsize=7)
