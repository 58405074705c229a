"""What intervals cannot see: the next state of a GRU lies between its candidate and the state before.

h' = n + z (h - n) reads n twice; as independent values they would add up to twice their range. The two recipes
of `blocks` keep h' between n and h although every product is rounded. Here each premise of that is checked, the
rounding by trying every value; where one fails, the plain interval stands.
"""

from __future__ import annotations

import numpy as np

from firmware_sim.graph import Graph
from firmware_sim.ops import Add, Mul, Op, Sub
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import Ledger


class Blends:
    """Finds the recipes of a graph by what computes what."""

    def __init__(self, graph: Graph):
        self._made_by = {name: op for op in graph.ops for name in op.results}

    def refined(self, op: Op, result: Interval, values: dict[str, Interval]) -> Interval:
        """The result of an op before its limits, narrowed where op is part of a blend."""
        known = None
        if type(op) is Sub:
            known = self._share_taken_off(op, values)
        elif type(op) is Add:
            known = self._even(op, values) or self._plain(op, values)
        return result if known is None else result.meet(known)

    def _product(self, name: str) -> Mul | None:
        op = self._made_by.get(name)
        return op if isinstance(op, Mul) else None

    def _even(self, op: Add, values: dict[str, Interval]) -> Interval | None:
        """int16x8: n + z * d with d = h - n exact; |z * d| <= |d| keeps the sum between n and n + d."""
        n, kept = op.operands
        product = self._product(kept)
        difference = self._made_by.get(product.operands[1]) if product else None
        if product is None or type(difference) is not Sub or difference.operands[1] != n or op.shifts != (0, 0, 0):
            return None
        z, d = product.operands
        h = difference.operands[0]
        shifts = difference.shifts
        if shifts is None or shifts != (0, shifts[2], shifts[2]) or values[h].step % (1 << shifts[2]):
            return None  # h - n in units of n would be rounded
        plain = difference.bounds([values[h], values[n]], Ledger("network"))[0]
        if not plain.within(Interval.of(*difference.outputs[0].limits, len(plain.low))):
            return None  # h - n could saturate
        if not _share_stays_below_the_whole(product, values[z], values[d]):
            return None
        state = values[h]
        return values[n].hull(Interval(state.low >> shifts[2], state.high >> shifts[2]))

    def _plain(self, op: Add, values: dict[str, Interval]) -> Interval | None:
        """int8: (n - z * n) + z * h, both products by one rule that rises by at most one for a step of one."""
        new, kept = op.operands
        rest, product = self._made_by.get(new), self._product(kept)
        if type(rest) is not Sub or product is None or op.shifts != (0, 0, 0):
            return None
        lost = self._product(rest.operands[1])
        if lost is None or lost.operands[0] != product.operands[0] or self._share_taken_off(rest, values) is None:
            return None
        if _constants(lost) != _constants(product) or any(t.zero_point for t in (*op.inputs, *op.outputs)):
            return None
        return values[rest.operands[0]].hull(values[product.operands[1]])

    def _share_taken_off(self, op: Sub, values: dict[str, Interval]) -> Interval | None:
        """n - z * n lies between 0 and n."""
        n, share = op.operands
        lost = self._product(share)
        if lost is None or lost.operands[1] != n or op.shifts != (0, 0, 0):
            return None
        z = values[lost.operands[0]]
        if any(t.zero_point for t in (*op.inputs, *op.outputs)) or not _rises_by_at_most_one(lost, z):
            return None
        return values[n].hull(Interval.of(0, 0, len(values[n].low)))


def _constants(product: Mul) -> tuple[object, ...]:
    """All that a product of z and another operand depends on."""
    rescale = product.rescale
    zeros = [t.zero_point for t in (*product.inputs, *product.outputs)]
    return (rescale.multiplier, rescale.left, rescale.right, *zeros)


def _share_stays_below_the_whole(product: Mul, z: Interval, d: Interval) -> bool:
    """Whether z * d lies between 0 and d for every z and d.

    It rises with z for d > 0 and falls for d < 0, so the largest z decides; every d is tried.
    """
    if product.outputs[0].dtype != "int16" or z.low.min() < 0:
        return False
    whole = np.arange(d.low.min(), d.high.max() + 1)
    share = product.rescale(whole * int(z.high.max()))
    return bool((share * np.sign(whole) >= 0).all() and (np.abs(share) <= np.abs(whole)).all())


def _rises_by_at_most_one(product: Mul, z: Interval) -> bool:
    """Whether z * x rises by 0 or 1 where x rises by 1, and is 0 at 0: every int8 x and z is tried."""
    gate, other = product.inputs
    if product.outputs[0].dtype != "int8" or other.zero_point or product.outputs[0].zero_point:
        return False
    gains = np.arange(z.low.min(), z.high.max() + 1) - gate.zero_point
    shares = product.rescale(np.arange(-128, 128)[:, None] * gains)
    rises = np.diff(shares, axis=0)
    return bool((rises >= 0).all() and (rises <= 1).all() and (shares[128] == 0).all())
