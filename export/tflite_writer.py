"""Integer Graph -> TFLite flatbuffer, for TFLite-Micro and LiteRT.

Uses the object API of the schema that tflite-micro and ai-edge-litert ship. The Python packer of
flatbuffers ignores the schema's 16-byte alignment of buffers; `_aligned_buffer` restores it, because
int64 biases and CMSIS-NN on a Cortex-M7 read them in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from export.provenance import ExportError, banner, face, facts
from firmware_sim.graph import Graph, Tensor
from firmware_sim.ops import Op

ALIGNMENT = 16
_SCHEMAS = (
    "ai_edge_litert.schema_py_generated",
    "tflite_micro.tensorflow.lite.micro.python.schema_py_generated",
    "tflite_micro.tensorflow.lite.python.schema_py_generated",
)


def _load(names: Sequence[str]) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise ExportError('writing .tflite needs the packages of `pip install -e ".[export]"`')


class TfliteWriter:
    """The writer that op pages call; `finish` packs the model."""

    def __init__(self, graph: Graph):
        self._schema = _load(_SCHEMAS)
        self._buffers = [_aligned_buffer(self._schema, b"")]
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[str, int] = {}
        self._operator_codes: list[Any] = []
        self._index = {t.name: self._tensor(t) for t in graph.tensors.values()}
        self._axes: dict[int, int] = {}

    def _tensor(self, tensor: Tensor) -> int:
        """Append a tensor; activations get a leading batch axis of one."""
        quantization = self._schema.QuantizationParametersT()
        quantization.scale = np.asarray(tensor.scales, np.float32)
        quantization.zeroPoint = np.full(len(tensor.scales), tensor.zero_point, np.int64)
        shape = tensor.shape if tensor.data is not None else (1, *tensor.shape)
        raw = b"" if tensor.data is None else tensor.data.astype(tensor.data.dtype.newbyteorder("<")).tobytes()
        return self._raw_tensor(tensor.name, tensor.dtype, shape, raw, quantization)

    def _raw_tensor(self, name: str, dtype: str, shape: Sequence[int], raw: bytes, quantization: Any = None) -> int:
        t = self._schema.TensorT()
        t.name, t.shape, t.type, t.hasRank = name, list(shape), getattr(self._schema.TensorType, dtype.upper()), True
        t.quantization, t.buffer = quantization, 0
        if raw:
            t.buffer = len(self._buffers)
            self._buffers.append(_aligned_buffer(self._schema, raw))
        self._tensors.append(t)
        return len(self._tensors) - 1

    def axis(self, value: int) -> int:
        """Index of a constant int32 scalar, as SPLIT wants its axis."""
        if value not in self._axes:
            raw = np.array(value, "<i4").tobytes()
            self._axes[value] = self._raw_tensor(f"axis_{value}", "int32", (), raw)
        return self._axes[value]

    def activation(self, name: str) -> int:
        """Code of a fused activation."""
        return int(getattr(self._schema.ActivationFunctionType, name))

    def operator(self, op: Op, version: int, before: Sequence[int] = (), **options: Any) -> None:
        """Append an operator.

        version  of the TFLite op, the lowest that has these dtypes
        before   tensor indices put in front of the op's own inputs
        options  fields of the op's builtin options table
        """
        entry = self._schema.OperatorT()
        entry.opcodeIndex = self._code(op.kind, version)
        entry.inputs = [*before, *(self._index[t.name] for t in op.inputs)]
        entry.outputs = [self._index[t.name] for t in op.outputs]
        table = f"{op.kind.title().replace('_', '')}Options"
        if hasattr(self._schema.BuiltinOptions, table):
            entry.builtinOptionsType = getattr(self._schema.BuiltinOptions, table)
            entry.builtinOptions = getattr(self._schema, f"{table}T")()
        for key, value in options.items():
            setattr(entry.builtinOptions, key, value)
        self._operators.append(entry)

    def _code(self, kind: str, version: int) -> int:
        if kind not in self._codes:
            code = self._schema.OperatorCodeT()
            code.builtinCode = getattr(self._schema.BuiltinOperator, kind)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = version
            self._codes[kind] = len(self._operator_codes)
            self._operator_codes.append(code)
        return self._codes[kind]

    def finish(self, graph: Graph) -> bytes:
        """The flatbuffer."""
        flatbuffers = _load(["flatbuffers"])
        subgraph = self._schema.SubGraphT()
        subgraph.name = "stapes"
        subgraph.tensors, subgraph.operators = self._tensors, self._operators
        subgraph.inputs = [self._index[t.name] for t in graph.inputs]
        subgraph.outputs = [self._index[t.name] for t in graph.outputs]
        model = self._schema.ModelT()
        model.version = 3
        model.description = "Stapes " + " ".join(f"{key}={value}" for key, value in facts(graph).items())
        model.operatorCodes, model.subgraphs, model.buffers = self._operator_codes, [subgraph], self._buffers
        builder = flatbuffers.Builder(1 << 19)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def _aligned_buffer(schema: Any, raw: bytes) -> Any:
    """A BufferT whose data starts at a multiple of 16 bytes of the file."""

    class AlignedBuffer(schema.BufferT):  # type: ignore[misc]
        def Pack(self, builder: Any) -> Any:
            data = None
            if raw:
                builder.StartVector(1, len(raw), ALIGNMENT)
                builder.head -= len(raw)
                builder.Bytes[builder.head : builder.head + len(raw)] = raw
                data = builder.EndVector()
            schema.BufferStart(builder)
            if data is not None:
                schema.BufferAddData(builder, data)
            return schema.BufferEnd(builder)

    return AlignedBuffer()


def to_tflite(graph: Graph) -> bytes:
    """The graph as a .tflite file; equal graphs give equal bytes.

    raises  ExportError for an op without a translation, or when the packages are missing
    """
    writer = TfliteWriter(graph)
    for op in graph.ops:
        face(op, "to_tflite")(writer)
    return writer.finish(graph)


def c_array(graph: Graph, model: bytes) -> tuple[str, str]:
    """The .tflite file as (header, source) of a constant C array, 16-byte aligned."""
    rows = [model[i : i + 16] for i in range(0, len(model), 16)]
    body = "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)
    header = (
        banner(graph, "The network as a TFLite flatbuffer, for TFLite-Micro.", "tflite")
        + "#ifndef STAPES_TFLITE_MODEL_H\n#define STAPES_TFLITE_MODEL_H\n\n"
        + f"#define STAPES_TFLITE_MODEL_BYTES {len(model)}u\n\n"
        + "/* Starts at a multiple of 16 bytes, and so does every buffer in it. */\n"
        + "extern const unsigned char stapes_tflite_model[STAPES_TFLITE_MODEL_BYTES];\n\n#endif\n"
    )
    source = (
        banner(graph, "The network as a TFLite flatbuffer, for TFLite-Micro.", "tflite")
        + '#include "stapes_tflite_model.h"\n\n#include <stdalign.h>\n\n'
        + f"alignas({ALIGNMENT}) const unsigned char stapes_tflite_model[STAPES_TFLITE_MODEL_BYTES] = {{\n{body}\n}};\n"
    )
    return header, source
