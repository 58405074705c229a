"""Quantization-aware training of the scheme int16x8: the forward pass rounds as the device does.

Every tensor carries real values that lie on the grid of its integer twin, so that one function says what the device
computes: in float64 the masks and states are those of the exported graph, bit for bit (a test holds them to it); in
float32 the accumulators of wide layers round now and then. Gradients pass straight through every rounding and stop at
every saturation.

source   Jacob et al. 2018 (fake quantisation); Bengio et al. 2013 (straight-through); the graph: firmware_sim/blocks.py
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from firmware_sim import activations
from firmware_sim.blocks import INT16X8 as SCHEME
from firmware_sim.grid import odd_nearest, safe_fc1_scale, weight_scale
from training.student import LAYERS, State, Student

_I16 = (-32768.0, 32767.0)
_FINE = 2.0**-15  # of gates, candidate and state
_STEP = 2 * SCHEME.state_scale  # of the state before it is doubled to be even


class _Through(torch.autograd.Function):
    """The exact value forwards, the gradient to the smooth one."""

    @staticmethod
    def forward(context: Any, smooth: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
        return exact

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0], None


def through(smooth: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """`exact`, with the gradient of `smooth`."""
    value: torch.Tensor = _Through.apply(smooth, exact)  # type: ignore[no-untyped-call]
    return value


def on_grid(value: torch.Tensor, step: float, low: float = _I16[0], high: float = _I16[1]) -> torch.Tensor:
    """Rounded half up to multiples of `step`, limited to [low, high] steps."""
    limited = value.clamp(low * step, high * step)
    return through(limited, torch.floor(limited.detach() / step + 0.5) * step)


def _product(a: torch.Tensor, b: torch.Tensor, step: float) -> torch.Tensor:
    """MUL of a gate (2^-15) and a value of `step`, back on that step: a doubling product, then half away from zero."""
    product = a * b
    doubled = torch.floor((product.detach() / (_FINE * step) + 1) / 2)
    rounded = torch.sign(doubled) * torch.floor(doubled.abs() / 2**14 + 0.5)
    return through(product, rounded * step)


@cache
def _table(kind: str, scale: float) -> torch.Tensor:
    """Outputs of all int16 codes, by code modulo 2^16."""
    return torch.from_numpy(activations.table(kind, "int16", scale, 0).astype(np.float64) * _FINE)


def _activation(kind: str, value: torch.Tensor, scale: float) -> torch.Tensor:
    smooth = torch.sigmoid(value) if kind == "LOGISTIC" else torch.tanh(value)
    codes = torch.round(value.detach() / scale).long() & 0xFFFF
    return through(smooth, _table(kind, scale).to(value.dtype)[codes])


class FakeDense:
    """One FULLY_CONNECTED with weights and bias on the grid that export finds for them.

    weights, bias   real values on the grid, differentiable
    scale           of the weights
    """

    def __init__(self, weights: torch.Tensor, bias: torch.Tensor, input_scale: float) -> None:
        self.scale = float(weight_scale(float(weights.detach().abs().max())))
        self.input_scale = input_scale
        codes = torch.round(weights.detach() / self.scale).clamp(-127, 127)
        self.weights = through(weights, codes * self.scale)
        unit = input_scale * self.scale
        odd = odd_nearest(bias.detach().double().numpy() / unit)
        self.bias = through(bias, torch.from_numpy(odd * unit).to(bias.dtype))

    def __call__(self, x: torch.Tensor, step: float, low: float = _I16[0]) -> torch.Tensor:
        return on_grid(torch.nn.functional.linear(x, self.weights, self.bias), step, low)

    def codes(self) -> tuple[np.ndarray, np.ndarray]:
        """Integers of weights and bias."""
        weights = np.rint(self.weights.detach().double().numpy() / self.scale)
        bias = np.rint(self.bias.detach().double().numpy() / (self.input_scale * self.scale))
        return weights.astype(np.int64), bias.astype(np.int64)


def fold(student: Student) -> None:
    """Move the affine part of LayerNorm into the first layer, as export does, and hold it there."""
    with torch.no_grad():
        weights, bias = student.gru.get_parameter("weight_ih_l0"), student.gru.get_parameter("bias_ih_l0")
        bias.add_(weights @ student.norm.bias)
        weights.mul_(student.norm.weight)
        student.norm.weight.fill_(1.0)
        student.norm.bias.zero_()
    student.norm.requires_grad_(False)


class QuantizedStudent(nn.Module):
    """A student whose forward pass is the device's network; it trains the student's own weights."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        fold(student)
        self.student = student

    def _layer(self, index: int) -> tuple[FakeDense, FakeDense, FakeDense, FakeDense]:
        """W_rz, W_n of the input and of the state; torch stacks the rows r, z, n."""
        gru, rows = self.student.gru, 2 * self.student.shape.hidden
        input_scale = SCHEME.x_scale if index == 0 else SCHEME.state_scale
        dense = []
        for kind, scale in (("ih", input_scale), ("hh", SCHEME.state_scale)):
            weights, bias = getattr(gru, f"weight_{kind}_l{index}"), getattr(gru, f"bias_{kind}_l{index}")
            dense += [FakeDense(weights[:rows], bias[:rows], scale), FakeDense(weights[rows:], bias[rows:], scale)]
        return dense[0], dense[1], dense[2], dense[3]

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """As `Student.forward`: masks (streams, frames, bands) and the state after the last frame, on their grids."""
        if state is None:
            state = x.new_zeros(LAYERS, len(x), self.student.shape.hidden)
        after, y = [], x
        for index in range(LAYERS):
            y = _gru(y, state[index], self._layer(index))
            after.append(y[:, -1])
        return self._mask(y), torch.stack(after)

    def head(self) -> tuple[FakeDense, float, FakeDense]:
        """fc1, the scale that fc2 reads, fc2."""
        student = self.student
        fc1 = FakeDense(student.fc1.weight, student.fc1.bias, SCHEME.state_scale)
        scale = safe_fc1_scale(*fc1.codes(), fc1.scale, SCHEME.state_scale)
        return fc1, scale, FakeDense(student.fc2.weight, student.fc2.bias, scale)

    def _mask(self, hidden: torch.Tensor) -> torch.Tensor:
        fc1, scale, fc2 = self.head()
        y = fc1(hidden, 2 * scale, low=0.0)
        return _activation("LOGISTIC", fc2(y, SCHEME.head_scale), SCHEME.head_scale)

    @torch.no_grad()
    def write_back(self) -> None:
        """The student takes the weights that the device would have: export finds the same integers again."""
        layers = [self._layer(index) for index in range(LAYERS)]
        fc1, _, fc2 = self.head()
        for index, (x_rz, x_n, h_rz, h_n) in enumerate(layers):
            for kind, pair in (("ih", (x_rz, x_n)), ("hh", (h_rz, h_n))):
                gru = self.student.gru
                getattr(gru, f"weight_{kind}_l{index}").copy_(torch.cat([dense.weights for dense in pair]))
                getattr(gru, f"bias_{kind}_l{index}").copy_(torch.cat([dense.bias for dense in pair]))
        for layer, dense in ((self.student.fc1, fc1), (self.student.fc2, fc2)):
            layer.weight.copy_(dense.weights)
            layer.bias.copy_(dense.bias)


def _gru(x: torch.Tensor, h: torch.Tensor, layer: tuple[FakeDense, FakeDense, FakeDense, FakeDense]) -> torch.Tensor:
    """States (streams, frames, hidden) of one layer; twin of blocks.gru_cell and blocks._blend_even."""
    x_rz, x_n, h_rz, h_n = layer
    from_x_rz, from_x_n = x_rz(x, SCHEME.gate_term_scale), x_n(x, SCHEME.candidate_term_scale)
    states = []
    for t in range(x.shape[1]):
        gate_in = on_grid(from_x_rz[:, t] + h_rz(h, SCHEME.gate_term_scale), SCHEME.gate_scale)
        r, z = _activation("LOGISTIC", gate_in, SCHEME.gate_scale).chunk(2, dim=1)
        r_h_n = _product(r, h_n(h, SCHEME.candidate_term_scale), SCHEME.candidate_term_scale)
        n_in = on_grid(from_x_n[:, t] + r_h_n, SCHEME.candidate_scale)
        n = on_grid(_activation("TANH", n_in, SCHEME.candidate_scale), _STEP)
        h = n + _product(z, h - n, _STEP)
        states.append(h)
    return torch.stack(states, dim=1)
