"""The .tflite file and its C array: bytes, alignment, refusals. tests/golden_vectors proves that it computes alike."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from export import tflite_writer
from export.provenance import ExportError
from export.tflite_writer import ALIGNMENT, c_array, to_tflite
from firmware_sim.graph import SCHEMES, Graph
from tests.single_op import untranslatable


@pytest.fixture(params=SCHEMES)
def graph(request: pytest.FixtureRequest, graphs: dict[str, Graph]) -> Graph:
    return graphs[request.param]


def test_the_file_is_reproducible_and_names_its_graph(graph: Graph) -> None:
    model = to_tflite(graph)
    assert to_tflite(graph) == model
    assert graph.digest.encode() in model


def test_the_schemas_of_both_packages_pack_the_same_bytes(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    litert = to_tflite(graph)
    monkeypatch.setattr(tflite_writer, "_SCHEMAS", tflite_writer._SCHEMAS[1:])
    assert to_tflite(graph) == litert


def test_every_buffer_is_aligned(graph: Graph) -> None:
    view = schema.Model.GetRootAs(to_tflite(graph), 0)
    starts = []
    for buffer in map(view.Buffers, range(view.BuffersLength())):
        if buffer.DataLength():
            starts.append(buffer._tab.Vector(buffer._tab.Offset(4)))
    assert len(starts) == 21
    assert all(start % ALIGNMENT == 0 for start in starts)


def test_every_constant_is_in_the_file(graph: Graph) -> None:
    model = schema.ModelT.InitFromPackedBuf(to_tflite(graph), 0)
    stored = {t.name.decode(): model.buffers[t.buffer].data for t in model.subgraphs[0].tensors}
    constants = [t for t in graph.tensors.values() if t.data is not None]
    assert len(constants) == 20
    for tensor in constants:
        assert np.asarray(stored[tensor.name], np.uint8).tobytes() == tensor.data.tobytes()  # type: ignore[union-attr]


def test_the_c_array_is_the_file_aligned_and_under_a_banner(graph: Graph) -> None:
    model = to_tflite(graph)
    header, source = c_array(graph, model)
    values = source.split("{\n", 1)[1].split("}")[0].replace(",", " ").split()
    assert bytes(int(value, 16) for value in values) == model
    assert f"alignas({ALIGNMENT})" in source
    assert f"STAPES_TFLITE_MODEL_BYTES {len(model)}u" in header
    assert graph.digest in header
    assert graph.digest in source


def test_an_op_without_a_translation_is_refused_by_name() -> None:
    with pytest.raises(ExportError, match="op NEG at y has no to_tflite"):
        to_tflite(untranslatable())


@pytest.mark.parametrize("modules", [tflite_writer._SCHEMAS, ("flatbuffers",)])
def test_a_missing_package_names_the_command_that_installs_it(
    modules: tuple[str, ...], graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match=r'pip install -e "\.\[export\]"'):
        to_tflite(graph)
