"""One graph, many machines: closed loops of 1,500 steps must hash alike."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from export.quantize import quantize
from export.tflite_writer import to_tflite
from firmware_sim.blocks import RECIPES
from firmware_sim.contract import DEFAULT_PROFILE, PROFILES
from firmware_sim.fixed import Ints
from firmware_sim.graph import SCHEMES, Graph
from firmware_sim.network import encode_features
from firmware_sim.ops.quantize import Quantize
from golden_vectors.executors.base import Executor
from golden_vectors.executors.litert import KERNELS, LiteRt
from golden_vectors.executors.network import digest, distance
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.executors.onnxruntime import LEVELS, OnnxReference, OnnxRuntime
from golden_vectors.executors.tf_lite import TfLite
from golden_vectors.executors.tflm import TfliteMicro
from tests.single_op import single, tensor
from tests.synthetic_student import inputs_q11, synthetic_student

STEPS = 1500
SHORT = 60
LITE = [LiteRt, *([TfLite] if TfLite().available() is None else [])]
HIDDEN = 120
PROFILE = PROFILES[DEFAULT_PROFILE]
EXACT: list[Executor] = [TfliteMicro(), *(OnnxRuntime(level) for level in LEVELS)]


@cache
def graph(scheme: str, per_channel: bool = False) -> Graph:
    return quantize(synthetic_student(hidden=HIDDEN, profile=PROFILE), RECIPES[scheme], per_channel)


@cache
def codes(scheme: str) -> Ints:
    """Speech-like frames, then digital silence, full scale and noise: inputs that saturate gates too."""
    rng = np.random.default_rng(8)
    x_q11 = np.concatenate([
        inputs_q11(rng, STEPS - 300, PROFILE),
        np.zeros((50, 128), np.int64),
        np.where(rng.integers(0, 2, (50, 128)) > 0, (1 << 14) - 1, -(1 << 14)),
        rng.integers(-(1 << 14), 1 << 14, (200, 128)),
    ])  # fmt: skip
    return encode_features(x_q11, scheme)


@cache
def reference(scheme: str, per_channel: bool = False) -> dict[str, Ints]:
    return NumpyReference().run_network(graph(scheme, per_channel), codes(scheme))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("executor", EXACT, ids=lambda e: e.name)
def test_runtimes_agree_with_numpy_over_1500_closed_loop_steps(executor: Executor, scheme: str) -> None:
    assert executor.available() is None
    run = executor.run_network(graph(scheme), codes(scheme))
    assert {name: values.shape for name, values in run.items()} == {
        "mask": (STEPS, 64), "h0": (STEPS, HIDDEN), "h1": (STEPS, HIDDEN)
    }  # fmt: skip
    assert digest(run) == digest(reference(scheme))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("executor", LITE)
def test_litert_and_tf_lite_agree_with_numpy_in_the_tie_free_scheme_without_a_word(
    executor: type[LiteRt], kernels: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run = executor(kernels).run_network(graph("int16x8"), codes("int16x8"))
    assert digest(run) == digest(reference("int16x8"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("executor", [TfliteMicro(), OnnxRuntime()], ids=lambda e: e.name)
def test_weights_per_channel_agree_too(executor: Executor, scheme: str) -> None:
    run = executor.run_network(graph(scheme, True), codes(scheme))
    assert digest(run) == digest(reference(scheme, True))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_onnx_reference_evaluator_agrees_over_a_short_loop(scheme: str) -> None:
    run = OnnxReference().run_network(graph(scheme), codes(scheme)[-SHORT:])
    assert digest(run) == digest(NumpyReference().run_network(graph(scheme), codes(scheme)[-SHORT:]))


@pytest.mark.parametrize("executor", LITE)
def test_litert_int8_keeps_a_distance_which_is_measured_and_not_claimed_away(executor: type[LiteRt]) -> None:
    """LiteRT rounds int8 FULLY_CONNECTED once; one LSB in the loop then spreads over the state."""
    run = executor().run_network(graph("int8"), codes("int8"))
    assert 0.0 < distance(run, reference("int8")) < 1.0
    worst = np.abs(run["mask"] - reference("int8")["mask"]).max()
    assert worst < 64, "the masks must still be the same masks"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_loop_exercises_states_masks_and_saturations(scheme: str) -> None:
    run = reference(scheme)
    low, high = graph(scheme).outputs[0].limits
    assert np.ptp(run["mask"]) > 0.45 * (high - low)
    assert all(np.unique(run[name], axis=0).shape[0] > STEPS // 2 for name in ("h0", "h1"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_network_holds_the_quantize_from_int8_to_int16_that_tf_lite_refuses(scheme: str) -> None:
    changes = {(op.inputs[0].dtype, op.outputs[0].dtype) for op in graph(scheme).ops if isinstance(op, Quantize)}
    assert changes <= {("int16", "int16")}
    op = Quantize([tensor("x", "int8", 4, 2.0**-7)], [tensor("y", "int16", 4, 2.0**-15)])
    for executor in LITE:
        made = to_tflite(single(op))
        if executor is LiteRt:
            assert executor()._interpreter(made)
        else:
            with pytest.raises(RuntimeError, match="QUANTIZE"):
                executor()._interpreter(made)


def test_a_single_flipped_value_changes_digest_and_distance() -> None:
    run = {name: values.copy() for name, values in reference("int16x8").items()}
    run["h1"][700, 3] ^= 1
    assert digest(run) != digest(reference("int16x8"))
    assert distance(run, reference("int16x8")) == 1 / (STEPS * (64 + HIDDEN + HIDDEN))


def test_an_absent_runtime_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("golden_vectors.executors.network.find_spec", lambda name: None)
    for executor in (TfliteMicro(), OnnxRuntime(), OnnxReference(), LiteRt(), TfLite()):
        reason = executor.available()
        assert reason is not None
        assert "pip install" in reason
