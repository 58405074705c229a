"""A device in time: the frame loop behind its hop schedule, on a named part, by the cycle MODEL of `parts`.

The bits are exact, the times are not: every hop draws its cycles from the model's ranges, its interrupt is served with
jitter, and other interrupts go before its processing (not before its interrupt). Late, held and lost hops follow, and
so does what the device plays.
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
    FRONT_END_CPI,
    LOOP,
    NETWORK_CPI,
    Instructions,
    Part,
    assumed,
    drawn,
    instructions_of,
    stage_cycles,
)
from firmware_sim.ping_pong import PingPong
from firmware_sim.schedule import OtherLoad, Schedule, Slot

SCHEDULE = "schedule"
"""Stands for a stage: interrupt, taking a hop and handing it over."""
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
    seed       of every draw
    raises     ContractError when the part cannot do that, an interrupt comes later than the driver bears, or other
               work more seldom than LONGEST_PERIOD_US
    """

    part: Part
    clock_mhz: float | None = None
    other_us: tuple[float, float] | None = None
    jitter_us: float = 5.0
    seed: int = 1

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
            cycles = self._cycles(kinds, held, drawn(self.setting.part, self._random))
            for end, loads in self.loads.items():
                loads.append(self._share(self._cycles(kinds, held, assumed(self.setting.part, end))))
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
            for stage, cycles in stage_cycles(self.setting.part, stages, self.instructions.weight_bytes, cpi).items():
                total[stage] = total.get(stage, 0.0) + cycles
        total[SCHEDULE] = len(kinds) * sum(self.instructions.schedule.values()) * cpi["front_end"]
        return total

    def _share(self, cycles: dict[str, float]) -> float:
        return sum(cycles.values()) / self.schedule.period

    # ------------------------------------------------------------ report

    def worst(self) -> TimedHop:
        """The hop that took longest from its interrupt on; the first of them."""
        return max(self.hops, key=lambda hop: hop.slot.finish - hop.slot.hop * self.schedule.period)

    def ms(self, cycles: float) -> float:
        return cycles / self.setting.mhz / 1000.0

    def report(self) -> list[str]:
        """What the schedule was like, as lines."""
        part, setting = self.setting.part, self.setting
        other = "none" if setting.other_us is None else "{:g} of every {:g} us".format(*setting.other_us)
        return [
            f"part     {part.name} at {setting.mhz:g} MHz: {self.schedule.period:,} cycles a hop;"
            f" weights in {part.weights_in}",
            f"model    cycles are MODELLED from counted instructions, not measured: network"
            f" {NETWORK_CPI.low:g}-{NETWORK_CPI.high:g}, front end {FRONT_END_CPI.low:g}-{FRONT_END_CPI.high:g} cycles"
            f" an instruction, {part.line_cycles.low:g}-{part.line_cycles.high:g} a line of weights",
            f"bears    jitter up to {setting.jitter_us:g} us, other load {other}, seed {setting.seed}",
            *self._load_lines(),
            *self._worst_lines(),
            f"schedule {self._statuses()}",
            "counters " + ", ".join(f"{n} {name}" for name, n in self.device.schedule.items()),
            f"budget   {self._latency()}",
        ]

    def _load_lines(self) -> list[str]:
        if not self.loads["typical"]:
            return ["load     no hop was processed"]
        share = {end: np.array(loads) * 100.0 for end, loads in self.loads.items()}
        cost, period = self.setting.other_us or (0.0, 1.0)
        other = 100.0 * cost / period
        left = {end: 100.0 - other - float(values.max()) for end, values in share.items()}
        return [
            f"load     typical: mean {share['typical'].mean():.1f} %, worst hop {share['typical'].max():.1f} %;"
            f" range of the worst hop {share['low'].max():.1f} to {share['high'].max():.1f} %"
            + (f"; other load {other:.1f} %" if other else ""),
            f"headroom typical {left['typical']:.1f} % of a hop; range {left['high']:.1f} to {left['low']:.1f} %",
        ]

    def _worst_lines(self) -> list[str]:
        worst = self.worst()
        slot, period = worst.slot, self.schedule.period
        after = self.ms(slot.finish - slot.hop * period)
        where = f"worst    hop {slot.hop} ({self.ms(slot.hop * period):g} ms), {worst.kind or 'never taken'}"
        if not worst.cycles:
            return [f"{where}: lost, {after:.2f} ms after its interrupt"]
        stages = sorted(worst.cycles.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{stage} {self.ms(cycles):.3f}" for stage, cycles in stages if stage != LOOP)
        busy = self.ms(sum(worst.cycles.values()))
        return [
            f"{where}: done {after:.2f} ms after its interrupt, {busy:.2f} ms of work, deadline {self.ms(period):g} ms",
            f"         ms: {shown}",
        ]

    def _statuses(self) -> str:
        count = Counter(hop.slot.status.value.replace("_", " ") for hop in self.hops)
        return f"{len(self.hops)} hops: " + ", ".join(f"{n} {status}" for status, n in count.most_common())

    def _latency(self) -> str:
        profile = self.loop.profile
        hop_ms = 1000.0 * profile.hop_samples / SAMPLE_RATE_HZ
        return (
            f"{profile.latency_ms + hop_ms:g} ms: {hop_ms:g} to fill a hop, {hop_ms:g} to process it,"
            f" {profile.latency_ms - hop_ms:g} of overlap; converters not included"
        )
