"""Rows for FULLY_CONNECTED: inputs that are solved for, so that accumulators lie where a result changes."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from firmware_sim import fixed
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from firmware_sim.ops import FullyConnected, Rescale


def dense_rows(graph: Graph, kind: str) -> dict[str, Ints]:
    """x whose accumulators lie on both sides of steps of each output, on its ties, at their lowest and highest."""
    ops = [op for op in graph.ops if isinstance(op, FullyConnected) and op.results[0].startswith("fc")]
    by_input: dict[str, list[Ints]] = {op.operands[0]: [] for op in ops}
    for op in ops:
        by_input[op.operands[0]].append(_solved(op))
    rows = {name: _distinct(np.concatenate(parts)) for name, parts in by_input.items()}
    count = max(map(len, rows.values()))
    return {name: values[np.arange(count) % len(values)] for name, values in rows.items()}


def _distinct(rows: Ints) -> Ints:
    """Rows (n, columns) without those that were there before, in order: ops of one set of weights share most."""
    return np.array(list(dict.fromkeys(map(tuple, rows.tolist()))), np.int64)


def _solved(op: FullyConnected) -> Ints:
    """Inputs (n, columns) for one FULLY_CONNECTED."""
    x, weights = op.inputs[0], op.inputs[1].values
    low, high = _input_limits(op)
    inputs = [np.full(len(weights[0]), end) for end in (low, high, x.zero_point)]
    inputs += [np.where((row > 0) == up, high, low) for row in weights for up in (True, False)]
    for row in range(len(weights)):
        for target in _targets(op, row):
            found = _solve(weights[row], int(target - op.inputs[2].values[row]), (low, high), x.zero_point, row)
            inputs += [] if found is None else [found]
    return np.stack(inputs).astype(np.int64)


def _input_limits(op: FullyConnected) -> tuple[int, int]:
    """What its input can be; even in int16x8."""
    low, high = op.inputs[0].limits
    return (low, high - 1) if op.rescale is None else (low, high)


def _targets(op: FullyConnected, row: int) -> list[int]:
    """Accumulators of a row on both sides of steps of its output: into saturation, around zero, within its reach.

    A half lies on one of the two sides, since it is where a result changes; int16 accumulators are odd, so both
    sides are as near to it as they can be.
    """
    ends = [np.full(op.inputs[0].shape, end) for end in _input_limits(op)]
    low, high = (int(end[row]) for end in op.accumulator_range(ends[0], ends[1]))
    zero, limits = op.outputs[0].zero_point, op.outputs[0].limits
    first, last = _result(op, row, low), _result(op, row, high)
    steps = {limits[0], limits[0] + 1, limits[1], limits[1] + 1, zero, zero + 1}
    steps |= {first + (last - first) * part // 4 for part in (1, 3)}
    wanted = []
    for step in sorted(steps):
        if first < step <= last:
            at = low + bisect_left(range(low, high + 1), step, key=lambda acc: _result(op, row, acc))
            odd = op.rescale is None
            wanted += [at - 1 - (odd and at % 2), at + (odd and 1 - at % 2)]
    return [target for target in wanted if low <= target <= high]


def _result(op: FullyConnected, row: int, acc: int) -> int:
    """The output of an accumulator before it is limited."""
    if op.rescale is None:
        return int(fixed.shr_round(np.asarray(acc), np.broadcast_to(op.shifts, len(op.inputs[1].values))[row]))
    m, left, right = (np.ravel(v)[min(row, np.size(v) - 1)] for v in _words(op.rescale))
    return int(fixed.rdbpot(fixed.srdhm(np.int64(acc) << left, m), right)) + op.outputs[0].zero_point


def _words(rescale: Rescale) -> tuple[Ints | int, Ints | int, Ints | int]:
    return rescale.multiplier, rescale.left, rescale.right


def _solve(weights: Ints, sum_wanted: int, limits: tuple[int, int], zero_point: int, turn: int) -> Ints | None:
    """x with weights @ (x - zero_point) = sum_wanted, or None; int16x8's limits allow even values only.

    Columns are filled from another one on in each row, so that all of them take part; the first has weight 1.
    """
    even = limits[0] == -32768
    x = np.zeros(len(weights), np.int64)
    for column in np.roll(np.arange(1, len(weights)), -9 * turn):
        weight = int(weights[column])
        if weight and abs(sum_wanted) >= abs(weight):
            value = int(np.clip(int(sum_wanted / weight), limits[0] - zero_point, limits[1] - zero_point))
            x[column] = value - value % 2 if even else value
            sum_wanted -= weight * int(x[column])
    x[0] = sum_wanted
    fits = limits[0] <= sum_wanted + zero_point <= limits[1] and not (even and sum_wanted % 2)
    return x + zero_point if fits else None
