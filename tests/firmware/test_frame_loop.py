"""The device on this machine against the frame loop: every tap of every hop, and the counters."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from firmware_sim.blocks import RECIPES
from firmware_sim.contract import PROFILES, SAMPLE_RATE_HZ, STAGES, WIENER_ALONE, ContractError, Parameters, Profile
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import TAPS, FrameLoop
from firmware_sim.graph import Graph
from golden_vectors.executors.base import StreamInput
from golden_vectors.executors.c_host import CHost, HostDevice, ParameterBlock
from golden_vectors.executors.numpy_reference import NumpyReference
from tests import signals
from tests.firmware.c_library import BOTH, PROFILE, model

HOP = PROFILE.hop_samples
SCHEMES = tuple(RECIPES)


def assert_equal_streams(graph: Graph | None, stream: StreamInput) -> dict[str, Ints]:
    """Every tap and counter of device and frame loop; returns the taps."""
    expected, got = NumpyReference().run_stream(graph, stream), CHost().run_stream(graph, stream)
    assert set(got.taps) == set(TAPS)
    for tap in TAPS:
        np.testing.assert_array_equal(got.taps[tap], expected.taps[tap], err_msg=tap)
    assert got.counters == expected.counters
    return got.taps


def whole_hops(pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    return pcm[: len(pcm) // HOP * HOP]


@pytest.mark.parametrize("name", signals.adversarial())
@pytest.mark.parametrize("scheme", SCHEMES)
def test_signals_that_look_for_trouble(scheme: str, name: str) -> None:
    pcm = whole_hops(signals.adversarial(200 * HOP)[name])
    assert_equal_streams(model(scheme), StreamInput(pcm))


@BOTH
def test_every_signal_without_a_network(profile: Profile) -> None:
    pcm = np.concatenate([whole_hops(s) for s in signals.adversarial(60 * HOP).values()])
    assert_equal_streams(None, StreamInput(pcm, WIENER_ALONE, profile=profile))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_seed_profile_with_its_network(scheme: str) -> None:
    seed = PROFILES["seed"]
    pcm = whole_hops(np.concatenate([signals.mixture(5.0, 1.0), signals.level_jumps(8000)]))
    assert_equal_streams(model(scheme, seed), StreamInput(pcm, profile=seed))


def test_a_noise_that_rose_after_digital_silence() -> None:
    assert_equal_streams(model("int16x8"), StreamInput(whole_hops(signals.risen_noise(5 * SAMPLE_RATE_HZ))))


def hops_of_python(graph: Graph, streams: npt.NDArray[np.int16], hops: int) -> Iterator[dict[str, Ints]]:
    """Taps (streams, hops, ...) of blocks of hops."""
    loop = FrameLoop(PROFILE, graph, streams=len(streams))
    for start in range(0, streams.shape[1], hops * HOP):
        block = streams[:, start : start + hops * HOP]
        rows = [loop.process_hop(block[:, i : i + HOP]).taps for i in range(0, block.shape[1], HOP)]
        yield {tap: np.stack([row[tap] for row in rows], axis=1) for tap in TAPS}


@pytest.mark.parametrize(("scheme", "seconds"), [("int16x8", 16.0), ("int8", 4.0)])
def test_a_minute_of_real_noisy_speech(scheme: str, seconds: float) -> None:
    """Four streams side by side; 64 s in all for the default scheme."""
    streams = signals.noisy_speech(seconds)
    graph, names = model(scheme), tuple(TAPS)
    devices = [HostDevice(graph) for _ in streams]
    compared = 0
    for block, taps in enumerate(hops_of_python(graph, streams, 500)):
        for i, device in enumerate(devices):
            piece = streams[i, block * 500 * HOP : (block + 1) * 500 * HOP]
            _, got = device.record(piece, names)
            for tap in names:
                flat = taps[tap][i].reshape(len(piece) // HOP, -1)
                np.testing.assert_array_equal(got[tap], flat, err_msg=f"stream {i}, block {block}, {tap}")
            compared += len(piece) // HOP
    assert compared * HOP == streams.size // HOP * HOP


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_tensor_of_the_network_against_the_graph(scheme: str) -> None:
    graph = model(scheme)
    device = HostDevice(graph)
    x = RECIPES[scheme].dtype
    low, high = np.iinfo(x).min, np.iinfo(x).max
    codes = np.random.default_rng(0).integers(low // 4, high // 4, (200, PROFILE.inputs)) * 2
    names = tuple(name for name in device.taps if name.startswith("network."))
    assert {name.removeprefix("network.") for name in names} == {n for n, t in graph.tensors.items() if t.data is None}
    got = device.record_network(codes, names)
    state = graph.home_state()
    for step, row in enumerate(codes):
        values = graph.run({"x": row[None], **state}, trace=True)
        state = {name: values[after.name] for name, after in graph.states.items()}
        for name in names:
            expected = values[name.removeprefix("network.")][0]
            np.testing.assert_array_equal(got[name][step], expected, err_msg=f"step {step}, {name}")


PARAMETERS = {
    "network off": Parameters(use_network=False),
    "bypass": Parameters(bypass=True),
    "gain floor": Parameters(gain_floor_q15=3277),
    "dry half": Parameters(dry_q15=16384),
    "all dry": Parameters(dry_q15=32768),
    "no Wiener floor": Parameters(wiener_floor_q15=0),
    "Wiener gain of one": Parameters(wiener_floor_q15=32768, gain_floor_q15=1, dry_q15=1),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter(name: str) -> None:
    pcm = whole_hops(signals.mixture(0.0, 1.0))
    taps = assert_equal_streams(model("int16x8"), StreamInput(pcm, PARAMETERS[name]))
    if name in ("bypass", "all dry"):
        np.testing.assert_array_equal(taps["pcm"].reshape(-1)[HOP:], pcm[:-HOP])


@pytest.mark.parametrize("resets", [(1,), (10, 11, 120), (0, 199)])
def test_resets_in_mid_stream(resets: tuple[int, ...]) -> None:
    pcm = whole_hops(signals.level_jumps(200 * HOP))
    assert_equal_streams(model("int16x8"), StreamInput(pcm, resets=resets))


def test_two_ears_interleaved_do_not_know_each_other() -> None:
    graph, settings = model("int16x8"), (Parameters(), Parameters(gain_floor_q15=9000))
    signal = whole_hops(signals.mixture(0.0, 1.0)), whole_hops(signals.white(16_000))
    together, alone = ([HostDevice(graph, parameters=setting) for setting in settings] for _ in range(2))
    pieces: list[list[npt.NDArray[np.int16]]] = [[], []]
    for start in range(0, len(signal[0]), HOP):
        for ear, pcm, out in zip(together, signal, pieces, strict=True):
            out.append(ear.process(pcm[start : start + HOP]))
    for ear, other, pcm, out in zip(together, alone, signal, pieces, strict=True):
        np.testing.assert_array_equal(np.concatenate(out), other.process(pcm))
        assert ear.counters == other.counters
    assert together[0].counters != together[1].counters


def test_parameters_may_change_between_hops() -> None:
    graph, pcm = model("int16x8"), whole_hops(signals.mixture(0.0, 0.5))
    half = len(pcm) // HOP // 2 * HOP
    loop, device = FrameLoop(PROFILE, graph), HostDevice(graph)
    expected = [loop.process(pcm[None, :half])[0]]
    got = [device.process(pcm[:half])]
    loop.parameters = PARAMETERS["dry half"]
    device.set_parameters(PARAMETERS["dry half"])
    np.testing.assert_array_equal(np.concatenate([*got, device.process(pcm[half:])]),
                                  np.concatenate([*expected, loop.process(pcm[None, half:])[0]]))  # fmt: skip


def test_a_gain_above_one_is_refused_and_changes_nothing() -> None:
    device = HostDevice(model("int16x8"), parameters=PARAMETERS["bypass"])
    block = ParameterBlock(32769, 0, 0, True, False)
    assert device.library.stapes_set_parameters(device.state, ctypes.byref(block)) == -1
    pcm = whole_hops(signals.mixture(0.0, 0.3))
    np.testing.assert_array_equal(device.process(pcm)[HOP:], pcm[:-HOP])
    assert device.library.stapes_init(device.state, ctypes.byref(block)) == -1
    np.testing.assert_array_equal(device.process(pcm), HostDevice(model("int16x8")).process(pcm))


def test_input_and_output_may_be_one_buffer() -> None:
    graph, pcm = model("int16x8"), whole_hops(signals.mixture(0.0, 0.3))
    device, buffer = HostDevice(graph), pcm.copy()
    for start in range(0, len(buffer), HOP):
        place = ctypes.c_void_p(buffer[start:].ctypes.data)
        device.library.stapes_process_hop(device.state, place, place)
    np.testing.assert_array_equal(buffer, HostDevice(graph).process(pcm))


def test_a_device_without_a_network_refuses_to_use_it() -> None:
    with pytest.raises(ContractError, match="no graph was given"):
        HostDevice(None, parameters=Parameters())


def test_taps_stop_at_the_end_of_the_list_and_stages_are_the_contracts() -> None:
    device = HostDevice(model("int16x8"))
    assert list(device.counters) == list(STAGES)
    assert set(TAPS) <= set(device.taps)
    record = ctypes.create_string_buffer(64)
    assert device.library.stapes_tap(device.state, ctypes.c_uint32(len(device.taps)), record) == -1
    assert device.library.stapes_tap(device.state, ctypes.c_uint32(2**32 - 1), record) == -1


@pytest.mark.parametrize("profile", [Profile("asymmetric", 256, 64, 128), Profile("short", 128, 32, 64)], ids=str)
def test_other_profiles_need_no_other_code(profile: Profile) -> None:
    pcm = signals.mixture(0.0, 2.0)
    pcm = pcm[: len(pcm) // profile.hop_samples * profile.hop_samples]
    assert_equal_streams(None, StreamInput(pcm, WIENER_ALONE, profile=profile))


def test_a_device_that_nobody_has_set_takes_the_wiener_floor_of_its_model() -> None:
    blessed = model("int16x8")
    meta = {**blessed.meta, "wiener_floor_q15": 1234}
    other = Graph(blessed.scheme, blessed.ops, blessed.inputs, blessed.outputs, meta)
    pcm = whole_hops(signals.noisy_speech(1.0).ravel())[: 100 * HOP]
    loop = FrameLoop(PROFILE, other)
    assert loop.parameters.wiener_floor_q15 == 1234
    device = HostDevice(other)
    untouched = HostDevice(other)
    untouched.library.stapes_init(untouched.state, None)
    expected = loop.process(pcm[None])[0]
    np.testing.assert_array_equal(device.process(pcm), expected)
    np.testing.assert_array_equal(untouched.process(pcm), expected)
