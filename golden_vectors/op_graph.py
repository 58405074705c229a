"""A graph that holds every op in every way that its kernels distinguish, and GRU gates and a GRU cell: one per scheme.

Its ops lie side by side on inputs of their own, so that each can be fed alone. It has the ends of a mask network, so
the device's C is written and compiled from it once for all ops. No width is a multiple of four: what kernels do with
the rest behind their blocks of four is part of every row.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from firmware_sim.blocks import RECIPES, Builder, Dense, GruWeights, gru_cell, gru_gates
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph, Tensor
from firmware_sim.network import CODES
from firmware_sim.ops import Add, Logistic, Mul, Op, Quantize, Split, Sub, Tanh
from golden_vectors.signals import uniform
from golden_vectors.units.sizes import PROFILE

WIDTH = 63
"""Elements of the operands of elementwise ops: 4 * 15 + 3, and three parts of 21."""
ROWS = 7
"""Outputs of a FULLY_CONNECTED: four and a rest of three."""
GATES = 23
"""Units of the gates alone."""
CELL = 11
"""Units of the GRU cell with random weights."""
META = {"profile": PROFILE.name, "student_sha256": "0" * 64, "wiener_floor_q15": 0}

Code = tuple[float, int]
"""Scale and zero point."""


def _power(bits: int) -> Code:
    return 2.0**-bits, 0


def _odd(scale: float, zero_point: int) -> Code:
    return float(np.float32(scale)), zero_point


OPERANDS: dict[str, dict[str, Code]] = {
    "int16x8": {"a": _power(15), "b": _power(15), "c": _power(14), "g": _power(11), "t": _power(13),
                "u": _power(10)},
    "int8": {"a": _power(7), "b": _power(7), "z": (2.0**-8, -128), "p": _odd(0.0213, -5), "q": _odd(0.0312, 7),
             "g": _power(3), "t": _power(4), "s": _odd(0.087, -5)},
}  # fmt: skip
"""Inputs of elementwise ops; a, z and p are read as first operands, b, c and q as second ones."""

ELEMENTWISE: dict[str, tuple[tuple[str, type[Op], str, Code], ...]] = {
    "int16x8": (
        ("add_equal", Add, "ab", _power(15)),  # two lanes at once
        ("add_finer", Add, "ab", _power(17)),  # the input of TANH
        ("add_half", Add, "ab", _power(14)),
        ("add_mixed", Add, "ac", _power(14)),
        ("add_far", Add, "ab", _power(1)),  # the largest shift of the sum
        ("sub_equal", Sub, "ab", _power(15)),
        ("sub_mixed", Sub, "ac", _power(14)),  # h - n
        ("sub_far", Sub, "ab", _power(1)),
        ("mul_gate", Mul, "ab", _power(15)),  # a gate times its operand
        ("mul_least", Mul, "ab", _power(29)),  # the first rounding alone
        ("mul_two", Mul, "ab", _power(28)),
        ("mul_far", Mul, "ab", _power(0)),
        ("quantize_double", Quantize, "a", _power(16)),
        ("quantize_half", Quantize, "a", _power(14)),
        ("quantize_same", Quantize, "a", _power(15)),
        ("quantize_up", Quantize, "a", _power(30)),
        ("quantize_far", Quantize, "a", _power(1)),
        ("logistic", Logistic, "g", (2.0**-15, 0)),
        ("tanh", Tanh, "t", (2.0**-15, 0)),
        ("tanh_whole", Tanh, "u", (2.0**-15, 0)),  # to the end of the table and beyond
    ),
    "int8": (
        ("add_equal", Add, "ab", _power(7)),
        ("add_odd", Add, "pq", _odd(0.05, 3)),
        ("add_clip", Add, "pq", _odd(0.017, -100)),
        ("sub_equal", Sub, "ab", _power(7)),
        ("sub_odd", Sub, "pq", _odd(0.05, 3)),
        ("sub_clip", Sub, "pq", _odd(0.017, 90)),
        ("mul_gate", Mul, "zb", _power(7)),
        ("mul_odd", Mul, "pq", _odd(0.05, 11)),
        ("mul_clip", Mul, "pq", _odd(0.004, -30)),
        ("quantize_half", Quantize, "a", _power(6)),
        ("quantize_same", Quantize, "p", _odd(0.0213, -5)),
        ("quantize_odd", Quantize, "p", _odd(0.0312, 7)),
        ("quantize_up", Quantize, "p", _odd(0.0001, 0)),
        ("quantize_far", Quantize, "p", _odd(1.9, 0)),
        ("logistic", Logistic, "t", (2.0**-8, -128)),
        ("logistic_gate", Logistic, "g", (2.0**-8, -128)),
        ("logistic_odd", Logistic, "p", (2.0**-8, -128)),
        ("tanh", Tanh, "t", (2.0**-7, 0)),
        ("tanh_odd", Tanh, "p", (2.0**-7, 0)),
        ("tanh_end", Tanh, "s", (2.0**-7, 0)),  # where the last factors of the exponential saturate
    ),
}  # fmt: skip
"""Output, op, its operands, code of the output: the product's ways first, then the ends of the scales."""

ODD_OPERANDS: dict[str, Code] = {"p": _odd(0.000037, 0), "q": _odd(0.000051, 0)}
ODD_SUMS: tuple[tuple[str, type[Add], str, Code], ...] = (
    ("add_odd", Add, "pq", _odd(0.00008, 0)),
    ("add_clip", Add, "pq", _odd(0.000029, 0)),
    ("sub_odd", Sub, "pq", _odd(0.00008, 0)),
    ("sub_clip", Sub, "pq", _odd(0.000029, 0)),
)
"""int16 sums at scales that are no powers of two: the runtimes have them, the device's C has not."""


@cache
def op_graph(scheme: str) -> Graph:
    """The graph of a scheme; the same object every time."""
    b = Builder(RECIPES[scheme])
    x = b.tensor("x", PROFILE.bins, *CODES[scheme]["x"][1:])
    operands = {name: b.tensor(name, WIDTH, *code) for name, code in OPERANDS[scheme].items()}
    mask = b.append(Logistic, [x], b.tensor("mask", PROFILE.bins, *b.scheme.sigmoid))
    for name, op, letters, code in ELEMENTWISE[scheme]:
        b.append(op, [operands[letter] for letter in letters], b.tensor(name, WIDTH, *code))
    whole = operands["a"]
    b.ops.append(Split([whole], [b.tensor(f"split_{i}", WIDTH // 3, whole.scales[0]) for i in range(3)]))
    _dense(b, x, operands)
    gates = _gates(b)
    h = b.tensor("h0", CELL, b.scheme.state_scale)
    after = gru_cell(b, "gru0", x, h, _random_cell(scheme, x.shape[0]))
    return Graph(scheme, b.ops, [x, *operands.values(), *gates, h], [mask, after], META)


# ---------------------------------------------------------------- FULLY_CONNECTED


@cache
def odd_graph(scheme: str) -> Graph:
    """`ODD_SUMS` beside the ends of a mask network; the same object every time."""
    b = Builder(RECIPES[scheme])
    x = b.tensor("x", PROFILE.bins, *CODES[scheme]["x"][1:])
    operands = {name: b.tensor(name, WIDTH, *code) for name, code in ODD_OPERANDS.items()}
    mask = b.append(Logistic, [x], b.tensor("mask", PROFILE.bins, *b.scheme.sigmoid))
    for name, op, letters, code in ODD_SUMS:
        b.append(op, [operands[letter] for letter in letters], b.tensor(name, WIDTH, *code))
    return Graph(scheme, b.ops, [x, *operands.values()], [mask], META)


def _dense(b: Builder, x: Tensor, operands: dict[str, Tensor]) -> None:
    """Plain, with ReLU, with a scale for each row, with the weight -128 that keeps rows from being paired."""
    wide = b.scheme.name == "int16x8"
    scale = 2.0**-7 if wide else float(np.float32(0.0117))
    steps = [10.0, 11.0, 9.0, 1.0, 14.0, 5.0, 11.0] if wide else [9.0, 7.3, 10.2, 0.6, 5.0, 12.5, 9.1]
    per_row = tuple(float(np.float32(x.scales[0] * 2.0**-step)) for step in steps)
    plain, lowest = staircase(x.shape[0]), staircase(x.shape[0], -128)
    bias = _biases(wide)
    output = (x.scales[0] * scale) * (2.0**11 if wide else 2.0**9 * 1.1)
    zero = (0, 0) if wide else (-9, 20)
    out = [float(np.float32(output)), float(np.float32(output / 4))]
    b.dense("fc", x, Dense(plain, scale, bias), out[0], zero_point=zero[0])
    b.dense("fc_relu", x, Dense(plain, scale, bias), out[1], relu=True, zero_point=zero[1])
    b.dense("fc_lowest", x, Dense(lowest, scale, bias), out[0], zero_point=zero[0])
    row_bias = _biases(wide, 1 << 29) if wide else bias
    for name, relu in (("fc_rows", False), ("fc_rows_relu", True)):
        rows = Dense(plain, per_row, row_bias)
        b.dense(name, x, rows, x.scales[0] * (2.0 if wide else 1.0), relu=relu, zero_point=zero[1])
    if not wide:
        p, code = operands["p"], _odd(0.11, -30)
        b.dense("fc_zero_point", p, Dense(staircase(WIDTH), scale, bias), code[0], zero_point=code[1])


def staircase(columns: int, lowest: int = -127) -> npt.NDArray[np.int8]:
    """Weights (ROWS, columns) int8: both ends, alternating, sparse, random; each row begins with 1, so that every
    accumulator within its reach can be solved for."""
    column = np.arange(columns)
    rows = [
        np.full(columns, 127),
        np.full(columns, lowest),
        np.where(column % 2 == 0, 127, lowest),
        np.where(column == columns - 1, lowest, 0),
        np.where(column < 2, 3, 0),
        uniform(127, 11)(columns),
        np.where(column % 3 == 0, lowest, uniform(9, 12)(columns)),
    ]
    weights = np.stack(rows).astype(np.int8)
    weights[:, 0] = 1
    return weights


def _biases(wide: bool, end: int = 0) -> Ints:
    """One per row, odd for int16: small, beyond 16 bits, beyond 24 bits, at both ends."""
    bias = np.array([1, -1, 40_001, -70_001, 20_000_001, -20_000_001, 3], np.int64)
    if end:
        bias[1], bias[4], bias[5], bias[6] = 33_000_001, end * 3 + 1, -end * 3 - 1, -end - 1
    return bias if wide else np.array([0, -1, 401, -7001, 9000, -9001, 3], np.int64)


# ---------------------------------------------------------------- GRU


def _gates(b: Builder) -> list[Tensor]:
    """The gates alone, fed with the terms that a cell's FULLY_CONNECTEDs would give."""
    s = b.scheme
    sizes = {"x_rz": 2 * GATES, "x_n": GATES, "h_rz": 2 * GATES, "h_n": GATES}
    scales = {"x_rz": s.gate_term_scale, "h_rz": s.gate_term_scale}
    terms = [b.tensor(f"gates_{n}", size, scales.get(n, s.candidate_term_scale)) for n, size in sizes.items()]
    h = b.tensor("gates_h", GATES, s.state_scale)
    gru_gates(b, "gates", (terms[0], terms[1], terms[2], terms[3]), h)
    return [*terms, h]


def _random_cell(scheme: str, inputs: int) -> GruWeights:
    """Random weights of a scale at which the gates move."""
    return GruWeights(
        x_rz=_random(scheme, 21, 2 * CELL, inputs),
        x_n=_random(scheme, 22, CELL, inputs),
        h_rz=_random(scheme, 23, 2 * CELL, CELL),
        h_n=_random(scheme, 24, CELL, CELL),
    )


def _random(scheme: str, seed: int, rows: int, columns: int) -> Dense:
    weights = uniform(127, seed)(rows * columns).reshape(rows, columns).astype(np.int8)
    bias = 2 * uniform(2000, seed + 10)(rows) + 1
    return Dense(weights, 2.0 ** -(9 if columns == CELL else 10), bias if scheme == "int16x8" else bias // 16)
