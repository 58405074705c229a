"""The arithmetic of the hop schedule, on cases that can be solved by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.contract import ContractError
from firmware_sim.ping_pong import Status, next_behind
from firmware_sim.schedule import OtherLoad, Schedule, Slot

PERIOD = 4000
"""Cycles a hop: microseconds, say."""


def slots(full: int, held: int, hops: int, other: OtherLoad | None = None) -> list[Slot]:
    """Hops of constant work."""
    schedule, found = Schedule(PERIOD, other), []
    for _ in range(hops):
        begun = schedule.begin()
        found.append(schedule.finish(held if schedule.behind else full) if begun else schedule.lose())
    return found


def words(found: list[Slot]) -> str:
    return " ".join(slot.status.value for slot in found)


def test_hops_of_four_ms_or_less_are_in_time() -> None:
    assert words(slots(PERIOD, PERIOD, 3)) == "on_time on_time on_time"
    assert [(slot.start, slot.finish) for slot in slots(1000, 300, 2)] == [(0, 1000), (4000, 5000)]


def test_hops_of_five_ms_are_late_and_held_in_turn() -> None:
    found = slots(5000, 800, 6)
    assert words(found) == "late held late held late held"
    assert [(slot.start, slot.finish) for slot in found[:3]] == [(0, 5000), (5000, 5800), (8000, 13000)]


def test_one_cycle_too_many_is_late() -> None:
    assert words(slots(PERIOD + 1, 800, 2)) == "late held"


def test_a_held_hop_may_be_late_again() -> None:
    assert words(slots(7000, 1500, 4)) == "late held_late held late"
    assert words(slots(6000, 5000, 4)) == "late held_late held_late lost"


def test_a_hop_that_takes_three_periods_loses_the_next_one() -> None:
    found = slots(3 * PERIOD - 100, 700, 5)
    assert words(found) == "late lost held_late held late"
    assert [slot.start for slot in found] == [0, 11900, 11900, 12600, 16000]


def test_a_late_interrupt_delays_the_beginning_but_not_the_deadline() -> None:
    schedule = Schedule(PERIOD)
    assert schedule.begin(delay=50)
    slot = schedule.finish(PERIOD - 49)
    assert (slot.ready, slot.start, slot.finish, slot.status) == (50, 50, PERIOD + 1, Status.LATE)


def test_other_load_goes_first() -> None:
    load = OtherLoad(cost=300, period=1000, phase=100)
    assert load.done(0, 100) == 100
    assert load.done(0, 101) == 401
    assert load.done(150, 0) == 400
    assert load.done(400, 700) == 1100
    assert load.done(400, 701) == 1401
    assert load.done(0, 100 + 2 * 700) == 2100
    assert load.done(0, 100 + 2 * 700 + 1) == 2401
    assert words(slots(3000, 500, 2, OtherLoad(300, 1000))) == "late held"


@given(st.integers(0, 5000), st.integers(0, 3000), st.integers(1, 99), st.integers(1, 200), st.integers(0, 300))
def test_other_load_is_a_walk_over_single_cycles(start: int, work: int, cost: int, gap: int, phase: int) -> None:
    load = OtherLoad(cost, cost + gap, phase % (cost + gap))
    now, left = start, work
    while left or (now - load.phase) % load.period < cost:
        left -= (now - load.phase) % load.period >= cost
        now += 1
        if not left and work:
            break
    assert load.done(start, work) == now


@given(st.lists(st.integers(1, 15000), min_size=1, max_size=40))
def test_every_schedule_has_statuses_that_the_device_can_have(works: list[int]) -> None:
    schedule, behind, free = Schedule(PERIOD), False, 0
    for hop, work in enumerate(works):
        slot = schedule.finish(work) if schedule.begin() else schedule.lose()
        behind = next_behind(slot.status, behind, "a hop")
        assert slot.hop == hop
        assert slot.start >= max(slot.ready, free)
        free = slot.finish


@pytest.mark.parametrize(("cost", "period"), [(0, 10), (10, 10), (11, 10), (-1, 10), (1, 0)])
def test_other_load_that_leaves_no_time_is_refused(cost: int, period: int) -> None:
    with pytest.raises(ContractError, match="leaves no time for the hops"):
        OtherLoad(cost, period)
