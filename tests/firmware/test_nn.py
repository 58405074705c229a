"""nn.c against the op pages: one C function for each op under test, made by the page's own `to_c`."""

from __future__ import annotations

import ctypes
import re
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from export.c_writer import CWriter
from export.provenance import write_atomic
from firmware_sim.fixed import Ints
from firmware_sim.graph import GraphError, Tensor
from firmware_sim.meter import Counter as StreamCounter
from firmware_sim.network import decode_mask, encode_features
from firmware_sim.ops import Add, FullyConnected, Logistic, Mul, Op, Quantize, Split, Sub, Tanh
from golden_vectors.cc import BUILD
from golden_vectors.m7 import build
from tests.firmware.c_library import DSP, PROFILE, QUICK, Counter, address, library
from tests.single_op import boundary, pairs, tensor, whole

RNG = np.random.default_rng(0)
HERE = [compiler for compiler in build.COMPILERS if build.missing_compiler(compiler) is None]
C_TYPES = {"int8": np.int8, "int16": np.int16}


def dense(
    dtype: str, rows: int, columns: int, *, per_channel: bool = False, relu: bool = False, lowest: bool = False
) -> FullyConnected:
    """A layer with weights at their limits, some rows that saturate, and zero points where the dtype has them.

    lowest  a row of -128 as well, which `quantize` never makes
    """
    weights = RNG.integers(-127, 128, (rows, columns)).astype(np.int8)
    weights[0], weights[1] = 127, -127
    if lowest:
        weights[3] = -128
    if dtype == "int16":
        scale = tuple(2.0**-k for k in RNG.integers(5, 9, rows)) if per_channel else 2.0**-7
        bias = (2 * RNG.integers(-(1 << 20), 1 << 20, rows) + 1).astype(np.int64)
        x, y = tensor("x", "int16", columns, 2.0**-12), tensor("y", "int16", rows, 2.0**-11)
    else:
        scale = tuple(map(float, RNG.uniform(0.002, 0.02, rows).astype(np.float32))) if per_channel else 0.0078125
        bias = RNG.integers(-3000, 3000, rows).astype(np.int32)
        x, y = tensor("x", "int8", columns, 0.0625, -3), tensor("y", "int8", rows, 0.37, 5)
    w = Tensor("w", "int8", weights.shape, scale, 0, weights)
    bias_scale = tuple(float(np.float32(x.scales[0] * s)) for s in w.scales)
    b = Tensor("b", str(bias.dtype), bias.shape, bias_scale if per_channel else bias_scale[0], 0, bias)
    return FullyConnected([x, w, b], [y], {"relu": True} if relu else {})


def binary(
    op: type[Op], dtype: str, size: int, a: float, b: float, y: float, zeros: tuple[int, int, int] = (0, 0, 0)
) -> Op:
    scales = zip(("a", "b"), (a, b), zeros[:2], strict=True)
    return op([tensor(n, dtype, size, s, z) for n, s, z in scales], [tensor("y", dtype, size, y, zeros[2])])


def unary(op: type[Op], dtype: str, size: int, x: float, y: float, zeros: tuple[int, int] = (0, 0)) -> Op:
    return op([tensor("x", dtype, size, x, zeros[0])], [tensor("y", dtype, size, y, zeros[1])])


PAIRS_I8 = pairs(whole("int8"), whole("int8"))
PAIRS_I16 = pairs(boundary("int16"), boundary("int16"))
N8, N16 = len(PAIRS_I8[0]), len(PAIRS_I16[0])
W16 = len(whole("int16"))

OPS: dict[str, Op] = {
    "dense_i16": dense("int16", 37, 65),
    "dense_i16_relu": dense("int16", 16, 128, relu=True),
    "dense_i16_lowest": dense("int16", 37, 65, lowest=True),
    "dense_i8_lowest": dense("int8", 37, 65, lowest=True),
    **{f"dense_i16_{n}_columns": dense("int16", 3 + n % 4, n) for n in (1, 2, 15, 16, 17, 30, 35)},
    "dense_i16_per_channel": dense("int16", 33, 64, per_channel=True),
    "dense_i8": dense("int8", 37, 65),
    "dense_i8_relu": dense("int8", 16, 128, relu=True),
    "dense_i8_per_channel": dense("int8", 33, 64, per_channel=True),
    "add_i16": binary(Add, "int16", N16, 2.0**-11, 2.0**-11, 2.0**-11),
    "add_i16_halving": binary(Add, "int16", N16, 2.0**-15, 2.0**-14, 2.0**-14),
    "add_i16_wide": binary(Add, "int16", N16, 2.0**-13, 2.0**-11, 2.0**-9),
    "sub_i16": binary(Sub, "int16", N16, 2.0**-15, 2.0**-15, 2.0**-14),
    "mul_i16": binary(Mul, "int16", N16, 2.0**-15, 2.0**-13, 2.0**-13),
    "mul_i16_half": binary(Mul, "int16", N16, 2.0**-1, 2.0**-13, 2.0**-13),
    "mul_i16_small": binary(Mul, "int16", N16, 2.0**-15, 2.0**-15, 2.0**-3),
    "add_i8": binary(Add, "int8", N8, 0.0625, 0.0625, 0.0625),
    "add_i8_scales": binary(Add, "int8", N8, 0.013, 0.0625, 0.05, (3, -7, 11)),
    "sub_i8": binary(Sub, "int8", N8, 2.0**-7, 2.0**-7, 2.0**-6),
    "sub_i8_scales": binary(Sub, "int8", N8, 0.02, 0.017, 0.0301, (-128, 127, 1)),
    "mul_i8": binary(Mul, "int8", N8, 2.0**-8, 2.0**-6, 2.0**-6, (-128, 0, 0)),
    "mul_i8_scales": binary(Mul, "int8", N8, 0.019, 0.33, 0.041, (4, -5, 6)),
    "quantize_i16_double": unary(Quantize, "int16", W16, 2.0**-14, 2.0**-15),
    "quantize_i16_same": unary(Quantize, "int16", W16, 2.0**-14, 2.0**-14),
    "quantize_i16_half": unary(Quantize, "int16", W16, 2.0**-15, 2.0**-14),
    "quantize_i16_eighth": unary(Quantize, "int16", W16, 2.0**-15, 2.0**-12),
    "quantize_i8": unary(Quantize, "int8", 256, 0.07, 0.031, (5, -9)),
    **{f"logistic_i16_{k}": unary(Logistic, "int16", W16, 2.0**-k, 2.0**-15) for k in range(8, 17)},
    **{f"tanh_i16_{k}": unary(Tanh, "int16", W16, 2.0**-k, 2.0**-15) for k in range(8, 17)},
    "logistic_i8": unary(Logistic, "int8", 256, 0.0625, 2.0**-8, (0, -128)),
    "tanh_i8": unary(Tanh, "int8", 256, 0.031, 2.0**-7, (9, 0)),
}


def resized(op: Op, size: int) -> Op:
    """The same elementwise op on vectors of another length."""
    return type(op)(*([replace(t, shape=(size,)) for t in ts] for ts in (op.inputs, op.outputs)), op.attributes)


SHORT = {
    f"{name}_of_{n}": resized(op, n)
    for name, op in OPS.items()
    if op.kind not in ("FULLY_CONNECTED", "LOGISTIC", "TANH")
    for n in (1, 2, 3, 5, 17)
}
"""Lengths that leave elements over where kernels take them by twos and fours."""
OPS |= SHORT


def inputs_of(name: str, op: Op) -> list[Ints]:
    """The whole domain where it is small, every pair of boundary values, or loud and quiet rows."""
    if name in SHORT:
        return corners(op)
    if len(op.operands) == 2:
        return list(PAIRS_I8 if op.outputs[0].dtype == "int8" else PAIRS_I16)
    x = op.inputs[0]
    if op.kind != "FULLY_CONNECTED":
        return [whole(x.dtype)]
    low, high = x.limits
    rows = RNG.integers(low, high + 1, (60, x.shape[0])) >> RNG.integers(0, 12, (60, 1))
    rows[0], rows[1] = low, high
    return [rows & ~1 if x.dtype == "int16" else rows]


def corners(op: Op) -> list[Ints]:
    """Rows with every combination of the ends of the range in every element, then rows of boundary values."""
    random, (x, *_) = np.random.default_rng(0), op.inputs
    ends = np.array(list(product(x.limits, repeat=len(op.operands))))
    rows = [np.repeat(column[:, np.newaxis], x.shape[0], axis=1) for column in ends.T]
    return [np.concatenate([row, random.choice(boundary(x.dtype), (60, x.shape[0]))]) for row in rows]


@cache
def source(paired: bool) -> str:
    """A C file with a function for each op: operands as pointers in TFLite's order, outputs, counter."""
    parts = ['#include "nn_elementwise.h"\n']
    for name, op in OPS.items():
        writer = CWriter(paired)
        tensors = [t for t in (*op.inputs, *op.outputs) if t.data is None]
        op.to_c(writer)
        declarations, calls = "".join(writer.arrays), "".join(writer.calls).replace("net->", "")
        for constant in writer.flash:
            old, new = rf"\b{constant}\b", f"{name}_{constant}"
            declarations, calls = re.sub(old, new, declarations), re.sub(old, new, calls)
        scratch = f"    _Alignas(4) int16_t widened_i16[{writer.widest}];\n" if writer.widest else ""
        arguments = ", ".join(f"{t.dtype}_t *{t.name}" for t in tensors)
        head = f"void op_{name}({arguments}, stapes_counter_t *counter)"
        parts.append(f"{declarations}{head};\n{head}\n{{\n    (void)counter;\n{scratch}{calls}}}\n")
    return "\n".join(parts)


@cache
def kernels(flags: tuple[str, ...] = QUICK, paired: bool = False) -> ctypes.CDLL:
    path = write_atomic(BUILD / "tests" / f"ops{'_paired' if paired else ''}.c", source(paired).encode())
    return library(PROFILE, Path(path), flags=flags)


def run_c(
    name: str, op: Op, operands: list[Ints], flags: tuple[str, ...] = QUICK, paired: bool = False
) -> tuple[Ints, int]:
    """Outputs of the C function, and the saturations it counted; rows of a 2-D operand run one by one."""
    counter, out = Counter(), []
    for row in zip(*(np.atleast_2d(x) for x in operands), strict=True):
        arrays = [np.ascontiguousarray(x, C_TYPES[op.inputs[0].dtype]) for x in row]
        y = np.empty(op.outputs[0].shape, C_TYPES[op.outputs[0].dtype])
        kernels(flags, paired)[f"op_{name}"](*map(address, (*arrays, y)), ctypes.byref(counter))
        out.append(y.astype(np.int64))
    return np.stack(out), counter.saturations


@pytest.mark.parametrize("flags", [QUICK, DSP], ids=["plain", "dsp"])
@pytest.mark.parametrize("name", OPS)
def test_a_kernel_against_its_page(name: str, flags: tuple[str, ...]) -> None:
    op = OPS[name]
    operands = inputs_of(name, op)
    rows = [np.atleast_2d(x) for x in operands]
    counter = StreamCounter(len(rows[0]))
    expected = op.run(rows, counter)[0]
    got, saturations = run_c(name, op, operands, flags)
    np.testing.assert_array_equal(got, expected)
    assert saturations == counter.saturations.sum()


@pytest.mark.parametrize("name", [name for name in OPS if name.startswith("dense")])
def test_rows_that_share_halfwords_give_the_bits_of_rows_alone(name: str) -> None:
    operands = inputs_of(name, OPS[name])
    alone, paired = (run_c(name, OPS[name], operands, paired=choice) for choice in (False, True))
    np.testing.assert_array_equal(paired[0], alone[0])
    assert paired[1] == alone[1]


def test_saturation_is_reached_wherever_a_kernel_limits() -> None:
    limited = {name for name, op in OPS.items() if run_c(name, op, inputs_of(name, op))[1]}
    assert {"dense_i16", "dense_i8", "add_i16", "add_i8", "sub_i8", "quantize_i16_double", "quantize_i8"} <= limited


def test_split_costs_no_copy() -> None:
    x = tensor("x", "int16", 6, 1.0)
    parts = [tensor(f"part{i}", "int16", 2, 1.0) for i in range(3)]
    writer = CWriter()
    Split([x], parts).to_c(writer)
    assert [writer.place(part) for part in parts] == ["net->x", "net->x + 2", "net->x + 4"]
    assert writer.calls == []
    assert all(map(writer.is_view, parts))


@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
def test_the_boundary_of_the_network_against_python(scheme: str) -> None:
    dtype = {"int16x8": np.int16, "int8": np.int8}[scheme]
    width = {"int16x8": "i16", "int8": "i8"}[scheme]
    x_q11 = np.arange(-(1 << 14), 1 << 14)
    stream_counter, counter = StreamCounter(1), Counter()
    codes = np.empty(len(x_q11), dtype)
    device, size = library(), ctypes.c_size_t(len(x_q11))
    device[f"stapes_encode_features_{width}"](
        address(x_q11.astype(np.int16)), address(codes), size, ctypes.byref(counter)
    )
    np.testing.assert_array_equal(codes, encode_features(x_q11[None], scheme, stream_counter)[0])
    assert counter.saturations == stream_counter.saturations[0]
    mask = np.arange(0, 1 << 15) if scheme == "int16x8" else np.arange(-128, 128)
    decoded = np.empty(len(mask), np.uint16)
    device[f"stapes_decode_mask_{width}"](address(mask.astype(dtype)), address(decoded), ctypes.c_size_t(len(mask)))
    np.testing.assert_array_equal(decoded, decode_mask(mask, scheme))


@pytest.mark.parametrize(
    ("op", "complaint"),
    [
        (binary(Add, "int16", 4, 0.013, 0.05, 0.05), "scales of 2\\^k"),
        (binary(Mul, "int16", 4, 0.013, 0.05, 0.05), "scales of 2\\^k"),
        (unary(Quantize, "int16", 4, 0.013, 0.05), "scales of 2\\^k"),
    ],
    ids=["add", "mul", "quantize"],
)
def test_an_int16_op_that_the_device_cannot_shift_is_refused(op: Op, complaint: str) -> None:
    with pytest.raises(GraphError, match=complaint):
        op.to_c(CWriter())
