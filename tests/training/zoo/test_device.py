"""The device in the bench: aligned, the firmware's bits, and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firmware_sim.contract import PROFILES, ContractError
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.graph import Graph
from tests import signals
from training.zoo.device import Device, counted, instructions_per_hop


@pytest.fixture
def model(graphs: dict[str, Graph], tmp_path: Path) -> Path:
    graphs["int16x8"].save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


def test_the_output_is_the_frame_loops_less_its_delay(model: Path) -> None:
    pcm = signals.noisy_speech(1.0)
    graph = Graph.load(model)
    profile = PROFILES[graph.meta["profile"]]
    wanted = FrameLoop(profile, graph, streams=len(pcm)).process(pcm)[:, profile.stream_delay_samples :]
    got = Device("device", model)(pcm / np.float32(32768))
    assert got.shape == pcm.shape
    np.testing.assert_array_equal(got[:, : wanted.shape[1]] * 32768, wanted)


def test_the_wiener_stage_is_aligned_with_its_input() -> None:
    noisy = signals.noisy_speech(2.0) / np.float32(32768)
    processed = Device("wiener", None)(noisy)
    lags = [float(np.sum(noisy[:, 64:-64] * np.roll(processed, lag, axis=1)[:, 64:-64])) for lag in range(-64, 65, 8)]
    assert int(np.argmax(lags)) == 8


def test_facts_are_counted_in_the_graph(graphs: dict[str, Graph], model: Path) -> None:
    graph = graphs["int16x8"]
    profile = PROFILES[graph.meta["profile"]]
    inputs, hidden, bands = graph.inputs[0].shape[0], 16, graph.tensors["mask"].shape[0]
    layers = (3 * hidden * (inputs + hidden), 3 * hidden * 2 * hidden, hidden * hidden, hidden * bands)
    parameters, macs = counted(graph)
    assert macs == sum(layers)
    assert macs < parameters <= macs + 12 * hidden + hidden + bands
    device = Device("device", model)
    assert device.params == parameters
    assert device.mmac_per_s == pytest.approx(macs * 16_000 / profile.hop_samples / 1e6)
    assert device.latency_ms == profile.latency_ms


def test_a_network_costs_instructions(graphs: dict[str, Graph]) -> None:
    graph = graphs["int16x8"]
    profile = PROFILES[graph.meta["profile"]]
    assert instructions_per_hop(profile, graph) > instructions_per_hop(profile, None) + counted(graph)[1]


def test_the_identity_is_the_digest_of_the_graph(graphs: dict[str, Graph], model: Path) -> None:
    assert Device("device", model).identity() == graphs["int16x8"].digest


def test_a_model_of_an_unknown_profile_is_refused(graphs: dict[str, Graph], tmp_path: Path) -> None:
    whole = graphs["int16x8"]
    changed = Graph(whole.scheme, whole.ops, whole.inputs, whole.outputs, {**whole.meta, "profile": "x"})
    changed.save(tmp_path / "model.npz")
    with pytest.raises(ContractError, match="is for profile 'x'"):
        Device("device", tmp_path / "model.npz")
