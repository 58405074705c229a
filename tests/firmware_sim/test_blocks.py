"""The recipes: what the scheme promises holds for any weights and any input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from export.quantize import quantize
from firmware_sim.blocks import INT8, INT16X8, RECIPES, Builder, Dense, Scheme
from firmware_sim.graph import Graph, GraphError
from firmware_sim.meter import Counter
from firmware_sim.ops import FullyConnected
from tests.single_op import tensor
from tests.synthetic_student import synthetic_student


def extreme_inputs(rng: np.random.Generator, size: int) -> np.ndarray:
    """Even int16 codes, half of them at full scale."""
    x = 2 * rng.integers(-16384, 16384, (1, size))
    return np.where(rng.integers(0, 2, (1, size)) > 0, x, np.where(x >= 0, 32766, -32768))


def test_int16x8_inputs_of_fully_connected_stay_even_and_fc1_and_state_never_saturate() -> None:
    rng = np.random.default_rng(2)
    for seed in range(3):
        graph = quantize(synthetic_student(seed=seed, hidden=32, frames=40), INT16X8)
        state = graph.home_state()
        for _ in range(60):
            traced = graph.run({"x": extreme_inputs(rng, 65), **state}, trace=True)
            state = {name: traced[f"{name}_next"] for name in state}
            for op in graph.ops:
                if isinstance(op, FullyConnected):
                    assert not (traced[op.operands[0]] & 1).any()
            assert all(np.abs(state[name]).max() <= 32746 for name in state)
            assert traced["fc1"].max() <= 16383


def test_int16x8_fc1_holds_at_the_state_that_drives_it_hardest() -> None:
    graph = quantize(synthetic_student(hidden=32, frames=40), INT16X8)
    fc1 = next(op for op in graph.ops if op.results == ("fc1",))
    even = next(op for op in graph.ops if op.results == ("fc1_even",))
    signs = np.where(fc1.inputs[1].values >= 0, 32766, -32768)
    counter = Counter(len(signs))
    (y,) = fc1.run([signs], counter)
    (doubled,) = even.run([y], counter)
    assert counter.saturations.sum() == 0
    assert 8000 < y.max() <= 16383
    np.testing.assert_array_equal(doubled, 2 * y)


def gated(scheme: Scheme, gates: float, candidate: float) -> Graph:
    """A network whose first layer ignores its input: constant r and z, constant n."""
    student = synthetic_student(hidden=16, frames=20)
    weights = {name: 0.0 * array for name, array in student.weights.items()}
    weights["gru.bias_ih_l0"] = np.r_[np.full(32, gates), np.full(16, candidate)]
    return quantize(replace(student, weights=weights), scheme)


@pytest.mark.parametrize(("scheme", "start"), [(INT16X8, 20000), (INT8, 90)])
@pytest.mark.parametrize("candidate", [0.37, -0.37, 0.0])
def test_an_open_update_gate_keeps_the_state_for_ever(scheme: Scheme, start: int, candidate: float) -> None:
    """Rounding h - n away from zero would move it by one step each time, up to saturation."""
    graph = gated(scheme, 15.9 if scheme is INT16X8 else 7.9, candidate)
    state = graph.home_state()
    state["h0"] = np.tile([start, -start, start // 2 & ~1, 0], (1, 4))
    h0 = state["h0"]
    for _ in range(2000):
        outputs = graph.run({"x": np.zeros((1, 65), np.int64), **state})
        state = {name: outputs[f"{name}_next"] for name in state}
    np.testing.assert_array_equal(state["h0"], h0)


@pytest.mark.parametrize("scheme", [INT16X8, INT8])
def test_a_closed_update_gate_leaves_no_trace_of_the_state(scheme: Scheme) -> None:
    graph = gated(scheme, -15.9, 0.37)
    inputs = {"x": np.zeros((1, 65), np.int64), **graph.home_state(), "h0": np.tile([[100, -100]], 8)}
    h0 = graph.run(inputs)["h0_next"]
    assert np.abs(graph.states["h0"].real(h0) - np.tanh(0.37)).max() < 2.0 * scheme.candidate_scale


@pytest.mark.parametrize("scheme", [INT16X8, INT8])
def test_the_next_state_lies_between_state_and_candidate_for_every_gate(scheme: Scheme) -> None:
    """Through the ops of the recipe, on a grid of z, n and h with every rounding case."""
    graph = gated(scheme, 0.0, 0.0)
    wide = scheme is INT16X8
    rng = np.random.default_rng(6)
    z = np.r_[np.arange(32760, 32768), 16383, 16384, 0] if wide else np.r_[-128:-120, 0:4, 120:128]
    n = rng.integers(-32746, 32747, 200) if wide else np.arange(-128, 128, 5)
    h = 2 * rng.integers(-16373, 16374, 200) if wide else np.arange(-128, 128, 3)
    grid = [values.reshape(-1, 1) for values in np.meshgrid(z, np.r_[n, n[0] | 1], h, indexing="ij")]
    values = dict(zip(("gru0_z", "gru0_n", "h0"), (np.repeat(v, 16, axis=1) for v in grid), strict=True))
    start = next(i for i, op in enumerate(graph.ops) if "gru0_n" in op.operands)
    for op in graph.ops[start:]:
        if not set(op.operands) <= set(values):
            break
        values |= zip(op.results, op.run([values[name] for name in op.operands], None), strict=True)
    after, n_grid, h_grid = values["h0_next"][:, 0], grid[1][:, 0], grid[2][:, 0]
    slack = int(wide)  # n is brought to the step of the state, 2 LSB
    assert (after >= np.minimum(n_grid, h_grid) - slack).all()
    assert (after <= np.maximum(n_grid, h_grid) + slack).all()
    assert not (wide and (after & 1).any())


def test_a_bias_that_does_not_fit_its_dtype_is_refused() -> None:
    numbers = Dense(np.ones((1, 1), np.int8), 1.0, np.array([1 << 40]))
    with pytest.raises(GraphError, match="does not fit int32"):
        Builder(INT8).dense("fc", tensor("x", "int8", 1, 1.0), numbers, 1.0)


def test_the_recipes_use_the_input_scales_that_litert_computes_alike() -> None:
    assert (INT16X8.gate_scale, INT16X8.head_scale, INT16X8.candidate_scale) == (2.0**-11, 2.0**-11, 2.0**-13)
    assert set(RECIPES) == {"int16x8", "int8"}
