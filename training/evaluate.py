"""Scores on the fixed mixtures of the test split: noisy, Wiener stage, float student, integer device.

Every system gets the same int16 samples; its delay is taken out before scoring, and the lead-in of noise alone is
left out. Mixtures of one speech/noise pair differ in SNR alone, so that a system takes them as parallel streams.
"""

from __future__ import annotations

import json
import math
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from firmware_sim.contract import PROFILES, ContractError
from training.audio import AudioCache
from training.datasets import Recording
from training.designs import DEFAULT, DESIGNS
from training.enhance import enhance_streams
from training.files import RunError, write_whole
from training.frontend import to_int16_grid
from training.handoff import load_student
from training.metrics import Audio, pesq_wb, si_sdr_db, stoi
from training.mixing import MixRecipe, evaluation_recipes, render
from training.progress import Report
from training.workers import start_worker

Process = Callable[[NDArray[np.float32]], Audio]
"""(streams, samples) on the int16 grid in, the same shape out, aligned with the input."""

METRICS = ("pesq_wb", "stoi", "estoi", "si_sdr_db")


@dataclass(frozen=True)
class SystemChoice:
    """Which systems to score beside `noisy` and `wiener`.

    student   build/student.npz, None = without
    models    name -> integer graph (.npz) that the fixed-point loop runs
    """

    student: Path | None
    models: dict[str, Path]

    def names(self) -> list[str]:
        return ["noisy", "wiener", *(["student"] if self.student else []), *self.models]


@dataclass(frozen=True)
class Score:
    """One mixture through one system."""

    system: str
    recipe: str
    snr_db: float
    pesq_wb: float
    stoi: float
    estoi: float
    si_sdr_db: float


def make_system(name: str, choice: SystemChoice) -> Process:
    """The process behind a name of `choice.names()`; raises HandoffError, GraphError, ContractError."""
    if name == "noisy":
        return lambda noisy: noisy
    if name == "wiener":
        return lambda noisy: enhance_streams(noisy, None)
    if name == "student" and choice.student is not None:
        student, meta = load_student(choice.student)
        return lambda noisy: enhance_streams(noisy, student, DESIGNS[meta["profile"]])
    return _device(choice.models[name])


def _device(model: Path) -> Process:
    """The bits that the firmware computes."""
    from firmware_sim.frame_loop import FrameLoop, default_parameters
    from firmware_sim.graph import Graph

    graph = Graph.load(model)
    if graph.meta["profile"] not in PROFILES:
        raise ContractError(f"{model}: the graph is for profile {graph.meta['profile']!r}: export the student again")
    profile = PROFILES[graph.meta["profile"]]
    parameters = default_parameters(graph)

    def process(noisy: NDArray[np.float32]) -> Audio:
        delay = profile.stream_delay_samples
        pcm = np.pad(np.rint(noisy * 32768).astype(np.int16), ((0, 0), (0, delay)))
        loop = FrameLoop(profile, graph, parameters, streams=len(pcm))
        return loop.process(pcm)[:, delay:] / np.float32(32768)

    return process


def latency_ms(system: str) -> float:
    """Algorithmic latency; unprocessed audio has none."""
    return 0.0 if system == "noisy" else DEFAULT.latency_ms


def score(clean: Audio, processed: Audio) -> dict[str, float]:
    """All METRICS of one signal."""
    return {
        "pesq_wb": pesq_wb(clean, processed),
        "stoi": stoi(clean, processed),
        "estoi": stoi(clean, processed, extended=True),
        "si_sdr_db": si_sdr_db(clean, processed),
    }


_worker: tuple[dict[str, Process], AudioCache] | None = None


def _start_worker(choice: SystemChoice) -> None:
    global _worker
    start_worker()
    _worker = ({name: make_system(name, choice) for name in choice.names()}, AudioCache())


def _score_group(recipes: list[MixRecipe]) -> list[Score]:
    """All systems on mixtures of equal length."""
    assert _worker is not None, "the initializer runs before any work"
    systems, audio = _worker
    pairs = [render(recipe, audio) for recipe in recipes]
    noisy = to_int16_grid(np.stack([pair[1] for pair in pairs]))
    scores = []
    for name, process in systems.items():
        processed = process(noisy)
        for recipe, (clean, _), output in zip(recipes, pairs, processed, strict=True):
            metrics = score(clean[recipe.lead_in :], output[recipe.lead_in :])
            scores.append(Score(name, recipe.name, recipe.snr_db, **metrics))
    return scores


def evaluate(
    recordings: list[Recording], choice: SystemChoice, pairs: int = 8, jobs: int = 2, report: Report | None = None
) -> list[Score]:
    """Score every system on `pairs` speech/noise pairs of the test split at every SNR.

    raises   CorpusError, HandoffError, GraphError, ContractError: what cannot be read; RunError: no pairs
    """
    if pairs <= 0 or jobs <= 0:
        raise RunError("nothing to evaluate: --pairs and --jobs must be above 0")
    for name in choice.names():
        make_system(name, choice)  # fails here with its own message, not inside the pool
    recipes = evaluation_recipes(recordings, pairs)
    groups = [list(group) for _, group in groupby(recipes, key=lambda recipe: (recipe.speech, recipe.noise))]
    scores: list[Score] = []
    for done, found in enumerate(_scored(groups, choice, jobs), start=1):
        scores.extend(found)
        if report:
            report.row({"pairs": done, "of": len(groups)}, done / len(groups))
    return scores


def _scored(groups: list[list[MixRecipe]], choice: SystemChoice, jobs: int) -> Iterator[list[Score]]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _start_worker, (choice,)) as pool:
        yield from pool.map(_score_group, groups)


def summarise(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """One row a system in order of appearance: means over all mixtures, and over each SNR."""
    rows: list[dict[str, Any]] = []
    for system in dict.fromkeys(item.system for item in scores):
        own = [item for item in scores if item.system == system]
        snrs = sorted({item.snr_db for item in own})
        by_snr = {f"{snr:g}": _means([item for item in own if item.snr_db == snr]) for snr in snrs}
        row = {"system": system, "latency_ms": latency_ms(system), **_means(own), "files": len(own), "by_snr": by_snr}
        rows.append(row)
    return rows


def _means(scores: Sequence[Score]) -> dict[str, float]:
    """Means of METRICS; mixtures without a value (PESQ found no utterance) are left out; NaN if all are."""
    means: dict[str, float] = {}
    for metric in METRICS:
        values = np.array([getattr(item, metric) for item in scores])
        finite = values[np.isfinite(values)]
        means[metric] = round(float(finite.mean()), 4) if len(finite) else math.nan
    return means


def write_evaluation(path: Path, scores: Sequence[Score]) -> None:
    """build/evaluation.json: {"systems": summarise(scores)}; raises RunError."""
    text = json.dumps({"systems": summarise(scores)}, indent=2) + "\n"
    write_whole(path, lambda temporary: temporary.write_bytes(text.encode()))


def print_table(scores: Sequence[Score], console: Console | None = None) -> None:
    """Means per system, and the gain over the Wiener stage."""
    table = Table(title="means over all mixtures; in brackets the gain over the Wiener stage")
    for heading in ("system", "latency", "PESQ-WB", "STOI", "ESTOI", "SI-SDR dB"):
        table.add_column(heading, no_wrap=True)
    rows = {str(row["system"]): row for row in summarise(scores)}
    for name, row in rows.items():
        cells = [f"{row[metric]:.{digits}f}" for metric, digits in zip(METRICS, (3, 3, 3, 2), strict=True)]
        for place, metric in ((0, "pesq_wb"), (3, "si_sdr_db")):
            cells[place] += f" ({row[metric] - rows['wiener'][metric]:+.3f})"
        table.add_row(name, f"{row['latency_ms']:g} ms", *cells)
    (console or Console()).print(table)
