"""Engines: the same results anywhere, really on two processes, and errors in one line."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import distributed
import pytest

from training.engines import in_order, open_engine
from training.files import RunError

# A busy machine is no error of ours: Dask warns where its scratch folder takes more than a second.
pytestmark = pytest.mark.filterwarnings("ignore:Creating scratch directories")

_PATIENCE_S = 120


def _meet(folder: str) -> int:
    """Wait until two processes are here, so that one alone can never finish; returns the process."""
    Path(folder, str(os.getpid())).touch()
    deadline = time.monotonic() + _PATIENCE_S
    while len(list(Path(folder).iterdir())) < 2:
        assert time.monotonic() < deadline, "the second process never came"
        time.sleep(0.01)
    return os.getpid()


def _refuse(item: int) -> int:
    raise RunError(f"item {item} is refused")


def _die(item: int) -> int:
    os._exit(item)


@pytest.mark.parametrize("engine", ["local", "dask"])
def test_two_workers_share_the_work_and_give_every_result_once(engine: str, tmp_path: Path) -> None:
    with open_engine(engine, jobs=2) as running:
        processes = set(running.map(_meet, [str(tmp_path)] * 8))
        assert sorted(running.map(abs, [-3, -1, -2])) == [1, 2, 3]
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert {path.name for path in tmp_path.iterdir()} == {str(process) for process in processes}


class _Backwards:
    """An engine whose last item is the first to complete."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return map(function, reversed(list(items)))


def test_results_can_be_had_in_the_order_of_the_items() -> None:
    assert list(in_order(_Backwards(), abs, [-3, -1, -2])) == [3, 1, 2]


def test_one_job_is_this_process() -> None:
    with open_engine("local", jobs=1) as running:
        assert list(running.map(abs, [-2, 1])) == [2, 1]


@pytest.mark.parametrize("engine", ["local", "dask"])
def test_an_error_of_a_worker_is_the_callers(engine: str) -> None:
    with open_engine(engine, jobs=2) as running, pytest.raises(RunError, match="item 7 is refused"):
        list(running.map(_refuse, [7]))


def test_a_worker_that_dies_is_one_line() -> None:
    with open_engine("local", jobs=2) as running, pytest.raises(RunError, match="a worker process died"):
        list(running.map(_die, [3]))


@pytest.mark.parametrize("name", ["ray", "daskette", "dask://nowhere", "dask://", "dask:tcp", ""])
def test_an_unknown_engine_is_refused(name: str) -> None:
    with pytest.raises(RunError, match="unknown engine"), open_engine(name, jobs=2):
        pass


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.engines._CONNECT_SECONDS", 1)
    refused = pytest.raises(RunError, match=r"no Dask scheduler at 127\.0\.0\.1:1")
    with refused as caught, open_engine("dask://127.0.0.1:1", jobs=1):
        pass
    assert "\n" not in str(caught.value)


def test_a_running_scheduler_is_joined_by_its_address() -> None:
    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, **options) as cluster:
        address = cluster.scheduler_address.removeprefix("tcp://")
        with open_engine(f"dask://{address}", jobs=1) as running:
            (process,) = running.map(_own_process, [0])
    assert process != os.getpid()


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.engines.find_spec", lambda _: None)
    with pytest.raises(RunError, match=r"\[cluster\]"), open_engine("dask", jobs=1):
        pass


def _own_process(_: int) -> int:
    return os.getpid()
