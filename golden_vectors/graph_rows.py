"""Rows for graphs: boundary grids, solved ties, the steps of an accumulator, what real speech brings to a gate."""

from __future__ import annotations

from functools import cache
from typing import cast

import numpy as np
import numpy.typing as npt

from firmware_sim import fixed
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from firmware_sim.network import encode_features
from firmware_sim.ops import Add, Mul, Op, Quantize, Rescale
from golden_vectors.op_graph import CELL, ELEMENTWISE, GATES, ODD_SUMS, WIDTH
from golden_vectors.signals import extreme_features, real_features, uniform
from golden_vectors.units.sizes import PROFILE

TIES = 24
"""Solved ties of one sign that a way of an op contributes."""
STATE_END = 32_746
"""Largest magnitude of an int16x8 state: tanh's highest output."""
_POWERS = {"int16x8": (3, 5, 7, 8, 10, 11, 13, 14), "int8": (3, 4, 5, 6)}
_MORE = {"int16x8": (), "int8": (7, 11, 13, 21, 27, 43, 45, 51, 77, 85, 91, 99)}

# ---------------------------------------------------------------- elementwise ops


def limits(scheme: str) -> tuple[int, int]:
    """Ends of the scheme's activations."""
    return (-32768, 32767) if scheme == "int16x8" else (-128, 127)


def edges(scheme: str) -> Ints:
    """Values where rounding and saturation change: ends, zero, powers of two and neighbours; ascending."""
    low, high = limits(scheme)
    near = {2**k + d for k in _POWERS[scheme] for d in (-1, 0, 1)} | {0, 1, 2, 3, 4, 5} | set(_MORE[scheme])
    values = {s * v for v in near for s in (1, -1)} | {low, low + 1, low + 2, high - 1, high}
    return np.array(sorted(values), np.int64)


def pair_rows(graph: Graph, kind: str) -> dict[str, Ints]:
    """Every pair of `edges`, then the ties of each way of the op: operand -> (n, WIDTH)."""
    ops = _ways(graph, kind)
    values = edges(graph.scheme)
    turn = np.add.outer(np.arange(len(values)), np.arange(len(values))) % len(values)
    grid = np.stack([values[turn], np.broadcast_to(values, turn.shape)], axis=-1).reshape(-1, 2)
    pairs = _filled(np.concatenate([grid, *(ties(op) for op in ops)]))
    return {name: pairs[..., i] for op in ops for i, name in enumerate(op.operands)}


def odd_rows(graph: Graph, model: Graph) -> dict[str, Ints]:
    """Every third of `edges` in pairs, random ones, the ties of each sum and difference: operand -> (n, WIDTH)."""
    ops = [op for op in graph.ops if op.results[0] in {name for name, *_ in ODD_SUMS}]
    values = np.union1d(edges(graph.scheme)[::3], limits(graph.scheme))
    grid = np.stack(np.meshgrid(values, values, indexing="ij"), axis=-1).reshape(-1, 2)
    random = uniform(32767, 34)(400).reshape(-1, 2)
    pairs = _filled(np.concatenate([grid, random, *(ties(op) for op in ops)]))
    return {name: pairs[..., i] for i, name in enumerate(ops[0].operands)}


def single_rows(graph: Graph, kind: str) -> dict[str, Ints]:
    """int8: every value. int16: `edges`, the ties of each way of the op, the steps of the table."""
    ops, (low, high) = _ways(graph, kind), limits(graph.scheme)
    if graph.scheme == "int8":
        values = _filled(np.arange(low, high + 1))
    elif kind == Quantize.kind:
        values = _filled(np.concatenate([edges(graph.scheme), *(ties(op)[:, 0] for op in ops)]))
    else:
        values = _filled(np.concatenate([edges(graph.scheme), *map(table_steps, ops)]))
    return {op.operands[0]: values for op in ops}


def split_rows(graph: Graph, kind: str) -> dict[str, Ints]:
    """Elements that are all different, and the edges."""
    values = np.concatenate([np.arange(WIDTH), -np.arange(WIDTH) - 1, edges(graph.scheme)])
    return {"a": _filled(values)}


def _ways(graph: Graph, kind: str) -> list[Op]:
    names = {name for name, *_ in ELEMENTWISE[graph.scheme]}
    return [op for op in graph.ops if op.kind == kind and op.results[0] in names]


def _filled(values: Ints) -> Ints:
    """(n, WIDTH, ...): the last row is filled up from the beginning."""
    rows = -(-len(values) // WIDTH)
    index = np.arange(rows * WIDTH) % len(values)
    return np.asarray(values[index].reshape(rows, WIDTH, *values.shape[1:]), np.int64)


# ---------------------------------------------------------------- ties


def ties(op: Op) -> Ints:
    """Operands (n, 2) whose last rounding meets exactly a half, up to `TIES` of each sign, and their neighbours."""
    low, high = op.inputs[0].limits
    pairs = _candidates(op)
    before, rescale = _before_rounding(op, pairs)
    half = halves(rescale, before)
    chosen = [spread(pairs[half & side], TIES) for side in (before > 0, before < 0)]
    solved = np.concatenate(chosen)
    near = [solved + np.array([0, d]) for d in (-1, 1)] if len(op.operands) == 2 else [solved - 1, solved + 1]
    near_and_solved: Ints = np.clip(np.concatenate([solved, *near]), low, high)
    return near_and_solved


def halves(rescale: Rescale, x: Ints) -> npt.NDArray[np.bool_]:
    """Whether the shift that ends a rescale drops exactly a half; bool."""
    last = np.asarray(rescale.right, np.int64)
    high = fixed.srdhm(x << rescale.left, rescale.multiplier)
    half: Ints = np.where(last > 0, np.int64(1) << np.maximum(last - 1, 0), -1)
    dropped: Ints = high & ((np.int64(1) << last) - 1)
    return np.asarray(dropped == half, np.bool_)


def spread(rows: Ints, count: int) -> Ints:
    """At most `count` rows, evenly from first to last."""
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def _before_rounding(op: Op, pairs: Ints) -> tuple[Ints, Rescale]:
    """What the last rescale of an elementwise op reads, and that rescale."""
    x = [pairs[:, i] - t.zero_point for i, t in enumerate(op.inputs)]
    if isinstance(op, Add):
        a, b = op.rescale_a(x[0] << op.left), op.rescale_b(x[1] << op.left)
        return (a + b if op.sign > 0 else a - b), op.rescale_y
    if isinstance(op, Mul):
        return x[0] * x[1], op.rescale
    assert isinstance(op, Quantize)
    return x[0], op.rescale


def _candidates(op: Op) -> Ints:
    """Pairs among which ties are looked for: int8 and single operands all of them, int16 solved ones; (n, 2)."""
    low, high = op.inputs[0].limits
    every = np.arange(low, high + 1)
    if isinstance(op, Quantize):
        return np.stack([every, np.zeros_like(every)], axis=-1)
    if high == 127:
        return np.stack(np.meshgrid(every, every, indexing="ij"), axis=-1).reshape(-1, 2)
    if isinstance(op, Add):
        return _sums(op) if op.shifts is not None else _odd_sums()
    return _products(cast(Mul, op))


def _sums(op: Add) -> Ints:
    """int16 pairs whose sum, or difference, is an odd multiple of half the divisor."""
    assert op.shifts is not None
    shift_a, shift_b, shift_y = op.shifts
    a = np.concatenate([edges("int16x8"), uniform(32767, 31)(100)])
    if shift_y == 0:
        return np.stack([a, a], axis=-1)
    wanted = (2 * np.arange(-64, 64) + 1) << (shift_y - 1)
    b = op.sign * (wanted[:, None] - (a << shift_a)) >> shift_b
    pairs = np.stack([np.broadcast_to(a, b.shape), b], axis=-1).reshape(-1, 2)
    return cast(Ints, pairs[np.abs(pairs[:, 1]) <= 32767])


def _odd_sums() -> Ints:
    """Some int16 operands with every other one: too many products of two roundings to be solved for."""
    first, second = uniform(32767, 33)(24), np.arange(-32767, 32768)
    return np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)


def _products(op: Mul) -> Ints:
    """int16 pairs whose product, halved, is an odd multiple of half the divisor: two products halve to the same."""
    right = int(op.rescale.right)
    found = [[0, 0]]
    for k in (*range(-40, 40), -1000, 999, -16000, 15999):
        for product in ((2 * k + 1) << right, ((2 * k + 1) << right) - 1):
            divisors = np.arange(1, 32768)
            fits = divisors[(product % divisors == 0) & (abs(product) <= 32767 * divisors)]
            found += [[product // d, d] for d in spread(fits, 2).tolist()]
    return np.array(found, np.int64)


# ---------------------------------------------------------------- tables


def table_steps(op: Op) -> Ints:
    """int16 inputs of LOGISTIC or TANH around every step of the table, and one inside each."""
    every = np.arange(-32768, 32768)
    unit = table_index(op, every)
    change = np.flatnonzero(np.diff(unit))
    inside = (change[:-1] + change[1:]) // 2
    return cast(Ints, every[np.unique(np.concatenate([change, change + 1, inside, [0, len(every) - 1]]))])


def table_index(op: Op, x: Ints) -> Ints:
    """Which step of the table int16 inputs of LOGISTIC (at 2^-11) or TANH (at 2^-13, 2^-10) meet; from 255 on none."""
    if op.kind == "LOGISTIC":
        return cast(Ints, np.abs(6 * x) >> 9)
    scaled = 12 * x if op.inputs[0].scales[0] == 2.0**-10 else (3 * x + 1) >> 1
    return cast(Ints, np.minimum(np.abs(scaled) >> 8, 256))


# ---------------------------------------------------------------- GRU


@cache
def speech_steps(model: Graph, steps: int = 280) -> dict[str, Ints]:
    """Every tensor of the model in closed loop on real noisy speech: name -> (steps, width)."""
    states, rows = model.home_state(), []
    for x in encode_features(real_features(steps), model.scheme):
        rows.append(model.run({"x": x[np.newaxis], **states}, trace=True))
        states = {name: rows[-1][after.name] for name, after in model.states.items()}
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def gate_rows(graph: Graph, model: Graph) -> dict[str, Ints]:
    """Terms of the model's first cell in real speech, then random ones, then both ends: input -> (n, width)."""
    speech = speech_steps(model)
    units = speech["h0"].shape[1]
    columns = 5 * np.arange(GATES) % units
    both = np.concatenate([columns, units + columns])
    rows: dict[str, Ints] = {}
    for seed, name in enumerate(("x_rz", "h_rz", "x_n", "h_n", "h")):
        real = speech["h0" if name == "h" else f"gru0_{name}"][10::9, both if name.endswith("rz") else columns]
        low, high = limits(graph.scheme)
        random = uniform(high, 41 + seed)(16 * real.shape[1]).reshape(16, -1)
        quiet = np.concatenate([random[:8] // 8, random[8:]])
        ends = np.where(uniform(99, 51 + seed)(12 * real.shape[1]).reshape(12, -1) < 0, low, high)
        rows[f"gates_{name}"] = np.concatenate([real, quiet, ends])
    rows["gates_h"] = _states(rows["gates_h"], graph.scheme)
    return rows


def cell_rows(graph: Graph, model: Graph) -> dict[str, Ints]:
    """Real features and both ends of the range with random states."""
    features = np.concatenate([real_features(200, PROFILE)[10::10], extreme_features(40, PROFILE)[::4]])
    x = encode_features(features, graph.scheme)
    high = limits(graph.scheme)[1]
    return {"x": x, "h0": _states(uniform(high, 61)(len(x) * CELL).reshape(-1, CELL), graph.scheme)}


def model_rows(graph: Graph, model: Graph) -> dict[str, Ints]:
    """Steps of the closed loop on real speech, each with the states before it, and extremes."""
    speech, chosen = speech_steps(model), [0, 45, 120, 200, 270]
    extreme = encode_features(extreme_features(33)[[0, 8, 32]], model.scheme)
    rows = {"x": np.concatenate([speech["x"][chosen], extreme])}
    low, high = limits(model.scheme)
    for seed, name in enumerate(model.states):
        ends = uniform(high, 71 + seed)(3 * speech[name].shape[1]).reshape(3, -1)
        ends[1:] = np.where(ends[1:] < 0, low, high)
        rows[name] = np.concatenate([speech[name][chosen], _states(ends, model.scheme)])
    return rows


def weight_rows(graph: Graph, model: Graph) -> dict[str, Ints]:
    """Both ends of every input and state at random: a changed weight moves each sum as far as it can."""
    low, high = limits(model.scheme)
    sizes = {t.name: t.shape[0] for t in model.inputs}
    signs = {name: uniform(99, 81 + i)(28 * size).reshape(28, size) < 0 for i, (name, size) in enumerate(sizes.items())}
    return {name: np.where(negative, low, high) for name, negative in signs.items()}


def _states(values: Ints, scheme: str) -> Ints:
    """Codes that a state can have: int16x8's are even and within the reach of tanh."""
    return np.clip(values, -STATE_END, STATE_END) & ~1 if scheme == "int16x8" else values
