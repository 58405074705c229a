"""QUANTIZE: the same real values in another scale."""

from __future__ import annotations

from collections.abc import Sequence

from firmware_sim import fixed
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter
from firmware_sim.ops.base import Op, Rescale, Writer
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import Ledger


class Quantize(Op):
    """Change of scale, zero point or dtype; here the doubling that makes FULLY_CONNECTED inputs even.

    Doubling is sat(2 * x), halving (x + 1) >> 1.

    source   tensorflow/lite/micro/kernels/quantize_common.cc
    """

    kind = "QUANTIZE"
    arity = (1, 1)

    def prepare(self) -> None:
        (x,), (y,) = self.inputs, self.outputs
        self.require(x.shape == y.shape, "the shapes differ")
        self.require(x.dtype in ("int8", "int16") and y.dtype in ("int8", "int16"), "only int8 and int16")
        self.require(x.data is None, "the operand is constant")
        scale = x.scales[0] / y.scales[0]
        self.require(scale <= 2.0**15, "the scale of y is too small")
        self.rescale = Rescale([scale])

    def run(self, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        (x,), (source,), (out,) = operands, self.inputs, self.outputs
        y = self.rescale(x - source.zero_point if source.zero_point else x)
        return [fixed.clamp(y + out.zero_point if out.zero_point else y, *out.limits, counter)]

    def bounds(self, operands: Sequence[Interval], ledger: Ledger) -> list[Interval]:
        (x,), (source,), (out,) = operands, self.inputs, self.outputs
        return [self.rescale.bounds(x - source.zero_point, out.name, "input", ledger) - -out.zero_point]

    def to_onnx(self, writer: Writer) -> None:
        writer.saturate(writer.rescale(writer.centred(self.inputs[0]), self.rescale), self.outputs[0])

    def to_tflite(self, writer: Writer) -> None:
        writer.operator(self, version=2)

    def to_c(self, writer: Writer) -> None:
        (x,), (y,) = self.inputs, self.outputs
        self.require(x.dtype == y.dtype, "the C kernels keep the dtype")
        if y.dtype == "int8":
            writer.call("quantize_i8", x, y, y.shape[0], self.rescale, x.zero_point, y.zero_point)
            return
        self.require(self.rescale.log2 is not None, "the int16 C kernel needs scales of 2^k")
        writer.call("quantize_i16", x, y, y.shape[0], self.rescale.log2)
