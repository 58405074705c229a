"""Ranges of the integer network: intervals through the ops, states as a fixpoint from home."""

from __future__ import annotations

from firmware_sim.graph import Graph
from firmware_sim.ops import Op, Tensor
from firmware_sim.ranges.blend import Blends
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import Ledger, Limit, RangeError

ROUNDS = 16
"""Steps after which the states count as unbounded: their whole dtype."""


def network(graph: Graph, x: Interval, ledger: Ledger) -> dict[str, Interval]:
    """Bounds of every tensor for any input in x and any state that can be reached from home.

    x        network input code, (inputs,); an input that is neither x nor a state can be anything in its dtype
    returns  tensor name -> interval after its limits
    raises   RangeError when a register can overflow, or when int16x8 could meet a tie
    """
    states = reachable_states(graph, x)
    values = _step(graph, {**_free(graph), "x": x, **states}, ledger)
    for name, after in graph.states.items():
        if not values[after.name].within(states[name]):
            raise RangeError(f"network: {name}: the bound of the state is no bound after another step")
    for name, interval in values.items():
        ledger.tap(f"network.{name}", interval.low, interval.high)
    return values


def reachable_states(graph: Graph, x: Interval) -> dict[str, Interval]:
    """States that any number of steps can reach: home, widened by what a step adds until none adds anything."""
    states = {name: _home(tensor) for name, tensor in graph.states.items()}
    for _ in range(ROUNDS):
        values = _step(graph, {**_free(graph), "x": x, **states}, Ledger("network"))
        after = {name: state.hull(values[graph.states[name].name]) for name, state in states.items()}
        if all(after[name].within(state) for name, state in states.items()):
            return states
        states = after
    return {name: Interval.of(*t.limits, t.shape[0]) for name, t in graph.states.items()}


def _free(graph: Graph) -> dict[str, Interval]:
    """Every input with the whole range of its dtype."""
    return {t.name: Interval.of(*t.limits, t.shape[0]) for t in graph.inputs}


def _home(tensor: Tensor) -> Interval:
    """The code of zero; 0 itself is a multiple of everything."""
    code = tensor.zero_point
    return Interval.of(code, code, tensor.shape[0], step=1 if code else 1 << 15)


def _step(graph: Graph, values: dict[str, Interval], ledger: Ledger) -> dict[str, Interval]:
    """Intervals of every tensor after one step."""
    values = dict(values)
    blends = Blends(graph)
    for op in graph.ops:
        results = op.bounds([values[name] for name in op.operands], ledger)
        for tensor, result in zip(op.outputs, results, strict=True):
            values[tensor.name] = _limited(op, tensor, blends.refined(op, result, values), ledger)
    return values


def _limited(op: Op, tensor: Tensor, result: Interval, ledger: Ledger) -> Interval:
    """The result in its dtype."""
    return ledger.limits(tensor.name, result, Limit(tensor.dtype, *tensor.limits)) if op.saturates else result
