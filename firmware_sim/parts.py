"""Named microcontrollers, and a MODEL of the cycles that a hop takes on them. It is a model: nothing here was measured.

Instructions are exact (m7_instructions.json: counted in an emulator, worst hop of each kind). What turns them into
cycles is a range, low / typical / high, of three assumptions:

    cycles per instruction   the Cortex-M7 issues two instructions a cycle when they do not depend on each other and
                             only one loads: 0.65 for well paired code, 0.9 for code that waits for its loads. The
                             front end shifts 64-bit values and branches more: 0.75 to 1.15
    cycles per cache line    the weights do not fit the data cache, so all of them stream every hop: the core waits
                             for each line of 32 bytes. Nothing where the weights lie in tightly coupled memory
    code, state and tables   run from ITCM and lie in DTCM, without waits, as port/m7/sections.ld places them; code
                             that runs from flash instead costs wait states that this model does not have

For a kernel of 1.66 instructions per MAC this gives 1.3 to 2.0 cycles per MAC on the STM32H743, the estimate from
which this project started. Emulators count instructions; only silicon counts cycles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from firmware_sim.contract import STAGES, ContractError
from firmware_sim.graph import SCHEMES, Graph

TABLE = Path(__file__).with_name("m7_instructions.json")
HOP_KINDS = ("learning", "noise", "speech")
"""Noise initialisation; VAD off, so that the noise PSD follows; VAD on."""
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

    def draw(self, random: np.random.Generator) -> float:
        """One value of the triangular distribution."""
        return float(random.triangular(self.low, self.typical, self.high)) if self.high > self.low else self.low

    def __getitem__(self, name: str) -> float:
        return float(getattr(self, name))


ENDS = ("low", "typical", "high")
NETWORK_CPI = Range(0.65, 0.75, 0.90)
FRONT_END_CPI = Range(0.75, 0.90, 1.15)


@dataclass(frozen=True)
class Part:
    """A microcontroller with a Cortex-M7.

    clock_mhz    its highest core clock
    line_cycles  core cycles that a line of weights costs
    weights_in   where they lie
    """

    name: str
    clock_mhz: int
    line_cycles: Range
    weights_in: str


PARTS = {
    part.name: part
    for part in (
        Part("stm32h743", 480, Range(7, 11, 16), "AXI SRAM, 64 bit at 240 MHz, behind a data cache of 16 KB"),
        Part("stm32f746", 216, Range(8, 12, 18), "SRAM1, 32 bit at the core's clock, behind a data cache of 4 KB"),
        Part("imxrt1062", 600, Range(0, 0, 1), "DTCM, 384 KB of FlexRAM, without waits"),
    )
}
"""The default of the link scripts first."""


@dataclass(frozen=True)
class Instructions:
    """Instructions of a model's hops: kind -> stage (and LOOP) -> count; of the calls of the schedule."""

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
    counts = [loaded["hops"][s][kind][stage] for s in SCHEMES for kind in HOP_KINDS for stage in (*STAGES, LOOP)]
    counts += [loaded["schedule"][call] for call in SCHEDULE_CALLS]
    if not all(type(n) is int and 0 < n < 1 << 32 for n in counts):
        raise ValueError("a count is not a whole number in [1, 2^32)")
    if not all(isinstance(loaded["graphs"][s], str) for s in SCHEMES):
        raise ValueError("a digest is not text")


def instructions_of(graph: Graph | None) -> Instructions:
    """Counts of a blessed model, or of a device without a network.

    raises  ContractError for a graph that was not counted, or a damaged table
    """
    counted = table()
    scheme = graph.scheme if graph is not None else "int16x8"
    if graph is not None and counted["graphs"].get(scheme) != graph.digest:
        raise ContractError(
            f"the instructions of this {scheme} model were not counted: leave out --model, "
            "or bless it (python -m golden_vectors count --bless)"
        )
    hops = counted["hops"][scheme]
    if graph is None:
        hops = {kind: {**stages, "network": 0} for kind, stages in hops.items()}
        return Instructions(hops, counted["schedule"], 0)
    weights = (t for op in graph.ops if op.kind == "FULLY_CONNECTED" for t in op.inputs[1:2])
    return Instructions(hops, counted["schedule"], sum(t.values.size for t in weights))


def stage_cycles(
    part: Part, instructions: Mapping[str, int], weight_bytes: int, cpi: Mapping[str, float]
) -> dict[str, float]:
    """Stage -> cycles by the model.

    cpi  "network" and "front_end" in cycles per instruction, "line" in cycles per line of weights
    """
    cycles = {stage: n * cpi["network" if stage == "network" else "front_end"] for stage, n in instructions.items()}
    if cycles["network"]:
        cycles["network"] += weight_bytes / LINE_BYTES * cpi["line"]
    return cycles


def assumed(part: Part, end: str) -> dict[str, float]:
    """All assumptions at one of ENDS."""
    return {"network": NETWORK_CPI[end], "front_end": FRONT_END_CPI[end], "line": part.line_cycles[end]}


def drawn(part: Part, random: np.random.Generator) -> dict[str, float]:
    """All assumptions drawn from their ranges."""
    ranges = {"network": NETWORK_CPI, "front_end": FRONT_END_CPI, "line": part.line_cycles}
    return {name: assumption.draw(random) for name, assumption in ranges.items()}
