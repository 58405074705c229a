"""Read TFLM's 256-entry sigmoid table off its int16 TANH kernel: python -m tests.recover_sigmoid_table

Prints the entries that are not round(65536 * sigmoid(i / 24)); firmware_sim/activations.py lists them.
"""

from __future__ import annotations

import numpy as np

from firmware_sim.activations import sigmoid_formula
from firmware_sim.fixed import Ints
from firmware_sim.ops import Tanh
from tests.single_op import in_tflm, tensor, whole

CANDIDATES = (-1, 0, 1)


def recover() -> dict[int, int]:
    """Entry -> its difference from the formula, where there is one.

    From a scale of 2^-12 the kernel interpolates at 3 x / 256, so some 85 outputs lie between two entries.
    Whatever pair of candidates explains all of them is kept, and pairs of neighbours must agree.
    """
    x = whole("int16")[32768:]
    op = Tanh([tensor("x", "int16", 1 << 16, 2.0**-12)], [tensor("y", "int16", 1 << 16, 2.0**-15)])
    y = in_tflm(op, {"x": whole("int16")})[0][32768:]
    formula, index, fraction = sigmoid_formula(), (3 * x) >> 8, (3 * x) & 255
    alive = {(start,): start for start in CANDIDATES}
    for u in range(255):
        here = index == u
        alive = {
            (*path, end): end
            for path, start in alive.items()
            for end in CANDIDATES
            if _explains(y[here], fraction[here], int(formula[u]) + start, int(formula[u + 1]) + end)
        }
    if len(alive) != 1:
        raise AssertionError(f"{len(alive)} tables explain the kernel's outputs, not one")
    return {u: difference for u, difference in enumerate(next(iter(alive))) if difference}


def _explains(y: Ints, fraction: Ints, left: int, right: int) -> bool:
    interpolated = (left << 8) + fraction * (right - left)
    return bool(np.array_equal((interpolated - (1 << 23) + (1 << 7)) >> 8, y))


if __name__ == "__main__":
    differences = recover()
    print(f"{len(differences)} entries differ from the formula:")
    print(differences)
