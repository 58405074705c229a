"""What late, held and lost hops do to what is played and to the state: the laws of the hop schedule."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from firmware_sim.contract import PROFILES, ContractError, Parameters
from firmware_sim.frame_loop import FrameLoop, Hop
from firmware_sim.graph import Graph
from firmware_sim.ping_pong import PingPong, Status
from tests import signals

SEED = PROFILES["seed"]
HOP = SEED.hop_samples
HOPS = 60
T, L, H, HL, X = Status.ON_TIME, Status.LATE, Status.HELD, Status.HELD_LATE, Status.LOST
Pcm = npt.NDArray[np.int16]


@pytest.fixture(scope="module")
def graph(graphs: dict[str, Graph]) -> Graph:
    return graphs["int16x8"]


@pytest.fixture(scope="module")
def pcm() -> Pcm:
    return np.stack([signals.mixture(0.0, 0.3), signals.white(4800)])[:, : HOPS * HOP]


def device(graph: Graph) -> PingPong:
    return PingPong(FrameLoop(SEED, graph, streams=2))


def run(graph: Graph, pcm: Pcm, *events: tuple[int, Status]) -> tuple[list[Pcm], list[Hop | None], PingPong]:
    """Played hops, processed hops and the device, with these statuses and ON_TIME elsewhere."""
    one, of = device(graph), dict(events)
    pairs = [one.hop(hop, of.get(i, T)) for i, hop in enumerate(np.split(pcm, HOPS, axis=1))]
    return [played for played, _ in pairs], [done for _, done in pairs], one


def assert_same_taps(a: Hop | None, b: Hop | None) -> None:
    assert a is not None
    assert b is not None
    for name, values in a.taps.items():
        np.testing.assert_array_equal(values, b.taps[name], err_msg=name)


def test_hops_that_are_in_time_are_the_frame_loop(graph: Graph, pcm: Pcm) -> None:
    expected = FrameLoop(SEED, graph, streams=2).process(pcm)
    one = device(graph)
    np.testing.assert_array_equal(one.play(pcm, [T] * HOPS), expected)
    assert one.schedule == {"overruns": 0, "held": 0, "lost": 0}


@pytest.mark.parametrize("hop", [0, 1, 20, 45])
def test_a_late_hop_plays_the_input_of_the_hop_before_and_its_state_goes_on(graph: Graph, pcm: Pcm, hop: int) -> None:
    played, done, one = run(graph, pcm, (hop, L), (hop + 1, H))
    _, plain, _ = run(graph, pcm)
    before = pcm[:, (hop - 1) * HOP : hop * HOP] if hop else np.zeros((2, HOP))
    np.testing.assert_array_equal(played[hop], before)
    for i in range(hop + 1):
        assert_same_taps(done[i], plain[i])
    assert one.schedule == {"overruns": 1, "held": 1, "lost": 0}


def test_a_late_hop_is_aligned_with_what_would_have_been_played(graph: Graph, pcm: Pcm) -> None:
    """With a gain of one the loop plays its input, one hop late: nobody hears that a hop was late."""
    loop = FrameLoop(SEED, graph, Parameters(bypass=True), streams=2)
    statuses = [T] * HOPS
    statuses[40:43] = [L, HL, H]
    played = PingPong(loop).play(pcm, statuses)
    np.testing.assert_array_equal(played[:, HOP:], pcm[:, :-HOP])


def test_a_held_hop_leaves_mask_and_network_and_moves_all_else(graph: Graph, pcm: Pcm) -> None:
    played, done, _ = run(graph, pcm, (40, L), (41, H))
    _, plain, _ = run(graph, pcm)
    held, before, full = done[41], done[40], plain[41]
    assert held is not None
    assert before is not None
    assert full is not None
    for name in ("h0", "h1", "mask_q15"):
        np.testing.assert_array_equal(held.taps[name], before.taps[name])
        assert not np.array_equal(full.taps[name], before.taps[name])
    for name in ("frame_q30", "spectrum_q30", "power", "noise", "xi_uq16", "wiener_gain_q15", "feature_q16", "x_q11"):
        np.testing.assert_array_equal(held.taps[name], full.taps[name])
    np.testing.assert_array_equal(played[41], held.pcm)
    assert not np.array_equal(held.pcm, full.pcm)


def test_a_lost_hop_leaves_the_whole_state(graph: Graph, pcm: Pcm) -> None:
    """The stream without the lost hop, in which the hop after it is held, has the same bits from there on."""
    played, done, one = run(graph, pcm, (40, X), (41, H))
    shorter = FrameLoop(SEED, graph, streams=2)
    hops = np.split(pcm, HOPS, axis=1)
    expected = [shorter.process_hop(hop) for hop in hops[:40]]
    expected += [shorter.hold_hop(hops[41]), *(shorter.process_hop(hop) for hop in hops[42:])]
    assert done[40] is None
    for got, wanted in zip([*done[:40], *done[41:]], expected, strict=True):
        assert_same_taps(got, wanted)
    np.testing.assert_array_equal(played[40], hops[39])
    assert one.schedule == {"overruns": 0, "held": 1, "lost": 1}


def test_every_status_has_its_counters(graph: Graph, pcm: Pcm) -> None:
    _, _, one = run(graph, pcm, (3, L), (4, HL), (5, X), (6, HL), (7, H), (9, X), (10, H))
    assert one.schedule == {"overruns": 3, "held": 4, "lost": 2}


@pytest.mark.parametrize(
    ("statuses", "message"),
    [
        ([H], "a hop cannot be held: only the hop after a late or lost one is held"),
        ([T, HL], "a hop cannot be held_late: only the hop after"),
        ([L, T], "a hop cannot be on_time: the hop after a late or lost one is held"),
        ([L, L], "a hop cannot be late: the hop after"),
        ([X, T], "a hop cannot be on_time: the hop after"),
        ([L, H, H], "a hop cannot be held: only"),
    ],
)
def test_statuses_that_no_schedule_has_are_refused(statuses: list[Status], message: str) -> None:
    one = PingPong(FrameLoop(SEED, None))
    with pytest.raises(ContractError, match=message):
        one.play(np.zeros((1, len(statuses) * HOP), np.int16), statuses)
