"""The hop schedule of a device: what is played when hops are late, and how the state recovers. Twin of ping_pong.c.

DMA with two halves on each side, one interrupt a hop. Hop t is ready at interrupt t and is to be finished at
interrupt t + 1, when it begins to play. What becomes of it is its status:

    ON_TIME    processed and played
    LATE       processed, but not in time: what is played is dry, the input of the hop before, which is what the
               output would have carried (the loop delays by one hop); its own output is thrown away
    HELD       the hop after a late or lost one, which starts late: everything but the network runs, the last mask
               stays in force; played
    HELD_LATE  the same, and late again: dry
    LOST       its input was overwritten before anybody took it: it never enters the state; dry

What is played, and every state, is a function of the input and the statuses alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import ContractError
from firmware_sim.frame_loop import FrameLoop, Hop

Pcm = npt.NDArray[np.int16]


class Status(Enum):
    """What becomes of a hop."""

    ON_TIME = "on_time"
    LATE = "late"
    HELD = "held"
    HELD_LATE = "held_late"
    LOST = "lost"

    @property
    def held(self) -> bool:
        """The network does not run."""
        return self in (Status.HELD, Status.HELD_LATE)

    @property
    def played(self) -> bool:
        """Its own output is played, and the next hop starts in time."""
        return self in (Status.ON_TIME, Status.HELD)

    @property
    def overrun(self) -> bool:
        """Processed in vain."""
        return self in (Status.LATE, Status.HELD_LATE)


def next_behind(status: Status, behind: bool, what: str) -> bool:
    """Whether the hop after one of this status is held.

    behind  whether this one is to be held
    raises  ContractError, naming `what`, when the status contradicts that
    """
    if status is not Status.LOST and status.held != behind:
        rule = "the hop after a late or lost one is held" if behind else "only the hop after a late or lost one is held"
        raise ContractError(f"{what} cannot be {status.value}: {rule}")
    return not status.played


class PingPong:
    """A frame loop behind the schedule of a device.

    schedule  sticky counters: overruns (late hops), held, lost
    """

    def __init__(self, loop: FrameLoop) -> None:
        self.loop = loop
        self.schedule = {"overruns": 0, "held": 0, "lost": 0}
        self.behind = False
        self._dry: Pcm = np.zeros((loop.streams, loop.profile.hop_samples), np.int16)

    def hop(self, pcm: Pcm, status: Status) -> tuple[Pcm, Hop | None]:
        """A hop of every stream with the status that the schedule gives it.

        pcm      (streams, hop) int16
        returns  what is played for it (streams, hop) int16; the hop with its taps, None when it was lost
        raises   ContractError when the status cannot follow the one before
        """
        next_behind(status, self.behind, "a hop")
        done = self.process(pcm) if status is not Status.LOST else None
        return self.finish(pcm, done, status), done

    def process(self, pcm: Pcm) -> Hop:
        """A hop that was taken in time to be processed: held when the device is behind."""
        return self.loop.hold_hop(pcm) if self.behind else self.loop.process_hop(pcm)

    def finish(self, pcm: Pcm, done: Hop | None, status: Status) -> Pcm:
        """What is played for a hop, once its status is known."""
        played = done.pcm.astype(np.int16) if done is not None and status.played else self._dry
        self._dry, self.behind = pcm.copy(), not status.played
        for name, counts in (("overruns", status.overrun), ("held", status.held), ("lost", status is Status.LOST)):
            self.schedule[name] += counts
        return played

    def play(self, pcm: Pcm, statuses: Iterable[Status]) -> Pcm:
        """Whole hops (streams, samples) int16 with one status each; what is played, (streams, samples) int16."""
        size = self.loop.profile.hop_samples
        hops = np.split(pcm, pcm.shape[1] // size, axis=1)
        return np.concatenate([self.hop(hop, s)[0] for hop, s in zip(hops, statuses, strict=True)], axis=1)
