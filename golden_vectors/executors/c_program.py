"""The C11 device as a program that serves commands: what its images for a Cortex-M7 and the one for this machine share.

The program reads commands from a file and writes its whole state after every hop (firmware/port/main.c), so that one
run shows every tap.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import PROFILES, STAGES, ContractError, Parameters, Profile
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import TAPS, default_parameters
from firmware_sim.graph import Graph, Tensor
from golden_vectors.errors import WitnessError
from golden_vectors.executors.base import SATURATIONS, StreamInput, StreamRun
from golden_vectors.executors.c_host import ParameterBlock, joined, network_taps
from golden_vectors.executors.network import filled
from golden_vectors.executors.schedule import COUNTERS, Call, calls, heard, samples_of
from golden_vectors.program import Ended
from golden_vectors.units import FIRST_PROFILE

Runner: TypeAlias = Callable[[Path, Mapping[str, bytes]], Ended]
"""What runs a program: its file and the files that it may read -> what it left behind."""

INPUT, OUTPUT = "stapes_input.bin", "stapes_output.bin"
PLAYED = "stapes_played.bin"
_PARAMETERS, _RESET, _HOPS, _STEPS, _TENSOR = 1, 2, 3, 4, 6
_CALLS = {Call.RESET: _RESET, Call.RESTART: 5, Call.INTERRUPT: 16, Call.BEGIN: 17, Call.PROCESS: 18, Call.FINISH: 19,
          Call.SHOW: 20, Call.RUN: 22}  # fmt: skip
_COUNTERS = 21
_EXITS = {1: "a file is missing", 2: "unknown command or unit", 3: "the device refuses the parameters",
          4: "the input ends in mid command", 5: "the output cannot be written", 99: "fault"}  # fmt: skip


class Script:
    """Commands for the program, in order."""

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

    def rows(self, graph: Graph, inputs: Mapping[str, Ints]) -> None:
        """A network step for each row of all inputs: name -> (n, width)."""
        places = [*graph.states, *(t.name for t in graph.tensors.values() if t.data is None)]  # a state: its next
        rows = {name: values.astype(little(graph.tensors[name])) for name, values in inputs.items()}
        x = rows.pop("x")
        for row in range(len(x)):
            for name, values in rows.items():
                self._command(_TENSOR, places.index(name), values[row].tobytes())
            self.steps(x[row : row + 1])

    def schedule(self, stream: StreamInput) -> None:
        """A stream with events, through the driver of ping_pong.h: see schedule.h."""
        for call, hop in calls(stream):
            data = samples_of(stream, hop).astype("<i2").tobytes() if call is Call.INTERRUPT else b""
            self._command(_CALLS[call], len(data) > 0, data)
        self._command(_COUNTERS, 0, b"")

    def run(self, pcm: npt.NDArray[np.int16]) -> None:
        """A hop (hop,) int16 through the driver as a device calls it: the interrupt, then stapes_ping_pong_run."""
        self._command(_CALLS[Call.INTERRUPT], 1, pcm.astype("<i2").tobytes())
        self._command(_CALLS[Call.RUN], 0, b"")

    def _command(self, command: int, count: int, data: bytes) -> None:
        self.data += struct.pack("<II", command, count) + data


def little(tensor: Tensor) -> np.dtype[Any]:
    """Dtype of a tensor on the device."""
    return np.dtype(tensor.dtype).newbyteorder("<")


def run_script(program: Path, script: Script, run: Runner) -> npt.NDArray[Any]:
    """The states that a program leaves after every hop or step: a structured array (hops,), one field per tap.

    The field "counters" has (saturations, overflows) of every stage.
    raises  WitnessError when the program does not run to its end
    """
    return _states(_written(program, script, run)[OUTPUT])


def run_unit(program: Path, name: str, rows: Ints, run: Runner) -> Ints:
    """Rows through a unit of a program of firmware/port/units_main.c; see `base.UnitExecutor.run_unit`."""
    order = struct.pack("<II", len(name), len(rows)) + name.encode("ascii")
    output = _output(program, order + rows.astype("<i8").tobytes(), run)[OUTPUT]
    return np.frombuffer(output, "<i8").astype(np.int64).reshape(len(rows), -1)


def _written(program: Path, script: Script, run: Runner) -> Mapping[str, bytes]:
    """The files that a program leaves; raises WitnessError when it does not run to its end."""
    return _output(program, bytes(script.data), run)


def _output(program: Path, given: bytes, run: Runner) -> Mapping[str, bytes]:
    ended = run(program, {INPUT: given})
    if ended.status != 0:
        raise WitnessError(f"{program.name} ended with status {ended.status}: {_EXITS.get(ended.status, 'unknown')}")
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


# ---------------------------------------------------------------- executor


class CProgram(ABC):
    """An executor whose device is such a program."""

    @abstractmethod
    def build(self, graph: Graph | None, profile: Profile, program: str = "main") -> Path:
        """A program of `cc.PROGRAMS` for a graph and a profile; raises WitnessError when it cannot be built."""

    @abstractmethod
    def run(self, program: Path, files: Mapping[str, bytes]) -> Ended:
        """Run it to its end, as a `Runner`."""

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        """See `base.Executor.run_network`."""
        states = self.network_states(graph, codes)
        shown = network_taps(graph)
        return {name: states[tap].astype(np.int64) for name, tap in shown.items()}

    def network_states(self, graph: Graph, codes: Ints) -> npt.NDArray[Any]:
        """What every network step leaves, as `run_script` returns it: counters too."""
        script = Script()
        script.steps(codes.astype(little(graph.inputs[0])))
        return self._network_states(graph, script)

    def run_graph(self, graph: Graph, inputs: Mapping[str, Ints], names: Sequence[str]) -> dict[str, Ints]:
        """See `base.GraphExecutor.run_graph`."""
        script = Script()
        script.rows(graph, filled(graph, inputs))
        states = self._network_states(graph, script)
        saturations = states["counters"].reshape(len(states), -1, 2)[:, STAGES.index("network"), :1]
        shown = {**{name: states[f"network.{name}"] for name in names}, SATURATIONS: saturations}
        return {name: values.astype(np.int64) for name, values in shown.items()}

    def _network_states(self, graph: Graph, script: Script) -> npt.NDArray[Any]:
        return run_script(self.build(graph, PROFILES[graph.meta["profile"]]), script, self.run)

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        """See `StreamExecutor.run_stream`."""
        if stream.parameters.use_network and graph is None:
            raise ContractError("parameters ask for the network but no graph was given")
        script = Script()
        if stream.parameters != default_parameters(graph):  # else those of the device itself
            script.parameters(stream.parameters)
        if stream.events:
            script.schedule(stream)
        else:
            _plain(script, stream)
        files = _written(self.build(graph, stream.profile), script, self.run)
        states = _states(files[OUTPUT])
        rows = states["counters"][-1].reshape(-1, 2).tolist() if len(states) else [(0, 0)] * len(STAGES)
        counters = {stage: (row[0], row[1]) for stage, row in zip(STAGES, rows, strict=True)}
        taps = {name: joined(name, [fields_of(states)], stream.hops) for name in TAPS}
        return StreamRun(taps, counters, *(_played(files[PLAYED], stream) if stream.events else ()))

    def run_unit(self, name: str, rows: Ints, profile: str = FIRST_PROFILE) -> Ints:
        """See `base.UnitExecutor.run_unit`."""
        return run_unit(self._units(profile), name, rows, self.run)

    def _units(self, profile: str) -> Path:
        """The program with the units of a profile; `build` makes it once."""
        return self.build(None, PROFILES[profile], "units")


def _plain(script: Script, stream: StreamInput) -> None:
    """Hops in one go between the resets."""
    size = stream.profile.hop_samples
    marks = sorted({0, stream.hops, *(hop for hop in stream.resets if hop < stream.hops)})
    for start, end in pairwise(marks):
        if start in stream.resets:
            script.reset()
        script.hops(stream.pcm[start * size : end * size], stream.profile)


def _played(data: bytes, stream: StreamInput) -> tuple[Ints, dict[str, int]]:
    """What was played for each hop, and the counters of the schedule."""
    size = stream.profile.hop_samples
    halves = np.frombuffer(data, "<i2", (stream.hops + 1) * size).reshape(-1, size)
    counters = np.frombuffer(data, "<u4", offset=halves.nbytes)
    return heard(halves), dict(zip(COUNTERS, map(int, counters), strict=True))


def fields_of(states: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    return {name: states[name] for name in states.dtype.names or ()}
