"""The C driver of the hop schedule against its Python twin: late, held and lost hops, interrupts anywhere, two ears."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from firmware_sim.contract import WIENER_ALONE, Parameters
from firmware_sim.frame_loop import TAPS, FrameLoop
from firmware_sim.ping_pong import PingPong, Status
from firmware_sim.schedule import OtherLoad, Schedule, Slot
from golden_vectors.cc import build_host
from golden_vectors.executors.base import StreamInput
from golden_vectors.executors.c_host import CHost, HostDevice, ParameterBlock
from golden_vectors.executors.c_m7 import CM7
from golden_vectors.executors.host_ping_pong import HostPingPong
from golden_vectors.executors.numpy_reference import NumpyReference
from tests import signals
from tests.firmware.c_library import PROFILE, QUICK, model

HOP = PROFILE.hop_samples
PERIOD = 1000
"""Cycles a hop in these tests."""
INTERRUPTED = Path(__file__).with_name("interrupted.c")


def followed(marks: list[int]) -> tuple[tuple[int, str], ...]:
    """Events that can follow each other, of one number a hop: 0 in time, 1 late, 2 lost (not at hop 0)."""
    events, behind = [], False
    for hop, mark in enumerate(marks):
        status = Status.LOST if mark == 2 and hop else (Status.ON_TIME, Status.LATE)[mark % 2]
        if behind and status is not Status.LOST:
            status = Status.HELD if status.played else Status.HELD_LATE
        behind = not status.played
        events += [] if status is Status.ON_TIME else [(hop, status.value)]
    return tuple(events)


# ---------------------------------------------------------------- against the twin


@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
@settings(max_examples=8, phases=[Phase.generate])
@given(marks=st.lists(st.sampled_from([0, 0, 1, 2]), min_size=40, max_size=40), start=st.integers(0, 4000))
def test_any_late_and_lost_hops_on_the_host(scheme: str, marks: list[int], start: int) -> None:
    events = (*followed(marks), (39, "restart")) if marks[39] != 2 else followed(marks)
    stream = StreamInput(signals.mixture(0.0, 1.0, start)[: 40 * HOP], events=events or ((5, "restart"),))
    expected = NumpyReference().run_stream(model(scheme), stream)
    got = CHost().run_stream(model(scheme), stream)
    np.testing.assert_array_equal(got.played, expected.played)
    for tap in TAPS:
        np.testing.assert_array_equal(got.taps[tap], expected.taps[tap], err_msg=tap)
    assert (got.counters, got.schedule) == (expected.counters, expected.schedule)


def test_late_and_lost_hops_on_the_emulated_core() -> None:
    marks = [0, 1, 0, 1, 1, 0, 2, 0, 0, 1, 2, 2, 1, 0] * 4
    stream = StreamInput(signals.mixture(0.0, 1.0)[: len(marks) * HOP], events=(*followed(marks), (30, "restart")))
    expected = NumpyReference().run_stream(model("int16x8"), stream)
    got = CM7().run_stream(model("int16x8"), stream)
    np.testing.assert_array_equal(got.played, expected.played)
    for tap in TAPS:
        np.testing.assert_array_equal(got.taps[tap], expected.taps[tap], err_msg=tap)
    assert (got.counters, got.schedule) == (expected.counters, expected.schedule)


def driven(driver: HostPingPong, slots: list[Slot], pcm: np.ndarray) -> np.ndarray:
    """What the driver plays when interrupts, beginnings and ends come in the order of a schedule's times."""
    moments = [(index * PERIOD, 1, index) for index in range(len(slots) + 1)]
    for slot in slots:
        if slot.status is not Status.LOST:
            moments += [(slot.start, 2, slot.hop), (slot.finish, 0, slot.hop)]
    played, padded = [], np.pad(pcm, (0, HOP))
    for _, what, hop in sorted(moments):
        if what == 1:
            played.append(driver.interrupt(padded[hop * HOP : (hop + 1) * HOP]))
        elif what == 2:
            assert driver.begin()
            driver.process()
        else:
            driver.finish()
    driver.begin()
    return np.concatenate(played[1:])


@settings(max_examples=25, phases=[Phase.generate])
@given(
    works=st.lists(st.integers(1, 3000) | st.integers(1, 900), min_size=24, max_size=24),
    other=st.none() | st.tuples(st.integers(1, 1500), st.integers(1, 3000), st.integers(0, 4500)),
)
def test_the_driver_finds_the_statuses_that_the_schedule_predicts(
    works: list[int], other: tuple[int, int, int] | None
) -> None:
    load = OtherLoad(other[0], other[0] + other[1], other[2] % (other[0] + other[1])) if other else None
    schedule, slots = Schedule(PERIOD, load), []
    for work in works:
        slots.append(schedule.finish(work) if schedule.begin() else schedule.lose())
    pcm = signals.mixture(0.0, 0.2)[: len(works) * HOP]
    twin, driver = (
        PingPong(FrameLoop(PROFILE, None, WIENER_ALONE)),
        HostPingPong(HostDevice(None, parameters=WIENER_ALONE)),
    )
    expected = twin.play(pcm[None], [slot.status for slot in slots])[0]
    np.testing.assert_array_equal(driven(driver, slots, pcm), expected)
    assert driver.schedule == twin.schedule


def test_without_events_the_driver_is_the_loop_one_hop_later() -> None:
    graph, pcm = model("int16x8"), signals.mixture(0.0, 0.5)[: 100 * HOP]
    driver = HostPingPong(HostDevice(graph))
    assert not driver.run()
    played = []
    for hop in pcm.reshape(-1, HOP):
        played.append(driver.interrupt(hop))
        assert driver.run()
        assert not driver.run()
    np.testing.assert_array_equal(np.concatenate(played[1:]), HostDevice(graph).process(pcm)[:-HOP])
    assert not played[0].any()
    assert driver.schedule == {"overruns": 0, "held": 0, "lost": 0}


def test_two_ears_share_the_schedule_and_nothing_else() -> None:
    graph, statuses = model("int16x8"), [Status.ON_TIME] * 50
    statuses[35:38] = [Status.LATE, Status.HELD_LATE, Status.HELD]
    pcm = np.stack([signals.mixture(0.0, 0.2), signals.white(3200)])
    expected = PingPong(FrameLoop(PROFILE, graph, Parameters(), streams=2)).play(pcm, statuses)
    driver, ready, played = HostPingPong(HostDevice(graph, parameters=Parameters()), ears=2), 0, []
    for hop, status in enumerate(statuses):
        if ready == hop:
            played.append(driver.interrupt(pcm[:, hop * HOP : (hop + 1) * HOP]))
            ready += 1
        assert driver.begin()
        driver.process()
        if status.overrun:
            played.append(driver.interrupt(pcm[:, ready * HOP : (ready + 1) * HOP]))
            ready += 1
        driver.finish()
    np.testing.assert_array_equal(np.concatenate(played[1:], axis=1), expected[:, :-HOP])
    assert driver.schedule == {"overruns": 2, "held": 2, "lost": 0}


# ---------------------------------------------------------------- interrupts at any point


WARM = PROFILE.noise_init_hops + 4
"""Hops before those that count: from here on what is processed is not what is dry."""
HOPS = WARM + 8
ON_TIME, LATE, HELD, LOST = Status.ON_TIME, Status.LATE, Status.HELD, Status.LOST
POINTS = {"begin": 5, "process": 2, "finish": 2}
"""Points of interrupted.c in each step of a hop that is not interrupted."""


class Interrupted:
    """The driver of interrupted.c: what the DMA plays, and the status of every hop, found from the counters.

    finish   name of the last step
    steady   no half changed while it was played
    """

    def __init__(self, finish: str = "finish") -> None:
        library = build_host(None, PROFILE, flags=QUICK, more_sources=(INTERRUPTED,))
        self.device = HostDevice(None, parameters=WIENER_ALONE, library=library)
        self.driver, self.last_step = HostPingPong(self.device, prefix="interrupted"), finish
        self.pcm = signals.level_jumps(HOPS * HOP, every=500).reshape(-1, HOP)
        self.heard: list[np.ndarray] = []
        self.statuses: list[Status] = []
        self.steady = True

    def interrupt(self) -> None:
        """The half that ends now was played to its last sample: if it changed since it began, that was heard."""
        if self.heard:
            self.steady &= np.array_equal(self.driver.playing(), self.heard[-1])
        self.heard.append(self.driver.interrupt(self.pcm[len(self.heard)]))

    def step(self, name: str, points: int = -1, interrupts: int = 1) -> bool:
        """A step of the main loop; behind so many of its points, interrupts in a row. Returns whether it did."""
        served = ctypes.CFUNCTYPE(None)(lambda: [self.interrupt() for _ in range(interrupts)] and None)
        before, ready = self.driver.schedule, len(self.heard)
        self.device.library.interrupted_set(served, points)
        done = bool(self.driver.step(self.last_step if name == "finish" else name) & 1)
        self.device.library.interrupted_set(served, -1)
        lost, overrun, held = (self.driver.schedule[name] - before[name] for name in ("lost", "overruns", "held"))
        self.statuses += [LOST] * lost
        if name == "finish":
            self.statuses.append((Status.HELD_LATE if overrun else HELD) if held else (LATE if overrun else ON_TIME))
        return done if points < 0 else len(self.heard) > ready

    def hop(self, late: bool = False) -> bool:
        """A hop, if there is one, and late: an interrupt before its end."""
        if not self.step("begin"):
            return False
        self.step("process")
        if late:
            self.interrupt()
        self.step("finish")
        return True


def interrupted_at(step: str, points: int, interrupts: int, late: bool = False, finish: str = "finish") -> Interrupted:
    """Interrupts in a row in a step of hop WARM, behind so many of its points; the hop after that may be late too."""
    run = Interrupted(finish)
    for _ in range(WARM):
        run.interrupt()
        assert run.hop()
    run.interrupt()
    for name in POINTS:
        reached = run.step(name, points if name == step else -1, interrupts)
        assert reached or name != step or points >= POINTS[step]
    if not run.hop(late):
        run.interrupt()
        run.hop(late)
    while len(run.heard) < HOPS:
        if not run.hop():
            run.interrupt()
    return run


def twin_plays(run: Interrupted) -> bool:
    """Whether the twin, told the statuses, plays the same and counts the same."""
    twin = PingPong(FrameLoop(PROFILE, None, WIENER_ALONE))
    pcm = run.pcm[: len(run.statuses)].reshape(1, -1)
    played = twin.play(pcm, run.statuses).reshape(-1, HOP)
    heard = np.stack(run.heard[1:])
    same = np.array_equal(heard, played[: len(heard)]) and run.driver.schedule == twin.schedule
    return run.steady and same


def statuses_at(step: str, points: int, interrupts: int) -> list[Status]:
    """From hop WARM on. While a hop is taken it can be lost; until the exchange it can be late; then it is played."""
    if step == "begin":
        return [*[LOST] * interrupts, HELD]
    exchanged = step == "finish" and points == 1
    lost = [LOST] * (interrupts - 1)
    return [ON_TIME, *lost, HELD if lost else ON_TIME] if exchanged else [LATE, *lost, HELD]


@pytest.mark.parametrize("late", [False, True], ids=["then in time", "then late"])
@pytest.mark.parametrize("interrupts", [1, 2, 3])
@pytest.mark.parametrize(
    ("step", "points"), [(step, point) for step, count in POINTS.items() for point in range(count)]
)
def test_interrupts_at_any_point_find_whole_hops(step: str, points: int, interrupts: int, late: bool) -> None:
    run = interrupted_at(step, points, interrupts, late)
    expected = statuses_at(step, points, interrupts)
    if late and step != "begin":  # there, the hop that is taken is the one that was interrupted
        expected[-1] = Status.HELD_LATE if expected[-1] is HELD else LATE
    assert run.statuses[WARM : WARM + len(expected)] == expected
    assert twin_plays(run)


@pytest.mark.parametrize("step", POINTS)
def test_a_step_has_no_more_points(step: str) -> None:
    assert interrupted_at(step, POINTS[step], 1).statuses[WARM:][:2] == [ON_TIME, ON_TIME]


@pytest.mark.parametrize(("interrupts", "late"), [(2, True), (3, False)])
def test_a_main_loop_that_writes_the_output_is_found(interrupts: int, late: bool) -> None:
    """Resumed after the second interrupt it spoils the dry hop that waits in that half; after the third, one played."""
    assert not twin_plays(interrupted_at("finish", 1, interrupts, late, finish="finish_and_copy"))


def test_until_the_interrupt_is_served_the_dry_hop_plays() -> None:
    """The DMA begins a half at the hardware's event: a late interrupt leaves its first samples dry."""
    run = Interrupted()
    for hop in range(WARM):
        run.interrupt()
        assert run.hop()
        np.testing.assert_array_equal(run.driver.playing_next(), run.pcm[hop - 1] if hop else np.zeros(HOP, np.int16))
    run.interrupt()
    assert not np.array_equal(run.heard[-1], run.pcm[WARM - 2])


# ---------------------------------------------------------------- warm restart


def test_a_warm_restart_is_that_of_the_frame_loop_at_any_hop() -> None:
    pcm = signals.level_jumps(80 * HOP)
    for hop in (1, 29, 30, 31, 60):
        stream = StreamInput(pcm, Parameters(gain_floor_q15=9000), events=((hop, "restart"),))
        expected, got = (e.run_stream(model("int16x8"), stream) for e in (NumpyReference(), CHost()))
        for tap in TAPS:
            np.testing.assert_array_equal(got.taps[tap], expected.taps[tap], err_msg=f"{hop} {tap}")
        assert got.counters == expected.counters


IMPLAUSIBLE = {
    "noise below its floor": ("noise", (1 << 14) - 1),
    "noise above its range": ("noise", (1 << 57) + 1),
    "noise below zero": ("noise", -1),
    "too many hops": ("hops", 31),
    "hops below zero": ("hops", -1),
    "a gain above one": ("gain", 32769),
    "a flag that is no flag": ("flag", 2),
}


RARE = Parameters(gain_floor_q15=9000, dry_q15=12345)


def spoil(device: HostDevice, what: str, value: int) -> None:
    """Overwrite a number: the Wiener state lies before the network, the parameters are found by their bytes."""
    network = device.view("network.x").ctypes.data
    base = int(device.state.value or 0)
    parameters = base + ctypes.string_at(base, device.state_bytes).rindex(bytes(ParameterBlock.of(RARE)))
    wiener = network - -(-(24 * PROFILE.bins + 4) // 8) * 8
    place, kind = {
        "noise": (wiener + 8 * 40, ctypes.c_int64),
        "hops": (wiener + 24 * PROFILE.bins, ctypes.c_int32),
        "gain": (parameters + 4, ctypes.c_uint16),
        "flag": (parameters + 7, ctypes.c_uint8),
    }[what]
    kind.from_address(place).value = value


@pytest.mark.parametrize("name", IMPLAUSIBLE)
def test_memory_that_holds_no_state_goes_home(name: str) -> None:
    graph, pcm = model("int16x8"), signals.mixture(0.0, 0.3)[: 60 * HOP]
    device = HostDevice(graph, parameters=RARE)
    device.process(pcm)
    spoil(device, *IMPLAUSIBLE[name])
    assert not device.restart()
    assert set(device.counters.values()) == {(0, 0)}
    np.testing.assert_array_equal(device.process(pcm), HostDevice(graph).process(pcm))


@pytest.mark.parametrize("fill", [0x00, 0xFF, 0xA5])
def test_memory_that_was_never_a_state_goes_home(fill: int) -> None:
    device, pcm = HostDevice(model("int16x8")), signals.mixture(0.0, 0.3)[: 60 * HOP]
    ctypes.memset(device.state, fill, device.state_bytes)
    assert not device.restart()
    np.testing.assert_array_equal(device.process(pcm), HostDevice(model("int16x8")).process(pcm))


def test_edges_of_plausible_memory_start_warm() -> None:
    for what, value in (("noise", 1 << 14), ("noise", 1 << 57), ("hops", 30), ("gain", 32768), ("flag", 1)):
        device = HostDevice(model("int16x8"), parameters=RARE)
        device.process(signals.mixture(0.0, 0.2)[: 40 * HOP])
        spoil(device, what, value)
        assert device.restart(), (what, value)
