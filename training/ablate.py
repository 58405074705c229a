"""Front ends side by side: each trains the same network on the same mixtures, and is scored on the same validation.

Short runs rank what helps a short training; the table says how much each heard.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from training.datasets import Recording
from training.designs import Design, ablations, design_named
from training.files import RunError, write_whole
from training.fit import Trainer, fit
from training.runs import CHECKPOINT
from training.settings import FitSettings
from training.student import count_parameters

SCORES = ("pesq_wb", "si_sdr_db", "validation_loss")


def ablate(
    recordings: list[Recording], blocks: int, hidden: int, folder: Path, only: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Train and score; finished runs in `folder` are taken as they are, a stopped one goes on.

    only      names of designs; all of `designs.ablations` by default
    returns   a row a design: name, latency_ms, parameters, hours of audio heard, SCORES of the last validation
    raises    RunError: an unknown name, a folder of other settings
    """
    chosen = [design_named(name) for name in only] if only else ablations()
    rows = []
    for design in chosen:
        rows.append(_row(design, _trained(recordings, design, blocks, hidden, folder / _slug(design.name))))
        text = json.dumps({"blocks": blocks, "hidden": hidden, "designs": rows}, indent=2) + "\n"
        write_whole(folder / "result.json", lambda temporary, text=text: temporary.write_text(text))  # type: ignore[misc]
    return rows


def _trained(recordings: list[Recording], design: Design, blocks: int, hidden: int, folder: Path) -> Trainer:
    """150 frames of 4 ms a step, whatever the hop: each design takes as many steps on as much audio."""
    settings = FitSettings(
        design=design.name, hidden=hidden, blocks=blocks, mix="plain", chunk_frames=9600 // design.hop
    )
    return fit(recordings, settings, folder, resume=(folder / CHECKPOINT).exists())


def _row(design: Design, trainer: Trainer) -> dict[str, Any]:
    last = next((row for row in reversed(trainer.progress.rows) if SCORES[0] in row), None)
    if last is None:
        raise RunError(
            f"{design.name} has not been validated yet: give as many --blocks as before, or another --folder"
        )
    return {
        "design": design.name,
        "latency_ms": design.latency_ms,
        "parameters": count_parameters(trainer.student),
        "audio_hours": round(trainer.audio_hours(), 2),
        **{name: round(last[name], 4) for name in SCORES},
    }


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")


def print_table(rows: Sequence[dict[str, Any]], console: Console | None = None) -> None:
    """The rows in the order of their PESQ."""
    table = Table(title="front ends after the same training, validation split")
    for heading in ("front end", "latency", "parameters", "hours", "PESQ-WB", "SI-SDR dB", "loss"):
        table.add_column(heading)
    for row in sorted(rows, key=lambda row: -row["pesq_wb"]):
        table.add_row(
            row["design"],
            f"{row['latency_ms']:g} ms",
            f"{row['parameters']:,}",
            f"{row['audio_hours']:g}",
            f"{row['pesq_wb']:.3f}",
            f"{row['si_sdr_db']:.2f}",
            f"{row['validation_loss']:.4f}",
        )
    (console or Console()).print(table)
