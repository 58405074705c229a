"""Measures of the safety door, on sounds whose answer is known, and on the integer device."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firmware_sim.contract import ContractError
from firmware_sim.graph import Graph
from tests import signals
from tests.training.small import recordings
from training import safety
from training.audio import RATE_HZ
from training.mixing import safety_recipes
from training.recipes import Step
from training.safety import attenuation_db, measure_safety, recovery_s, run_device

MODEL = Path(__file__).resolve().parents[2] / "firmware_sim" / "model.npz"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Graph.load(MODEL)


def test_the_device_is_aligned_with_its_input_and_its_states_are_watched(graph: Graph) -> None:
    noisy = (signals.noisy_speech(2.0)[:2] / np.float32(32768)).astype(np.float32)
    run = run_device(graph, noisy)
    assert run.output.shape == noisy.shape
    lags = [float(np.sum(noisy[:, 200:-200] * np.roll(run.output, lag, axis=1)[:, 200:-200])) for lag in (-64, 0, 64)]
    assert int(np.argmax(lags)) == 1
    assert set(run.peaks) == {"h0", "h1"}
    for name, peaks in run.peaks.items():
        assert peaks.shape == (2,)
        assert run.levels[name].shape == (1, 2)
        assert (run.levels[name][0] > 0).all()
        assert (run.levels[name][0] < peaks).all()
        assert (peaks <= 1.0).all(), "a GRU's state stays in [-1, 1]"


def test_attenuation_is_that_of_every_tenth_of_a_second() -> None:
    before = np.ones(3 * 1600 + 5, np.float32)
    after = before * np.repeat([1.0, 0.1, 0.01], [1600, 1600, 1605]).astype(np.float32)
    np.testing.assert_allclose(attenuation_db(before, after), [0.0, 20.0, 40.0], atol=0.01)


@pytest.mark.parametrize(
    ("course", "seconds"),
    [
        ([0, 5, 8, 12, 12, 12, 12, 12], 0.3),
        ([12] * 6, 0.0),
        ([12, 12, 0, 12, 12, 12, 12, 12], 0.3),
        ([20, 20, 20, 20, 20, 20], 0.0),
        ([0] * 10, math.inf),
        ([0, 0, 0, 12, 12], math.inf),
    ],
)
def test_recovered_is_within_3_db_for_half_a_second(course: list[float], seconds: float) -> None:
    assert recovery_s(np.array(course, float), 12.0) == seconds


def test_cases_of_the_small_corpus_give_the_measures_of_their_kind(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is moved to where short cases have it, so that a whole case takes seconds."""
    monkeypatch.setattr(safety, "EVENT_S", 1.0)
    monkeypatch.setattr(safety, "ALONE_S", 2.0)
    length = 5 * RATE_HZ
    wanted = {"clean", "own", "silence"}
    cases = {recipe.name.split()[0]: recipe for recipe in safety_recipes(recordings())}
    short = [
        replace(
            cases[kind],
            length=length,
            speech=tuple(replace(clip, at=3 * RATE_HZ, length=2 * RATE_HZ) for clip in cases[kind].speech[:1]),
            own_voice=tuple(replace(clip, at=0, length=3 * RATE_HZ) for clip in cases[kind].own_voice[:1]),
            steps=tuple(replace(step, at=min(step.at, RATE_HZ)) for step in cases[kind].steps),
        )
        for kind in sorted(wanted)
    ]
    results = {result.kind: result for result in measure_safety(short, graph)}
    assert [recipe.name.split()[0] for recipe in short] == list(results)
    assert results["clean"].measures["pesq_wb_in"] > 3.0, "40 dB of SNR"
    assert results["clean"].measures["si_sdr_db_in"] == pytest.approx(35.5, abs=4.5)
    assert -20 < results["own"].measures["level_db"] < 1
    assert {"recovery_s", "steady_attenuation_db"} <= results["silence"].measures.keys()
    assert results["silence"].measures["steady_attenuation_db"] > 3.0, "the device suppresses this noise"
    assert all(0 < result.measures["peak_h1"] <= 1 for result in results.values())


def test_the_control_of_a_case_has_the_last_level_from_the_start() -> None:
    case = next(recipe for recipe in safety_recipes(recordings()) if recipe.name.startswith("rise"))
    assert safety._control(case).steps == (Step(0, 20.0),)


def test_haspi_is_measured_of_clean_speech_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = next(recipe for recipe in safety_recipes(recordings()) if recipe.name.startswith("clean"))
    clean = np.ones(recipe.length, np.float32)
    for reason, measured in (("not installed", False), (None, True)):
        monkeypatch.setattr(safety, "missing_hearing", lambda reason=reason: reason)
        monkeypatch.setattr(safety, "haspi_hasqi", lambda *signals: (0.9, 0.8))
        result = safety._measured(recipe, clean, clean, clean)
        assert result.measures.get("haspi_out") == (0.9 if measured else None)


def test_a_model_of_an_unknown_profile_is_refused(graph: Graph) -> None:
    changed = Graph(graph.scheme, graph.ops, graph.inputs, graph.outputs, {**graph.meta, "profile": "x"})
    with pytest.raises(ContractError, match="is for profile 'x'"):
        run_device(changed, np.zeros((1, 64), np.float32))
