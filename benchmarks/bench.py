"""Speed of the frame loop against real time, and what a hop costs on the Cortex-M7: `make bench`.

One stream on one core, the blessed model, real noisy speech. The machine's speed drifts, so the two engines
run in turn and the median of the rounds counts. On the M7 instructions are counted exactly, in an emulator; cycles
are not. Writes build/bench.json.
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
from golden_vectors.executors.c_m7 import CM7, HopInstructions, count_hops
from golden_vectors.executors.cc_m7 import DSP, build_m7

ROUNDS = 5
RECORDING = Path("tests/data/noisy.wav")
MODEL = Path("firmware_sim/model.npz")
M7_BUILDS = {"": DSP, "_plain_c": ()}
"""Suffix of a figure -> flags of the build that it was counted on."""
M7_START_SECONDS, M7_HOPS = 4, 250
"""Where the counted second of speech begins; the hops of the noise initialisation run before it and do not count."""


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


def speeds(graph: Graph, pcm: npt.NDArray[np.int16], console: Console) -> dict[str, float]:
    """Times real time of the engines, median of the rounds."""
    runs = engines(graph, pcm)
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, (run, samples) in runs.items():
            found[name].append(x_realtime(run, samples))
    table = Table("engine", "x real time (median)", "min", "max", title="one stream, one core")
    for name, values in found.items():
        table.add_row(name, *(f"{v:.1f}" for v in (statistics.median(values), min(values), max(values))))
    console.print(table)
    figures = {f"{name}_x_realtime": round(statistics.median(values), 2) for name, values in found.items()}
    console.print(f"C host / Python: {figures['c_host_x_realtime'] / figures['python_x_realtime']:.0f}")
    return figures


# ---------------------------------------------------------------- Cortex-M7


def instructions(graph: Graph, pcm: npt.NDArray[np.int16], console: Console) -> dict[str, float]:
    """Exact instructions a hop of both builds for the M7, worst hop of a piece of speech, and per MAC."""
    profile = PROFILES[graph.meta["profile"]]
    hops = profile.noise_init_hops + M7_HOPS
    piece = pcm[M7_START_SECONDS * SAMPLE_RATE_HZ :][: hops * profile.hop_samples]
    counts = {}
    for suffix, flags in M7_BUILDS.items():
        image = build_m7(graph, profile, flags=flags)
        counts[suffix] = count_hops(image, graph, piece, skip=profile.noise_init_hops)
    table = Table("stage", "instructions", "plain C", title=f"Cortex-M7, worst of {M7_HOPS} hops (not cycles)")
    for stage in counts[""].stages:
        table.add_row(stage, *(f"{count.stages[stage].max():,}" for count in counts.values()))
    table.add_row("a hop", *(f"{count.total.max():,}" for count in counts.values()))
    table.add_row("per MAC", *(f"{per_mac(count, graph):.3f}" for count in counts.values()))
    console.print(table)
    return {f"{name}{suffix}": v for suffix, count in counts.items() for name, v in m7_figures(count, graph).items()}


def per_mac(count: HopInstructions, graph: Graph) -> float:
    """Instructions of the matrix-vector kernels, requantisation included, per multiply-accumulate; worst hop."""
    weights = [op.inputs[1] for op in graph.ops if op.kind == "FULLY_CONNECTED"]
    return float(count.kernels.max()) / sum(w.values.size for w in weights)


def m7_figures(count: HopInstructions, graph: Graph) -> dict[str, float]:
    """Figures of one build, worst hop each; the front end is everything but the network."""
    network = count.stages["network"]
    return {
        "instructions_per_mac": round(per_mac(count, graph), 4),
        "network_instructions_per_hop": int(network.max()),
        "front_end_instructions_per_hop": int((count.total - network).max()),
        "worst_hop_instructions": int(count.total.max()),
    }


def main() -> None:
    for engine in (CHost(), CM7()):
        reason = engine.available()
        if reason is not None:
            raise SystemExit(f"stapes: bench cannot run {engine.name}: {reason}")
    graph, console = Graph.load(MODEL), Console()
    pcm, _ = soundfile.read(RECORDING, dtype="int16")
    write_json(Path("build/bench.json"), {**speeds(graph, pcm, console), **instructions(graph, pcm, console)})


if __name__ == "__main__":
    main()
