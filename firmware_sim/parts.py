"""Named microcontrollers, and a MODEL of the cycles that a hop takes on them. It is a model: nothing here was measured.

Instructions are exact (m7_instructions.json: counted in an emulator, worst hop of each kind). What turns them into
cycles is three constants of a chip that nobody has measured yet; each is a range, low / typical / high:

    cycles per instruction   the Cortex-M7 issues two instructions a cycle when they do not depend on each other and
                             only one loads: 0.65 for well paired code, 0.9 for code that waits for its loads. The
                             front end shifts 64-bit values and branches more: 0.75 to 1.15
    code in flash            its instruction cache (or the ART accelerator) is taken to be on. The loops of the network
                             stay in 4 KB; high adds a third for those that do not. The front end does not stay: some
                             600 lines a hop at 8 cycles (7 wait states at 216 MHz), high: three times as many
    cycles per cache line    the weights do not fit the data cache, so all of them stream every hop: the core waits
                             for each line of 32 bytes. Low: the beats of the bus alone; high: with its whole latency.
                             Bus and core are taken to be slowed together: a lower clock keeps the cycles of a line.
                             OCRAM is taken to run at a quarter of the core's clock: four beats are 16 cycles
    state and tables         lie in DTCM, without waits

Code and weights lie where the part's link script puts them (firmware/port/m7); tests hold the parts against it. For a
kernel of 1.66 instructions per MAC this gives 1.3 to 2.0 cycles per MAC on the STM32H743, the estimate from which this
project started. Emulators count instructions; only silicon counts cycles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from firmware_sim.contract import STAGES, ContractError
from firmware_sim.graph import SCHEMES, Graph

TABLE = Path(__file__).with_name("m7_instructions.json")
HOP_KINDS = ("learning", "noise", "speech")
"""Noise initialisation; VAD off, so that the noise PSD follows; VAD on. With the tracker `spp` the last two are one."""
LOOP = "loop"
"""Instructions of a hop between its stages: history, output, calls."""
SCHEDULE_CALLS = ("interrupt", "begin", "process", "finish")
"""Functions of ping_pong.h; the hop itself does not count to `process`."""
LINE_BYTES = 32


@dataclass(frozen=True)
class Range:
    """An assumption: low <= typical <= high."""

    low: float
    typical: float
    high: float

    def __getitem__(self, name: str) -> float:
        return float(getattr(self, name))


ENDS = ("low", "typical", "high")
TYPICAL = "typical"
CPI: Mapping[str, Mapping[str, Range]] = {
    "ITCM": {"network": Range(0.65, 0.75, 0.90), "front_end": Range(0.75, 0.90, 1.15)},
    "FLASH": {"network": Range(0.65, 0.80, 1.20), "front_end": Range(0.75, 1.05, 1.55)},
}
"""Memory of the code -> cycles per instruction of the network's stage and of everything else."""


@dataclass(frozen=True)
class Part:
    """A microcontroller with a Cortex-M7.

    clock_mhz    its highest core clock
    line_cycles  core cycles that a line of weights costs
    code         memory that a hop's code runs from, a key of CPI: what its link script calls CODE
    weights      memory that the weights stream from: what its link script calls WEIGHTS
    weights_in   what that memory is
    """

    name: str
    clock_mhz: int
    line_cycles: Range
    code: str
    weights: str
    weights_in: str

    @property
    def ranges(self) -> dict[str, Range]:
        """Assumptions: "network" and "front_end" in cycles per instruction, "line" in cycles per line of weights."""
        return {**CPI[self.code], "line": self.line_cycles}


PARTS = {
    part.name: part
    for part in (
        Part("stm32h743", 480, Range(7, 11, 16), "ITCM", "SRAM", "AXI SRAM, 64 bit at clock / 2, data cache of 16 KB"),
        Part("stm32f746", 216, Range(8, 12, 18), "FLASH", "SRAM", "SRAM1, 32 bit at the clock, data cache of 4 KB"),
        Part("imxrt1062", 600, Range(16, 26, 40), "ITCM", "SRAM", "OCRAM, 64 bit at clock / 4, data cache of 32 KB"),
    )
}
"""The default of the link scripts first."""


@dataclass(frozen=True)
class Instructions:
    """Instructions of a model's hops: kind -> stage (in order, LOOP last) -> count; of the calls of the schedule.

    weight_bytes  weights and biases with their padding, which stream through the core at each hop of an ear
    """

    hops: Mapping[str, Mapping[str, int]]
    schedule: Mapping[str, int]
    weight_bytes: int

    def stages(self, kind: str, held: bool) -> dict[str, int]:
        """Stage -> instructions of a hop; a held one has no network."""
        return {stage: 0 if held and stage == "network" else n for stage, n in self.hops[kind].items()}


@cache
def table() -> Mapping[str, Any]:
    """m7_instructions.json; raises ContractError when it is not there, or not whole."""
    try:
        loaded: dict[str, Any] = json.loads(TABLE.read_text("ascii"))
        _check(loaded)
    except OSError as error:
        reason = error.strerror or "input/output error"
    except KeyError as error:
        reason = f"it has no {error}"
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error)
    else:
        return loaded
    raise ContractError(
        f"{TABLE}: not the instruction counts ({reason}): restore it, "
        "or count again (python -m golden_vectors count --bless)"
    )


def _check(loaded: Mapping[str, Any]) -> None:
    """Every entry that the model reads is there; raises KeyError, TypeError or ValueError."""
    counted = dict.fromkeys((*SCHEMES, *loaded["hops"]))  # at least the base model in both schemes
    counts = [loaded["hops"][name][kind][stage] for name in counted for kind in HOP_KINDS for stage in (*STAGES, LOOP)]
    counts += [loaded["schedule"][call] for call in SCHEDULE_CALLS]
    counts += [loaded["weight_bytes"][name] for name in counted]
    if not all(type(n) is int and 0 < n < 1 << 32 for n in counts):
        raise ValueError("a count is not a whole number in [1, 2^32)")
    if not all(isinstance(loaded["graphs"][name], str) for name in counted):
        raise ValueError("a digest is not text")


def instructions_of(graph: Graph | None) -> Instructions:
    """Counts of a blessed model, or of a device without a network.

    raises  ContractError for a graph that was not counted, or a damaged table
    """
    counted = table()
    names = {digest: name for name, digest in counted["graphs"].items()}
    name = names.get(graph.digest) if graph is not None else "int16x8"
    if graph is not None and name is None:
        raise ContractError(
            f"the instructions of this {graph.scheme} model were not counted: leave out --model, "
            "or bless it (python -m golden_vectors count --bless)"
        )
    hops = {kind: {stage: counts[stage] for stage in (*STAGES, LOOP)} for kind, counts in counted["hops"][name].items()}
    if graph is None:
        hops = {kind: {**stages, "network": 0} for kind, stages in hops.items()}
        return Instructions(hops, counted["schedule"], 0)
    return Instructions(hops, counted["schedule"], counted["weight_bytes"][name])


def stage_cycles(instructions: Mapping[str, int], weight_bytes: int, cpi: Mapping[str, float]) -> dict[str, float]:
    """Stage -> cycles by the model.

    cpi  values of `Part.ranges`
    """
    cycles = {stage: n * cpi["network" if stage == "network" else "front_end"] for stage, n in instructions.items()}
    if cycles["network"]:
        cycles["network"] += weight_bytes / LINE_BYTES * cpi["line"]
    return cycles


def assumed(part: Part, end: str) -> dict[str, float]:
    """All assumptions at one of ENDS."""
    return {name: values[end] for name, values in part.ranges.items()}
