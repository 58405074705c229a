"""When each hop of a device is ready, processed and due: the arithmetic of one processor and one interrupt a hop.

Times are core cycles from interrupt 0 on. Hop t is ready at t * period, or when its interrupt is served after that; it
is in time when it is finished at (t + 1) * period, however late that interrupt is then served. `ping_pong` says what
the statuses mean.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.contract import ContractError
from firmware_sim.ping_pong import Status


@dataclass(frozen=True)
class OtherLoad:
    """Work that always goes first: `cost` cycles at `phase` and at every `period` from there.

    raises  ContractError when it leaves no time
    """

    cost: int
    period: int
    phase: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.cost < self.period:
            raise ContractError(f"other load of {self.cost} cycles in {self.period} leaves no time for the hops")

    def done(self, start: int, work: int) -> int:
        """When `work` cycles that begin at `start` at the earliest are done; 0 cycles: when they could begin."""
        into = (start - self.phase) % self.period
        if into < self.cost:
            start, into = start + self.cost - into, self.cost
        room = self.period - into
        if work <= room:
            return start + work
        bursts, rest = divmod(work - room, self.period - self.cost)
        if rest == 0:
            bursts, rest = bursts - 1, self.period - self.cost
        return start + room + bursts * self.period + self.cost + rest


@dataclass(frozen=True)
class Slot:
    """One hop on the clock, in cycles. A lost hop starts and ends when its loss is found out."""

    hop: int
    ready: int
    start: int
    finish: int
    status: Status


class Schedule:
    """Hops one after the other.

    period  cycles a hop
    other   load that goes first; None: there is none
    """

    def __init__(self, period: int, other: OtherLoad | None = None) -> None:
        self.period, self.other = period, other
        self.behind = False
        self._hop, self._free, self._ready, self._start = 0, 0, 0, 0

    def begin(self, delay: int = 0) -> bool:
        """The next hop, whose interrupt is served `delay` cycles late; False when it is lost."""
        self._ready = self._hop * self.period + delay
        self._start = self._done(max(self._ready, self._free), 0)
        return self._start < self._due

    def finish(self, work: int) -> Slot:
        """The hop that has begun takes `work` cycles."""
        finish = self._done(self._start, work)
        in_time = finish <= self._due
        status = (Status.HELD, Status.HELD_LATE) if self.behind else (Status.ON_TIME, Status.LATE)
        return self._next(finish, status[0 if in_time else 1])

    def lose(self) -> Slot:
        """The hop that could not begin in time."""
        return self._next(self._start, Status.LOST)

    @property
    def _due(self) -> int:
        return (self._hop + 1) * self.period

    def _next(self, finish: int, status: Status) -> Slot:
        slot = Slot(self._hop, self._ready, self._start, finish, status)
        self._hop, self._free, self.behind = self._hop + 1, finish, not status.played
        return slot

    def _done(self, start: int, work: int) -> int:
        return start + work if self.other is None else self.other.done(start, work)
