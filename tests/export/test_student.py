"""The student's file and its float network: names, gates, folding, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from export.provenance import ExportError
from export.student import FloatNetwork, expected_shapes, fold_layer_norm, load_student, real_features
from firmware_sim.contract import PROFILES
from tests.synthetic_student import META, save_student, synthetic_student


def test_against_torch_gru_with_the_gates_in_pytorch_order() -> None:
    torch = pytest.importorskip("torch")
    student = synthetic_student(hidden=24)
    weights = {name: torch.from_numpy(array).double() for name, array in student.weights.items()}
    gru = torch.nn.GRU(65, 24, 2, batch_first=True).double()
    gru.load_state_dict({name[4:]: value for name, value in weights.items() if name.startswith("gru.")})
    x = real_features(student.x_q11[:50])
    with torch.no_grad():
        normed = torch.from_numpy(x) * weights["norm.weight"] + weights["norm.bias"]
        hidden, _ = gru(normed[None])
        head = torch.relu(hidden @ weights["fc1.weight"].T + weights["fc1.bias"])
        expected = torch.sigmoid(head @ weights["fc2.weight"].T + weights["fc2.bias"])[0].numpy()
    network = FloatNetwork(fold_layer_norm(student.weights))
    state = network.home_state(1)
    for row, mask in zip(x, expected, strict=True):
        tensors = network.step(row[None], state)
        state = {name: tensors[f"{name}_next"] for name in state}
        np.testing.assert_allclose(tensors["mask"][0], mask, rtol=0, atol=1e-12)


def test_folding_the_layer_norm_keeps_the_function() -> None:
    student = synthetic_student(hidden=8)
    folded = fold_layer_norm(student.weights)
    x = real_features(student.x_q11[:20])
    normed = x * student.weights["norm.weight"] + student.weights["norm.bias"]
    expected = normed @ student.weights["gru.weight_ih_l0"].T + student.weights["gru.bias_ih_l0"]
    np.testing.assert_allclose(
        x @ folded["gru.weight_ih_l0"].T + folded["gru.bias_ih_l0"], expected, rtol=0, atol=1e-12
    )
    assert set(student.weights) - set(folded) == {"norm.weight", "norm.bias"}


def test_a_student_file_comes_back_with_its_sha256(tmp_path: Path) -> None:
    student = synthetic_student(hidden=16, frames=10)
    loaded = load_student(save_student(student, tmp_path / "student.npz"))
    assert [len(s) for s in loaded.streams()] == [10, 10, 10]
    np.testing.assert_array_equal(loaded.weights["fc2.weight"], student.weights["fc2.weight"])
    assert len(loaded.sha256) == 64


def meta_with(floor: object) -> np.ndarray:
    return np.array(json.dumps({**META, "wiener_floor_q15": floor}))


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"meta": None}, "meta"),
        ({"meta": np.array("{")}, "not a Stapes student: its meta is not JSON"),
        ({"meta": np.array("[]")}, "version 1"),
        ({"meta": np.array('{"format": "stapes-student", "version": 1, "profile": "x"}')}, "profile"),
        ({"fc1.bias": None}, "fc1.bias"),
        ({"fc1.bias": np.full(16, np.nan, np.float32)}, "fc1.bias"),
        ({"gru.weight_ih_l1": np.zeros((3, 3), np.float32)}, "gru.weight_ih_l1"),
        ({"calibration_x": np.zeros((4, 65), np.float32)}, "calibration_x"),
        ({"calibration_starts": np.array([0, 40])}, "calibration_starts"),
        ({"calibration_starts": np.array([3, 4])}, "calibration_starts"),
        ({"calibration_x": np.array([{}], dtype=object)}, "not a Stapes student: damaged or another kind of file"),
        ({"calibration_x": np.full((30, 65), 1 << 14, np.int16)}, "calibration_x leaves"),
        ({"calibration_starts": np.array([0.0, np.nan])}, "calibration_starts"),
        ({"gru.weight_hh_l0": np.zeros((0, 0), np.float32)}, r"gru.weight_hh_l0 has the shape \(0, 0\)"),
        ({"gru.weight_hh_l0": np.float32(1)}, r"gru.weight_hh_l0 has the shape \(\)"),
        ({"fc2.bias": np.full(65, 1e30, np.float32)}, "fc2.bias holds 1e\\+30"),
        ({"fc1.weight": np.full((16, 16), -1e300)}, "fc1.weight holds 1e\\+300"),
        ({"meta": meta_with(1 << 30)}, "wiener_floor_q15 is 1073741824"),
        ({"meta": meta_with(-5)}, "wiener_floor_q15 is -5"),
        ({"meta": meta_with(True)}, "wiener_floor_q15 is True"),
        ({"meta": meta_with(None)}, "wiener_floor_q15 is None"),
    ],
)
def test_a_damaged_student_gives_one_clear_line(replaced: dict[str, object], message: str, tmp_path: Path) -> None:
    path = save_student(synthetic_student(hidden=16, frames=10), tmp_path / "student.npz", **replaced)
    with pytest.raises(ExportError, match=message) as caught:
        load_student(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_expected_shapes_count_the_parameters_of_the_seed_network() -> None:
    assert sum(int(np.prod(shape)) for shape in expected_shapes(PROFILES["seed"], 128).values()) == 198_979
