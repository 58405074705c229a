"""Graphs of one op, and the TFLM kernel that judges it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from export.tflite_writer import to_tflite
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph, Tensor
from firmware_sim.ops import Op
from golden_vectors.executors.tflm import interpreter

META = {"profile": "seed", "student_sha256": "none", "wiener_floor_q15": 0}


def single(op: Op) -> Graph:
    """The graph of one op; its computed inputs are the graph's inputs."""
    scheme = "int8" if op.outputs[0].dtype == "int8" else "int16x8"
    return Graph(scheme, [op], [t for t in op.inputs if t.data is None], op.outputs, META)


def in_numpy(op: Op, inputs: Mapping[str, Ints]) -> list[Ints]:
    """Outputs of firmware_sim, each (n,)."""
    outputs = single(op).run({name: value[np.newaxis] for name, value in inputs.items()})
    return [outputs[t.name][0] for t in op.outputs]


def in_tflm(op: Op, inputs: Mapping[str, Ints]) -> list[Ints]:
    """Outputs of the TFLM kernel, each (n,)."""
    runtime = interpreter(to_tflite(single(op)), arena_bytes=1 << 22)
    for i, tensor in enumerate(t for t in op.inputs if t.data is None):
        runtime.set_input(inputs[tensor.name].astype(tensor.dtype)[np.newaxis], i)
    runtime.invoke()
    return [runtime.get_output(i).reshape(-1).astype(np.int64) for i in range(len(op.outputs))]


def assert_as_tflm(op: Op, **inputs: Ints) -> Ints:
    """Run both, compare every output exactly; returns the first output."""
    ours, theirs = in_numpy(op, inputs), in_tflm(op, inputs)
    for expected, got in zip(theirs, ours, strict=True):
        np.testing.assert_array_equal(got, expected)
    return ours[0]


def tensor(name: str, dtype: str, size: int, scale: float, zero_point: int = 0) -> Tensor:
    """An activation; the scale is brought to float32."""
    return Tensor(name, dtype, (size,), float(np.float32(scale)), zero_point)


def boundary(dtype: str) -> Ints:
    """Values where rounding and saturation change: limits, zero, powers of two and three, each +-2."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    edges = [low, 0, high, *(s * 2**k for k in range(15) for s in (1, -1, 3, -3))]
    near = np.unique(np.add.outer(edges, np.arange(-2, 3)))
    return near[(near >= low) & (near <= high)].astype(np.int64)


def pairs(a: Ints, b: Ints) -> tuple[Ints, Ints]:
    """Every a with every b."""
    grid = np.meshgrid(a, b, indexing="ij")
    return grid[0].reshape(-1), grid[1].reshape(-1)


def whole(dtype: str) -> Ints:
    """Every value of the dtype."""
    return np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, dtype=np.int64)


class Negate(Op):
    """An op that no writer knows."""

    kind = "NEG"
    arity = (1, 1)

    def prepare(self) -> None:
        self.require(self.inputs[0].shape == self.outputs[0].shape, "the shapes differ")


def untranslatable() -> Graph:
    """A graph of one op without translations."""
    return single(Negate([tensor("x", "int8", 2, 1.0)], [tensor("y", "int8", 2, 1.0)]))
