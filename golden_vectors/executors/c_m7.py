"""The C11 device as an image of a Cortex-M7, run by an emulator; and what a hop of it costs in instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import PROFILES, STAGES, Profile
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from firmware_sim.parts import LOOP
from golden_vectors.errors import WitnessError
from golden_vectors.executors.c_program import CProgram, Runner, Script, fields_of, run_script
from golden_vectors.m7.build import DEFAULT_PART, DSP, MARKS, build_m7, missing_compiler
from golden_vectors.m7.emulator import HopCounter, missing_unicorn, run_unicorn
from golden_vectors.m7.image import Image
from golden_vectors.m7.qemu import PART as QEMU_PART
from golden_vectors.m7.qemu import missing_qemu, run_qemu
from golden_vectors.program import Ended

STAGE_FUNCTIONS = {
    "stapes_window": "window",
    "stapes_rfft": "rfft",
    "stapes_power": "wiener",
    "stapes_wiener": "wiener",
    "stapes_features": "features",
    "stapes_gain_features": "features",
    "stapes_layer_norm": "features",
    "stapes_network": "network",
    "stapes_total_gain": "gain",
    "stapes_apply_gain": "gain",
    "stapes_irfft": "irfft",
    "stapes_overlap_add": "overlap_add",
}
"""Function that the loop calls -> stage of the contract; what lies between the calls is the loop's own."""


# ---------------------------------------------------------------- instructions


@dataclass(frozen=True)
class HopInstructions:
    """Exact instruction counts of consecutive hops.

    stages   stage or LOOP -> (hops,) int64
    kernels  (hops,) int64, what the matrix-vector kernels take, requantisation included
    """

    stages: Mapping[str, Ints]
    kernels: Ints

    @property
    def total(self) -> Ints:
        """(hops,) int64."""
        total: Ints = np.sum(list(self.stages.values()), axis=0, dtype=np.int64)
        return total


def count_hops(image: Path, graph: Graph, pcm: npt.NDArray[np.int16], skip: int = 0) -> HopInstructions:
    """What each hop of a signal costs from home on, without the first `skip` hops.

    raises  WitnessError when the image does not run to its end
    """
    profile, script = PROFILES[graph.meta["profile"]], Script()
    script.hops(pcm, profile)
    counter = HopCounter(Image.load(image), "stapes_process_hop", STAGE_FUNCTIONS)
    run_script(image, script, partial(run_unicorn, counter=counter))
    calls = counter.calls[skip:]

    def total(wanted: Any) -> Ints:
        return np.array([sum(n for key, n in call.items() if wanted(*key)) for call in calls], np.int64)

    stages = {stage: total(lambda phase, _, s=stage: (phase or LOOP) == s) for stage in (*STAGES, LOOP)}
    return HopInstructions(stages, total(lambda _, function: function.startswith("stapes_fully_connected")))


def marked_hops(image: Path, pcm: npt.NDArray[np.int16], profile: Profile, run: Runner) -> dict[str, Ints]:
    """What an image with marks counts in each hop of a signal from home on: stage -> (hops,) int64 instructions.

    A stage holds the loop's own instructions before it and those of its mark, the same few in every hop.
    run     an emulator whose clocks count
    raises  WitnessError when the image has no marks or does not run to its end
    """
    script = Script()
    script.hops(pcm, profile)
    states = run_script(image, script, run)
    if "clocks" not in fields_of(states):
        raise WitnessError(f"{image.name} has no marks: build it with {MARKS[0]}")
    return dict(zip(STAGES, states["clocks"].astype(np.int64).T, strict=True))


# ---------------------------------------------------------------- executor


class CM7(CProgram):
    """The device's C, compiled for a part with a Cortex-M7 by one of `m7.build.COMPILERS` and run in Unicorn."""

    def __init__(self, compiler: str = "zig", flags: Sequence[str] = DSP, part: str = DEFAULT_PART) -> None:
        self.compiler, self.flags, self.part = compiler, tuple(flags), part

    @property
    def name(self) -> str:
        return f"c_m7 ({self.compiler})"

    def available(self) -> str | None:
        return missing_unicorn() or missing_compiler(self.compiler)

    def build(self, graph: Graph | None, profile: Profile, program: str = "main") -> Path:
        """See `CProgram.build`."""
        return build_m7(graph, profile, compiler=self.compiler, part=self.part, flags=self.flags, program=program)

    def run(self, program: Path, files: Mapping[str, bytes]) -> Ended:
        """See `CProgram.run`."""
        return run_unicorn(program, files, self.part)


class CM7Qemu(CM7):
    """The same, built for the board that QEMU emulates and run there."""

    def __init__(self, compiler: str = "zig", flags: Sequence[str] = DSP) -> None:
        super().__init__(compiler, flags, QEMU_PART)

    @property
    def name(self) -> str:
        return f"c_m7_qemu ({self.compiler})"

    def available(self) -> str | None:
        return missing_qemu() or missing_compiler(self.compiler)

    def run(self, program: Path, files: Mapping[str, bytes]) -> Ended:
        return run_qemu(program, files)
