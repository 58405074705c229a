"""What a hop of the blessed models costs on a Cortex-M7: exact instruction counts of the emulated device, as data.

firmware_sim's simulation of a device reads them; `python -m golden_vectors count --bless` writes them, and a test
holds them against the emulator. They are instructions, never cycles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.graph import Graph
from firmware_sim.parts import HOP_KINDS, LOOP, SCHEDULE_CALLS, TABLE
from golden_vectors.executors.base import StreamInput
from golden_vectors.executors.c_host import HostDevice
from golden_vectors.executors.c_m7 import count_hops
from golden_vectors.executors.c_program import Script, run_script
from golden_vectors.m7.build import build_m7
from golden_vectors.m7.elf import Elf
from golden_vectors.m7.emulator import HopCounter, run_unicorn
from golden_vectors.m7.image import Image
from golden_vectors.signals import PROFILE, SECOND, recording
from golden_vectors.vector import write

COMPILER = "zig"
START_SECONDS, HOPS = 4, 90
"""Piece of the real noisy recording that is counted; the hops of the noise initialisation come before."""


def count(graphs: Mapping[str, Graph]) -> dict[str, Any]:
    """The table; raises WitnessError without compiler or emulator."""
    hops = PROFILE.noise_init_hops + HOPS
    pcm = recording("noisy.wav", START_SECONDS * SECOND, hops * PROFILE.hop_samples).astype(np.int16)
    return {
        "unit": "instructions of an emulated Cortex-M7, worst hop of its kind; not cycles",
        "compiler": COMPILER,
        "graphs": {scheme: graph.digest for scheme, graph in graphs.items()},
        "hops": {scheme: _hops(graph, pcm) for scheme, graph in graphs.items()},
        "schedule": _schedule(graphs["int16x8"], pcm[: 4 * PROFILE.hop_samples]),
        "weight_bytes": {scheme: _weight_bytes(graph) for scheme, graph in graphs.items()},
    }


def _hops(graph: Graph, pcm: npt.NDArray[np.int16]) -> dict[str, dict[str, int]]:
    """Kind of hop -> stage -> instructions of the worst hop of this kind; where none is speech, of every later hop."""
    counted = count_hops(build_m7(graph, PROFILE, compiler=COMPILER), graph, pcm)
    _, taps = HostDevice(graph, PROFILE).record(pcm, ("vad",))
    learning = np.arange(len(taps["vad"])) < PROFILE.noise_init_hops
    kinds = np.where(learning, "learning", np.where(taps["vad"][:, 0] != 0, "speech", "noise"))
    of_kind = {kind: kinds == kind if (kinds == kind).any() else ~learning for kind in HOP_KINDS}
    return {
        kind: {stage: int(values[chosen].max()) for stage, values in counted.stages.items()}
        for kind, chosen in of_kind.items()
    }


def _schedule(graph: Graph, pcm: npt.NDArray[np.int16]) -> dict[str, int]:
    """Call of ping_pong.h -> its instructions, the processing of the hop itself apart."""
    image, script = build_m7(graph, PROFILE, compiler=COMPILER), Script()
    script.schedule(StreamInput(pcm, events=((2, "late"), (3, "held"))))
    phases = {"stapes_process_hop": "hop", "stapes_hold_hop": "hop"}
    worst = {}
    for call in SCHEDULE_CALLS:
        counter = HopCounter(Image.load(image), f"stapes_ping_pong_{call}", phases)
        run_script(image, script, partial(run_unicorn, counter=counter))
        worst[call] = max(sum(n for (phase, _), n in one.items() if phase == "") for one in counter.calls)
    return worst


def _weight_bytes(graph: Graph) -> int:
    """Bytes of the linked image's weights and biases, padding included: what streams every hop."""
    section = Elf.load(build_m7(graph, PROFILE, compiler=COMPILER)).section(".weights")
    return section.size if section is not None else 0


def bless(table: Mapping[str, Any]) -> None:
    """Write the table where firmware_sim reads it."""
    write(TABLE.parent, TABLE.name, (json.dumps(table, indent=1, sort_keys=True) + "\n").encode("ascii"))


def rows(table: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Lines of a printed table: stage, then instructions by scheme and kind; totals last."""
    columns = [(scheme, kind) for scheme in table["hops"] for kind in HOP_KINDS]
    stages = [stage for stage in table["hops"][columns[0][0]][HOP_KINDS[0]] if stage != LOOP] + [LOOP]
    body = [(stage, *(f"{table['hops'][s][k][stage]:,}" for s, k in columns)) for stage in stages]
    total = ("a hop", *(f"{sum(table['hops'][s][k].values()):,}" for s, k in columns))
    return [("stage", *(f"{scheme} {kind}" for scheme, kind in columns)), *body, total]
