"""The ONNX file: integer operators, provenance, refusals. That it computes alike is tests/golden_vectors' matter."""

from __future__ import annotations

import sys

import onnx
import pytest

from export.onnx_writer import OPSET, to_onnx
from export.provenance import ExportError
from firmware_sim.graph import SCHEMES, Graph
from tests.single_op import untranslatable


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_file_is_reproducible_and_names_its_graph(graphs: dict[str, Graph], scheme: str) -> None:
    model = to_onnx(graphs[scheme])
    assert to_onnx(graphs[scheme]) == model
    properties = {p.key: p.value for p in onnx.load_from_string(model).metadata_props}
    assert properties["graph_sha256"] == graphs[scheme].digest


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_holds_integer_operators_only(graphs: dict[str, Graph], scheme: str) -> None:
    loaded = onnx.load_from_string(to_onnx(graphs[scheme]))
    kinds = {node.op_type for node in loaded.graph.node}
    assert kinds == {"Add", "Cast", "Clip", "Div", "Gather", "MatMul", "Mul", "Sign", "Split", "Sub"}
    integers = {onnx.TensorProto.INT8, onnx.TensorProto.INT16, onnx.TensorProto.INT32, onnx.TensorProto.INT64}
    assert {t.data_type for t in loaded.graph.initializer} <= integers
    assert {t.type.tensor_type.elem_type for t in [*loaded.graph.input, *loaded.graph.output]} <= integers
    assert [entry.version for entry in loaded.opset_import] == [OPSET]


def test_ops_of_one_scale_share_their_table(graphs: dict[str, Graph]) -> None:
    loaded = onnx.load_from_string(to_onnx(graphs["int16x8"]))
    assert sum(list(t.dims) == [65536] for t in loaded.graph.initializer) == 2
    assert sum(node.op_type == "Gather" for node in loaded.graph.node) == 5


def test_an_op_without_a_translation_is_refused_by_name() -> None:
    with pytest.raises(ExportError, match="op NEG at y has no to_onnx"):
        to_onnx(untranslatable())


def test_a_missing_package_names_the_command_that_installs_it(
    graphs: dict[str, Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match=r'pip install -e "\.\[export\]"'):
        to_onnx(graphs["int8"])
