"""The loop: any chunking, any company and any reset give the same bits; parameters may change at any hop."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.contract import (
    PROFILES,
    STAGES,
    UNITY_GAIN_Q15,
    WIENER_ALONE,
    WIENER_FLOOR_Q15,
    ContractError,
    Parameters,
)
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import TAP_DTYPES, TAPS, FrameLoop, Hop, Stream, tap_bytes
from firmware_sim.graph import Graph
from tests import signals

SEED = PROFILES["seed"]


@pytest.fixture(scope="module")
def graph(graphs: dict[str, Graph]) -> Graph:
    return graphs["int16x8"]


def all_bits(hop: Hop) -> list[dict[str, str]]:
    return [hop.digests(stream) for stream in range(len(hop.pcm))]


def counts(loop: FrameLoop) -> dict[str, tuple[list[int], list[int]]]:
    return {name: (c.saturations.tolist(), c.overflows.tolist()) for name, c in loop.counters.items()}


# ---------------------------------------------------------------- same bits


@settings(max_examples=15)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=12))
def test_any_chunking_gives_the_same_bits(sizes: list[int]) -> None:
    pcm = np.stack([signals.mixture(0.0, 0.3), signals.level_jumps(4800, every=1000)])
    edges = np.clip(np.cumsum(sizes), 0, pcm.shape[1])
    stream = Stream(FrameLoop(SEED, streams=2))
    pieces = [stream.push(chunk) for chunk in np.split(pcm, edges, axis=1)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), FrameLoop(SEED, streams=2).process(pcm))


def test_sample_by_sample_is_hop_by_hop(graph: Graph) -> None:
    pcm = signals.mixture(5.0, 0.1)[None]
    stream = Stream(FrameLoop(SEED, graph))
    pieces = [stream.push(pcm[:, i : i + 1]) for i in range(pcm.shape[1])]
    assert {piece.shape[1] for piece in pieces} == {0, 64}
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), FrameLoop(SEED, graph).process(pcm))


def test_reset_returns_home_and_forgets_pending_samples(graph: Graph) -> None:
    pcm = signals.mixture(0.0, 0.4)[None]
    fresh = [all_bits(hop) for hop in FrameLoop(SEED, graph).hops_of(pcm)]
    loop = FrameLoop(SEED, graph)
    stream = Stream(loop)
    stream.push(signals.square(5000)[None])
    assert loop.hops == 78
    stream.reset()
    assert loop.hops == 0
    assert counts(loop) == {stage: ([0], [0]) for stage in STAGES}
    assert [all_bits(hop) for hop in loop.hops_of(pcm)] == fresh


def test_three_streams_together_are_three_streams_alone(graph: Graph) -> None:
    pcm = np.stack([signals.mixture(0.0, 0.5), signals.square(8000), signals.level_jumps(8000, 2000)])
    together = FrameLoop(SEED, graph, streams=3)
    hops = [all_bits(hop) for hop in together.hops_of(pcm)]
    for i, alone_pcm in enumerate(pcm):
        alone = FrameLoop(SEED, graph)
        assert [all_bits(hop)[0] for hop in alone.hops_of(alone_pcm[None])] == [bits[i] for bits in hops]
        for stage in STAGES:
            assert alone.counters[stage].saturations[0] == together.counters[stage].saturations[i]


@pytest.mark.parametrize("name", list(signals.adversarial(1280)))
def test_adversarial_signals_never_overflow_and_keep_every_tap_in_its_width(name: str, graph: Graph) -> None:
    loop = FrameLoop(SEED, graph)
    for hop in loop.hops_of(signals.adversarial(8000)[name][None]):
        for tap, values in hop.taps.items():
            limits = np.iinfo(TAP_DTYPES.get(tap, np.int32))
            assert limits.min <= values.min() <= values.max() <= limits.max, tap
    assert all(not c.overflows.any() for c in loop.counters.values())


# ---------------------------------------------------------------- taps


def test_every_hop_carries_every_tap_and_a_digest_per_stage(graph: Graph) -> None:
    hop = FrameLoop(SEED, graph, streams=2).process_hop(np.ones((2, 64), np.int16))
    assert list(hop.taps) == list(TAPS)
    assert list(hop.digests()) == list(STAGES)
    assert hop.digests(0) == hop.digests(1)


def test_a_digest_is_the_sha256_of_the_taps_in_device_widths(graph: Graph) -> None:
    loop = FrameLoop(SEED, graph)
    hop = list(loop.hops_of(signals.mixture(0.0, 0.2)[None]))[-1]
    x = hop.taps["feature_q16"][0].astype("<i4").tobytes() + hop.taps["x_q11"][0].astype("<i2").tobytes()
    assert hop.digests()["features"] == hashlib.sha256(x).hexdigest()[:16]
    flipped = replace(hop, taps={**hop.taps, "x_q11": hop.taps["x_q11"] ^ 1}).digests()
    assert {stage for stage, digest in flipped.items() if digest != hop.digests()[stage]} == {"features"}


def test_tap_bytes_have_the_width_of_the_device() -> None:
    values = np.array([-1, 2], np.int64)
    assert tap_bytes("pcm", values) == b"\xff\xff\x02\x00"
    assert tap_bytes("frame_q30", values) == b"\xff\xff\xff\xff\x02\x00\x00\x00"


# ---------------------------------------------------------------- parameters


def run(parameters: list[Parameters], graph: Graph | None, pcm: npt.NDArray[np.int16]) -> list[Hop]:
    """One hop per element of `parameters`, which may change at every hop."""
    loop = FrameLoop(SEED, graph)
    hops = []
    for t, setting in enumerate(parameters):
        loop.parameters = setting
        hops.append(loop.process_hop(pcm[:, 64 * t : 64 * t + 64]))
    return hops


def test_parameters_change_in_mid_stream_and_every_state_keeps_running(graph: Graph) -> None:
    """Bypass, dry/wet and the gain floor act on the output alone, so leaving them is seamless."""
    pcm = signals.mixture(0.0, 1.0)[None]
    plain = Parameters()
    detours = [Parameters(bypass=True), Parameters(dry_q15=20_000), Parameters(gain_floor_q15=16_384),
               Parameters(use_network=False)]  # fmt: skip
    steady = run([plain] * 240, graph, pcm)
    for detour in detours:
        moving = run([plain] * 100 + [detour] * 40 + [plain] * 100, graph, pcm)
        for t, (a, b) in enumerate(zip(steady, moving, strict=True)):
            for tap in ("noise", "x_q11", "h0", "h1", "mask_q15"):
                np.testing.assert_array_equal(a.taps[tap], b.taps[tap], err_msg=f"{tap} at hop {t}")
            same = np.array_equal(a.taps["gain_q15"], b.taps["gain_q15"])
            assert same == (not 100 <= t < 140), f"{detour} at hop {t}"
        for a, b in zip(steady[141:], moving[141:], strict=True):
            np.testing.assert_array_equal(a.pcm, b.pcm)


def test_the_total_gain_obeys_floor_and_dry_mix(graph: Graph) -> None:
    pcm = signals.mixture(-5.0, 0.4)[None]
    settings = [Parameters(gain_floor_q15=8000), Parameters(dry_q15=UNITY_GAIN_Q15), Parameters(dry_q15=9000)]
    for setting, lowest in zip(settings, (8000, UNITY_GAIN_Q15, 9000), strict=True):
        gains = np.stack([hop.taps["gain_q15"] for hop in run([setting] * 100, graph, pcm)])
        assert gains.min() >= lowest
        assert gains.max() <= UNITY_GAIN_Q15


def test_without_a_graph_the_mask_is_one_and_the_wiener_stage_is_bare() -> None:
    loop = FrameLoop(SEED)
    assert loop.parameters == WIENER_ALONE
    hop = list(loop.hops_of(signals.mixture(0.0, 0.3)[None]))[-1]
    np.testing.assert_array_equal(hop.taps["gain_q15"], hop.taps["wiener_gain_q15"])
    assert hop.taps["wiener_gain_q15"].min() < WIENER_FLOOR_Q15


def test_audio_passes_while_the_noise_is_learned(graph: Graph) -> None:
    hops = list(FrameLoop(SEED, graph).hops_of(signals.mixture(0.0, 0.2)[None]))
    for hop in hops[:30]:
        np.testing.assert_array_equal(hop.taps["gain_q15"], np.full((1, 65), UNITY_GAIN_Q15))
    assert hops[30].taps["gain_q15"].min() < UNITY_GAIN_Q15


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("shape", [(1, 63), (2, 64), (64,), (1, 0)])
def test_a_hop_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ContractError, match=r"must be \(1, 64\) int16"):
        FrameLoop(SEED).process_hop(np.zeros(shape, np.int16))


def test_floats_are_refused() -> None:
    with pytest.raises(ContractError, match="float64"):
        FrameLoop(SEED).process_hop(np.zeros((1, 64)))


def test_the_network_cannot_be_asked_for_without_a_graph() -> None:
    with pytest.raises(ContractError, match="no graph"):
        FrameLoop(SEED, None, Parameters())


@pytest.mark.parametrize("samples", [0, 1, 63, 64, 65, 1000])
def test_offline_keeps_the_length(samples: int) -> None:
    out = FrameLoop(SEED).process(signals.white(1000)[None, :samples])
    assert out.shape == (1, samples)
    assert out.dtype == np.int16


# ---------------------------------------------------------------- held hops and warm restarts


def test_a_held_hop_before_any_other_has_a_mask_of_one(graph: Graph) -> None:
    hop = FrameLoop(SEED, graph).hold_hop(np.full((1, 64), 1000, np.int16))
    assert np.all(hop.taps["mask_q15"] == UNITY_GAIN_Q15)
    assert hop.index == 0


def test_a_restart_keeps_noise_parameters_and_counters_and_sends_the_rest_home(graph: Graph) -> None:
    pcm = signals.level_jumps(64 * 60)[None]
    loop, home = FrameLoop(SEED, graph, Parameters(gain_floor_q15=9000)), FrameLoop(SEED, graph)
    last = list(loop.hops_of(pcm))[-1]
    counted, noise = counts(loop), loop._wiener.noise
    assert loop.restart()
    assert loop.parameters.gain_floor_q15 == 9000
    assert counts(loop) == counted != counts(home)
    np.testing.assert_array_equal(loop._wiener.noise, noise)
    silent = np.zeros((1, 64), np.int16)
    hop, first = loop.process_hop(silent), home.process_hop(silent)
    assert hop.index == 0
    for name in ("frame_q30", "spectrum_q30", "power"):
        np.testing.assert_array_equal(hop.taps[name], first.taps[name])
    assert not hop.taps["enhanced_q30"].any()
    assert hop.taps["wiener_gain_q15"].max() < UNITY_GAIN_Q15, "the noise is known: nothing is learned again"
    known = FrameLoop(SEED, graph, loop.parameters)
    known._wiener.noise, known._wiener.hops = noise, SEED.noise_init_hops
    assert all_bits(hop) == all_bits(known.process_hop(silent))
    assert not np.array_equal(last.taps["h0"], hop.taps["h0"])


def test_a_restart_while_the_noise_is_learned_learns_it_anew(graph: Graph) -> None:
    pcm = signals.mixture(0.0, 0.4)[None]
    loop = FrameLoop(SEED, graph)
    loop.process(pcm[:, : 64 * (SEED.noise_init_hops - 1)])
    assert loop.restart()
    fresh = [all_bits(hop) for hop in FrameLoop(SEED, graph).hops_of(pcm)]
    assert [all_bits(hop) for hop in loop.hops_of(pcm)] == fresh


@pytest.mark.parametrize(
    ("noise", "hops"),
    [((1 << 14) - 1, 30), ((1 << 57) + 1, 30), (-1, 30), (1 << 20, 31), (1 << 20, -1)],
)
def test_memory_that_holds_no_state_goes_home(graph: Graph, noise: int, hops: int) -> None:
    pcm = signals.mixture(0.0, 0.3)[None]
    loop = FrameLoop(SEED, graph, Parameters(gain_floor_q15=9000))
    loop.process(pcm)
    loop._wiener.noise[0, 7], loop._wiener.hops = noise, hops
    assert not loop.restart()
    assert counts(loop) == {stage: ([0], [0]) for stage in STAGES}
    assert loop.parameters == FrameLoop(SEED, graph).parameters
    np.testing.assert_array_equal(loop.process(pcm), FrameLoop(SEED, graph).process(pcm))


@pytest.mark.parametrize("noise", [1 << 14, 1 << 57])
def test_the_ends_of_the_noise_psd_are_plausible(graph: Graph, noise: int) -> None:
    loop = FrameLoop(SEED, graph)
    loop.process(signals.mixture(0.0, 0.2)[None])
    loop._wiener.noise[0, 7] = noise
    assert loop.restart()


# ---------------------------------------------------------------- state in, state out


def test_a_loop_goes_on_from_a_state_of_other_loops_with_the_same_bits(graph: Graph) -> None:
    pcm = signals.noisy_speech(1.0)[:3]
    loops = [FrameLoop(SEED, graph) for _ in pcm]
    begun = [list(loop.hops_of(row[None, :6400])) for loop, row in zip(loops, pcm, strict=True)]
    states = [loop.state for loop in loops]
    together = FrameLoop(SEED, graph, streams=3)
    together.load_state({name: np.concatenate([state[name] for state in states]) for name in states[0]})
    rest = list(together.hops_of(pcm[:, 6400:]))
    for stream, (loop, row) in enumerate(zip(loops, pcm, strict=True)):
        assert len(begun[stream]) == 100
        assert [hop.digests(stream) for hop in rest] == [hop.digests() for hop in loop.hops_of(row[None, 6400:])]
        for name, values in loop.state.items():
            np.testing.assert_array_equal(together.state[name][stream], values[0], err_msg=name)
    assert not np.array_equal(states[0]["counters"], loops[0].state["counters"]), "what was shown is a copy"


@pytest.mark.parametrize("wrong", [{"h0": np.zeros((2, 3))}, {"wiener.hops": np.array([30, 29])}, {"history": None}])
def test_a_state_that_does_not_fit_is_refused(graph: Graph, wrong: dict[str, Ints | None]) -> None:
    loop = FrameLoop(SEED, graph, streams=2)
    state = {name: values for name, values in (loop.state | wrong).items() if values is not None}
    with pytest.raises(ContractError, match=r"needs|equally far"):
        loop.load_state(state)
