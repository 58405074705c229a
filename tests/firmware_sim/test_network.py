"""The network as a stage: codes in and out, state at home and in motion, a model of another profile refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_sim.contract import PROFILES, ContractError
from firmware_sim.graph import SCHEMES, Graph, GraphError
from firmware_sim.meter import Counter
from firmware_sim.network import Network, decode_mask, encode_features
from firmware_sim.ops import Quantize
from tests.single_op import tensor

SEED = PROFILES["seed"]
X_Q11 = np.arange(-(1 << 14), 1 << 14, dtype=np.int64)[None]


def test_int16_codes_are_even_and_fill_int16() -> None:
    code = encode_features(X_Q11, "int16x8")
    np.testing.assert_array_equal(code, 2 * X_Q11)
    assert (code.min(), code.max()) == (-32768, 32766)


def test_int8_codes_are_rounded_half_up_and_their_saturations_counted() -> None:
    counter = Counter(streams=1)
    code = encode_features(X_Q11, "int8", counter)
    exact = np.floor(X_Q11 / 128.0 + 0.5)
    np.testing.assert_array_equal(code, np.clip(exact, -128, 127))
    np.testing.assert_array_equal(counter.saturations, [(exact > 127).sum()])


def test_masks_come_back_as_q15() -> None:
    codes = np.array([[0, 1, 32767]], np.int64)
    np.testing.assert_array_equal(decode_mask(codes, "int16x8"), codes)
    np.testing.assert_array_equal(decode_mask(np.array([[-128, -127, 0, 127]]), "int8"), [[0, 128, 16384, 32640]])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_state_moves_on_and_reset_brings_it_home(scheme: str, graphs: dict[str, Graph]) -> None:
    network = Network(graphs[scheme], SEED, streams=2)
    x = np.random.default_rng(0).integers(-6000, 6000, (5, 2, 65))
    first = [network.step(frame) for frame in x]
    assert not np.array_equal(first[0], network.step(x[0]))
    network.reset()
    np.testing.assert_array_equal([network.step(frame) for frame in x], first)
    home = graphs[scheme].home_state(2)
    network.reset()
    for name, code in network.state.items():
        np.testing.assert_array_equal(code, home[name])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_streams_do_not_hear_each_other(scheme: str, graphs: dict[str, Graph]) -> None:
    x = np.random.default_rng(1).integers(-16384, 16384, (8, 3, 65))
    together, alone = Network(graphs[scheme], SEED, 3), [Network(graphs[scheme], SEED, 1) for _ in range(3)]
    for frame in x:
        separate = [network.step(frame[i : i + 1])[0] for i, network in enumerate(alone)]
        np.testing.assert_array_equal(together.step(frame), separate)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_masks_stay_within_q15(scheme: str, graphs: dict[str, Graph]) -> None:
    network = Network(graphs[scheme], SEED, streams=4)
    for frame in np.random.default_rng(2).choice(np.array([-16384, 0, 16383]), (50, 4, 65)):
        mask_q15 = network.step(frame)
        assert mask_q15.min() >= 0
        assert mask_q15.max() <= 32767


def test_a_model_of_another_profile_is_refused(graphs: dict[str, Graph]) -> None:
    with pytest.raises(ContractError, match="the loop runs other: choose"):
        Network(graphs["int16x8"], replace(SEED, name="other"), streams=1)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_graph_whose_ends_do_not_fit_the_loop_is_refused(scheme: str, graphs: dict[str, Graph]) -> None:
    graph = graphs[scheme]
    maskless = Graph(graph.scheme, graph.ops, graph.inputs, graph.outputs[1:], graph.meta)
    with pytest.raises(GraphError, match="no mask of 65 elements"):
        Network(maskless, SEED, streams=1)
    with pytest.raises(GraphError, match="no x of 33 elements"):
        Network(graph, replace(SEED, analysis_samples=64, hop_samples=32, synthesis_samples=64, bands=()), streams=1)
    signs = tensor("mask", graph.inputs[0].dtype, 65, 2.0**-7)
    signed = Graph(scheme, [Quantize([graph.inputs[0]], [signs])], graph.inputs[:1], [signs], graph.meta)
    with pytest.raises(GraphError, match=f"no mask of 65 elements as scheme {scheme} codes it"):
        Network(signed, SEED, streams=1)
