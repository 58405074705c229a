"""ONNX and TFLite writers: bytes, alignment, refusals. That they compute alike is tests/golden_vectors' matter."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema

from export import tflite_writer
from export.onnx_writer import to_onnx
from export.provenance import ExportError
from export.quantize import quantize
from export.tflite_writer import ALIGNMENT, c_array, to_tflite
from firmware_sim.blocks import RECIPES
from firmware_sim.graph import SCHEMES, Graph
from firmware_sim.ops import Op
from tests.single_op import META, tensor
from tests.synthetic_student import synthetic_student


@pytest.fixture(scope="module", params=SCHEMES)
def graph(request: pytest.FixtureRequest) -> Graph:
    return quantize(synthetic_student(hidden=16, frames=30), RECIPES[request.param])


@pytest.fixture(scope="module")
def model(graph: Graph) -> bytes:
    return to_tflite(graph)


def test_both_files_are_reproducible_byte_for_byte(graph: Graph, model: bytes) -> None:
    assert to_tflite(graph) == model
    assert to_onnx(graph) == to_onnx(graph)


def test_the_schemas_of_both_packages_pack_the_same_bytes(
    graph: Graph, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(tflite_writer._SCHEMAS) == 3
    monkeypatch.setattr(tflite_writer, "_SCHEMAS", tflite_writer._SCHEMAS[1:])
    assert to_tflite(graph) == model


def test_every_tflite_buffer_is_aligned_and_holds_its_tensor(graph: Graph, model: bytes) -> None:
    unpacked = schema.ModelT.InitFromPackedBuf(model, 0)
    constants = 0
    for t in unpacked.subgraphs[0].tensors:
        data = unpacked.buffers[t.buffer].data
        if data is None:
            continue
        raw = np.asarray(data, np.uint8).tobytes()
        name = t.name.decode()
        if name in graph.tensors:
            assert raw == graph.tensors[name].data.tobytes()  # type: ignore[union-attr]
            constants += 1
    view = schema.Model.GetRootAs(model, 0)
    for i in range(view.BuffersLength()):
        buffer = view.Buffers(i)
        if buffer.DataLength():
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            assert start % ALIGNMENT == 0
    assert constants == 20


def test_both_files_name_the_graph_they_come_from(graph: Graph, model: bytes) -> None:
    assert graph.digest.encode() in model
    properties = {p.key: p.value for p in onnx.load_from_string(to_onnx(graph)).metadata_props}
    assert properties["graph_sha256"] == graph.digest


def test_the_onnx_file_holds_integer_operators_only(graph: Graph) -> None:
    loaded = onnx.load_from_string(to_onnx(graph))
    kinds = {node.op_type for node in loaded.graph.node}
    assert kinds == {"Add", "Cast", "Clip", "Div", "Gather", "MatMul", "Mul", "Sign", "Split", "Sub"}
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16}
    assert not any(t.data_type in floats for t in loaded.graph.initializer)
    assert [o.version for o in loaded.opset_import] == [21]


def test_the_c_array_is_the_file_aligned_and_under_a_banner(graph: Graph, model: bytes) -> None:
    header, source = c_array(graph, model)
    values = source.split("{\n", 1)[1].split("}")[0].replace(",", " ").split()
    assert bytes(int(v, 16) for v in values) == model
    assert f"alignas({ALIGNMENT})" in source
    assert f"STAPES_TFLITE_MODEL_BYTES {len(model)}u" in header
    assert graph.digest in header
    assert graph.digest in source


@pytest.mark.parametrize("write", [to_onnx, to_tflite])
def test_an_op_without_a_translation_is_refused_by_name(write) -> None:  # type: ignore[no-untyped-def]
    class Negate(Op):
        kind = "NEG"
        arity = (1, 1)

        def prepare(self) -> None:
            self.require(len(self.inputs) == 1, "one input")

    op = Negate([tensor("x", "int8", 2, 1.0)], [tensor("y", "int8", 2, 1.0)])
    with pytest.raises(ExportError, match="op NEG at y has no to_"):
        write(Graph("int8", [op], op.inputs, op.outputs, META))


@pytest.mark.parametrize(
    ("write", "modules"), [(to_onnx, ["onnx"]), (to_tflite, list(tflite_writer._SCHEMAS)), (to_tflite, ["flatbuffers"])]
)
def test_a_missing_package_names_the_command_that_installs_it(  # type: ignore[no-untyped-def]
    write, modules: list[str], graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match=r'pip install -e "\.\[export\]"'):
        write(graph)
