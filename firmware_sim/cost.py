"""What a hop costs: weighted operations per stage, an estimate of Cortex-M7 instructions, memory.

Operations are counted by the words themselves (`meter`). Instructions are a FIRST ESTIMATE from these
counts and never a measurement: the table `INSTRUCTIONS` says what one element of a word takes when plain C
loads, computes and stores it. Emulators count instructions, only silicon counts cycles.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from firmware_sim.contract import SAMPLE_RATE_HZ, STAGES, Profile
from firmware_sim.frame_loop import TAP_DTYPES, TAPS
from firmware_sim.graph import Graph, Tensor
from firmware_sim.meter import WEIGHTS, metered
from firmware_sim.ops import Logistic

INSTRUCTIONS = {
    "add": 3.0,
    "shift": 3.0,
    "round": 3.0,
    "saturate": 2.0,
    "norm": 4.0,
    "mac": 4.0,
    "mac32": 5.0,
    "mac64": 12.0,
    "sqrt": 25.0,
}
"""Instructions per element of a word outside the network: operands loaded and result stored, loop included.

A square root is a table with interpolation and one correction; `norm` is CLZ and a choice of the word it counts.
"""
NETWORK_MAC_INSTRUCTIONS = 1.2
"""int8 weight x int16 activation in the kernel for paired rows (firmware/nn_paired.c): two columns of four rows take
7.5 instructions with their loads, 0.94 a product; the rest is loop and requantisation, and what an elementwise product
takes more. An estimate before compilation; `make bench` counts exactly."""

Result = TypeVar("Result")


@dataclass
class Recorder:
    """Operation counts of every hop, per stage and stream.

    streams  that run side by side; every count is divided by it
    """

    streams: int = 1
    hops: list[dict[str, Tally[str]]] = field(default_factory=list)

    def run(self, hop: Callable[[], Result]) -> Result:
        """Run one hop with the meter open."""
        with metered() as counts:
            result = hop()
        self.hops.append(counts.stages)
        return result

    def cost(self) -> Cost:
        """Summary of the recorded hops, at least one."""
        rows = {name: [hop.get(name, Tally()) for hop in self.hops] for name in STAGES}
        weighted = {name: np.array([_total(tally, WEIGHTS) for tally in row]) for name, row in rows.items()}
        stages = [
            StageCost(
                name,
                float(weighted[name].mean()) / self.streams,
                int(weighted[name].max()) // self.streams,
                round(max(estimated_instructions(name, tally) for tally in rows[name]) / self.streams),
            )
            for name in STAGES
        ]
        totals = np.sum(list(weighted.values()), axis=0) / self.streams
        return Cost(tuple(stages), float(totals.mean()), int(totals.max()))


@dataclass(frozen=True)
class StageCost:
    """One stage of a hop: weighted operations, and estimated instructions of its worst hop."""

    name: str
    mean_operations: float
    worst_operations: int
    instructions: int


@dataclass(frozen=True)
class Cost:
    """All stages; mean and worst hop in weighted operations."""

    stages: tuple[StageCost, ...]
    mean_operations: float
    worst_operations: int

    @property
    def worst_of_each_stage(self) -> int:
        """Weighted operations of a hop in which every stage meets its own worst case: the number to plan with."""
        return sum(stage.worst_operations for stage in self.stages)

    @property
    def instructions(self) -> int:
        """Estimated instructions of a hop in which every stage meets its own worst case."""
        return sum(stage.instructions for stage in self.stages)

    def rows(self, profile: Profile) -> list[str]:
        """The table as lines of text."""
        lines = [f"{'stage':<12} {'mean':>9} {'worst':>9} {'M7 instructions (estimate)':>28}"]
        for stage in self.stages:
            lines.append(
                f"{stage.name:<12} {stage.mean_operations:>9,.0f} {stage.worst_operations:>9,}"
                f" {stage.instructions:>28,}"
            )
        lines.append(f"{'a hop':<12} {self.mean_operations:>9,.0f} {self.worst_operations:>9,}")
        lines.append(f"{'worst sum':<12} {'':>9} {self.worst_of_each_stage:>9,} {self.instructions:>28,}")
        rate = self.instructions * SAMPLE_RATE_HZ / profile.hop_samples / 1e6
        lines.append(f"weighted operations a hop; about {rate:.0f} million instructions a second, estimated")
        return lines


def estimated_instructions(stage: str, tally: Tally[str]) -> float:
    """First estimate of Cortex-M7 instructions of a stage's operations."""
    costs = {**INSTRUCTIONS, "mac": NETWORK_MAC_INSTRUCTIONS} if stage == "network" else INSTRUCTIONS
    return _total(tally, costs)


def _total(tally: Tally[str], weights: dict[str, float] | dict[str, int]) -> float:
    return sum(weights[word] * count for word, count in tally.items())


# ---------------------------------------------------------------- memory


@dataclass(frozen=True)
class Memory:
    """Bytes on the device by purpose; code is not counted."""

    ram: dict[str, int]
    flash: dict[str, int]

    def rows(self) -> list[str]:
        """The table as lines of text."""
        return [
            f"{kind} {sum(parts.values()):,} bytes: " + ", ".join(f"{name} {n:,}" for name, n in parts.items())
            for kind, parts in (("RAM", self.ram), ("flash (tables and weights)", self.flash))
        ]


def memory(profile: Profile, graph: Graph | None) -> Memory:
    """Memory map of one stream: the C state's arrays and the constant tables, padding apart.

    The header that `export` generates lists every array by name; tests hold these sums against it.
    """
    n, hop, m, bins = profile.analysis_samples, profile.hop_samples, profile.synthesis_samples, profile.bins
    ram = {
        "taps": sum(_width(name) * count for name, count in tap_sizes(profile).items()),
        "history and overlap": 2 * n + 4 * hop,
        "noise estimate": -(-(bins * (8 + 8 + 4 + 4) + 4) // 8) * 8,  # its struct ends at a multiple of 8
        "parameters and counters": 8 + 8 * len(STAGES),
    }
    half = n // 2
    flash = {
        "windows": 4 * (n + m),
        "FFT tables": 4 * 2 * (3 * half // 4) + 4 * 3 * half + 2 * 2 * _exchanges(half),
        "bands": (1 + 4) * profile.band_count,
        "look-up tables": 2 * 256 + 4 * 257 + 2 * 257 + 2 * 257 + 2 * 256,
    }
    if graph is not None:
        ram["network"] = _network_ram(graph)
        flash["network"] = _network_flash(graph)
    return Memory(ram, flash)


def _network_ram(graph: Graph) -> int:
    """Every computed tensor has an array of its own; the parts of a SPLIT are views."""
    views = {name for op in graph.ops if op.kind == "SPLIT" for name in op.results}
    return sum(_bytes(t) for t in graph.tensors.values() if t.data is None and t.name not in views)


def _network_flash(graph: Graph) -> int:
    """Weights, biases (32 bits each) and, for int8, the different tables of 256 outputs of LOGISTIC and TANH."""
    constants = [t for t in graph.tensors.values() if t.data is not None]
    weights = sum(_bytes(t) if t.dtype == "int8" else 4 * t.shape[0] for t in constants)
    tables = {op.table.tobytes() for op in graph.ops if isinstance(op, Logistic)}
    return weights + (256 * len(tables) if graph.scheme == "int8" else 0)


def _exchanges(length: int) -> int:
    """Pairs that a bit reversal of 2^n places exchanges: all places but the palindromes, two by two."""
    bits = length.bit_length() - 1
    return int(length - 2 ** ((bits + 1) // 2)) // 2


def tap_sizes(profile: Profile) -> dict[str, int]:
    """Elements of every tap of the front end in the state (h0, h1 and the mask code belong to the network)."""
    n, bins = profile.analysis_samples, profile.bins
    special = {"frame_q30": n, "frame_out": n, "spectrum_q30": 2 * bins, "enhanced_q30": 2 * bins}
    special |= {"likelihood_q16": 1, "vad": 1, "pcm": profile.hop_samples}
    special |= {"feature_q16": profile.band_count, "x_q11": profile.inputs, "mask_q15": profile.band_count}
    return {name: special.get(name, bins) for name in TAPS if name not in ("h0", "h1")}


def _width(tap: str) -> int:
    return np.dtype(TAP_DTYPES.get(tap, np.int32)).itemsize


def _bytes(tensor: Tensor) -> int:
    return int(np.dtype(tensor.dtype).itemsize * np.prod(tensor.shape))
