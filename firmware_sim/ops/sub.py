"""SUB: y = clamp(requantize(a - b)), operands of different scales."""

from __future__ import annotations

from firmware_sim.ops.add import Add


class Sub(Add):
    """Difference of two tensors: ADD with the second operand subtracted after its requantisation.

    source   tensorflow/lite/kernels/internal/reference/sub.h
    """

    kind = "SUB"
    sign = -1
