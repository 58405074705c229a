"""MUL: y = clamp(requantize(a * b)), elementwise."""

from __future__ import annotations

from collections.abc import Sequence

from firmware_sim import fixed
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter, operations
from firmware_sim.ops.base import Op, Rescale, Writer
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import Ledger


class Mul(Op):
    """Product of two tensors of one shape and dtype (int8 or int16), two roundings.

    With scales 2^-15 * s -> s the result is RHA(((a * b + 1) >> 1) / 2^14), not (a * b + 2^14) >> 15.

    source   tensorflow/lite/kernels/internal/reference/integer_ops/mul.h
    """

    kind = "MUL"
    arity = (2, 1)

    def prepare(self) -> None:
        a, b = self.inputs
        (y,) = self.outputs
        self.require(a.shape == b.shape == y.shape, "the shapes differ")
        self.require(a.dtype == b.dtype == y.dtype and y.dtype in ("int8", "int16"), "not all int8, not all int16")
        self.require(a.data is None and b.data is None, "an operand is constant")
        scale = a.scales[0] * b.scales[0] / y.scales[0]
        self.require(scale < 1.0, "the scale of y is too small")
        self.rescale = Rescale([scale])

    def run(self, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        a, b = (x - t.zero_point if t.zero_point else x for x, t in zip(operands, self.inputs, strict=True))
        operations("mac", a.size)
        (out,) = self.outputs
        y = self.rescale(a * b)
        return [fixed.clamp(y + out.zero_point if out.zero_point else y, *out.limits, counter)]

    def bounds(self, operands: Sequence[Interval], ledger: Ledger) -> list[Interval]:
        a, b = (x - t.zero_point for x, t in zip(operands, self.inputs, strict=True))
        (out,) = self.outputs
        return [self.rescale.bounds(a.times(b), out.name, "product", ledger) - -out.zero_point]

    def to_onnx(self, writer: Writer) -> None:
        a, b = (writer.centred(t) for t in self.inputs)
        writer.saturate(writer.rescale(writer.node("Mul", a, b), self.rescale), self.outputs[0])

    def to_tflite(self, writer: Writer) -> None:
        writer.operator(self, version=2, fusedActivationFunction=writer.activation("NONE"))

    def to_c(self, writer: Writer) -> None:
        a, b = self.inputs
        (y,) = self.outputs
        if y.dtype == "int8":
            zeros = (a.zero_point, b.zero_point, y.zero_point)
            writer.call("mul_i8", a, b, y, y.shape[0], self.rescale, *zeros)
            return
        log2 = self.rescale.log2
        self.require(log2 is not None, "the int16 C kernel needs scales of 2^k")
        writer.call("mul_i16", a, b, y, y.shape[0], -(log2 or 0))
