"""Vectors of late, held and lost hops and of restarts: complete, and red at the first place where a fault acts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from firmware_sim.frame_loop import FrameLoop, Hop
from firmware_sim.ping_pong import Pcm, PingPong, Status
from golden_vectors.cases import CASES
from golden_vectors.compare import Difference
from golden_vectors.errors import WitnessError
from golden_vectors.executors.base import StreamInput
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.executors.schedule import Call, calls, heard
from golden_vectors.generate import build
from golden_vectors.kinds.stream import stream_difference, stream_input
from golden_vectors.schema import check_arrays, check_case, check_header
from golden_vectors.vector import Vector
from golden_vectors.verify import Bench, Outcome
from tests.golden_vectors.models import small_graph, small_graphs

FILES = dict.fromkeys(("npz", "wav", "out.wav", "trace"), "0" * 64)
IDS = ("overrun", "lost_hops", "restart")


@pytest.fixture(scope="module")
def bench() -> Bench:
    graphs = small_graphs()
    bench = Bench([build(case, graphs) for case in CASES if case.id in IDS], graphs, steps=5)
    assert all(bench.reference_taps(vector) is not None for vector in bench.vectors)
    return bench


def vector(bench: Bench, name: str) -> Vector:
    return next(v for v in bench.vectors if v.id == name)


def first(bench: Bench, name: str) -> Difference | None:
    run = NumpyReference().run_stream(small_graph("int16x8"), stream_input(vector(bench, name)))
    return stream_difference(vector(bench, name), run, lambda: bench.reference_taps(vector(bench, name)))


# ---------------------------------------------------------------- what they hold


@pytest.mark.parametrize("name", IDS)
def test_a_vector_with_events_is_sound_and_holds_what_is_played(bench: Bench, name: str) -> None:
    one = vector(bench, name)
    header = check_header({**one.header, "files": FILES})
    check_arrays(header, one.arrays)
    check_case(header, next(case for case in CASES if case.id == name))
    assert one.arrays["played"].shape == one.arrays["pcm"].shape
    assert first(bench, name) is None


def test_what_is_played_is_dry_exactly_where_a_hop_was_not_played(bench: Bench) -> None:
    for name in IDS:
        one = vector(bench, name)
        stream = stream_input(one)
        dry = np.concatenate([np.zeros((1, 64), np.int16), stream.pcm.reshape(-1, 64)[:-1]])
        own = one.arrays["pcm"]
        expected = [own[i] if status.played else dry[i] for i, status in enumerate(stream.statuses)]
        np.testing.assert_array_equal(one.arrays["played"], np.stack(expected))


def test_the_events_meet_every_status_the_learning_of_the_noise_and_the_end() -> None:
    kinds: set[str] = set()
    for case in CASES:
        if case.id in IDS:
            kinds |= {kind for _, kind in case.events}  # type: ignore[union-attr]
            assert min(hop for hop, _ in case.events) < 30  # type: ignore[union-attr]
    assert kinds == {"restart", "late", "held", "held_late", "lost"}
    assert next(c for c in CASES if c.id == "lost_hops").events[-1] == (59, "lost")  # type: ignore[union-attr]


def test_vectors_without_events_are_as_they_were() -> None:
    header = build(CASES[4], small_graphs()).header
    assert header["id"] == "silence"
    assert not {"events", "schedule"} & set(header)


BAD_HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "no list": ({"events": 3}, "events must be pairs of a hop and one of restart, late"),
    "nothing": ({"events": []}, "events must be pairs"),
    "an unknown kind": ({"events": [[3, "slow"]]}, "events must be pairs"),
    "a hop of text": ({"events": [["3", "late"]]}, "events must be pairs"),
    "three words": ({"events": [[3, "late", 1]]}, "events must be pairs"),
    "beyond the end": ({"events": [[60, "late"]]}, "ascending hops below 60"),
    "twice": ({"events": [[3, "late"], [3, "lost"]]}, "ascending hops below 60"),
    "not held": ({"events": [[3, "late"]]}, "events: hop 4 cannot be on_time: the hop after a late or lost one"),
    "held for nothing": ({"events": [[3, "held"]]}, "events: hop 3 cannot be held: only the hop after"),
    "late again": ({"events": [[3, "late"], [4, "late"]]}, "events: hop 4 cannot be late"),
    "lost at home": ({"events": [[0, "lost"], [1, "held"]]}, "hop 0 comes from home"),
    "lost at a restart": ({"events": [[3, "restart"], [3, "lost"], [4, "held"]]}, "hop 3 comes from home"),
    "no counters": ({"schedule": {}}, "schedule must be a whole number for each of overruns, held, lost"),
    "counters of text": ({"schedule": {"overruns": "1", "held": 1, "lost": 1}}, "schedule must be"),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_events_that_no_device_can_have_are_refused(bench: Bench, name: str) -> None:
    changes, message = BAD_HEADERS[name]
    header = {**copy.deepcopy(vector(bench, "lost_hops").header), "files": FILES, **changes}
    with pytest.raises(ValueError, match=message):
        check_header(header)


def test_a_vector_with_events_needs_what_is_played_and_counted(bench: Bench) -> None:
    one = vector(bench, "overrun")
    arrays = {name: values for name, values in one.arrays.items() if name != "played"}
    with pytest.raises(ValueError, match=r"the \.npz lacks played"):
        check_arrays(one.header, arrays)
    header = {name: value for name, value in one.header.items() if name != "schedule"}
    with pytest.raises(ValueError, match="wrong keys: schedule"):
        check_header({**header, "files": FILES})


# ---------------------------------------------------------------- planted faults


def own_output_of_late_hops(self: PingPong, pcm: Pcm, done: Hop | None, status: Status) -> Pcm:
    heard = FINISH(self, pcm, done, status)
    return done.pcm.astype(np.int16) if done is not None else heard


def dry_of_this_hop(self: PingPong, pcm: Pcm, done: Hop | None, status: Status) -> Pcm:
    heard = FINISH(self, pcm, done, status)
    return heard if status.played else pcm


def overruns_that_nobody_counts(self: PingPong, pcm: Pcm, done: Hop | None, status: Status) -> Pcm:
    heard = FINISH(self, pcm, done, status)
    self.schedule["overruns"] = 0
    return heard


def lost_hops_in_the_state(self: PingPong, pcm: Pcm, done: Hop | None, status: Status) -> Pcm:
    if status is Status.LOST:
        self.loop.process_hop(pcm)
    return FINISH(self, pcm, done, status)


def noise_forgotten(self: FrameLoop) -> bool:
    self.reset()
    return True


def counters_forgotten(self: FrameLoop) -> bool:
    warm = RESTART(self)
    for counter in self.counters.values():
        counter.reset()
    return warm


def overlap_kept(self: FrameLoop) -> bool:
    overlap = self._overlap
    warm = RESTART(self)
    self._overlap = overlap
    return warm


def network_kept(self: FrameLoop) -> bool:
    assert self.network is not None
    state = self.network.state
    warm = RESTART(self)
    self.network.state = state
    return warm


FINISH, RESTART = PingPong.finish, FrameLoop.restart
FAULTS: dict[str, tuple[type, str, Callable[..., Any], str, int | None, str, str]] = {
    "a late hop is played": (PingPong, "finish", own_output_of_late_hops, "overrun", 36, "schedule", "played"),
    "dry is a hop early": (PingPong, "finish", dry_of_this_hop, "overrun", 2, "schedule", "played"),
    "no overrun is counted": (PingPong, "finish", overruns_that_nobody_counts, "overrun", None, "schedule", "overruns"),
    "a held hop runs the network": (FrameLoop, "hold_hop", FrameLoop.process_hop, "overrun", 3, "network", "h0"),
    "a lost hop enters": (PingPong, "finish", lost_hops_in_the_state, "lost_hops", 2, "window", "frame_q30"),
    "the noise is forgotten": (FrameLoop, "restart", noise_forgotten, "restart", 60, "wiener", "noise"),
    "counters are forgotten": (FrameLoop, "restart", counters_forgotten, "restart", None, "wiener", "saturations"),
    "the overlap is kept": (FrameLoop, "restart", overlap_kept, "restart", 12, "overlap_add", "pcm"),
    "the network is kept": (FrameLoop, "restart", network_kept, "restart", 12, "network", "h0"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_where_it_acts(bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, method, fault, case, step, stage, tap = FAULTS[name]
    reference = bench.reference_taps(vector(bench, case))
    assert reference is not None
    monkeypatch.setattr(owner, method, fault)
    found = first(bench, case)
    assert found is not None
    assert (found.step, found.stage, found.tap) == (step, stage, tap)
    outcome = Outcome(["numpy"])
    bench.run(NumpyReference(), outcome)
    assert any(cell.first is not None for cell in outcome.failures.values())


def test_an_executor_that_does_not_show_what_is_played_is_refused(bench: Bench) -> None:
    one = vector(bench, "overrun")
    run = NumpyReference().run_stream(small_graph("int16x8"), stream_input(one))
    with pytest.raises(WitnessError, match="does not show what is played in overrun"):
        stream_difference(one, replace(run, played=None), lambda: None)
    shorter = stream_difference(one, replace(run, played=run.played[:-1]), lambda: None)  # type: ignore[index]
    assert shorter is not None
    assert "shape" in str(shorter)


# ---------------------------------------------------------------- calls


def test_the_calls_of_a_driver_are_those_that_a_clock_would_bring() -> None:
    stream = StreamInput(np.zeros(5 * 64, np.int16), events=((0, "late"), (1, "held"), (2, "lost"), (3, "held")))
    shown = [f"{call.value} {hop}" for call, hop in calls(stream)]
    assert shown == [
        "begin 0", "interrupt 0", "begin 0", "process 0", "interrupt 1", "finish 0", "show 0",
        "begin 1", "process 1", "finish 1", "show 1",
        "interrupt 2", "show 2",
        "interrupt 3", "begin 3", "process 3", "finish 3", "show 3",
        "interrupt 4", "run 4", "show 4",
        "interrupt 5", "begin 5",
    ]  # fmt: skip
    every = replace(stream, resets=(1,), events=((0, "late"), (1, "held"), (2, "restart")))
    assert {call for call, _ in calls(every)} == set(Call)


def test_buffers_that_the_start_of_a_driver_left_as_they_were_are_refused() -> None:
    halves = np.zeros((3, 64), np.int16)
    halves[1:] = [[1], [2]]
    np.testing.assert_array_equal(heard(halves), halves[1:])
    halves[0, 63] = 0x5A5A
    with pytest.raises(WitnessError, match="before its first hop the driver"):
        heard(halves)
