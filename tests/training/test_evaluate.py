"""The bench: the same audio goes everywhere, nothing is computed twice, and what is missing alone is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import training.evaluate
from tests.training.small import recordings
from training.engines import Serial, open_engine
from training.evaluate import (
    HEARING,
    Facts,
    Settings,
    Task,
    describe,
    evaluate,
    mixtures_of,
    tasks_of,
    versioned,
    wanted,
    work,
)
from training.files import RunError
from training.score_cache import ScoreCache
from training.scores import Score
from training.zoo import Spec, System
from training.zoo.base import Audio

SPECS = [Spec("noisy"), Spec("wiener")]
QUICK = Settings(pairs=1, dnsmos=False)


class Counting(Serial):
    """The serial engine, which remembers what it was asked to run."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        items = list(items)
        self.tasks += [item for item in items if isinstance(item, Task)]
        return super().map(function, items)


@pytest.fixture
def cache(tmp_path: Path) -> ScoreCache:
    return ScoreCache(tmp_path)


@pytest.fixture(scope="module")
def mixtures() -> list[training.evaluate.Mixture]:
    return mixtures_of(recordings(), pairs=2)


def facts(name: str) -> Facts:
    return Facts(Spec(name), "f" * 16, 8.0, None, None, None)


def run(cache: ScoreCache, specs: list[Spec] = SPECS, settings: Settings = QUICK) -> tuple[list[Score], list[Task]]:
    engine = Counting()
    _, scores, _ = evaluate(recordings(), specs, settings, cache, engine)
    return scores, engine.tasks


def test_two_systems_on_one_pair_at_five_snrs(cache: ScoreCache) -> None:
    scores, _ = run(cache)
    assert [score.system for score in scores] == ["noisy"] * 5 + ["wiener"] * 5
    noisy = [score.values["si_sdr_db"] for score in scores[:5]]
    np.testing.assert_allclose(np.diff(noisy), 5.0, atol=0.5)  # five SNRs, 5 dB apart: mixture and lead-in fit
    assert all(1 < score.values["pesq_wb"] < 4.7 for score in scores)
    assert {(score.noise_kind, score.talker, score.pair) for score in scores} == {("traffic", "talker_test", 0)}


def test_a_second_run_computes_nothing_and_says_the_same(cache: ScoreCache, tmp_path: Path) -> None:
    scores, tasks = run(cache)
    again, none = run(ScoreCache(tmp_path))
    assert len(tasks) == 2
    assert none == []
    assert again == scores


def test_another_system_is_computed_alone(cache: ScoreCache) -> None:
    run(cache, SPECS[:1])
    _, tasks = run(cache)
    assert {task.facts.spec.name for task in tasks} == {"wiener"}


def test_a_stopped_run_goes_on_where_it_was(cache: ScoreCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[str] = []

    def stop_after_one(task: Task) -> list[training.evaluate.Entry]:
        calls.append(task.facts.spec.name)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return work(task)

    with monkeypatch.context() as patch:
        patch.setattr(training.evaluate, "work", stop_after_one)
        with pytest.raises(KeyboardInterrupt):
            run(cache)
    _, tasks = run(ScoreCache(tmp_path))
    assert calls == ["noisy", "wiener"]
    assert [task.facts.spec.name for task in tasks] == ["wiener"]


def test_two_processes_give_the_same_scores(cache: ScoreCache, tmp_path: Path) -> None:
    serial, _ = run(cache)
    with open_engine("local", jobs=2) as engine:
        _, parallel, _ = evaluate(recordings(), SPECS, QUICK, ScoreCache(tmp_path / "other"), engine)
    assert [replace(score, values={}) for score in parallel] == [replace(score, values={}) for score in serial]
    for one, other in zip(parallel, serial, strict=True):  # BLAS may take other threads there, and another last bit
        assert one.values == pytest.approx(other.values, rel=1e-9)


def test_a_mixture_is_named_by_its_samples_and_more_pairs_leave_the_first_ones_alone(
    mixtures: list[training.evaluate.Mixture],
) -> None:
    assert len({mixture.digest for mixture in mixtures}) == 10
    assert [m.digest for m in mixtures_of(recordings(), pairs=1)] == [m.digest for m in mixtures[:5]]


def test_a_set_of_metrics_carries_the_versions_of_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert versioned("basic").startswith("basic pesq==")
    training.evaluate._version.cache_clear()
    monkeypatch.setattr(training.evaluate, "version", lambda package: "9")
    assert versioned("basic") == "basic pesq==9 pystoi==9"
    training.evaluate._version.cache_clear()


def test_hearing_is_taken_where_it_was_asked_for(mixtures: list[training.evaluate.Mixture]) -> None:
    settings = Settings(hearing_pairs=1, hearing_full=frozenset({"base"}))
    at = {(m.pair, m.recipe.snr_db): m for m in mixtures}
    assert wanted(at[0, 5.0], "noisy", settings) == ["basic", "dnsmos", "hearing_n3"]
    assert wanted(at[0, 0.0], "noisy", settings) == ["basic", "dnsmos"]
    assert wanted(at[1, 5.0], "noisy", settings) == ["basic", "dnsmos"]
    assert wanted(at[0, 0.0], "base", settings) == ["basic", "dnsmos", *HEARING]
    assert wanted(at[1, 0.0], "base", replace(settings, dnsmos=False)) == ["basic"]


def test_quick_metrics_of_all_systems_come_first_pair_by_pair_then_the_urgent_hearing(
    mixtures: list[training.evaluate.Mixture], cache: ScoreCache
) -> None:
    settings = Settings(pairs=2, hearing_pairs=1, hearing_full=frozenset({"base"}))
    tasks = tasks_of([facts("base"), facts("noisy")], mixtures, settings, cache)
    kinds = [(task.facts.spec.name, task.sets) for task in tasks]
    assert [name for name, _ in kinds[:4]] == ["base", "noisy", "base", "noisy"]
    assert all(sets == (("basic", "dnsmos"),) * 5 for _, sets in kinds[:4])
    assert kinds[4:6] == [("base", (("hearing_n3",),)), ("noisy", (("hearing_n3",),))]
    assert tasks[4].mixtures[0].recipe.snr_db == 5.0
    assert len(kinds) == 4 + 2 + 5 * 4 - 1  # the rest: five SNRs and four ears, less the urgent one


class Raising(System):
    """A peer whose package throws."""

    name = "noisy"

    def process(self, audio: Audio) -> Audio:
        raise OverflowError("too loud\nby far")


def test_a_package_that_fails_is_one_line_with_its_name(
    mixtures: list[training.evaluate.Mixture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.evaluate, "_system", lambda spec: Raising())
    for call in (
        lambda: describe(Spec("noisy")),
        lambda: work(Task(facts("noisy"), tuple(mixtures[:1]), (("basic",),))),
    ):
        with pytest.raises(RunError, match=r"noisy failed on .*OverflowError.*too loud") as caught:
            call()
        assert "\n" not in str(caught.value)
