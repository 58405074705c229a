"""A device in time: the frame loop behind its hop schedule, on a named part, by the cycle MODEL of `parts`.

The bits are exact, the times are not: cycles are counted instructions at one end of the model's ranges (constants of a
chip, the same for every hop), the interrupt of a hop is served with jitter, and other interrupts go before its
processing (not before its interrupt). Late, held and lost hops follow, and so does what the device plays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import SAMPLE_RATE_HZ, ContractError
from firmware_sim.frame_loop import FrameLoop, Hop
from firmware_sim.parts import (
    ENDS,
    LOOP,
    TYPICAL,
    Instructions,
    Part,
    Range,
    assumed,
    instructions_of,
    stage_cycles,
)
from firmware_sim.ping_pong import PingPong, Status
from firmware_sim.schedule import OtherLoad, Schedule, Slot

SCHEDULE = "schedule"
"""Stands for a stage: interrupt, taking a hop and handing it over."""
MEANINGS = (
    "late: done after its deadline, dry is played; held: the hop after that, without the network; held late: both;"
    " lost: overwritten before it was taken, dry; overruns: late and held late"
)
"""Of `ping_pong.Status` and its counters, for the report."""
LOWEST_CLOCK_MHZ = 1.0
LONGEST_PERIOD_US = 3600e6
"""Of other work: an hour, whose cycles fit the draw of its phase on every part."""
SAMPLE_US = 1e6 / SAMPLE_RATE_HZ


def given(value: float) -> str:
    """A number with every digit that it was given with: what is just above a limit does not read as the limit."""
    return repr(float(value)).removesuffix(".0")


@dataclass(frozen=True)
class Setting:
    """What a device is and what it bears.

    clock_mhz  core clock; None: the part's highest
    other_us   (cost, period) of other work that goes first, in microseconds
    jitter_us  the interrupt of a hop is served up to so much later
    seed       of jitter and of the phase of other work
    assume     one of parts.ENDS: where in the model's ranges the chip is
    raises     ContractError when part or model cannot do that, an interrupt comes later than the driver bears, or other
               work more seldom than LONGEST_PERIOD_US
    """

    part: Part
    clock_mhz: float | None = None
    other_us: tuple[float, float] | None = None
    jitter_us: float = 5.0
    seed: int = 1
    assume: str = TYPICAL

    def __post_init__(self) -> None:
        if not LOWEST_CLOCK_MHZ <= self.mhz <= self.part.clock_mhz:
            raise ContractError(
                f"{self.part.name} runs at {LOWEST_CLOCK_MHZ:g} to {self.part.clock_mhz} MHz, not at {given(self.mhz)}"
            )
        if self.other_us is not None and not self.other_us[1] <= LONGEST_PERIOD_US:
            raise ContractError(
                f"other work every {self.other_us[1]:g} us comes too seldom: give a period of at most "
                f"{LONGEST_PERIOD_US:.0f} us, an hour"
            )
        if self.assume not in ENDS:
            raise ContractError(f"the cycle model assumes low, typical or high, not {self.assume}")
        if not 0 <= self.jitter_us < SAMPLE_US:
            raise ContractError(
                f"jitter of {given(self.jitter_us)} us: the interrupt must be served within a sample, {SAMPLE_US:g} us"
            )

    @property
    def mhz(self) -> float:
        return float(self.part.clock_mhz if self.clock_mhz is None else self.clock_mhz)

    def cycles(self, us: float) -> int:
        """Core cycles of a time."""
        return round(us * self.mhz)


@dataclass(frozen=True)
class TimedHop:
    """A hop with its times, its kind in `parts.HOP_KINDS` (of the first ear), and its cycles by stage."""

    slot: Slot
    kind: str
    cycles: dict[str, float]


class Simulation:
    """A device that runs hop by hop; every ear costs its own hop and all share one schedule.

    hops    what has run, in time
    loads   end of the model's ranges -> share of a hop's time that each processed hop takes
    raises  ContractError when there are no counts of the model, or the profile's hop is not the counted one
    """

    def __init__(self, loop: FrameLoop, setting: Setting) -> None:
        self.loop, self.setting = loop, setting
        self.device = PingPong(loop)
        self.instructions: Instructions = instructions_of(loop.network.graph if loop.network else None)
        self._random = np.random.default_rng(setting.seed)
        period_us = 1e6 * loop.profile.hop_samples / SAMPLE_RATE_HZ
        self.schedule = Schedule(setting.cycles(period_us), self._other())
        self._jitter = setting.cycles(setting.jitter_us)
        self.hops: list[TimedHop] = []
        self.loads: dict[str, list[float]] = {end: [] for end in ENDS}

    def _other(self) -> OtherLoad | None:
        if self.setting.other_us is None:
            return None
        cost, period = (self.setting.cycles(us) for us in self.setting.other_us)
        return OtherLoad(max(cost, 1), period, int(self._random.integers(max(period, 1))))

    def step(self, pcm: npt.NDArray[np.int16], run: Callable[[Callable[[], Hop]], Hop] = lambda hop: hop()) -> Hop:
        """A hop (streams, hop) int16 through the device.

        run      runs the processing of the hop (to count operations)
        returns  a Hop with one tap, `pcm`: what is played for it
        """
        index = len(self.hops)
        delay = int(self._random.integers(self._jitter + 1))
        if self.schedule.begin(delay):
            held = self.device.behind
            done = run(lambda: self.device.process(pcm))
            kinds = self._kinds(done)
            ends = {end: self._cycles(kinds, held, assumed(self.setting.part, end)) for end in ENDS}
            for end, each in ends.items():
                self.loads[end].append(sum(each.values()) / self.schedule.period)
            cycles = ends[self.setting.assume]
            timed = TimedHop(self.schedule.finish(round(sum(cycles.values()))), kinds[0], cycles)
        else:
            done, timed = None, TimedHop(self.schedule.lose(), "", {})
        self.hops.append(timed)
        return Hop(index, {"pcm": self.device.finish(pcm, done, timed.slot.status).astype(np.int64)})

    def _kinds(self, hop: Hop) -> list[str]:
        if hop.index < self.loop.profile.noise_init_hops:
            return ["learning"] * self.loop.streams
        return ["speech" if vad else "noise" for vad in hop.taps["vad"]]

    def _cycles(self, kinds: list[str], held: bool, cpi: dict[str, float]) -> dict[str, float]:
        """Cycles of all ears by stage; the copies of the schedule grow with the ears."""
        total: dict[str, float] = {}
        for kind in kinds:
            stages = self.instructions.stages(kind, held)
            for stage, cycles in stage_cycles(stages, self.instructions.weight_bytes, cpi).items():
                total[stage] = total.get(stage, 0.0) + cycles
        total[SCHEDULE] = len(kinds) * sum(self.instructions.schedule.values()) * cpi["front_end"]
        return total

    # ------------------------------------------------------------ report

    def slowest(self) -> TimedHop:
        """The hop that took longest from its interrupt to its end; the first of them."""
        return max(self.hops, key=lambda hop: hop.slot.finish - hop.slot.hop * self.schedule.period)

    def ms(self, cycles: float) -> float:
        return cycles / self.setting.mhz / 1000.0

    def report(self) -> list[str]:
        """What the schedule was like, as lines."""
        part, setting = self.setting.part, self.setting
        other = "none" if setting.other_us is None else "{:g} of every {:g} us".format(*setting.other_us)
        return [
            f"part     {part.name} at {setting.mhz:g} MHz: {self.schedule.period:,} cycles a hop; code in {part.code};"
            f" weights in {part.weights_in}",
            self._model_line(),
            f"bears    jitter up to {setting.jitter_us:g} us, other load {other}, seed {setting.seed}",
            *self._load_lines(),
            *self._slowest_lines(),
            *self._status_lines(),
            "counters " + ", ".join(f"{n} {name}" for name, n in self.device.schedule.items()),
            f"budget   {self._latency()}",
        ]

    def _model_line(self) -> str:
        """The assumptions, and which of them this run is made with."""
        ranges = self.setting.part.ranges
        flash = " (code in flash, instruction cache on)" if self.setting.part.code == "FLASH" else ""
        return (
            f"model    cycles are MODELLED from counted instructions, not measured; assumed {self.setting.assume}, of"
            f" low-typical-high: network {_shown(ranges['network'])}, front end {_shown(ranges['front_end'])} cycles an"
            f" instruction{flash}, {_shown(ranges['line'])} a line of weights at any clock"
        )

    def _load_lines(self) -> list[str]:
        """Work of the hops in percent of the period, what else a period may have to bear, and what is left."""
        if not self.loads[TYPICAL]:
            return ["load     no hop was processed"]
        chosen = np.array(self.loads[self.setting.assume]) * 100.0
        heaviest = {end: 100.0 * max(loads) for end, loads in self.loads.items()}
        other, jitter = (100.0 * cycles / self.schedule.period for cycles in (self._most_other(), self._jitter))
        left = {end: 100.0 - other - jitter - load for end, load in heaviest.items()}
        lines = [
            f"load     work of a hop, in percent of its period: mean {chosen.mean():.1f} %, heaviest hop"
            f" {chosen.max():.1f} % ({self.setting.assume}); heaviest hop low {heaviest['low']:.1f} %, typical"
            f" {heaviest[TYPICAL]:.1f} %, high {heaviest['high']:.1f} %",
            f"headroom low {left['low']:.1f} %, typical {left[TYPICAL]:.1f} %, high {left['high']:.1f} % of the period"
            f" beside the heaviest hop, other load of up to {other:.1f} % and jitter of up to {jitter:.1f} %",
        ]
        if left["high"] < 0:
            lines.append(
                f"WARNING  at the high end of the model a hop needs up to {100.0 - left['high']:.1f} % of its period:"
                " on silicon the deadline may be missed (--assume high shows how)"
            )
        return lines

    def _most_other(self) -> int:
        """Cycles of other work that a period holds at most."""
        other, period = self.schedule.other, self.schedule.period
        return 0 if other is None else period // other.period * other.cost + min(period % other.period, other.cost)

    def _slowest_lines(self) -> list[str]:
        slowest = self.slowest()
        slot, period = slowest.slot, self.schedule.period
        after = slot.finish - slot.hop * period
        ended = f"{self.ms(after):.2f} ms after its interrupt, {100.0 * after / period:.1f} % of the period"
        where = f"slowest  hop {slot.hop} ({self.ms(slot.hop * period):g} ms), {slowest.kind or 'never taken'}"
        if not slowest.cycles:
            return [f"{where}: lost, {ended}"]
        stages = sorted(slowest.cycles.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{stage} {self.ms(cycles):.3f}" for stage, cycles in stages if stage != LOOP)
        busy = sum(slowest.cycles.values())
        return [
            f"{where}: done {ended}; {self.ms(busy):.2f} ms of it ({100.0 * busy / period:.1f} %) are its own work",
            f"         ms: {shown}",
        ]

    def _status_lines(self) -> list[str]:
        count = Counter(hop.slot.status for hop in self.hops)
        statuses = ", ".join(f"{n} {status.value.replace('_', ' ')}" for status, n in count.most_common())
        line = f"schedule {len(self.hops)} hops: {statuses}"
        return [line] if set(count) <= {Status.ON_TIME} else [line, f"         {MEANINGS}"]

    def _latency(self) -> str:
        profile = self.loop.profile
        hop_ms = 1000.0 * profile.hop_samples / SAMPLE_RATE_HZ
        return (
            f"{profile.latency_ms + hop_ms:g} ms: {hop_ms:g} to fill a hop, {hop_ms:g} to process it,"
            f" {profile.latency_ms - hop_ms:g} of overlap; converters not included"
        )


def _shown(values: Range) -> str:
    return f"{values.low:g}-{values.typical:g}-{values.high:g}"
