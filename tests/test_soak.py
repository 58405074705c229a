"""The soak proves every hop, goes on after an interruption, and turns red at one bit: of a state, of a weight."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.soak import __main__ as door
from benchmarks.soak import stream
from benchmarks.soak.device import Checkpoint, Memory, Plan, Soak
from benchmarks.soak.distance import COLUMNS, Trend, distances, measure
from benchmarks.soak.floats import FloatLoop, GruLayer, Result
from benchmarks.soak.proof import CHECKPOINT, HOME, Proven, batches, counters, locate, prove
from export.quantize import quantize
from firmware_sim.blocks import RECIPES
from firmware_sim.contract import DEFAULT_PROFILE, PROFILES, STAGES, WIENER_ALONE, Parameters
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.graph import SCHEMES, Graph
from firmware_sim.meter import COUNTER_MAX
from golden_vectors.cc import build_host
from golden_vectors.errors import WitnessError
from golden_vectors.executors.c_host import HostDevice
from tests import twins
from tests.golden_vectors.models import HIDDEN, small_graph
from tests.synthetic_student import synthetic_student

PROFILE = PROFILES[DEFAULT_PROFILE]
MINUTE = Plan.of(PROFILE, 1 / 60, segment_seconds=2)
SECONDS_OF_SIX = Plan.of(PROFILE, 6 / 3600, segment_seconds=1)


def failures(soak: Soak) -> dict[int, tuple[str, ...]]:
    """Segment -> what differs at its end."""
    found = [failure for batch in batches(range(soak.plan.segments)) for failure in prove(soak, batch)]
    return {failure.segment: failure.what for failure in found}


@pytest.fixture(params=SCHEMES)
def minute(request: pytest.FixtureRequest, tmp_path: Path) -> Soak:
    """A minute of audio through the C of a small model that lets most of it pass, so that the output clips."""
    student = synthetic_student(0, HIDDEN, frames=120, profile=PROFILE)
    opened = student.weights["fc2.bias"]
    opened += 2.0
    soak = Soak(quantize(student, RECIPES[request.param]), MINUTE, tmp_path)
    soak.run()
    return soak


@pytest.fixture
def short(tmp_path: Path) -> Soak:
    """Six seconds, a checkpoint each."""
    soak = Soak(small_graph("int16x8"), SECONDS_OF_SIX, tmp_path)
    soak.run()
    return soak


# ---------------------------------------------------------------- proof


def test_c_is_python_over_every_hop_of_a_minute(minute: Soak) -> None:
    assert minute.plan.hop(minute.plan.segments) == 15_000 + PROFILE.noise_init_hops
    assert failures(minute) == {}
    assert counters(minute, minute.plan.segments)["overlap_add"][0] > 0, "nothing has clipped"


@pytest.mark.parametrize("member", ["history", "overlap", "wiener.noise", "wiener.prior_uq16", "h0", "mask_q15"])
def test_a_flipped_bit_of_a_kept_state_is_found_and_named(short: Soak, member: str) -> None:
    point = short.checkpoint(3)
    short.keep(3, Checkpoint(flipped(short, point.memory, member), point.output))
    found = failures(short)
    assert found[2] == (member,)
    assert set(found) == {2} if member == "mask_q15" else {2, 3}, "what starts from it must end elsewhere"
    first = locate(short, 2)
    assert (first.stage, first.tap, first.step) == (CHECKPOINT, member, short.plan.hop(3))
    assert isinstance(first.expected, int)
    assert isinstance(first.got, int)
    assert first.expected ^ first.got == 1


def flipped(soak: Soak, memory: bytes, member: str) -> bytes:
    """The image of a state in which the lowest bit of the third element of a member is another."""
    reader, element = Memory(soak.device()), 2
    true = reader.state(memory)[member][element]
    for at in range(len(memory)):
        image = bytearray(memory)
        image[at] ^= 1
        state = reader.state(bytes(image))
        if state[member][element] == true ^ 1:
            return bytes(image)
    raise AssertionError(f"no byte of the memory is {member}")


def test_another_home_is_found(short: Soak) -> None:
    point = short.checkpoint(0)
    short.keep(0, Checkpoint(flipped(short, point.memory, "wiener.noise"), point.output))
    assert failures(short)[0][0] == "home wiener.noise"
    first = locate(short, 0)
    assert (first.step, first.stage, first.tap, first.index) == (0, HOME, "wiener.noise", (2,))


def test_an_altered_output_digest_is_found(short: Soak) -> None:
    short.keep(4, Checkpoint(short.checkpoint(4).memory, "0" * 64))
    assert failures(short) == {3: ("output",)}
    assert (locate(short, 3).stage, locate(short, 3).tap) == (CHECKPOINT, "output")


def test_one_altered_weight_of_the_c_is_found_at_its_first_hop(tmp_path: Path) -> None:
    graph = small_graph("int16x8")
    faulty = copy.deepcopy(graph)
    op = next(op for op in faulty.ops if op.results == ("gru0_h_n",))
    x, weights, bias = op.inputs
    data = np.array(weights.data)
    data[3, 5] ^= 1
    op.inputs = (x, replace(weights, data=data), bias)
    op.prepare()
    soak = Soak(graph, SECONDS_OF_SIX, tmp_path, build_host(faulty, PROFILE))
    soak.run()
    first = locate(soak, min(failures(soak)))
    assert (first.stage, first.tap) == ("network", "h0")
    pcm = soak.plan.pcm(0)
    true, other = (HostDevice(g, PROFILE).record(pcm, ("h0",))[1]["h0"] for g in (graph, faulty))
    assert first.step == np.flatnonzero((true != other).any(axis=1))[0]


def test_a_proof_holds_for_the_checkpoints_that_it_saw(short: Soak) -> None:
    Proven(short).add(range(short.plan.segments))
    assert Proven(short).open() == []
    short.keep(2, Checkpoint(short.checkpoint(2).memory, "0" * 64))
    assert Proven(short).open() == [1, 2]


def test_sticky_counters_stay_at_their_top_in_c_and_python() -> None:
    graph, pcm = small_graph("int16x8"), stream.read(0, 64 * 250)
    device, loop = HostDevice(graph, PROFILE), FrameLoop(PROFILE, graph)
    rows = device.library.stapes_counters(device.state)
    for i in range(len(STAGES)):
        rows[i].saturations = COUNTER_MAX - 2
    memory = Memory(device)
    state = memory.state(memory.image)
    loop.load_state({name: state[name][None] for name in loop.state})
    device.process(pcm)
    loop.process(pcm[None])
    np.testing.assert_array_equal(memory.state(memory.image)["counters"], loop.state["counters"][0])
    assert COUNTER_MAX in loop.state["counters"]


# ---------------------------------------------------------------- files


def test_an_interrupted_run_goes_on_to_the_same_checkpoints(short: Soak, tmp_path: Path) -> None:
    other = Soak(short.graph, short.plan, tmp_path / "other")
    counted = 0

    def interrupt(segments: int) -> None:
        nonlocal counted
        counted += segments
        if counted == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        other.run(interrupt)
    assert not other.path(4).exists()
    other.run()
    for number in range(short.plan.segments + 1):
        assert other.checkpoint(number) == short.checkpoint(number)


def test_another_model_and_other_segments_are_another_soak(short: Soak) -> None:
    longer = Soak(short.graph, Plan.of(PROFILE, 1, segment_seconds=1), short.parent)
    assert longer.folder == short.folder
    wider = Soak(short.graph, Plan.of(PROFILE, 1, segment_seconds=2), short.parent)
    student = Soak(small_graph("int16x8", seed=1), short.plan, short.parent)
    assert len({short.folder, wider.folder, student.folder}) == 3


def test_damaged_files_are_refused_in_one_line_and_a_removed_checkpoint_is_made_again(short: Soak) -> None:
    true = short.checkpoint(2)
    short.path(2).write_bytes(short.path(2).read_bytes()[:100])
    with pytest.raises(WitnessError, match=r"checkpoint_00002.npz: is damaged: remove it"):
        short.checkpoint(2)
    short.path(2).unlink()
    short.run()
    assert short.checkpoint(2) == true
    measure(short, hours=1 / 3600)
    (kept,) = short.folder.glob("floats_*.npz")
    kept.write_bytes(b"")
    (short.folder / "proven.json").write_text("{")
    with pytest.raises(WitnessError, match=r"floats_.*npz: is damaged"):
        measure(short, hours=1.0)
    with pytest.raises(WitnessError, match=r"proven.json: is damaged"):
        Proven(short)


# ---------------------------------------------------------------- stream


def test_any_part_of_the_stream_is_the_same_as_in_one_piece() -> None:
    whole = stream.read(0, 3 * stream.SCENE_SAMPLES)
    assert len(whole) == 3 * stream.SCENE_SAMPLES
    for start, stop in ((0, 0), (5, 70_000), (63_999, 64_001), (128_000, 192_000)):
        np.testing.assert_array_equal(stream.read(start, stop), whole[start:stop])


def test_the_stream_has_every_kind_of_scene_pauses_drop_outs_and_clipping() -> None:
    scenes = [stream.Scene.draw(number) for number in range(200)]
    assert {scene.kind for scene in scenes} == set(stream.KINDS)
    assert sum(share for share, _, _ in stream.KINDS.values()) == pytest.approx(1.0)
    by_kind = {scene.kind: scene.pcm().astype(np.int64) for scene in scenes}
    assert not by_kind["drop-out"][:256].any()
    assert by_kind["drop-out"][256:].any()
    assert np.mean(np.abs(by_kind["clipped speech"]) >= 32767) > 1e-3
    quiet = 20 * np.log10(by_kind["pause"].std() / 32768)
    assert abs(quiet - stream.NOISE_DBFS) < 6


def test_the_stream_keeps_the_noise_estimate_moving() -> None:
    """Late as early every bin's noise PSD goes up and down by many decibels: a frozen one would test nothing."""
    device = HostDevice(small_graph("int16x8"), PROFILE)
    _, taps = device.record(stream.read(0, 600 * 16_000), ("vad", "noise"))
    late = slice(-60 * 250, None)
    assert 0.2 < taps["vad"][late].mean() < 0.8, "both ways"
    steps = np.diff(taps["noise"][late], axis=0)
    assert (steps != 0).mean(axis=0).min() > 0.5
    assert (steps > 0).mean(axis=0).min() > 0.2
    assert (steps < 0).mean(axis=0).min() > 0.2
    assert np.ptp(10 * np.log10(taps["noise"][late]), axis=0).min() > 20


def test_the_stream_keeps_the_noise_estimate_of_the_tracker_vad_moving() -> None:
    """The VAD decides both ways, late as early: after digital silence it would report speech for good."""
    assert PROFILES["seed"].noise_tracker == "vad"
    _, taps = HostDevice(None, PROFILES["seed"]).record(stream.read(0, 600 * 16_000), ("vad", "noise"))
    late = slice(-60 * 250, None)
    assert 0.5 < taps["vad"][late].mean() < 0.95
    assert np.ptp(10 * np.log10(taps["noise"][late].mean(axis=1))) > 3


# ---------------------------------------------------------------- floats


def test_the_float_front_end_is_the_twin_in_pieces_of_any_length() -> None:
    graph = small_graph("int16x8")
    pcm = stream.read(0, 64 * 1500)
    loop = FloatLoop(PROFILE, graph, replace(WIENER_ALONE, wiener_floor_q15=3000))
    cuts = np.array([0, 7, 30, 31, 500, 1500]) * 64
    pieces = [loop.process(pcm[a:b]) for a, b in pairwise(cuts)]
    spectrum = twins.spectra(pcm, PROFILE)
    power = np.abs(spectrum) ** 2 * 2.0**56
    gain, noise, vad = twins.wiener_gains(power, PROFILE, 3000 / 32768)
    np.testing.assert_array_equal(np.concatenate([piece.vad for piece in pieces]), vad)
    np.testing.assert_allclose(np.concatenate([piece.noise for piece in pieces]), noise, rtol=1e-9)
    mask = np.concatenate([piece.mask for piece in pieces])
    mask[: PROFILE.noise_init_hops] = 1.0
    mask = np.repeat(mask, PROFILE.band_widths, axis=1)
    expected = np.clip(twins.resynthesise(spectrum * gain * mask, PROFILE), -32768, 32767)
    np.testing.assert_allclose(np.concatenate([piece.pcm for piece in pieces]), expected, atol=1e-6)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_float_gru_layer_is_the_graph_with_real_numbers(scheme: str) -> None:
    graph = small_graph(scheme)
    x = np.random.default_rng(0).normal(0.0, 1.0, (40, PROFILE.inputs))
    states = [np.zeros((1, *t.shape)) for t in graph.states.values()]
    found = []
    for row in x:
        values = real_step(graph, row, states)
        states = [values[t.name] for t in graph.states.values()]
        found.append([state[0] for state in states])
    h0 = GruLayer(graph, 0).run(x, np.zeros(12))
    h1 = GruLayer(graph, 1).run(h0, np.zeros(12))
    np.testing.assert_allclose(h0, [row[0] for row in found], atol=1e-12)
    np.testing.assert_allclose(h1, [row[1] for row in found], atol=1e-12)


def real_step(graph: Graph, x: np.ndarray, states: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The graph op by op on real numbers: nothing is rounded, nothing saturates."""
    values = {"x": x[None], **dict(zip(graph.states, states, strict=True))}
    words = {
        "ADD": np.add,
        "SUB": np.subtract,
        "MUL": np.multiply,
        "LOGISTIC": lambda a: 1.0 / (1.0 + np.exp(-a)),
        "TANH": np.tanh,
        "QUANTIZE": np.copy,
    }
    for op in graph.ops:
        operands = [values[name] for name in op.operands]
        if op.kind == "FULLY_CONNECTED":
            _, weights, bias = op.inputs
            y = operands[0] @ (weights.values * np.reshape(weights.scales, (-1, 1))).T + bias.values * bias.scale
            results = [np.maximum(y, 0.0) if op.relu else y]  # type: ignore[attr-defined]
        elif op.kind == "SPLIT":
            results = np.split(operands[0], len(op.outputs), axis=1)
        else:
            results = [words[op.kind](*operands)]
        values.update(zip(op.results, results, strict=True))
    return values


def test_integers_are_near_the_floats_and_int16x8_is_nearer(tmp_path: Path) -> None:
    medians = []
    for scheme in SCHEMES:
        soak = Soak(small_graph(scheme), SECONDS_OF_SIX, tmp_path)
        soak.run()
        part = measure(soak, hours=2 / 3600)
        assert len(part["hours"]) == 2
        whole = measure(soak, hours=1.0)
        assert whole["snr_db"][:2] == part["snr_db"]
        assert measure(soak, hours=2 / 3600) == part
        assert len(whole["hours"]) == soak.plan.segments - 1
        assert max(whole["noise_psd_db"]) < 0.01
        medians.append(np.median([whole["snr_db"], whole["mask_rms"], whole["h1_rms"]], axis=1))
    (fine_db, *fine), (coarse_db, *coarse) = medians
    assert fine_db > coarse_db + 10
    assert coarse_db > 20
    assert all(a < b / 5 for a, b in zip(fine, coarse, strict=True))


def test_the_floats_refuse_another_output_of_the_device(short: Soak) -> None:
    short.keep(2, Checkpoint(short.checkpoint(2).memory, "0" * 64))
    with pytest.raises(WitnessError, match="gives another output than before"):
        measure(short, hours=1.0)


def test_distances_are_those_that_were_planted() -> None:
    graph, bins = small_graph("int16x8"), PROFILE.bins
    real = Result(np.full(64, 100.0), np.zeros((1, bins)), np.full((1, bins), 1e6), np.array([True]),
                  np.zeros((1, 12)), np.zeros((1, 12)))  # fmt: skip
    taps = {"mask_q15": np.full((1, bins), 8192), "noise": np.full((1, bins), 1e7), "vad": np.array([[0]]),
            "h0": np.full((1, 12), 1 << 14), "h1": np.zeros((1, 12))}  # fmt: skip
    found = distances(graph, real, np.full(64, 99, np.int16), taps)
    np.testing.assert_allclose(found, [40.0, 1.0, 0.25, 0.5, 0.0, 10.0, 1.0])


@pytest.mark.parametrize(("per_hour", "falls"), [(0.0, False), (-0.2, True), (0.2, False)])
def test_a_drift_of_a_fifth_of_a_decibel_an_hour_is_seen(per_hour: float, falls: bool) -> None:
    hours = np.arange(600) / 60
    snr = 40.0 + per_hour * hours + np.random.default_rng(3).normal(0.0, 2.0, 600)
    trend = Trend.of(list(hours), [*snr[:-1], np.nan])
    assert trend is not None
    assert trend.falls is falls
    assert abs(trend.per_hour - per_hour) < 4 * trend.standard_error < 0.15
    assert abs(trend.start - 40.0) < 1.0
    assert trend.minutes == 599
    few = Trend.of(list(hours[:5]), [5.0, 4.0, 3.0, 2.0, 1.01])
    assert few is not None
    assert not few.falls, "a few minutes say nothing"


# ---------------------------------------------------------------- door


def run_door(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Eight seconds of the small int16x8 model through the door."""
    model = folder / "model.npz"
    small_graph("int16x8").save(model)
    monkeypatch.setattr(door, "MODELS", {"int16x8": model})
    options = ["--hours", "0.002", "--segment-seconds", "2", "--scheme", "int16x8", "--out", str(folder / "soak")]
    return door.main(options)


def test_the_door_writes_figures_and_picture_and_turns_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_door(tmp_path, monkeypatch) == 0
    assert "C is Python" in capsys.readouterr().out
    facts = json.loads((tmp_path / "soak.json").read_text())["int16x8"]
    assert facts["segments_proven"] == facts["segments"] == len(facts["output_sha256"]) == 5
    assert facts["hops"] == 2000 + PROFILE.noise_init_hops
    assert len(facts["distance"]["minutes"]["snr_db"]) == 4
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")

    (folder,) = (tmp_path / "soak").iterdir()
    point = Checkpoint.load(folder / "checkpoint_00002.npz")
    image = bytearray(point.memory)
    image[-1] ^= 1  # a counter
    (folder / "checkpoint_00002.npz").write_bytes(Checkpoint(bytes(image), point.output).to_bytes())
    assert run_door(tmp_path, monkeypatch) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("stapes: soak int16x8, segment 1: hop 530 (2120 ms), stage checkpoint, counters")


def test_the_door_turns_red_when_the_integers_drift_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    falling = {name: list(np.linspace(1.0, 0.9, 60) + 0.001 * (np.arange(60) % 3)) for name in COLUMNS}
    monkeypatch.setattr(door, "measure", lambda *_: falling | {"hours": list(np.arange(60) / 60)})
    assert run_door(tmp_path, monkeypatch) == 1
    assert "stapes: int16x8: the SNR against floats falls by 0.1" in capsys.readouterr().err
    assert (tmp_path / "soak.json").exists(), "the figures are written all the same"


@pytest.mark.parametrize("options", [["--hours", "0"], ["--segment-seconds", "0.5"], ["--scheme", "float"]])
def test_the_door_refuses_what_is_no_soak(options: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        door.main(options)
    assert refused.value.code == 2


def test_default_parameters_are_those_of_the_floats_too() -> None:
    """The float loop has no dry path and no bypass: the device must not have them by default."""
    assert (Parameters().dry_q15, Parameters().bypass, Parameters().use_network) == (0, False, True)
