"""What an executor is: a machine that runs the network, and perhaps the whole loop, and shows what it computed.

An executor imports its runtime inside its methods, never at module level: a missing runtime makes it
absent (`available()` says how to install it), not broken. All results are int64 arrays without a streams axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import DEFAULT_PROFILE, PROFILES, Parameters, Profile
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from firmware_sim.ping_pong import Status
from golden_vectors.units import FIRST_PROFILE

RESTART = "restart"
SATURATIONS = "saturations"
"""Limited elements of the whole graph up to and including a row, (n, 1): what the network stage has counted."""
EVENTS = (RESTART, *(status.value for status in Status if status is not Status.ON_TIME))


@dataclass(frozen=True)
class StreamInput:
    """One stream from home.

    pcm         (hops * hop_samples,) int16, whole hops
    resets      hop indices, ascending, before which the device is reset to home: state and counters
    events      (hop, kind of EVENTS): a warm restart before the hop, or what becomes of the hop instead of ON_TIME
    """

    pcm: npt.NDArray[np.int16]
    parameters: Parameters = field(default_factory=Parameters)
    resets: tuple[int, ...] = ()
    profile: Profile = PROFILES[DEFAULT_PROFILE]
    events: tuple[tuple[int, str], ...] = ()

    @property
    def hops(self) -> int:
        return len(self.pcm) // self.profile.hop_samples

    @property
    def restarts(self) -> tuple[int, ...]:
        """Hop indices before which the device restarts warm."""
        return tuple(hop for hop, kind in self.events if kind == RESTART)

    @property
    def statuses(self) -> list[Status]:
        """What becomes of each hop."""
        of = {hop: Status(kind) for hop, kind in self.events if kind != RESTART}
        return [of.get(hop, Status.ON_TIME) for hop in range(self.hops)]


@dataclass(frozen=True)
class StreamRun:
    """Everything a stream showed.

    taps      name of `frame_loop.TAPS` -> (hops, ...) int64, the value after each hop; with no graph, h0 and
              h1 are (hops, 0). Scalars of a hop (vad, likelihood_q16) are (hops,)
              after a lost hop they are what they were
    counters  stage of `contract.STAGES` -> (saturations, overflows) at the end of the stream
    played    (hops, hop_samples), what the device plays for each hop; None when the stream has no events
    schedule  counters of `ping_pong.PingPong` at the end
    """

    taps: dict[str, Ints]
    counters: dict[str, tuple[int, int]]
    played: Ints | None = None
    schedule: dict[str, int] = field(default_factory=dict)


@runtime_checkable
class Executor(Protocol):
    """A machine that runs the integer network."""

    @property
    def name(self) -> str:
        """Short, lower case, unique: what `verify --on` takes; a variant follows in brackets."""
        ...

    def available(self) -> str | None:
        """None when it can run here, else one line: what is missing and the command that installs it."""
        ...

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        """The network in closed loop from home.

        codes    (steps, bins) int64: values of the graph's input `x`, already through `encode_features`
        returns  {"mask": (steps, bins), "h0": (steps, hidden), "h1": ...} int64 graph codes after each step, and
                 every other output that the graph has (`bisect.revealed`)
        """
        ...


@runtime_checkable
class GraphExecutor(Executor, Protocol):
    """An executor that also runs any graph of ops on single rows, without a state."""

    def run_graph(self, graph: Graph, inputs: Mapping[str, Ints], names: Sequence[str]) -> dict[str, Ints]:
        """Tensors of a graph for independent rows of its inputs.

        graph    has the ends of a mask network (x and mask), so that it can be compiled into the device
        inputs   name of a graph input, states included -> (n, width) int64 within its dtype; at least those that
                 the tensors depend on. The others are 0, a state the code of zero
        names    computed tensors to show
        returns  name -> (n, width) int64; an engine that counts runs the whole graph and adds `SATURATIONS`
        """
        ...


@runtime_checkable
class StreamExecutor(Executor, Protocol):
    """An executor that also runs the whole loop, pcm to pcm."""

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        """One stream from home; graph None: Wiener stage alone.

        raises  ContractError when graph and profile do not fit
        """
        ...


@runtime_checkable
class UnitExecutor(Executor, Protocol):
    """An executor that also runs the units of the front end by themselves."""

    def run_unit(self, name: str, rows: Ints, profile: str = FIRST_PROFILE) -> Ints:
        """Rows (n, in_width) int64 through a unit of a profile of `golden_vectors.units` -> (n, out_width) int64."""
        ...
