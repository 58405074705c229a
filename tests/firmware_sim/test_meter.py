"""Counters are sticky and per stream; the meter counts what ran while it was open, and nothing else."""

from __future__ import annotations

import numpy as np

from firmware_sim import fixed, meter
from firmware_sim.meter import COUNTER_MAX, WEIGHTS, Counter, metered


def test_counters_are_sticky_until_reset() -> None:
    counter = Counter(streams=2)
    counter.saturated(np.array([[True, True], [False, True]]))
    counter.saturated(np.array([[False, False], [False, True]]))
    np.testing.assert_array_equal(counter.saturations, [2, 2])
    counter.overflowed(np.array([[True, True], [False, False]]))
    np.testing.assert_array_equal(counter.overflows, [1, 0])
    counter.reset()
    assert not counter.saturations.any()
    assert not counter.overflows.any()


def test_counters_stay_at_the_top_of_the_device_s_words() -> None:
    counter = Counter(streams=2)
    counter.saturations[:] = COUNTER_MAX - 2, 5
    counter.overflows[:] = COUNTER_MAX
    hit = np.ones((2, 3), bool)
    counter.saturated(hit)
    counter.overflowed(hit)
    np.testing.assert_array_equal(counter.saturations, [COUNTER_MAX, 8])
    np.testing.assert_array_equal(counter.overflows, [COUNTER_MAX, COUNTER_MAX])


def test_the_meter_books_operations_under_the_stage_that_is_entered() -> None:
    x = np.arange(10, dtype=np.int64)
    fixed.sat_i16(x)
    with metered() as counts:
        meter.enter_stage("window")
        fixed.shr_round(x, 3)
        meter.enter_stage("gain")
        fixed.mul_q15(x, 5)
        fixed.mul_q15(x[:4], 5)
    fixed.sat_i16(x)
    assert counts.stages == {"window": {"round": 10}, "gain": {"mac": 14}}
    assert counts.weighted() == {"window": 10 * WEIGHTS["round"], "gain": 14 * WEIGHTS["mac"]}


def test_an_inner_meter_leaves_the_outer_one_as_it_was() -> None:
    x = np.arange(3, dtype=np.int64)
    with metered() as outer:
        meter.enter_stage("window")
        with metered() as inner:
            meter.enter_stage("gain")
            fixed.mul_q15(x, 5)
        fixed.mul_q15(x, 5)
    assert inner.stages == {"gain": {"mac": 3}}
    assert outer.stages == {"window": {"mac": 3}}
