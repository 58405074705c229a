"""The calls that make the C driver of ping_pong.h late, held and lost exactly where a stream says so."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import numpy as np
import numpy.typing as npt

from firmware_sim.fixed import Ints
from firmware_sim.ping_pong import Status
from golden_vectors.errors import WitnessError
from golden_vectors.executors.base import StreamInput

COUNTERS = ("overruns", "held", "lost")
"""Members of stapes_schedule_t."""


class Call(Enum):
    """What happens next to a device."""

    RESET = "reset"
    RESTART = "restart"
    INTERRUPT = "interrupt"
    BEGIN = "begin"
    PROCESS = "process"
    FINISH = "finish"
    RUN = "run"
    SHOW = "show"


def calls(stream: StreamInput) -> Iterator[tuple[Call, int]]:
    """Calls in order, each with its hop: an INTERRUPT makes it ready, a SHOW shows the taps that it leaves.

    A hop on time is one RUN, as in the main loop of a device; the others go step by step. The first BEGIN finds no hop.
    The last interrupt, with the number of hops, makes the last hop play; the call after it counts what was lost.
    """
    ready = 0
    yield Call.BEGIN, 0
    for hop, status in enumerate(stream.statuses):
        if ready == hop:
            yield Call.INTERRUPT, hop
            ready += 1
        if hop in stream.resets:
            yield Call.RESET, hop
        if hop in stream.restarts:
            yield Call.RESTART, hop
        if status is Status.ON_TIME:
            yield Call.RUN, hop
        elif status is not Status.LOST:
            yield Call.BEGIN, hop
            yield Call.PROCESS, hop
            if status.overrun:
                yield Call.INTERRUPT, hop + 1
                ready += 1
            yield Call.FINISH, hop
        yield Call.SHOW, hop
    if ready == stream.hops:
        yield Call.INTERRUPT, stream.hops
    yield Call.BEGIN, stream.hops


def heard(halves: Ints) -> Ints:
    """What is played for each hop, of all halves that began to play (hops + 1, hop).

    raises  WitnessError when the half before hop 0 is not silence: the driver's start left there what it found
    """
    if halves[0].any():
        raise WitnessError("before its first hop the driver of ping_pong.h plays what its buffers held, not silence")
    return halves[1:].astype(np.int64)


def samples_of(stream: StreamInput, hop: int) -> npt.NDArray[np.int16]:
    """Input of a hop; silence behind the end."""
    size = stream.profile.hop_samples
    if hop == stream.hops:
        return np.zeros(size, np.int16)
    return np.ascontiguousarray(stream.pcm[hop * size : (hop + 1) * size], np.int16)
