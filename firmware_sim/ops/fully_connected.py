"""FULLY_CONNECTED: y = clamp(requantize(sum((x - zx) * w) + b) + zy), int8 weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from firmware_sim import fixed
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter, operations
from firmware_sim.ops.base import GraphError, Op, Rescale, Writer, log2_exact
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import I32, I64, Ledger, RangeError

_ADVICE = "scale this row's weights and bias down, or quantize with --per-channel"


class FullyConnected(Op):
    """Matrix-vector product with the requantisation of its scheme.

    inputs   x (n), weights int8 (m, n), bias (m): x int8 takes an int32 bias, x int16 an int64 bias
    output   y (m), dtype of x
    relu     attribute: the lower limit becomes the zero point; reaching it is not a saturation

    int8     int32 accumulator, two roundings (`Rescale`), weights per tensor or per channel
    int16    int64 accumulator, every scale 2^-k, inputs even, biases odd: the accumulator is odd, no tie
             exists, and one shift is what every runtime computes
    source   tensorflow/lite/micro/kernels/fully_connected.cc
    """

    kind = "FULLY_CONNECTED"
    arity = (3, 1)
    switches = frozenset({"relu"})

    def prepare(self) -> None:
        x, weights, bias = self.inputs
        (y,) = self.outputs
        rows, columns = weights.shape if len(weights.shape) == 2 else (0, 0)
        self.require(weights.dtype == "int8" and weights.data is not None, "weights are not constant int8")
        self.require(bias.data is not None and x.data is None, "bias is not constant, or x is")
        self.require(x.shape == (columns,) and bias.shape == (rows,) == y.shape, "the shapes do not fit")
        self.require(x.dtype == y.dtype and x.dtype in ("int8", "int16"), "x and y are not both int8 or int16")
        self.require(bias.dtype == {"int8": "int32", "int16": "int64"}[x.dtype], "the bias has the wrong width")
        self.require(len(weights.scales) in (1, rows), "one weight scale per row, or one for all")
        self.relu = bool(self.attributes.get("relu", False))
        self.low, self.high = y.limits
        if self.relu:
            self.low = y.zero_point
        scales = [x.scales[0] * scale / y.scales[0] for scale in weights.scales]
        self.shifts = self._shifts(scales) if x.dtype == "int16" else 0
        self.rescale = Rescale(scales) if x.dtype == "int8" else None
        self.folded_bias = bias.values - x.zero_point * weights.values.sum(axis=1)
        self._check_range()
        # Sums stay below 2^53 (checked above), so float64 BLAS gives the exact integer.
        self._weights_f64 = np.asfortranarray(weights.values.T.astype(np.float64))
        self._bias_f64 = self.folded_bias.astype(np.float64)

    def _shifts(self, scales: Sequence[float]) -> Ints | int:
        """Right shifts of the int16 scheme: one for all rows, or one per row."""
        exponents = [log2_exact(scale) for scale in scales]
        shifts = [-e for e in exponents if e is not None and -45 <= e <= -1]
        self.require(len(shifts) == len(scales), "an int16 requantising scale is not 2^-k, k in [1, 45]")
        self.require(bool(np.all(self.inputs[2].values & 1)), "an int16 bias is even: the accumulator could tie")
        return shifts[0] if len(set(shifts)) == 1 else np.array(shifts, np.int64)

    def _check_range(self) -> None:
        """What numpy computes exactly and TFLite's int64 kernel takes; `bounds` proves the device's int32."""
        x, _, bias = self.inputs
        limit = 1 << 46
        self.require(bool(np.all(np.abs(bias.values) < limit)), "a bias is too large")
        low, high = self.accumulator_range(*(np.full(x.shape, end, np.int64) for end in x.limits))
        self.require(bool(np.all(np.maximum(-low, high) < limit)), "the accumulator can overflow")

    def accumulator_range(self, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        """Lowest and highest accumulator of each row, attained, for inputs in [low, high]; int64 (m)."""
        products = self._dot_range(low, high)
        return products[0] + self.folded_bias, products[1] + self.folded_bias

    def _dot_range(self, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        weights = self.inputs[1].values
        up, down = np.maximum(weights, 0), np.minimum(weights, 0)
        return np.dot(up, low) + np.dot(down, high), np.dot(up, high) + np.dot(down, low)

    def bounds(self, operands: Sequence[Interval], ledger: Ledger) -> list[Interval]:
        (x,), (out,) = operands, self.outputs
        sums = self._dot_range(np.minimum(x.low, 0), np.maximum(x.high, 0))  # in any order, so any part of the sum
        ledger.fits(out.name, "sum of products", *sums, I32, _ADVICE)
        half = np.int64(1) << (np.asarray(self.shifts) - 1) if self.rescale is None else np.int64(0)
        ledger.fits(out.name, "bias", self.folded_bias, self.folded_bias + half, I32, _ADVICE)
        low, high = self.accumulator_range(x.low, x.high)
        ledger.fits(out.name, "accumulator", low, high + half, I32, _ADVICE)
        self._paired_bounds(sums, ledger)
        if self.rescale is not None:
            y = self.rescale.bounds(Interval(low, high), out.name, "accumulator", ledger) - -out.zero_point
        else:
            if x.step % 2:
                raise RangeError(f"{ledger.stage}: {out.name}: an input can be odd, so an accumulator can be a tie")
            y = Interval(fixed.shr_round(low, self.shifts), fixed.shr_round(high, self.shifts))
        return [Interval(np.maximum(y.low, self.low), np.maximum(y.high, self.low)) if self.relu else y]

    def _paired_bounds(self, sums: tuple[Ints, Ints], ledger: Ledger) -> None:
        """The 64-bit sum 256 b + a of the kernel for paired rows: int32 rows a and b are then exact in it."""
        both = (np.append(end, np.zeros(len(end) % 2, np.int64)).reshape(-1, 2) for end in sums)
        low, high = (256 * end[:, 1] + end[:, 0] for end in both)
        ledger.fits(self.outputs[0].name, "sum of paired rows", low, high, I64, _ADVICE)

    def run(self, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        (x,) = operands
        acc = self._accumulate(x)
        if self.rescale is None:
            y = fixed.shr_round(acc, self.shifts)
        else:
            y = self.rescale(acc) + self.outputs[0].zero_point
        if self.relu:
            y = np.maximum(y, self.low)
        return [fixed.clamp(y, self.low, self.high, counter)]

    def _accumulate(self, x: Ints) -> Ints:
        """sum((x - zx) * w) + b, exact; (streams, m) int64."""
        operations("mac", x.shape[0] * self._weights_f64.size)
        sums = x.astype(np.float64) @ self._weights_f64
        sums += self._bias_f64
        return sums.astype(np.int64)

    def to_onnx(self, writer: Writer) -> None:
        x, weights, _ = self.inputs
        (y,) = self.outputs
        product = writer.matmul_i32(x, writer.constant(weights.values.T.astype(np.int8), f"{weights.name}_t"))
        acc = writer.node("Add", product, writer.i64(self.folded_bias))
        out = writer.shr_round(acc, self.shifts) if self.rescale is None else writer.rescale(acc, self.rescale)
        writer.saturate(out, y, low=self.low, high=self.high)

    def to_tflite(self, writer: Writer) -> None:
        activation = writer.activation("RELU" if self.relu else "NONE")
        writer.operator(self, version=4, fusedActivationFunction=activation)

    def to_c(self, writer: Writer) -> None:
        x, weights, _ = self.inputs
        (y,) = self.outputs
        scale, per_channel = self._scale_to_c(writer)
        if writer.paired and self._can_pair() and not writer.is_view(x):
            self._paired_to_c(writer, scale)
            return
        width = "i16" if self.rescale is None else "i8"
        w = writer.constant(weights.name, "int8", weights.data)
        bias = writer.constant(f"{y.name}_b_i32", "int32", self.folded_bias)
        kernel = f"fully_connected{'_per_channel' if per_channel else ''}_{width}"
        zero = () if self.rescale is None else (y.zero_point,)
        writer.call(kernel, x, w, bias, scale, y, *weights.shape, *zero, self.relu)

    def _can_pair(self) -> bool:
        """The paired kernels have one scale for all rows; the int8 ones shift right and double the accumulator.

        A weight of -128 does not always fit a halfword with another; `quantize` makes none, another graph may hold it.

        They load words, so that `to_c` keeps them from a part of another tensor, which may begin anywhere.
        """
        if self.inputs[1].values.min() < -127:
            return False
        if self.rescale is None:
            return isinstance(self.shifts, int)
        one = np.ndim(self.rescale.multiplier) == 0
        x = self.inputs[0]
        low, high = self.accumulator_range(*(np.full(x.shape, end, np.int64) for end in x.limits))
        return one and 1 <= int(self.rescale.right) <= 30 and int(np.maximum(-low, high).max()) < 1 << 30

    def _paired_to_c(self, writer: Writer, scale: Any) -> None:
        """Weights and biases as the dual multiply-accumulate reads them; it takes int16 in both schemes."""
        x, weights, _ = self.inputs
        (y,) = self.outputs
        rounding = 1 << (scale - 1) if self.rescale is None else 0
        operand = x if self.rescale is None else writer.widened(x)
        w = writer.constant(f"{y.name}_w_pairs_i16", "int16", paired_rows(weights.values), align=4)
        start = writer.structs("stapes_sums_t", f"{y.name}_b_i32", paired_sums(self.folded_bias + rounding))
        kernel = f"fully_connected_paired{'_relu' if self.relu else ''}_{'i16' if self.rescale is None else 'i8'}"
        zero = () if self.rescale is None else (y.zero_point,)
        writer.call(kernel, operand, w, start, scale, y, *weights.shape, *zero)

    def _scale_to_c(self, writer: Writer) -> tuple[Any, bool]:
        """Shift or rescale, or the name of the array that has one per row; and which of the two it is."""
        name = self.outputs[0].name
        if self.rescale is not None:
            per_channel = np.ndim(self.rescale.multiplier) > 0
            return (writer.rescales(f"{name}_rescale", self.rescale) if per_channel else self.rescale), per_channel
        shifts = np.asarray(self.shifts)
        self.require(bool(shifts.max() <= 30), "the C kernel shifts by at most 30")
        return (writer.constant(f"{name}_shift_u8", "uint8", shifts), True) if shifts.ndim else (int(shifts), False)


def paired_rows(weights: Ints) -> Ints:
    """Weights (m, n) in [-127, 127] as halfwords 256 * b + a of two rows, four rows and two columns at a time.

    returns  (4 * ceil(m / 4) * ceil(n / 2),) int64 in [-32639, 32639]; nn.h says the order; what is missing is 0
    """
    rows, columns = weights.shape
    if np.abs(weights).max() > 127:
        raise GraphError("a weight of -128 cannot share a halfword")
    whole = np.zeros((-(-rows // 4) * 4, -(-columns // 2) * 2), np.int64)
    whole[:rows, :columns] = weights
    pairs = whole.reshape(-1, 2, 2, whole.shape[1])  # (groups, pairs of a group, rows of a pair, columns)
    halfwords = 256 * pairs[:, :, 1] + pairs[:, :, 0]
    return halfwords.reshape(len(pairs), 2, -1, 2).transpose(0, 2, 1, 3).reshape(-1)


def paired_sums(biases: Ints) -> Ints:
    """Biases (m) as what the sums of every four rows begin with: the words of stapes_sums_t in nn.h.

    returns  (ceil(m / 4), 6) int64 in [0, 2^32)
    """
    whole = np.zeros(-(-len(biases) // 4) * 4, np.int64)
    whole[: len(biases)] = biases
    pairs = whole.reshape(-1, 2)
    both = 256 * pairs[:, 1] + pairs[:, 0]
    return (np.stack([pairs[:, 0], both, both >> 32], axis=1) & 0xFFFFFFFF).reshape(-1, 6)
