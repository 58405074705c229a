"""The folder of a run: checkpoints, the log and its plot; every file is written whole or not at all.

checkpoint.pt   everything a resumed run needs, as of the last finished block
best.pt         the same, as of the best validation
log.csv         one row a block; validation columns where there was one
loss.png        the log as a picture
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from firmware_sim.reading import one_line
from training.files import RunError, write_whole

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
LOG = "log.csv"
PLOT = "loss.png"
PARTS = ("optimizer", "progress", "settings", "student")
"""What a checkpoint holds, each a dictionary."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """content: tensors and plain Python values only, so that loading needs no pickle of classes"""
    buffer = io.BytesIO()  # of its own: torch tells a full disk as a RuntimeError without a reason
    torch.save(content, buffer)
    write_whole(path, lambda temporary: temporary.write_bytes(buffer.getvalue()))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """raises RunError: absent, damaged or not a checkpoint of this room"""
    if not path.is_file():
        raise RunError(f"no checkpoint at {path}: train first, or name another")
    try:
        content = torch.load(path, weights_only=True)
    except Exception as error:  # torch names no common class for what a damaged file raises
        raise RunError(f"{path} is damaged ({type(error).__name__}): start anew in another folder") from None
    parts = content if isinstance(content, dict) else {}
    missing = [name for name in PARTS if not isinstance(parts.get(name), dict)]
    if missing:
        raise RunError(f"{path} is not a checkpoint of `python -m training fit`: no {', '.join(missing)}")
    return dict(parts)


@contextmanager
def taking(path: Path) -> Iterator[None]:
    """What a checkpoint holds is put to use: raises RunError when it does not fit this program."""
    try:
        yield
    except RunError as error:
        raise RunError(f"{path} is of another version: {one_line(error)}") from None
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(f"{path} is of another version or damaged: {one_line(error)}") from None


def write_log(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Rows as CSV; a column that a row lacks stays empty."""
    names = list(dict.fromkeys(key for row in rows for key in row))

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, names, restval="")
            writer.writeheader()
            writer.writerows(rows)

    write_whole(path, write)


def write_plot(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Loss of training and validation above, validation SI-SDR and PESQ below, over hours of audio heard."""
    from matplotlib.figure import Figure

    def column(name: str) -> tuple[list[float], list[float]]:
        points = [(row["audio_hours"], row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]
        return [hours for hours, _ in points], [value for _, value in points]

    figure = Figure(figsize=(8, 7), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(*column("loss"), color="0.7", linewidth=0.8, label="training")
    upper.plot(*column("validation_loss"), color="C0", marker=".", label="validation")
    upper.set_ylabel("loss")
    upper.legend()
    lower.plot(*column("si_sdr_db"), color="C1", marker=".")
    lower.set_ylabel("validation SI-SDR (dB)", color="C1")
    lower.set_xlabel("audio heard (hours)")
    right = lower.twinx()
    right.plot(*column("pesq_wb"), color="C2", marker=".")
    right.set_ylabel("validation PESQ-WB", color="C2")
    write_whole(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110))
