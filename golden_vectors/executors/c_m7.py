"""The C11 device as an image of a Cortex-M7, run by an emulator; and what a hop of it costs in instructions.

The image reads commands from a semihosting file and writes its whole state after every hop (firmware/port/m7/main.c),
so that one run shows every tap.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import PROFILES, STAGES, ContractError, Parameters, Profile
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import TAPS
from firmware_sim.graph import Graph
from firmware_sim.parts import LOOP
from golden_vectors.errors import WitnessError
from golden_vectors.executors.base import StreamInput, StreamRun
from golden_vectors.executors.c_host import ParameterBlock, joined
from golden_vectors.executors.schedule import COUNTERS, Call, calls, samples_of
from golden_vectors.m7.build import DEFAULT_PART, DSP, MARKS, build_m7, missing_compiler
from golden_vectors.m7.emulator import Ended, HopCounter, missing_unicorn, run_unicorn
from golden_vectors.m7.image import Image
from golden_vectors.m7.qemu import PART as QEMU_PART
from golden_vectors.m7.qemu import missing_qemu, run_qemu

Runner: TypeAlias = Callable[[Path, Mapping[str, bytes]], Ended]
"""An emulator: an image and the files that it may read -> what it left behind."""

INPUT, OUTPUT = "stapes_input.bin", "stapes_output.bin"
PLAYED = "stapes_played.bin"
_PARAMETERS, _RESET, _HOPS, _STEPS = 1, 2, 3, 4
_CALLS = {Call.RESET: _RESET, Call.RESTART: 5, Call.INTERRUPT: 16, Call.BEGIN: 17, Call.PROCESS: 18, Call.FINISH: 19,
          Call.SHOW: 20}  # fmt: skip
_COUNTERS, _RUN = 21, 22
_EXITS = {1: "a file is missing", 2: "unknown command", 3: "the device refuses the parameters",
          4: "the input ends in mid command", 5: "the output cannot be written", 99: "fault"}  # fmt: skip

STAGE_FUNCTIONS = {
    "stapes_window": "window",
    "stapes_rfft": "rfft",
    "stapes_power": "wiener",
    "stapes_wiener": "wiener",
    "stapes_features": "features",
    "stapes_layer_norm": "features",
    "stapes_network": "network",
    "stapes_total_gain": "gain",
    "stapes_apply_gain": "gain",
    "stapes_irfft": "irfft",
    "stapes_overlap_add": "overlap_add",
}
"""Function that the loop calls -> stage of the contract; what lies between the calls is the loop's own."""


class Script:
    """Commands for the image, in order."""

    def __init__(self) -> None:
        self.data = bytearray()

    def parameters(self, parameters: Parameters) -> None:
        self._command(_PARAMETERS, 1, bytes(ParameterBlock.of(parameters)))

    def reset(self) -> None:
        self._command(_RESET, 0, b"")

    def hops(self, pcm: npt.NDArray[np.int16], profile: Profile) -> None:
        """Whole hops (samples,) int16."""
        self._command(_HOPS, len(pcm) // profile.hop_samples, pcm.astype("<i2").tobytes())

    def steps(self, codes: npt.NDArray[Any]) -> None:
        """Network steps (steps, bins) in the dtype of network.x."""
        self._command(_STEPS, len(codes), codes.tobytes())

    def schedule(self, stream: StreamInput) -> None:
        """A stream with events, through the driver of ping_pong.h: see schedule.h."""
        for call, hop in calls(stream):
            data = samples_of(stream, hop).astype("<i2").tobytes() if call is Call.INTERRUPT else b""
            self._command(_CALLS[call], len(data) > 0, data)
        self._command(_COUNTERS, 0, b"")

    def run(self, pcm: npt.NDArray[np.int16]) -> None:
        """A hop (hop,) int16 through the driver as a device calls it: the interrupt, then stapes_ping_pong_run."""
        self._command(_CALLS[Call.INTERRUPT], 1, pcm.astype("<i2").tobytes())
        self._command(_RUN, 0, b"")

    def _command(self, command: int, count: int, data: bytes) -> None:
        self.data += struct.pack("<II", command, count) + data


def run_script(image: Path, script: Script, run: Runner = run_unicorn) -> npt.NDArray[Any]:
    """The states that an image leaves after every hop or step: a structured array (hops,), one field per tap.

    The field "counters" has (saturations, overflows) of every stage.
    run     the emulator
    raises  WitnessError when the image does not run to its end
    """
    return _states(_written(image, script, run)[OUTPUT])


def _written(image: Path, script: Script, run: Runner = run_unicorn) -> Mapping[str, bytes]:
    """The files that an image leaves; raises WitnessError when it does not run to its end."""
    ended = run(image, {INPUT: bytes(script.data)})
    if ended.status != 0:
        raise WitnessError(f"the M7 image ended with status {ended.status}: {_EXITS.get(ended.status, 'unknown')}")
    return ended.files


def _states(output: bytes) -> npt.NDArray[Any]:
    state, start = _state_type(output)
    return np.frombuffer(output, state, offset=start)


def _state_type(output: bytes) -> tuple[np.dtype[Any], int]:
    """Layout of a state as the head of the output describes it, and where the first state begins."""
    state_bytes, taps = struct.unpack_from("<II", output)
    names, formats, offsets, at = [], [], [], 8
    for _ in range(taps):
        offset, count, element_bytes, signed, name_bytes = struct.unpack_from("<5I", output, at)
        at += 20
        names.append(output[at : at + name_bytes].decode("ascii"))
        formats.append((f"<{'i' if signed else 'u'}{element_bytes}", (count,)))
        offsets.append(offset)
        at += name_bytes
    layout: Any = {"names": names, "formats": formats, "offsets": offsets, "itemsize": state_bytes}
    return np.dtype(layout), at


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
    if "clocks" not in _fields(states):
        raise WitnessError(f"{image.name} has no marks: build it with {MARKS[0]}")
    return dict(zip(STAGES, states["clocks"].astype(np.int64).T, strict=True))


# ---------------------------------------------------------------- executor


class CM7:
    """The device's C, compiled for a part with a Cortex-M7 by one of `m7.build.COMPILERS` and run in Unicorn."""

    def __init__(self, compiler: str = "zig", flags: Sequence[str] = DSP, part: str = DEFAULT_PART) -> None:
        self.compiler, self.flags, self.part = compiler, tuple(flags), part

    @property
    def name(self) -> str:
        return f"c_m7 ({self.compiler})"

    def available(self) -> str | None:
        return missing_unicorn() or missing_compiler(self.compiler)

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        """See `base.Executor.run_network`."""
        states = self.network_states(graph, codes)
        shown = {"mask": "network.mask", **{name: name for name in graph.states}}
        return {name: states[tap].astype(np.int64) for name, tap in shown.items()}

    def network_states(self, graph: Graph, codes: Ints) -> npt.NDArray[Any]:
        """What every network step leaves, as `run_script` returns it: counters too."""
        script = Script()
        script.steps(codes.astype(f"<{np.dtype(graph.inputs[0].dtype).str[1:]}"))
        return _states(self._written(graph, PROFILES[graph.meta["profile"]], script)[OUTPUT])

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        """See `StreamExecutor.run_stream`."""
        if stream.parameters.use_network and graph is None:
            raise ContractError("parameters ask for the network but no graph was given")
        script = Script()
        script.parameters(stream.parameters)
        if stream.events:
            script.schedule(stream)
        else:
            _plain(script, stream)
        files = self._written(graph, stream.profile, script)
        states = _states(files[OUTPUT])
        rows = states["counters"][-1].reshape(-1, 2).tolist() if len(states) else [(0, 0)] * len(STAGES)
        counters = {stage: (row[0], row[1]) for stage, row in zip(STAGES, rows, strict=True)}
        taps = {name: joined(name, [_fields(states)], stream.hops) for name in TAPS}
        return StreamRun(taps, counters, *(_played(files[PLAYED], stream) if stream.events else ()))

    def _written(self, graph: Graph | None, profile: Profile, script: Script) -> Mapping[str, bytes]:
        image = build_m7(graph, profile, compiler=self.compiler, part=self.part, flags=self.flags)
        return _written(image, script, self.run_image)

    def run_image(self, image: Path, files: Mapping[str, bytes]) -> Ended:
        """The emulator of this executor, as a `Runner`."""
        return run_unicorn(image, files, self.part)


class CM7Qemu(CM7):
    """The same, built for the board that QEMU emulates and run there."""

    def __init__(self, compiler: str = "zig", flags: Sequence[str] = DSP) -> None:
        super().__init__(compiler, flags, QEMU_PART)

    @property
    def name(self) -> str:
        return f"c_m7_qemu ({self.compiler})"

    def available(self) -> str | None:
        return missing_qemu() or missing_compiler(self.compiler)

    def run_image(self, image: Path, files: Mapping[str, bytes]) -> Ended:
        return run_qemu(image, files)


def _plain(script: Script, stream: StreamInput) -> None:
    """Hops in one go between the resets."""
    size = stream.profile.hop_samples
    marks = sorted({0, stream.hops, *(hop for hop in stream.resets if hop < stream.hops)})
    for start, end in pairwise(marks):
        if start in stream.resets:
            script.reset()
        script.hops(stream.pcm[start * size : end * size], stream.profile)


def _played(data: bytes, stream: StreamInput) -> tuple[Ints, dict[str, int]]:
    """What was played for each hop (the first half was silence before hop 0), and the counters of the schedule."""
    size = stream.profile.hop_samples
    halves = np.frombuffer(data, "<i2", (stream.hops + 1) * size).reshape(-1, size)
    counters = np.frombuffer(data, "<u4", offset=halves.nbytes)
    return halves[1:].astype(np.int64), dict(zip(COUNTERS, map(int, counters), strict=True))


def _fields(states: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    return {name: states[name] for name in states.dtype.names or ()}
