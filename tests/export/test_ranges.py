"""The proof of ranges at the door: a model that can overflow is refused in one line, the others leave evidence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from export import __main__ as door
from export.c_writer import to_c
from export.provenance import ExportError
from firmware_sim.contract import PROFILES
from firmware_sim.graph import SCHEMES, Graph, Tensor
from firmware_sim.ops import FullyConnected
from tests.export.tiny_model import tiny_graph


def with_a_huge_bias(scheme: str) -> Graph:
    """The tiny network, one bias of fc2 so large that row 7 passes int32."""
    graph = tiny_graph(scheme)
    ops = list(graph.ops)
    (i,) = [i for i, op in enumerate(ops) if op.results == ("fc2",)]
    x, weights, bias = ops[i].inputs
    values = bias.values.copy()
    values[7] = (1 << 31) - 1
    planted = Tensor(bias.name, bias.dtype, bias.shape, bias.scale, 0, values.astype(bias.dtype))
    ops[i] = FullyConnected([x, weights, planted], ops[i].outputs)
    return Graph(scheme, ops, graph.inputs, graph.outputs, {**graph.meta, "student_sha256": "0" * 64})


@pytest.mark.parametrize("target", ["graph", "onnx", "tflite", "c", "ranges"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_target_is_written_of_a_model_that_can_overflow(
    scheme: str, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_a_huge_bias(scheme).save(tmp_path / "bad.npz")
    assert door.main([str(tmp_path / "bad.npz"), "--to", target, "--out", str(tmp_path / "out")]) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith(f"stapes export: {tmp_path / 'bad.npz'}: cannot be proven: network: fc2, row 7: ")
    assert "beyond int32" in text
    assert "scale this row's weights and bias down, or quantize with --per-channel" in text
    assert not (tmp_path / "out").exists()


def test_the_c_writer_itself_refuses_what_can_overflow() -> None:
    with pytest.raises(ExportError, match="fc2, row 7"):
        to_c(with_a_huge_bias("int16x8"), PROFILES["seed"])


def test_a_model_that_cannot_be_proven_is_not_blessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.synthetic_student import save_student, synthetic_student

    student = save_student(synthetic_student(hidden=8, frames=10), tmp_path / "student.npz")
    blessed = {scheme: tmp_path / "blessed" / path.name for scheme, path in door.BLESSED.items()}
    monkeypatch.setattr(door, "BLESSED", blessed)
    good, bad = tiny_graph("int16x8"), with_a_huge_bias("int8")
    monkeypatch.setattr(door, "obtain_graph", lambda arguments, console: (good, {"int16x8": good, "int8": bad}))
    assert door.main([str(student), "--to", "graph", "--bless", "--out", str(tmp_path / "out")]) == 1
    assert "fc2, row 7" in capsys.readouterr().err
    assert not (tmp_path / "blessed").exists()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_table_names_every_bound_and_every_saturation(
    scheme: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert door.main(["--scheme", scheme, "--to", "ranges", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert f"ranges {scheme}: " in shown
    assert "1,624 network accumulators" in shown
    document = json.loads((tmp_path / "stapes_ranges.json").read_text())
    assert all(bound["margin_bits"] >= 0 for bound in document["bounds"])
    stages = {bound["stage"] for bound in document["bounds"]}
    assert stages == {"window", "rfft", "wiener", "features", "network", "gain", "irfft", "overlap_add"}
    verdicts = {s["place"]: s["verdict"] for s in document["saturations"]}
    assert verdicts["gru0_n_in"] == "reachable"
    assert verdicts["frame_out"] == "impossible"
    assert verdicts["x_q11"] == "impossible"
    assert verdicts["gru0_h_rz"] == "impossible"
    assert verdicts["gru1_n_in"] == ("reachable" if scheme == "int16x8" else "not excluded")
    assert set(verdicts.values()) == {"reachable", "not excluded", "impossible"}
    witnessed = {s["place"] for s in document["saturations"] if s["witness"]}
    assert "gru0_n_in" in witnessed
    text = (tmp_path / "stapes_ranges.txt").read_text()
    assert len(
        [line for line in text.splitlines() if line.startswith(("reachable", "not excluded", "impossible"))]
    ) == len(verdicts)
    assert np.isfinite([bound["margin_bits"] for bound in document["bounds"]]).all()


@pytest.mark.parametrize(
    ("profile", "verdict", "high"), [("seed", "not excluded", 16384), ("default", "impossible", 16254)]
)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_number_of_bands_decides_whether_a_feature_can_reach_its_limit(
    scheme: str, profile: str, verdict: str, high: int, tmp_path: Path
) -> None:
    """One of n normalised values reaches sqrt(n - 1) at most: 8, the limit, with 65 bands, less with 64."""
    tiny = tiny_graph(scheme, profile=PROFILES[profile])
    meta = {**tiny.meta, "student_sha256": "0" * 64}
    Graph(scheme, list(tiny.ops), tiny.inputs, tiny.outputs, meta).save(tmp_path / "tiny.npz")
    assert door.main([str(tmp_path / "tiny.npz"), "--to", "ranges", "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "stapes_ranges.json").read_text())
    (found,) = (s for s in document["saturations"] if s["place"] == "x_q11")
    assert (found["verdict"], found["elements"], found["high"]) == (verdict, PROFILES[profile].band_count, high)
    assert found["limit"]["high"] == 16383
