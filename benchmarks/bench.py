"""Speed of the frame loop against real time and against each other: `make bench`.

One stream on one core, the blessed model, real noisy speech. The machine's speed drifts, so the two engines
run in turn and the median of the rounds counts. Writes build/bench.json.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from rich.console import Console
from rich.table import Table

from firmware_sim.contract import PROFILES, SAMPLE_RATE_HZ
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.graph import Graph
from golden_vectors.executors.c_host import CHost, HostDevice

ROUNDS = 5
RECORDING = Path("tests/data/noisy.wav")
MODEL = Path("firmware_sim/model.npz")


def x_realtime(run: Callable[[], object], samples: int) -> float:
    """Seconds of audio per second of processor time, so that other work on the machine does not count."""
    start = time.process_time()
    run()
    return samples / SAMPLE_RATE_HZ / (time.process_time() - start)


def engines(graph: Graph, pcm: npt.NDArray[np.int16]) -> dict[str, tuple[Callable[[], object], int]]:
    """Name -> (one run, samples that it processes)."""
    profile = PROFILES[graph.meta["profile"]]
    piece = pcm[None, : 4 * SAMPLE_RATE_HZ]
    host = HostDevice(graph, profile)
    many = np.tile(pcm, 10)
    return {
        "python": (lambda: FrameLoop(profile, graph).process(piece), piece.shape[1]),
        "c_host": (lambda: host.process(many), len(many)),
    }


def write_json(path: Path, values: dict[str, float]) -> None:
    """Merge figures into a JSON file, by way of a temporary name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(known | values, indent=2, sort_keys=True) + "\n")
    os.replace(temporary, path)


def main() -> None:
    reason = CHost().available()
    if reason is not None:
        raise SystemExit(f"stapes: bench needs a C compiler: {reason}")
    graph = Graph.load(MODEL)
    pcm, _ = soundfile.read(RECORDING, dtype="int16")
    runs = engines(graph, pcm)
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, (run, samples) in runs.items():
            speeds[name].append(x_realtime(run, samples))
    table = Table("engine", "x real time (median)", "min", "max", title="one stream, one core")
    for name, values in speeds.items():
        table.add_row(name, *(f"{v:.1f}" for v in (statistics.median(values), min(values), max(values))))
    console = Console()
    console.print(table)
    figures = {f"{name}_x_realtime": round(statistics.median(values), 2) for name, values in speeds.items()}
    console.print(f"C host / Python: {figures['c_host_x_realtime'] / figures['python_x_realtime']:.0f}")
    write_json(Path("build/bench.json"), figures)


if __name__ == "__main__":
    main()
