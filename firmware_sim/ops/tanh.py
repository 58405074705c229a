"""TANH: the hyperbolic tangent."""

from __future__ import annotations

from typing import ClassVar

from firmware_sim.ops.logistic import Logistic


class Tanh(Logistic):
    """tanh(x) of an int8 or int16 tensor, by the arithmetic of `activations`.

    int16    output scale 2^-15; from an input scale of 2^-13 it stays within [-32746, 32746]
    int8     output scale 2^-7, zero point 0
    """

    kind = "TANH"
    codes: ClassVar[dict[str, tuple[float, int]]] = {"int8": (2.0**-7, 0), "int16": (2.0**-15, 0)}
