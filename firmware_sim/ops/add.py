"""ADD: y = clamp(requantize(a + b)), operands of different scales."""

from __future__ import annotations

from collections.abc import Sequence

from firmware_sim import fixed
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter, operations
from firmware_sim.ops.base import Op, Rescale, Writer, log2_exact
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import I32, Ledger


class Add(Op):
    """Sum of two tensors of one shape and dtype (int8 or int16).

    Both operands are raised by `left` bits and brought to twice the larger scale, added, and the sum
    brought to the scale of y: three requantisations. Where every scale is a power of two the first
    two are exact shifts and the whole is a single division, rounded half away from zero:
    y = (a * 2^shift_a + b * 2^shift_b) / 2^shift_y.

    source   tensorflow/lite/kernels/internal/reference/add.h; left = 20 (int8) or 15 (int16)
    """

    kind = "ADD"
    arity = (2, 1)
    sign = 1

    def prepare(self) -> None:
        a, b = self.inputs
        (y,) = self.outputs
        self.require(a.shape == b.shape == y.shape, "the shapes differ")
        self.require(a.dtype == b.dtype == y.dtype and y.dtype in ("int8", "int16"), "not all int8, not all int16")
        self.require(a.data is None and b.data is None, "an operand is constant")
        self.left = 20 if y.dtype == "int8" else 15
        twice = 2.0 * max(a.scales[0], b.scales[0])
        ratio = twice / (2.0**self.left * y.scales[0])
        self.require(ratio < 1.0, "the scale of y is too small")
        self.rescale_a = Rescale([a.scales[0] / twice])
        self.rescale_b = Rescale([b.scales[0] / twice])
        self.rescale_y = Rescale([ratio])
        self.shifts = self._shifts()

    def _shifts(self) -> tuple[int, int, int] | None:
        """(shift_a, shift_b, shift_y) of the single division, or None where it would not be exact."""
        exponents = [log2_exact(t.scales[0]) for t in (*self.inputs, *self.outputs)]
        if None in exponents:
            return None
        a, b, y = (e for e in exponents if e is not None)
        lowest = min(a, b, y)
        exact = max(a, b) - min(a, b) < self.left and y - min(a, b) <= self.left
        return (a - lowest, b - lowest, y - lowest) if exact else None

    def run(self, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        a, b = (x - t.zero_point if t.zero_point else x for x, t in zip(operands, self.inputs, strict=True))
        operations("add", a.size)
        if self.shifts is None:
            a, b = self.rescale_a(a << self.left), self.rescale_b(b << self.left)
            y = self.rescale_y(a + b if self.sign > 0 else a - b)
        else:
            shift_a, shift_b, shift_y = self.shifts
            a, b = a << shift_a if shift_a else a, b << shift_b if shift_b else b
            y = a + b if self.sign > 0 else a - b
            y = fixed.rdbpot(y, shift_y) if shift_y else y
        (out,) = self.outputs
        return [fixed.clamp(y + out.zero_point if out.zero_point else y, *out.limits, counter)]

    def bounds(self, operands: Sequence[Interval], ledger: Ledger) -> list[Interval]:
        (out,) = self.outputs
        a, b = (x - t.zero_point for x, t in zip(operands, self.inputs, strict=True))
        scaled = [
            rescale.bounds(x.shifted(self.left), out.name, "operand", ledger)
            for x, rescale in ((a, self.rescale_a), (b, self.rescale_b))
        ]
        y = self.rescale_y.bounds(self._sum(*scaled), out.name, "sum", ledger)
        if self.shifts is not None:
            shift_a, shift_b, shift_y = self.shifts
            total = self._sum(a.shifted(shift_a), b.shifted(shift_b))
            ledger.fits(out.name, "sum in the C", total.low, total.high, I32)
            step = max(total.step >> shift_y, 1)
            y = Interval(fixed.rdbpot(total.low, shift_y), fixed.rdbpot(total.high, shift_y), step)
        return [y - -out.zero_point]

    def _sum(self, a: Interval, b: Interval) -> Interval:
        """a + b, or a - b."""
        low, high = (b.low, b.high) if self.sign > 0 else (-b.high, -b.low)
        return Interval(a.low + low, a.high + high, min(a.step, b.step))

    def to_onnx(self, writer: Writer) -> None:
        a, b = (writer.node("Mul", writer.centred(t), writer.i64(1 << self.left)) for t in self.inputs)
        a, b = writer.rescale(a, self.rescale_a), writer.rescale(b, self.rescale_b)
        total = writer.node("Add" if self.sign > 0 else "Sub", a, b)
        writer.saturate(writer.rescale(total, self.rescale_y), self.outputs[0])

    def to_tflite(self, writer: Writer) -> None:
        writer.operator(self, version=2, fusedActivationFunction=writer.activation("NONE"), potScaleInt16=False)

    def to_c(self, writer: Writer) -> None:
        a, b = self.inputs
        (y,) = self.outputs
        kernel = self.kind.lower()
        if y.dtype == "int8":
            constants = writer.literal(
                "stapes_add_i8_t", a=self.rescale_a, b=self.rescale_b, y=self.rescale_y,
                zero_a=a.zero_point, zero_b=b.zero_point, zero_y=y.zero_point,
            )  # fmt: skip
            writer.call(f"{kernel}_i8", a, b, y, y.shape[0], *constants)
            return
        self.require(self.shifts is not None and max(self.shifts) <= 14, "the int16 C kernel needs scales of 2^k")
        writer.call(f"{kernel}_i16", a, b, y, y.shape[0], *(self.shifts or ()))
