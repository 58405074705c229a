"""The graph: its file, its digest, its refusals, its streams."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.quantize import quantize
from firmware_sim import contract
from firmware_sim.blocks import RECIPES
from firmware_sim.graph import SCHEMES, Graph, GraphError, Tensor
from firmware_sim.meter import Counter, metered
from firmware_sim.network import encode_features
from firmware_sim.ops import Logistic, Quantize
from tests.single_op import META, tensor
from tests.synthetic_student import features_q11, synthetic_student


@pytest.fixture(scope="module", params=SCHEMES)
def graph(request: pytest.FixtureRequest) -> Graph:
    return quantize(synthetic_student(hidden=16, frames=40), RECIPES[request.param])


def codes(graph: Graph, steps: int, streams: int) -> np.ndarray:
    """Network inputs (steps, streams, bins)."""
    rng = np.random.default_rng(1)
    return encode_features(np.stack([features_q11(rng, steps) for _ in range(streams)], axis=1), graph.scheme)


def test_a_saved_graph_comes_back_the_same_and_its_bytes_are_reproducible(graph: Graph, tmp_path: Path) -> None:
    graph.save(tmp_path / "a.npz")
    again = Graph.load(tmp_path / "a.npz")
    again.save(tmp_path / "b.npz")
    assert again.digest == graph.digest
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.npz", "b.npz"]
    x = codes(graph, 1, 1)[0]
    expected, got = (g.run({"x": x, **g.home_state()}, trace=True) for g in (graph, again))
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values)


def test_the_file_is_plain_npz_without_pickle(graph: Graph, tmp_path: Path) -> None:
    graph.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        for tensor_ in graph.tensors.values():
            if tensor_.data is not None:
                np.testing.assert_array_equal(archive[tensor_.name], tensor_.data)
    assert {info.date_time for info in zipfile.ZipFile(tmp_path / "a.npz").infolist()} == {(1980, 1, 1, 0, 0, 0)}


def repacked(raw: bytes, change: Callable[[dict[str, bytes]], None], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The archive with its members changed."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, compression)
    return buffer.getvalue()


def edit_header(**changes: object) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        header = json.loads(np.load(io.BytesIO(members["graph.npy"])).tobytes())
        header.update(changes)
        buffer = io.BytesIO()
        np.save(buffer, np.frombuffer(json.dumps(header).encode(), np.uint8))
        members["graph.npy"] = buffer.getvalue()

    return change


def flip_a_weight(members: dict[str, bytes]) -> None:
    data = bytearray(members["fc1_w_i8.npy"])
    data[-1] ^= 1
    members["fc1_w_i8.npy"] = bytes(data)


def pickled(members: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object))
    members["graph.npy"] = buffer.getvalue()


def huge_shape(members: dict[str, bytes]) -> None:
    members["fc1_w_i8.npy"] = members["fc1_w_i8.npy"].replace(b"(16, 16)", b"(1" + b"6" * 5 + b",)")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip_a_weight, "digest"),
        (pickled, "header is damaged"),
        (huge_shape, "constant fc1_w_i8 is damaged"),
        (edit_header(format="other"), "another format"),
        (edit_header(scheme="int4"), "unknown scheme"),
        (edit_header(meta={**META, "contract_version": contract.CONTRACT_VERSION + 1}), "contract version"),
        (edit_header(meta={"contract_version": contract.CONTRACT_VERSION}), "meta lacks profile"),
        (edit_header(ops=[{"kind": "CONV_2D", "inputs": [], "outputs": [], "attributes": {}}]), "unknown op CONV_2D"),
        (edit_header(ops=[]), "output mask is never computed"),
        (edit_header(tensors=5), "not a Stapes graph"),
        (edit_header(meta=[]), "not a Stapes graph"),
        (lambda members: members.pop("fc2_w_i8.npy"), "fc2_w_i8"),
        (lambda members: members.clear(), "graph.npy"),
    ],
)
def test_a_foreign_or_damaged_file_gives_one_clear_line(
    change: Callable[[dict[str, bytes]], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.npz"
    graph = quantize(synthetic_student(hidden=16, frames=20), RECIPES["int16x8"])
    path.write_bytes(repacked(graph.to_bytes(), change))
    with pytest.raises(GraphError, match=message) as caught:
        Graph.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": ["seed"]}, "not a name"),
        ({"profile": "seed */ int x; /*"}, "not a name"),
        ({"profile": "s" * 65}, "not a name"),
        ({"student_sha256": "none */ int x; /*"}, "not 64 hex digits"),
        ({"student_sha256": "0" * 64 + "\n"}, "not 64 hex digits"),
        ({"student_sha256": None}, "not 64 hex digits"),
        ({"wiener_floor_q15": "abc"}, "not a whole number"),
        ({"wiener_floor_q15": None}, "not a whole number"),
        ({"wiener_floor_q15": [1]}, "not a whole number"),
        ({"wiener_floor_q15": True}, "not a whole number"),
        ({"wiener_floor_q15": 32769}, "not a whole number"),
    ],
)
def test_a_file_with_meta_of_another_type_or_range_is_refused(
    change: dict[str, object], message: str, graph: Graph, tmp_path: Path
) -> None:
    """The digest of the file is right."""
    path, meta = tmp_path / "a.npz", {**graph.meta, **change}
    Graph(graph.scheme, graph.ops, graph.inputs, graph.outputs, meta).save(path)
    with pytest.raises(
        GraphError, match=f"a.npz: not a Stapes graph: its {next(iter(change))} is .*, {message}"
    ) as caught:
        Graph.load(path)
    assert "\n" not in str(caught.value)


def test_a_file_must_hold_a_whole_mask_network(graph: Graph, tmp_path: Path) -> None:
    """As a graph in memory all of these are fine."""
    mask, *after = graph.outputs
    y, y_next, x_alone = (tensor(name, "int16", 4, 2.0**-15) for name in ("y", "y_next", "x"))
    named_otherwise = ([Quantize([y], [y_next])], [y], [y_next])
    other_result = ([Quantize([x_alone], [y])], [x_alone], [y])
    for ops, inputs, outputs, what in [
        (graph.ops, graph.inputs, after, "outputs"),
        (graph.ops, graph.inputs, [mask, after[0]], "inputs"),
        (*named_otherwise, "inputs"),
        (*other_result, "outputs"),
    ]:
        Graph("int16x8", ops, inputs, outputs, graph.meta).save(tmp_path / "a.npz")
        with pytest.raises(GraphError, match=f"a.npz: .* the {what} are not those of a mask network"):
            Graph.load(tmp_path / "a.npz")


def test_truncated_flipped_and_absent_files_give_a_graph_error(graph: Graph, tmp_path: Path) -> None:
    path, raw = tmp_path / "model.npz", graph.to_bytes()
    rng = np.random.default_rng(0)
    damaged = [b"", b"PK\x03\x04", raw[:100], raw[: len(raw) // 2], raw[:-1], repacked(raw, lambda m: None, 8)]
    for position in rng.integers(0, len(raw), 120):
        flipped = bytearray(raw)
        flipped[position] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    survivors = 0
    for content in damaged:
        path.write_bytes(content)
        with contextlib.suppress(GraphError):
            survivors += Graph.load(path).digest == graph.digest
    assert survivors < 10, "only flips in zip fields that nobody reads may go unnoticed"
    for absent in (tmp_path / "absent.npz", tmp_path):
        with pytest.raises(GraphError, match=absent.name):
            Graph.load(absent)


def test_the_digest_names_the_content_and_nothing_else(graph: Graph) -> None:
    again = Graph(graph.scheme, graph.ops, graph.inputs, graph.outputs, graph.meta)
    assert again.digest == graph.digest
    other = Graph(graph.scheme, graph.ops, graph.inputs, graph.outputs, {**graph.meta, "wiener_floor_q15": 1})
    assert other.digest != graph.digest


def test_streams_are_independent_and_counters_belong_to_their_stream(graph: Graph) -> None:
    x = codes(graph, 12, 3)
    x[4:, 1] = np.clip(x[4:, 1] * 8, graph.inputs[0].limits[0], graph.inputs[0].limits[1] - 1)
    together, counter = graph.home_state(3), Counter(3)
    alone, counters = [graph.home_state() for _ in range(3)], [Counter(1) for _ in range(3)]
    for step in x:
        outputs = graph.run({"x": step, **together}, counter)
        together = {name: outputs[f"{name}_next"] for name in together}
        for i in range(3):
            single = graph.run({"x": step[i : i + 1], **alone[i]}, counters[i])
            alone[i] = {name: single[f"{name}_next"] for name in alone[i]}
            for name, values in single.items():
                np.testing.assert_array_equal(outputs[name][i], values[0])
    assert counter.saturations.tolist() == [int(c.saturations[0]) for c in counters]
    assert counter.saturations[1] > 0


def test_the_trace_shows_every_computed_tensor_within_its_dtype(graph: Graph) -> None:
    traced = graph.run({"x": codes(graph, 1, 2)[0], **graph.home_state(2)}, trace=True)
    assert set(traced) == {t.name for t in graph.tensors.values() if t.data is None}
    for name, values in traced.items():
        low, high = graph.tensors[name].limits
        assert values.dtype == np.int64
        assert values.shape == (2, *graph.tensors[name].shape)
        assert low <= values.min() <= values.max() <= high


def test_operations_are_counted_while_a_meter_is_open(graph: Graph) -> None:
    inputs = {"x": codes(graph, 1, 1)[0], **graph.home_state()}
    with metered() as meter:
        graph.run(inputs)
    weights = sum(t.data.size for t in graph.tensors.values() if t.data is not None and t.data.ndim == 2)
    assert weights < sum(meter.weighted().values()) < 3 * weights


def test_inputs_that_are_missing_or_misshapen_are_refused(graph: Graph) -> None:
    with pytest.raises(GraphError, match="input x must have shape"):
        graph.run(graph.home_state())
    with pytest.raises(GraphError, match="input h0 must have shape"):
        graph.run({"x": codes(graph, 1, 1)[0], **graph.home_state(), "h0": np.zeros((1, 3), np.int64)})


def test_graphs_that_read_before_they_compute_or_name_twice_are_refused() -> None:
    x, y, z = (tensor(name, "int16", 4, 2.0**-15) for name in "xyz")
    with pytest.raises(GraphError, match="QUANTIZE reads y"):
        Graph("int16x8", [Quantize([y], [z])], [x], [z], META)
    with pytest.raises(GraphError, match="defined twice"):
        Graph("int16x8", [Quantize([x], [y]), Quantize([x], [y])], [x], [y], META)
    h, after = tensor("h", "int16", 4, 2.0**-11), tensor("h_next", "int16", 4, 2.0**-15)
    with pytest.raises(GraphError, match="differ in dtype"):
        Graph("int16x8", [Logistic([h], [after])], [h], [after], META)


def test_tensors_with_foreign_names_scales_or_zero_points_are_refused() -> None:
    for arguments, message in [
        (("Bad-Name", "int8", (1,), 1.0), "identifier"),
        (("x", "float32", (1,), 1.0), "dtype"),
        (("x", "int8", (0,), 1.0), "no elements"),
        (("x", "int8", (1,), 0.1), "float32"),
        (("x", "int8", (1,), float("nan")), "float32"),
        (("x", "int16", (1,), 1.0, 3), "zero point"),
        (("x", "int8", (2,), 1.0, 0, np.zeros(3, np.int8)), "data"),
    ]:
        with pytest.raises(GraphError, match=message):
            Tensor(*arguments)
