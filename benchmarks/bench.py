"""Speed of the frame loop against real time, and what a hop costs on the Cortex-M7: `make bench`.

One stream on one core, the blessed models, real noisy speech. The machine's speed drifts, so the two engines
run in turn and the median of the rounds counts. On the M7 instructions are counted exactly, in an emulator; cycles
are not. Writes build/bench.json: figures of the base model and the default compiler under their plain names, those of
the others under the suffixes below.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, product
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
from golden_vectors.executors.c_m7 import CM7, LOOP, HopInstructions, count_hops
from golden_vectors.m7.build import DSP, build_m7, missing_compiler

ROUNDS = 5
RECORDING = Path("tests/data/noisy.wav")
MODELS = {
    "": Path("firmware_sim/model.npz"),
    "_int8": Path("firmware_sim/model_int8.npz"),
    "_compact": Path("firmware_sim/model_compact.npz"),
}
M7_COMPILERS = {"": "zig", "_gcc": "gcc"}
M7_BUILDS = {"": DSP, "_plain_c": ()}
"""Suffix of a figure -> what it was counted on. A figure takes those of model, compiler and build, in this order."""
M7_GROUPS = {
    "front_end": ("window", "rfft", "wiener", "features"),
    "network": ("network",),
    "synthesis": ("gain", "irfft", "overlap_add"),
    "loop": (LOOP,),
}
"""Group of a hop -> its stages; the groups are the whole hop."""
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


@dataclass(frozen=True)
class Cost:
    """What a hop costs in one build, the worst of many hops each.

    rows     stage, group or whole hop -> instructions
    per_mac  instructions of the matrix-vector kernels, requantisation included, per multiply-accumulate
    """

    rows: dict[str, int]
    per_mac: float

    @classmethod
    def of(cls, count: HopInstructions, macs: int) -> Cost:
        rows = {stage: int(values.max()) for stage, values in count.stages.items()}
        groups = {group: sum(count.stages[stage] for stage in stages) for group, stages in M7_GROUPS.items()}
        rows |= {group: int(np.max(values)) for group, values in groups.items()}
        return cls({**rows, "a hop": int(count.total.max())}, float(count.kernels.max()) / macs)

    def figures(self, suffix: str) -> dict[str, float]:
        """Name -> value, for the JSON file."""
        figures: dict[str, float] = {f"{group}_instructions_per_hop": self.rows[group] for group in M7_GROUPS}
        figures |= {"worst_hop_instructions": self.rows["a hop"], "instructions_per_mac": round(self.per_mac, 4)}
        return {f"{name}{suffix}": value for name, value in figures.items()}


def macs(graph: Graph) -> int:
    """Multiply-accumulates of one step of the network."""
    return sum(op.inputs[1].values.size for op in graph.ops if op.kind == "FULLY_CONNECTED")


def instructions(graph: Graph, pcm: npt.NDArray[np.int16]) -> dict[str, Cost]:
    """Suffix of compiler and build -> what a hop costs; a compiler that is not here is left out."""
    profile = PROFILES[graph.meta["profile"]]
    piece = pcm[M7_START_SECONDS * SAMPLE_RATE_HZ :][: (profile.noise_init_hops + M7_HOPS) * profile.hop_samples]
    costs = {}
    for (compiler_suffix, compiler), (build_suffix, flags) in product(M7_COMPILERS.items(), M7_BUILDS.items()):
        if missing_compiler(compiler) is None:
            image = build_m7(graph, profile, compiler=compiler, flags=flags)
            count = count_hops(image, graph, piece, skip=profile.noise_init_hops)
            costs[compiler_suffix + build_suffix] = Cost.of(count, macs(graph))
    return costs


def instruction_table(model: str, costs: dict[str, Cost]) -> Table:
    """Stages and groups of a hop, with the dual multiply-accumulate beside plain C of the same run."""
    table = Table("stage", title=f"Cortex-M7, {model}, worst of {M7_HOPS} hops: instructions, not cycles")
    pairs = []
    for suffix, compiler in M7_COMPILERS.items():
        if suffix in costs:
            pairs.append((costs[suffix], costs[f"{suffix}_plain_c"]))
            for column in (compiler, f"{compiler} plain C", "ratio"):
                table.add_column(column, justify="right")
    for row in costs[""].rows:
        cells = [(f"{a.rows[row]:,}", f"{b.rows[row]:,}", f"{b.rows[row] / a.rows[row]:.2f}") for a, b in pairs]
        table.add_row(row, *chain(*cells), end_section=row == LOOP)
    cells = [(f"{a.per_mac:.3f}", f"{b.per_mac:.3f}", f"{b.per_mac / a.per_mac:.2f}") for a, b in pairs]
    table.add_row("per MAC", *chain(*cells))
    return table


def main() -> None:
    for engine in (CHost(), CM7()):
        reason = engine.available()
        if reason is not None:
            raise SystemExit(f"stapes: bench cannot run {engine.name}: {reason}")
    graphs, console = {suffix: Graph.load(path) for suffix, path in MODELS.items()}, Console()
    pcm, _ = soundfile.read(RECORDING, dtype="int16")
    figures = speeds(graphs[""], pcm, console)
    for model_suffix, graph in graphs.items():
        costs = instructions(graph, pcm)
        console.print(instruction_table(MODELS[model_suffix].stem, costs))
        for suffix, cost in costs.items():
            figures |= cost.figures(model_suffix + suffix)
    write_json(Path("build/bench.json"), figures)


if __name__ == "__main__":
    main()
