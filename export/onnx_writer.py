"""Integer Graph -> ONNX with integer operators only, opset 21.

Floor shifts and roundings are spelled with Add, Sign, Mul and Div on int64, so that no runtime has a
choice. Products are Cast + MatMul on int32 and never MatMulInteger, whose u8 x s8 kernels saturate on
x86 processors with AVX2 and without VNNI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from export.provenance import ExportError, face, facts, sha256
from firmware_sim.graph import Graph, Tensor
from firmware_sim.ops import Rescale

OPSET = 21
IR_VERSION = 10
_OFFSET_BITS = 62
"""Div truncates; a multiple of every divisor, added first, makes the dividend positive."""


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise ExportError('writing .onnx needs the packages of `pip install -e ".[export]"`') from None
    return onnx


class OnnxWriter:
    """The writer that op pages call; values are named int64 unless said otherwise."""

    def __init__(self) -> None:
        self._onnx = _onnx()
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._wide: dict[str, str] = {}

    # ------------------------------------------------------------ words

    def node(self, op_type: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node with one output; returns the output's name."""
        output = output or f"v{len(self._nodes)}"
        name = f"{op_type}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(op_type, list(inputs), [output], name=name, **attributes))
        return output

    def constant(self, array: npt.NDArray[Any], name: str) -> str:
        """An initializer in the array's own dtype."""
        if name not in self._constants:
            self._constants[name] = self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def i64(self, value: npt.NDArray[np.int64] | np.int64 | int) -> str:
        """An int64 constant, scalar or one value per channel."""
        array = np.array(value, np.int64)
        text = f"{int(array)}".replace("-", "m") if array.ndim == 0 else f"row_{len(self._constants)}"
        return self.constant(array, f"i64_{text}")

    def wide(self, tensor: Tensor) -> str:
        """A tensor as int64."""
        if tensor.name not in self._wide:
            self._wide[tensor.name] = self.node("Cast", tensor.name, to=self._onnx.TensorProto.INT64)
        return self._wide[tensor.name]

    def centred(self, tensor: Tensor) -> str:
        """x - zero_point."""
        x = self.wide(tensor)
        return self.node("Sub", x, self.i64(tensor.zero_point)) if tensor.zero_point else x

    def matmul_i32(self, x: Tensor, weights: str) -> str:
        """x @ weights on int32, widened; op pages have checked that int32 holds the sums."""
        int32 = self._onnx.TensorProto.INT32
        product = self.node("MatMul", self.node("Cast", x.name, to=int32), self.node("Cast", weights, to=int32))
        return self.node("Cast", product, to=self._onnx.TensorProto.INT64)

    def shr_round(self, x: str, bits: npt.NDArray[np.int64] | np.int64 | int) -> str:
        """(x + 2^(bits - 1)) >> bits, a floor shift; |x| < 2^61, bits >= 1."""
        n = np.asarray(bits, np.int64)
        raised = self.node("Add", x, self.i64((np.int64(1) << (n - 1)) + (1 << _OFFSET_BITS)))
        divided = self.node("Div", raised, self.i64(np.int64(1) << n))
        return self.node("Sub", divided, self.i64(np.int64(1 << _OFFSET_BITS) >> n))

    def rescale(self, x: str, rescale: Rescale) -> str:
        """TFLite's two roundings: half up at 31 bits, then half away from zero."""
        factor = np.asarray(rescale.multiplier, np.int64) << rescale.left
        high = self.shr_round(self.node("Mul", x, self.i64(factor)), 31)
        right = np.asarray(rescale.right, np.int64)
        if not right.any():
            return high
        half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
        nudged = self.node("Add", high, self.node("Mul", self.node("Sign", high), self.i64(half)))
        return self.node("Div", nudged, self.i64(np.int64(1) << right))

    def saturate(self, x: str, y: Tensor, low: int | None = None, high: int | None = None) -> None:
        """y = clip(x + zero_point) in y's dtype; low and high default to its limits."""
        if y.zero_point:
            x = self.node("Add", x, self.i64(y.zero_point))
        low, high = y.limits[0] if low is None else low, y.limits[1] if high is None else high
        self._wide[y.name] = self.node("Clip", x, self.i64(low), self.i64(high))
        self.node("Cast", self._wide[y.name], output=y.name, to=self._type(y))

    def gather(self, table: npt.NDArray[Any], x: Tensor, y: Tensor) -> None:
        """y = table[x - lowest x]."""
        index = self.node("Add", self.wide(x), self.i64(-x.limits[0]))
        name = self.constant(table, f"table_{sha256(table.tobytes())[:16]}")  # ops of one scale share a table
        self.node("Gather", name, index, output=y.name, axis=0)

    def split(self, x: Tensor, outputs: Sequence[Tensor]) -> None:
        """Equal parts along the last axis."""
        names = [t.name for t in outputs]
        self._nodes.append(
            self._onnx.helper.make_node(
                "Split", [x.name], names, f"Split_{len(self._nodes)}", axis=1, num_outputs=len(names)
            )
        )

    def _type(self, tensor: Tensor) -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)))

    # ------------------------------------------------------------ the model

    def finish(self, graph: Graph) -> bytes:
        """The checked model; activations have shape (streams, n)."""
        helper = self._onnx.helper

        def boundary(tensors: Sequence[Tensor]) -> list[Any]:
            return [helper.make_tensor_value_info(t.name, self._type(t), ["streams", *t.shape]) for t in tensors]

        body = helper.make_graph(
            self._nodes, "stapes", boundary(graph.inputs), boundary(graph.outputs), list(self._constants.values())
        )
        model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="stapes")
        model.ir_version = IR_VERSION
        helper.set_model_props(model, facts(graph))
        self._onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def to_onnx(graph: Graph) -> bytes:
    """The graph as an .onnx file; equal graphs give equal bytes.

    raises  ExportError for an op without a translation, or when the package is missing
    """
    writer = OnnxWriter()
    for op in graph.ops:
        face(op, "to_onnx")(writer)
    return writer.finish(graph)
