"""Where pure per-item work runs: in this process, in a pool of local processes, or on a Dask cluster.

Dask and not Ray for the cluster: Dask distributed is pure Python and small, it runs on loopback without a daemon, and
it joins a running scheduler by nothing but its address. Ray brings compiled servers of its own and a fixed set of their
versions, for scheduling that independent items of seconds do not need.

A worker elsewhere reads the same files: the corpus and the models must be at the same paths there, and so must this
repository, with the working folder in it.
"""

from __future__ import annotations

import logging
import multiprocessing
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

from firmware_sim.reading import one_line
from training.files import RunError
from training.workers import start_worker, unheard_interrupts

Item = TypeVar("Item")
Result = TypeVar("Result")

_CONNECT_SECONDS = 10
_ADDRESS = re.compile(r"(?:(?:tcp|tls)://)?[\w.\-\[\]:]+:\d+")


class Engine(Protocol):
    """Runs a function over items; results come as they complete, in any order, so they name what they are of."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` of every item; both must pickle.

        raises   what `function` raises; RunError: a worker died
        """
        ...


class Serial:
    """This process, one item after the other: for one job, and to look inside."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `Engine.map`."""
        return map(function, items)


class LocalPool:
    """`jobs` fresh processes on this machine, one thread each."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `Engine.map`."""
        try:
            with unheard_interrupts():
                futures = [self._pool.submit(function, item) for item in items]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise RunError("a worker process died, perhaps for want of memory; the same command goes on") from None


class Dask:
    """The workers of a Dask scheduler."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `Engine.map`."""
        from distributed import CancelledError, KilledWorker
        from distributed import as_completed as completed
        from distributed.comm import CommClosedError

        futures = self._client.map(function, list(items), pure=False)
        try:
            for _, result in completed(futures, loop=self._client.loop, with_results=True):
                yield result
        except (KilledWorker, CancelledError, CommClosedError):
            raise RunError("the Dask workers died or went away; the same command goes on") from None
        finally:
            self._client.cancel(futures)


def in_order(engine: Engine, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in the order of the items, each as soon as all before it are there; raises as `Engine.map`."""
    waiting: dict[int, Result] = {}
    place = 0
    for index, result in engine.map(partial(_with_place, function), enumerate(items)):
        waiting[index] = result
        while place in waiting:
            yield waiting.pop(place)
            place += 1


def _with_place(function: Callable[[Item], Result], placed: tuple[int, Item]) -> tuple[int, Result]:
    place, item = placed
    return place, function(item)


@contextmanager
def open_engine(name: str, jobs: int, start: Callable[[], None] | None = start_worker) -> Iterator[Engine]:
    """The engine behind `local`, `dask` (processes on loopback) or `dask://HOST:PORT` (a running scheduler).

    jobs     processes to start, at least 1; a running scheduler has its own
    start    called first in every local process; `workers.start_worker` brings torch
    raises   RunError: an unknown name, Dask is not installed, or nobody answers at the address
    """
    if name == "local" and jobs == 1:
        yield Serial()
    elif name == "local":
        # Spawned: a forked child would inherit the locks of a progress display.
        pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), start)
        try:
            yield LocalPool(pool)
        finally:
            pool.shutdown(cancel_futures=True)
    elif name == "dask" or (_ADDRESS.fullmatch(name.removeprefix("dask://")) and name.startswith("dask://")):
        with _dask_client(name.removeprefix("dask").removeprefix("://"), jobs) as client:
            yield Dask(client)
    else:
        raise RunError(f"unknown engine '{name}': local, dask or dask://HOST:PORT")


@contextmanager
def _dask_client(address: str, jobs: int) -> Iterator[Any]:
    if find_spec("distributed") is None:
        raise RunError('Dask is not installed: pip install -e ".[cluster]"')
    from distributed import Client, LocalCluster

    if address:
        try:
            client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise RunError(f"no Dask scheduler at {address}: {one_line(error)}") from None
        with client:
            yield client
        return
    # Loopback alone, and any free port: the usual one of the dashboard may be another cluster's.
    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
    with (
        LocalCluster(n_workers=jobs, threads_per_worker=1, processes=True, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
