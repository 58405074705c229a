"""LOGISTIC: the sigmoid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from firmware_sim import activations
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter, operations
from firmware_sim.ops.base import Op, Writer, log2_exact
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import I32, Ledger


class Logistic(Op):
    """1 / (1 + exp(-x)) of an int8 or int16 tensor, by the arithmetic of `activations`.

    int16    output scale 2^-15, zero point 0, range [0, 32767]
    int8     output scale 2^-8, zero point -128

    The function of one integer is a table of 256 or 65,536 outputs, indexed by the two's complement
    pattern of the input: negative indices count from the end, which is where numpy looks for them.
    """

    kind = "LOGISTIC"
    arity = (1, 1)
    saturates = False
    codes: ClassVar[dict[str, tuple[float, int]]] = {"int8": (2.0**-8, -128), "int16": (2.0**-15, 0)}
    """Scale and zero point of the output, fixed by TFLite."""

    def prepare(self) -> None:
        (x,), (y,) = self.inputs, self.outputs
        self.require(x.shape == y.shape and x.dtype == y.dtype, "input and output differ")
        self.require(x.dtype in self.codes and x.data is None, "the operand is constant, or not int8 or int16")
        self.require((y.scale, y.zero_point) == self.codes[x.dtype], "TFLite fixes another output scale")
        if x.dtype == "int16":
            exponent = log2_exact(x.scales[0])
            self.require(exponent is not None and -16 <= exponent <= -8, "the input scale is not 2^-8 to 2^-16")
        self.table = activations.table(self.kind, x.dtype, x.scales[0], x.zero_point)

    def run(self, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        (x,) = operands
        operations("mac", 2 * x.size)
        return [self.table[x].astype(np.int64)]

    def bounds(self, operands: Sequence[Interval], ledger: Ledger) -> list[Interval]:
        (x,), (source,) = operands, self.inputs
        if source.dtype == "int16":
            multiplier, shift = self._table_step()
            half = (1 << shift) >> 1
            low, high = x.low * multiplier + half, x.high * multiplier + half
            ledger.fits(self.outputs[0].name, "input in steps of the table", low, high, I32)
            reach = activations.interpolation_reach(self.kind)
            ledger.fits(self.outputs[0].name, "interpolated table", -reach, reach, I32)
        images = np.array([self._image(*ends) for ends in zip(x.low.tolist(), x.high.tolist(), strict=True)])
        return [Interval(images[:, 0], images[:, 1])]

    def _image(self, low: int, high: int) -> tuple[int, int]:
        """Lowest and highest entry of the table for inputs in [low, high]."""
        values = np.roll(self.table, -self.inputs[0].limits[0])[low - self.inputs[0].limits[0] :][: high - low + 1]
        return int(values.min()), int(values.max())

    def to_onnx(self, writer: Writer) -> None:
        x = self.inputs[0]
        writer.gather(np.roll(self.table, -x.limits[0]), x, self.outputs[0])

    def to_tflite(self, writer: Writer) -> None:
        writer.operator(self, version=3 if self.inputs[0].dtype == "int16" else 2)

    def to_c(self, writer: Writer) -> None:
        (x,), (y,) = self.inputs, self.outputs
        if x.dtype == "int8":
            table = writer.shared(f"{y.name}_lut_i8", "int8", self.table)
            writer.call("lookup_i8", x, y, y.shape[0], table, counted=False)
            return
        writer.call(f"{self.kind.lower()}_i16", x, y, y.shape[0], *self._table_step(), counted=False)

    def _table_step(self) -> tuple[int, int]:
        """(multiplier, shift) that bring an int16 input to the steps of the table."""
        bits = (log2_exact(self.inputs[0].scales[0]) or 0) + 12
        return 3 << max(bits, 0), max(-bits, 0)  # TFLM's 24576 = 3 * 2^13 and its shift have 2^13 in common
