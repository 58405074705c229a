"""Quantization: each step keeps what it promises, and the graph stays close to the float student."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from export.quantize import (
    calibrate,
    decibels,
    measure,
    quantize,
    quantize_bias,
    quantize_weights,
    tie_free_fc1_scale,
)  # fmt: skip
from export.student import (
    FloatNetwork,
    by_step,
    fold_layer_norm,
)  # fmt: skip
from firmware_sim.blocks import INT8, INT16X8, RECIPES, Dense
from firmware_sim.graph import GraphError
from tests.synthetic_student import features_q11, synthetic_student


@pytest.mark.parametrize("scheme", [INT16X8, INT8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_error_feedback_and_clipping_distort_less_than_plain_rounding(scheme, per_channel) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(4)
    weights = rng.standard_t(4, (40, 24)) * 0.1
    inputs = rng.normal(size=(500, 24)) @ (np.eye(24) + rng.normal(0, 0.5, (24, 24)))
    integers, scale = quantize_weights(weights, inputs.T @ inputs / 500, scheme, per_channel)
    column = np.reshape(scale, (-1, 1))
    full = np.abs(weights).max(axis=1 if per_channel else None, keepdims=True) / 127
    plain_scale = 2.0 ** np.ceil(np.log2(full)) if scheme.tie_free else full
    plain = np.rint(weights / plain_scale) * plain_scale

    def distortion(approximation: np.ndarray) -> float:
        return float(((inputs @ (weights - approximation).T) ** 2).sum())

    assert np.abs(integers).max() <= 127
    assert (np.float32(column) == column).all()
    assert distortion(integers * column) < 0.8 * distortion(plain)


def test_tie_free_scales_are_powers_of_two_and_biases_the_nearest_odd_integers() -> None:
    bias = np.array([0.0, 0.4, 1.0, 1.9, 2.0, 2.1, -0.3, -1.0, -1.99, -2.01])
    assert quantize_bias(bias, 1.0, INT16X8).tolist() == [1, 1, 1, 1, 3, 3, -1, -1, -1, -3]
    assert quantize_bias(bias, 1.0, INT8).tolist() == [0, 0, 1, 2, 2, 2, 0, -1, -2, -2]
    graph = quantize(synthetic_student(hidden=16, frames=30), INT16X8)
    for tensor in graph.tensors.values():
        assert all(np.log2(scale).is_integer() for scale in tensor.scales)
        assert tensor.dtype != "int64" or (tensor.values & 1).all()


def test_the_fc1_scale_is_the_smallest_that_its_bound_allows() -> None:
    numbers = Dense(np.full((2, 128), 127, np.int8), 2.0**-7, np.array([1, 1]))
    scale = tie_free_fc1_scale(numbers, INT16X8)
    reach = 127 * 128 * 2.0**-7
    assert reach / scale <= 32766 < 2 * reach / scale


@pytest.mark.parametrize(
    ("scheme", "per_channel", "mask_db", "state_db"),
    [
        ("int16x8", False, 36.0, 30.0),
        ("int16x8", True, 40.0, 34.0),
        ("int8", False, 33.0, 28.0),
        ("int8", True, 33.0, 28.0),
    ],
)
def test_the_graph_stays_close_to_the_float_student(
    scheme: str, per_channel: bool, mask_db: float, state_db: float
) -> None:
    student = synthetic_student()
    quality = measure(quantize(student, RECIPES[scheme], per_channel), student)
    assert quality.snr_db["mask"] > mask_db
    assert min(quality.snr_db["h0_next"], quality.snr_db["h1_next"]) > state_db
    assert quality.saturations < 2e-3
    assert next(iter(quality.snr_db)) == "x"


def test_quantization_is_deterministic_and_names_its_student() -> None:
    student = synthetic_student(hidden=16, frames=30)
    first, second = (quantize(student, INT16X8) for _ in range(2))
    assert first.digest == second.digest
    assert first.meta["student_sha256"] == student.sha256
    assert first.meta["weight_scales"] == "per tensor"
    assert quantize(synthetic_student(seed=1, hidden=16, frames=30), INT16X8).digest != first.digest


@pytest.mark.parametrize(("scheme", "size"), [("int16x8", 0.0), ("int8", 0.0), ("int8", 1024.0)])
def test_zeros_and_the_largest_weights_of_a_file_are_measured_without_a_warning(scheme: str, size: float) -> None:
    student = synthetic_student(hidden=1, frames=10)
    changed = replace(student, weights={name: size * np.sign(array) for name, array in student.weights.items()})
    quality = measure(quantize(changed, RECIPES[scheme]), changed)
    assert np.isfinite(list(quality.snr_db.values())).all()


def test_weights_too_large_for_the_tie_free_scheme_are_refused_without_a_warning() -> None:
    student = synthetic_student(hidden=8, frames=10)
    changed = replace(student, weights={name: 1024 * np.sign(array) for name, array in student.weights.items()})
    with pytest.raises(GraphError, match="gru0_x_rz: an int16 requantising scale"):
        quantize(changed, INT16X8)


def test_decibels_of_silence_are_finite() -> None:
    assert decibels(0.0, 0.0) == 0.0
    assert decibels(0.0, 1.0) == -300.0
    assert decibels(100.0, 1.0) == 20.0


def test_calibration_runs_streams_of_different_lengths_each_from_home() -> None:
    student = synthetic_student(hidden=8, frames=30)
    rng = np.random.default_rng(0)
    streams = [features_q11(rng, n) for n in (5, 12, 9)]
    network = FloatNetwork(fold_layer_norm(student.weights))
    moment = sum((calibrate(network, [s]).moments["h0"] * len(s) for s in streams), np.zeros((8, 8))) / 26
    np.testing.assert_allclose(calibrate(network, streams).moments["h0"], moment, rtol=1e-12, atol=1e-15)
    assert sum(len(x) for x, _ in by_step(streams)) == 26
