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
from tests.firmware.c_library import QUICK, SEED, model

HOP = SEED.hop_samples
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
        PingPong(FrameLoop(SEED, None, WIENER_ALONE)),
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
    expected = PingPong(FrameLoop(SEED, graph, Parameters(), streams=2)).play(pcm, statuses)
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


# ---------------------------------------------------------------- interrupts in the middle of a copy


WARM = SEED.noise_init_hops + 4
"""Hops before those that count: from here on what is processed is not what is dry."""


def signal() -> np.ndarray:
    """(WARM + 3, HOP) int16."""
    return signals.level_jumps((WARM + 3) * HOP, every=500).reshape(-1, HOP)


def interrupted_at(step: str, points: int) -> tuple[list[np.ndarray], dict[str, int]] | None:
    """The interrupt of hop WARM + 1 falls into a step of hop WARM, behind so many points of the step's copies.

    returns  what plays for hop WARM, right after the interrupt and when the main loop has gone on, and for hop
             WARM + 1; counters. None if the step has fewer points
    """
    library = build_host(None, SEED, flags=QUICK, more_sources=(INTERRUPTED,))
    device = HostDevice(None, parameters=WIENER_ALONE, library=library)
    driver, pcm, heard = HostPingPong(device, prefix="interrupted"), signal(), []
    served = ctypes.CFUNCTYPE(None)(lambda: heard.append(driver.interrupt(pcm[WARM + 1])))
    device.library.interrupted_set(served, -1)
    for hop in pcm[:WARM]:
        driver.interrupt(hop)
        assert driver.run()
    driver.interrupt(pcm[WARM])
    for name in ("begin", "process", "finish"):
        device.library.interrupted_set(served, points if name == step else -1)
        getattr(driver, name)()
        device.library.interrupted_set(served, -1)
        if heard and name == "begin":
            driver.process()
            driver.finish()
            break
    if not heard:
        return None
    heard.append(driver.playing())
    driver.run()
    heard.append(driver.interrupt(pcm[WARM + 2]))
    return heard, driver.schedule


@pytest.mark.parametrize(
    ("step", "status", "after"), [("begin", Status.LOST, Status.HELD), ("finish", Status.ON_TIME, Status.ON_TIME)]
)
@pytest.mark.parametrize("points", range(3))
def test_an_interrupt_inside_a_copy_finds_whole_hops(step: str, status: Status, after: Status, points: int) -> None:
    """While a hop is taken it loses that hop; while a hop is handed over it plays that hop."""
    twin = PingPong(FrameLoop(SEED, None, WIENER_ALONE))
    statuses = [*[Status.ON_TIME] * WARM, status, after]
    played = twin.play(signal()[: WARM + 2].reshape(1, -1), statuses).reshape(-1, HOP)
    assert not np.array_equal(played[WARM], signal()[WARM - 1]) or status is Status.LOST
    found = interrupted_at(step, points)
    assert found is not None
    heard, schedule = found
    for got, expected in zip(heard, played[[WARM, WARM, WARM + 1]], strict=True):
        np.testing.assert_array_equal(got, expected)
    assert schedule == twin.schedule


@pytest.mark.parametrize("step", ["begin", "finish"])
def test_a_step_has_one_copy_and_so_three_points(step: str) -> None:
    assert interrupted_at(step, 3) is None


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
    wiener = network - -(-(20 * SEED.bins + 4) // 8) * 8
    place, kind = {
        "noise": (wiener + 8 * 40, ctypes.c_int64),
        "hops": (wiener + 20 * SEED.bins, ctypes.c_int32),
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
