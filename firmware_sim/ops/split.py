"""SPLIT: equal parts of a vector."""

from __future__ import annotations

from collections.abc import Sequence

from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter
from firmware_sim.ops.base import Op, Writer
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import Ledger


class Split(Op):
    """The input cut into as many equal parts as there are outputs; no arithmetic."""

    kind = "SPLIT"
    arity = (1, 0)
    saturates = False

    def prepare(self) -> None:
        (x,) = self.inputs
        parts = len(self.outputs)
        self.require(x.data is None, "the operand is constant")
        self.require(x.shape == (x.shape[0],) and x.shape[0] % parts == 0, "the input has no equal parts")
        same = all(
            (t.shape, t.dtype, t.scale, t.zero_point) == ((x.shape[0] // parts,), x.dtype, x.scale, x.zero_point)
            for t in self.outputs
        )
        self.require(same, "the outputs differ from a part of the input")

    def run(self, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        (x,) = operands
        size = self.outputs[0].shape[0]
        return [x[:, i * size : (i + 1) * size] for i in range(len(self.outputs))]

    def bounds(self, operands: Sequence[Interval], ledger: Ledger) -> list[Interval]:
        (x,) = operands
        size = self.outputs[0].shape[0]
        return [x.part(i * size, (i + 1) * size) for i in range(len(self.outputs))]

    def to_onnx(self, writer: Writer) -> None:
        writer.split(self.inputs[0], self.outputs)

    def to_tflite(self, writer: Writer) -> None:
        writer.operator(self, version=2, before=(writer.axis(1),), numSplits=len(self.outputs))

    def to_c(self, writer: Writer) -> None:
        (x,) = self.inputs
        for i, part in enumerate(self.outputs):
            writer.view(part, x, i * part.shape[0])
