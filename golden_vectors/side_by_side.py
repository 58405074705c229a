"""One function over many items in processes that are forked from this one, so that nothing need be sent to them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from golden_vectors.errors import WitnessError

Item = TypeVar("Item")
Result = TypeVar("Result")

_work: tuple[Callable[[Any], Any], Sequence[Any]] | None = None
"""Function and items, in a forked process."""


def cores() -> int:
    """How many processes this machine runs side by side; 1 where forking is not safe."""
    return (os.cpu_count() or 1) if sys.platform == "linux" else 1


def side_by_side(function: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Iterator[Result]:
    """Results in the order of the items; only they are pickled.

    raises  what the function raises; WitnessError when a process dies, with the first item without a result
    """
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(min(jobs, len(items)), context, initializer=_begin, initargs=(function, items))
    try:
        futures = [pool.submit(_one, i) for i in range(len(items))]
        for item, future in zip(items, futures, strict=True):
            try:
                yield future.result()
            except BrokenProcessPool:
                name = getattr(item, "name", item)
                raise WitnessError(f"a process died, of {name} or one behind it: run them one by one") from None
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(function: Callable[[Any], Any], items: Sequence[Any]) -> None:
    global _work
    _work = function, items
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told as well, and ends its workers


def _one(index: int) -> Any:
    assert _work is not None
    function, items = _work
    return function(items[index])
