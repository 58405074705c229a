"""Rooms: the plan keeps to its ranges, the responses decay as RT60 says and come from their directions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.rooms import NOISES, RoomPlan, draw_room, responses
from training.sofa import Head

# An ear on the left of a head that shadows what comes from the right, another on the right.
DIRECTIONS = np.array([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])
EARS = np.zeros((4, 2, 128), np.float32)
EARS[:, 0, 4] = [0.7, 1.0, 0.7, 0.2]
EARS[:, 1, 4] = [0.7, 0.2, 0.7, 1.0]
HEAD = Head(DIRECTIONS, EARS)
MARKS = 0.1 * np.eye(128, dtype=np.float32)[60] + 0.05 * np.eye(128, dtype=np.float32)[120]
PLAN = RoomPlan(
    (4.0, 3.0, 2.5),
    0.3,
    (2.0, 1.5, 1.5),
    0.0,
    -1,
    ((3.0, 1.5, 1.5), (2.0, 2.4, 1.5), (1.0, 1.5, 1.5), (2.0, 0.6, 1.5), (3.0, 2.4, 1.5)),
    5,
)


def decay_s(response: np.ndarray) -> float:
    """RT60 from the Schroeder curve between -5 and -25 dB."""
    left = np.cumsum(np.square(response, dtype=np.float64)[::-1])[::-1]
    curve_db = 10 * np.log10(left / left[0] + 1e-12)
    return float(3 * (np.argmax(curve_db < -25) - np.argmax(curve_db < -5)) / 16000)


@pytest.mark.parametrize("rt60_s", [0.15, 0.3, 0.5])
def test_a_room_decays_about_as_its_plan_says(rt60_s: float) -> None:
    found = responses(replace(PLAN, rt60_s=rt60_s), HEAD)
    assert found.dtype == np.float32
    assert found.shape[0] == 1 + len(NOISES)
    assert found.shape[1] <= 9600 + 136
    assert 0.8 * rt60_s < np.median([decay_s(channel) for channel in found]) < 1.6 * rt60_s


def test_the_direct_sound_comes_first_at_the_same_place_in_every_channel() -> None:
    for channel in responses(PLAN, HEAD):
        assert not channel[:8].any()
        assert np.abs(channel).max() == pytest.approx(1.0)
        assert abs(channel[8]) > 0.5


def test_the_ear_hears_its_own_side_and_the_head_shadows_the_other() -> None:
    outdoors = replace(PLAN, rt60_s=0.0)
    left = responses(replace(outdoors, ear=0), Head(DIRECTIONS, EARS + MARKS))
    ratios = np.abs(left[:, 68]) / np.abs(left[:, 12])  # the mark over what the ear hears directly
    np.testing.assert_allclose(ratios[[0, 1, 3]], [0.1 / 0.7, 0.1 / 1.0, 0.1 / 0.2], rtol=1e-4)


def test_turning_the_head_turns_what_the_ear_hears() -> None:
    marked = Head(DIRECTIONS, EARS + MARKS)
    outdoors = replace(PLAN, rt60_s=0.0, ear=0, heading=np.pi / 2)
    turned = responses(outdoors, marked)
    assert np.abs(turned[0, 68] / turned[0, 12]) == pytest.approx(0.1 / 0.2, rel=1e-4), "the talker is on the right now"


def test_the_same_plan_gives_the_same_responses_and_another_seed_others() -> None:
    once, again = responses(PLAN, HEAD), responses(PLAN, HEAD)
    np.testing.assert_array_equal(once, again)
    other = responses(replace(PLAN, seed=6), HEAD)
    assert other.shape != once.shape or not np.array_equal(once, other)


def test_drawn_rooms_keep_their_ranges() -> None:
    rng = np.random.default_rng(0)
    plans = [draw_room(rng) for _ in range(300)]
    assert 0.05 < np.mean([plan.rt60_s == 0 for plan in plans]) < 0.25
    assert 0.6 < np.mean([plan.ear >= 0 for plan in plans]) < 0.9
    for plan in plans:
        assert plan.rt60_s == 0 or 0.1 <= plan.rt60_s <= 0.6
        for place in (plan.listener_m, *plan.sources_m):
            assert all(0 < at < length for at, length in zip(place, plan.size_m, strict=True))
        way = np.subtract(plan.sources_m[0], plan.listener_m)[:2]
        angle = np.angle(np.exp(1j * (np.arctan2(way[1], way[0]) - plan.heading)))
        assert abs(angle) <= np.pi / 6 + 1e-9, "the talker stands in front"
        assert str(plan).startswith("room of" if plan.rt60_s else "outdoors")
