"""Post-training quantization: student -> integer Graph, by calibration on real features.

Each step says what must hold before and after it; the graph is then measured against the float student.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from export.student import LAYERS, FloatNetwork, Floats, Student, by_step, fold_layer_norm, real_features
from firmware_sim.blocks import RECIPES, Dense, GruWeights, Scheme, mask_network
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from firmware_sim.grid import SMALLEST_LARGEST, WEIGHT_LIMIT, odd_nearest, safe_fc1_scale, weight_scale
from firmware_sim.meter import Counter
from firmware_sim.network import encode_features

DAMPING = 0.01
"""Share of the mean power added to every input: keeps the feedback from trusting the calibration data fully."""
CLIPPING_STEPS = 12
"""Weight scales tried in the scheme int8, from the largest weight down to half of it."""

Scale: TypeAlias = float | tuple[float, ...]


@dataclass(frozen=True)
class Statistics:
    """What the float network did on the calibration streams.

    moments  input name of a FULLY_CONNECTED ("x", "h0", "h1", "fc1") -> mean of v v^T, the weights' metric
    largest  tensor name -> largest magnitude
    """

    moments: dict[str, Floats]
    largest: dict[str, float]


def calibrate(network: FloatNetwork, streams: list[Ints]) -> Statistics:
    """Run the float network over the calibration streams, each from home."""
    state = network.home_state(len(streams))
    sums: dict[str, Floats] = {}
    largest: dict[str, float] = {}
    frames = 0
    for x_q11, running in by_step(streams):
        tensors = network.step(real_features(x_q11), {name: h[running] for name, h in state.items()})
        for name, values in tensors.items():
            largest[name] = max(largest.get(name, 0.0), float(np.abs(values).max()))
        state = {name: tensors[f"{name}_next"] for name in state}
        for name, values in {"x": tensors["x"], **state, "fc1": tensors["fc1"]}.items():
            sums[name] = sums.get(name, 0.0) + values.T @ values
        frames += len(running)
    return Statistics({name: total / frames for name, total in sums.items()}, largest)


# ---------------------------------------------------------------- weights


def quantize_weights(weights: Floats, moment: Floats, scheme: Scheme, per_channel: bool) -> tuple[Ints, Scale]:
    """int8 weights and the scale that distort the layer's outputs least on the calibration data.

    weights   float64 (outputs, inputs)
    moment    (inputs, inputs), mean of v v^T of the layer's input v
    before    weights are finite
    after     |weights_i8| <= 127; scales are float32, powers of two in the tie-free scheme
    """
    largest = np.abs(weights).max(axis=1, keepdims=True) if per_channel else np.abs(weights).max(keepdims=True)
    feedback = _feedback(moment)
    best_error, best, best_scale = np.full(largest.shape, np.inf), np.zeros_like(weights), largest
    for scale in _candidate_scales(largest, scheme):
        integers = _round_with_feedback(weights, scale, feedback)
        difference = weights - integers * scale
        error = np.einsum("ij,jk,ik->i", difference, moment, difference, optimize=True)[:, np.newaxis]
        error = error if per_channel else error.sum(axis=0, keepdims=True)
        better = error < best_error
        best_error, best_scale = np.where(better, error, best_error), np.where(better, scale, best_scale)
        best = np.where(better, integers, best)
    scales = tuple(float(s) for s in best_scale[:, 0])
    return best.astype(np.int64), scales if per_channel else scales[0]


def _candidate_scales(largest: Floats, scheme: Scheme) -> list[Floats]:
    """Scales from "nothing is clipped" downwards."""
    if scheme.tie_free:
        return [weight_scale(largest) / 2.0**clipped for clipped in range(4)]
    full = np.maximum(largest, SMALLEST_LARGEST) / WEIGHT_LIMIT
    return [(full * factor).astype(np.float32).astype(np.float64) for factor in np.linspace(1.0, 0.5, CLIPPING_STEPS)]


def _feedback(moment: Floats) -> Floats:
    """Upper Cholesky factor of the inverse moment: how later weights make up for the rounding of earlier ones.

    source  Frantar et al., GPTQ: accurate post-training quantization, 2022
    """
    damped = moment + np.eye(len(moment)) * DAMPING * max(float(np.trace(moment)) / len(moment), 2.0**-40)
    factor: Floats = np.linalg.cholesky(np.linalg.inv(damped)).T
    return factor


def _round_with_feedback(weights: Floats, scale: Floats, feedback: Floats) -> Floats:
    """Round column by column, each time moving the error onto the columns not yet rounded."""
    rest, integers = weights.copy(), np.zeros_like(weights)
    for j in range(weights.shape[1]):
        integers[:, j] = np.clip(np.rint(rest[:, j : j + 1] / scale), -WEIGHT_LIMIT, WEIGHT_LIMIT)[:, 0]
        error = (rest[:, j] - integers[:, j] * scale[:, 0]) / feedback[j, j]
        rest[:, j:] -= np.outer(error, feedback[j, j:])
    return integers


def quantize_bias(bias: Floats, scale: Scale, scheme: Scheme) -> Ints:
    """Bias in units of input scale * weight scale.

    after  odd in the tie-free scheme, the odd integer nearest to the real value: with even inputs every
           accumulator is odd and can never be halfway between two outputs
    """
    units = bias / np.asarray(scale)
    integers: Floats = odd_nearest(units) if scheme.tie_free else np.rint(units)
    return integers.astype(np.int64)


# ---------------------------------------------------------------- the network


def quantize(student: Student, scheme: Scheme, per_channel: bool = False) -> Graph:
    """The integer graph of a student.

    per_channel  one weight scale per output instead of one per tensor
    after        int16x8: scales are 2^-k, biases odd; export then proves for every scheme that no accumulator
                 overflows, and for int16x8 that no input of FULLY_CONNECTED can become odd by a saturation
    """
    folded = fold_layer_norm(student.weights)
    statistics = calibrate(FloatNetwork(folded), student.streams())

    def dense(weights: Floats, bias: Floats, source: str, input_scale: float) -> Dense:
        integers, scale = quantize_weights(weights, statistics.moments[source], scheme, per_channel)
        products = tuple(input_scale * s for s in scale) if isinstance(scale, tuple) else input_scale * scale
        return Dense(integers.astype(np.int8), scale, quantize_bias(bias, products, scheme))

    layers = [_gru(folded, layer, scheme, dense) for layer in range(LAYERS)]
    fc1 = dense(folded["fc1.weight"], folded["fc1.bias"], f"h{LAYERS - 1}", scheme.state_scale)
    fc1_scale = tie_free_fc1_scale(fc1, scheme) if scheme.tie_free else calibrated_scale(statistics.largest["fc1"])
    fc2 = dense(folded["fc2.weight"], folded["fc2.bias"], "fc1", fc1_scale)
    meta = {
        "profile": student.meta["profile"],
        "wiener_floor_q15": student.meta["wiener_floor_q15"],
        "student_sha256": student.sha256,
        "weight_scales": "per channel" if per_channel else "per tensor",
    }
    return mask_network(scheme, layers, fc1, fc1_scale, fc2, meta)


def _gru(
    folded: dict[str, Floats], layer: int, scheme: Scheme, dense: Callable[[Floats, Floats, str, float], Dense]
) -> GruWeights:
    """One layer; torch stacks the rows r, z, n."""
    source, input_scale = ("x", scheme.x_scale) if layer == 0 else (f"h{layer - 1}", scheme.state_scale)
    w_x, b_x = folded[f"gru.weight_ih_l{layer}"], folded[f"gru.bias_ih_l{layer}"]
    w_h, b_h = folded[f"gru.weight_hh_l{layer}"], folded[f"gru.bias_hh_l{layer}"]
    rz = 2 * w_h.shape[1]
    return GruWeights(
        x_rz=dense(w_x[:rz], b_x[:rz], source, input_scale),
        x_n=dense(w_x[rz:], b_x[rz:], source, input_scale),
        h_rz=dense(w_h[:rz], b_h[:rz], f"h{layer}", scheme.state_scale),
        h_n=dense(w_h[rz:], b_h[rz:], f"h{layer}", scheme.state_scale),
    )


def tie_free_fc1_scale(fc1: Dense, scheme: Scheme) -> float:
    """Scale that fc2 reads, from fc1's weights alone: no state can saturate it."""
    return safe_fc1_scale(fc1.weights.astype(np.int64), fc1.bias, fc1.scale, scheme.state_scale)


def calibrated_scale(largest: float) -> float:
    """int8 scale whose 127 is the largest value seen."""
    return float(np.float32(max(largest, SMALLEST_LARGEST) / WEIGHT_LIMIT))


# ---------------------------------------------------------------- measure


@dataclass(frozen=True)
class Quality:
    """An integer graph against the float student on the calibration streams.

    snr_db       tensor name -> 10 log10(power of the float values / power of the difference)
    saturations  share of requantized values that were limited
    """

    snr_db: dict[str, float]
    saturations: float


def measure(graph: Graph, student: Student) -> Quality:
    """Run graph and float network side by side, each in its own closed loop."""
    network = FloatNetwork(fold_layer_norm(student.weights))
    streams = student.streams()
    ideal_state, state = network.home_state(len(streams)), graph.home_state(len(streams))
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    saturated = values_run = 0
    for x_q11, running in by_step(streams):
        counter = Counter(len(running))
        ideal = network.step(real_features(x_q11), {name: h[running] for name, h in ideal_state.items()})
        codes = {"x": encode_features(x_q11, graph.scheme), **{name: h[running] for name, h in state.items()}}
        actual = graph.run(codes, counter, trace=True)
        for name in ideal.keys() & actual.keys():
            difference = graph.tensors[name].real(actual[name]) - ideal[name]
            signal[name] = signal.get(name, 0.0) + float((ideal[name] ** 2).sum())
            noise[name] = noise.get(name, 0.0) + float((difference**2).sum())
        ideal_state = {name: ideal[f"{name}_next"] for name in ideal_state}
        state = {name: actual[f"{name}_next"] for name in state}
        saturated += int(counter.saturations.sum())
        values_run += sum(values.size for values in actual.values())
    order = [name for name in graph.tensors if name in signal]
    snr_db = {name: decibels(signal[name], noise[name]) for name in order}
    return Quality(snr_db, saturated / values_run)


def decibels(signal: float, noise: float) -> float:
    """Ratio of two powers in dB; finite even where one of them is zero, 0 dB where both are."""
    return 10.0 * float(np.log10(max(signal, 1e-30) / max(noise, 1e-30)))


def quantize_all(student: Student, schemes: Sequence[str], per_channel: bool = False) -> dict[str, Graph]:
    """The graphs of several schemes, by name."""
    return {name: quantize(student, RECIPES[name], per_channel) for name in schemes}
