"""Recipes made of ops: a GRU cell, a fully connected layer, the mask head, the whole network.

A recipe fixes which ops run in which scales; the numbers (quantized weights) come from outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.graph import Graph, GraphError, Tensor
from firmware_sim.ops import Add, FullyConnected, Logistic, Mul, Op, Quantize, Split, Sub, Tanh


@dataclass(frozen=True)
class Scheme:
    """Widths and scales of one way to compute the network.

    dtype             of activations and states; weights are int8 in every scheme
    bias_dtype        of the biases
    x_scale           of the network input
    state_scale       of the GRU states
    gate_scale        of the gates' sigmoid input, candidate_scale of tanh's input
    gate_term_scale, candidate_term_scale  of the terms W x and U h that add up to those inputs: a term may be
                      large where the sum is not, so its range is wider
    head_scale        of the mask's sigmoid input
    sigmoid, tanh     (scale, zero point) of those outputs, fixed by TFLite
    tie_free          inputs of FULLY_CONNECTED even and biases odd: states and fc1 pass through a doubling
    """

    name: str
    dtype: str
    bias_dtype: str
    x_scale: float
    state_scale: float
    gate_term_scale: float
    gate_scale: float
    candidate_term_scale: float
    candidate_scale: float
    head_scale: float
    sigmoid: tuple[float, int]
    tanh: tuple[float, int]
    tie_free: bool


INT16X8 = Scheme(
    name="int16x8", dtype="int16", bias_dtype="int64",
    x_scale=2.0**-12, state_scale=2.0**-15,
    gate_term_scale=2.0**-11, gate_scale=2.0**-11,
    candidate_term_scale=2.0**-11, candidate_scale=2.0**-13, head_scale=2.0**-11,
    sigmoid=(2.0**-15, 0), tanh=(2.0**-15, 0), tie_free=True,
)  # fmt: skip
"""LOGISTIC from 2^-11 and TANH from 2^-13: at other scales LiteRT runs another algorithm."""

INT8 = Scheme(
    name="int8", dtype="int8", bias_dtype="int32",
    x_scale=2.0**-4, state_scale=2.0**-7,
    gate_term_scale=2.0**-3, gate_scale=2.0**-3,
    candidate_term_scale=2.0**-4, candidate_scale=2.0**-4, head_scale=2.0**-4,
    sigmoid=(2.0**-8, -128), tanh=(2.0**-7, 0), tie_free=False,
)  # fmt: skip

RECIPES = {scheme.name: scheme for scheme in (INT16X8, INT8)}


@dataclass(frozen=True)
class Dense:
    """Quantized numbers of one FULLY_CONNECTED.

    weights  int8 (outputs, inputs)
    scale    of the weights: one float, or one per output (per channel)
    bias     int64 (outputs), in units of input scale * weight scale
    """

    weights: npt.NDArray[np.int8]
    scale: float | tuple[float, ...]
    bias: npt.NDArray[np.int64]


@dataclass(frozen=True)
class GruWeights:
    """One GRU layer, gates in PyTorch's order: rz (2H rows: reset, update) and n (H rows), from x and from h."""

    x_rz: Dense
    x_n: Dense
    h_rz: Dense
    h_n: Dense


class Builder:
    """Collects ops; every method appends one op and returns its output."""

    def __init__(self, scheme: Scheme):
        self.scheme = scheme
        self.ops: list[Op] = []

    def tensor(self, name: str, size: int, scale: float, zero_point: int = 0) -> Tensor:
        """An activation of the scheme's dtype."""
        return Tensor(name, self.scheme.dtype, (size,), scale, zero_point)

    def append(self, op: type[Op], inputs: Sequence[Tensor], output: Tensor, **attributes: bool) -> Tensor:
        """Add an op with one output."""
        self.ops.append(op(inputs, [output], attributes))
        return output

    def dense(
        self, name: str, x: Tensor, numbers: Dense, scale: float, relu: bool = False, zero_point: int = 0
    ) -> Tensor:
        """FULLY_CONNECTED into a tensor `name` of the given scale and zero point."""
        width = {"int32": "i32", "int64": "i64"}[self.scheme.bias_dtype]
        weights = Tensor(f"{name}_w_i8", "int8", numbers.weights.shape, numbers.scale, 0, numbers.weights)
        products = tuple(float(np.float32(x.scales[0] * s)) for s in weights.scales)
        bias = numbers.bias.astype(self.scheme.bias_dtype)
        if not np.array_equal(bias, numbers.bias):
            raise GraphError(f"{name}: a bias does not fit {self.scheme.bias_dtype}")
        bias_scale = products if isinstance(numbers.scale, tuple) else products[0]
        b = Tensor(f"{name}_b_{width}", self.scheme.bias_dtype, bias.shape, bias_scale, 0, bias)
        output = self.tensor(name, len(bias), scale, zero_point)
        return self.append(FullyConnected, [x, weights, b], output, **({"relu": True} if relu else {}))

    def even(self, name: str, x: Tensor) -> Tensor:
        """Twice the integers in half the scale: even, so that the next FULLY_CONNECTED cannot tie."""
        return self.append(Quantize, [x], self.tensor(name, x.shape[0], x.scales[0] / 2))


def gru_cell(b: Builder, name: str, x: Tensor, h: Tensor, weights: GruWeights) -> Tensor:
    """One GRU step with PyTorch's gates; returns the next state, named after h.

    r, z = sigmoid(W_rz x + U_rz h);  n = tanh(W_n x + r * (U_n h));  h' = n + z * (h - n)
    """
    s = b.scheme
    x_rz = b.dense(f"{name}_x_rz", x, weights.x_rz, s.gate_term_scale)
    x_n = b.dense(f"{name}_x_n", x, weights.x_n, s.candidate_term_scale)
    h_rz = b.dense(f"{name}_h_rz", h, weights.h_rz, s.gate_term_scale)
    h_n = b.dense(f"{name}_h_n", h, weights.h_n, s.candidate_term_scale)
    return gru_gates(b, name, (x_rz, x_n, h_rz, h_n), h)


def gru_gates(b: Builder, name: str, terms: tuple[Tensor, Tensor, Tensor, Tensor], h: Tensor) -> Tensor:
    """The next state from W_rz x, W_n x, U_rz h, U_n h and h: what a GRU step does without weights."""
    s, size, (x_rz, x_n, h_rz, h_n) = b.scheme, h.shape[0], terms
    rz_in = b.append(Add, [x_rz, h_rz], b.tensor(f"{name}_rz_in", 2 * size, s.gate_scale))
    rz = b.append(Logistic, [rz_in], b.tensor(f"{name}_rz", 2 * size, *s.sigmoid))
    r, z = (b.tensor(f"{name}_{gate}", size, *s.sigmoid) for gate in "rz")
    b.ops.append(Split([rz], [r, z]))

    r_h_n = b.append(Mul, [r, h_n], b.tensor(f"{name}_r_h_n", size, s.candidate_term_scale))
    n_in = b.append(Add, [x_n, r_h_n], b.tensor(f"{name}_n_in", size, s.candidate_scale))
    n = b.append(Tanh, [n_in], b.tensor(f"{name}_n", size, *s.tanh))

    return _blend_even(b, name, n, z, h) if s.tie_free else _blend(b, name, n, z, h)


def _blend_even(b: Builder, name: str, n: Tensor, z: Tensor, h: Tensor) -> Tensor:
    """h' = n + z * (h - n) with an even h and one rounding, the product's.

    n is first brought to the step of the state (2^-14), so h - n and the sum are exact. As |z| < 1 the rounded
    product never passes h - n: h' lies between n and h, cannot saturate and cannot drift. Halving h - n
    instead, with n odd, would push a kept state 2 LSB a step away from zero until it saturates.
    """
    step = 2 * b.scheme.state_scale
    n_half = b.append(Quantize, [n], b.tensor(f"{name}_n_half", n.shape[0], step))
    difference = b.append(Sub, [h, n_half], b.tensor(f"{name}_h_minus_n", n.shape[0], step))
    kept = b.append(Mul, [z, difference], b.tensor(f"{name}_kept", n.shape[0], step))
    half = b.append(Add, [n_half, kept], b.tensor(f"{name}_h_half", n.shape[0], step))
    return b.even(f"{h.name}_next", half)


def _blend(b: Builder, name: str, n: Tensor, z: Tensor, h: Tensor) -> Tensor:
    """h' = (n - z * n) + z * h: int8 has no bit to spare for h - n, whose range is twice that of h.

    Both products round alike and monotonically, so h' lies between n and h and a kept state stays.
    """
    size, scale = n.shape[0], b.scheme.state_scale
    lost = b.append(Mul, [z, n], b.tensor(f"{name}_z_n", size, scale))
    new = b.append(Sub, [n, lost], b.tensor(f"{name}_new", size, scale))
    kept = b.append(Mul, [z, h], b.tensor(f"{name}_kept", size, scale))
    return b.append(Add, [new, kept], b.tensor(f"{h.name}_next", size, scale))


def mask_head(b: Builder, h: Tensor, fc1: Dense, fc1_scale: float, fc2: Dense) -> Tensor:
    """mask = sigmoid(fc2(relu(fc1(h)))). fc1_scale is the scale that fc2 reads."""
    if b.scheme.tie_free:
        y = b.even("fc1_even", b.dense("fc1", h, fc1, 2 * fc1_scale, relu=True))
    else:
        y = b.dense("fc1", h, fc1, fc1_scale, relu=True)
    logits = b.dense("fc2", y, fc2, b.scheme.head_scale)
    return b.append(Logistic, [logits], b.tensor("mask", logits.shape[0], *b.scheme.sigmoid))


def mask_network(
    scheme: Scheme,
    layers: Sequence[GruWeights],
    fc1: Dense,
    fc1_scale: float,
    fc2: Dense,
    meta: Mapping[str, Any],
) -> Graph:
    """Stacked GRU layers and the mask head: x, h0, h1, ... -> mask, h0_next, h1_next, ..."""
    b = Builder(scheme)
    x = b.tensor("x", layers[0].x_rz.weights.shape[1], scheme.x_scale)
    states = [b.tensor(f"h{i}", w.h_n.weights.shape[1], scheme.state_scale) for i, w in enumerate(layers)]
    y, after = x, []
    for i, (state, weights) in enumerate(zip(states, layers, strict=True)):
        y = gru_cell(b, f"gru{i}", y, state, weights)
        after.append(y)
    mask = mask_head(b, y, fc1, fc1_scale, fc2)
    return Graph(scheme.name, b.ops, [x, *states], [mask, *after], meta)
