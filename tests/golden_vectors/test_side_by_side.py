"""Items side by side: the results and errors of one by one, and a process that dies is one line."""

from __future__ import annotations

import os
import signal

import pytest

from golden_vectors.errors import WitnessError
from golden_vectors.side_by_side import cores, side_by_side


def square(x: int) -> tuple[int, int]:
    return x * x, os.getpid()


def test_results_come_in_the_order_of_the_items_from_other_processes() -> None:
    found = list(side_by_side(square, range(6), 2))
    assert [value for value, _ in found] == [0, 1, 4, 9, 16, 25]
    assert os.getpid() not in {process for _, process in found}


def test_functions_and_items_need_not_be_picklable() -> None:
    assert list(side_by_side(lambda f: f(), [lambda: 1, lambda: 2], 2)) == [1, 2]


def test_an_error_is_that_of_the_function() -> None:
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda x: 1 // x, [1, 0], 2))


def test_a_process_that_dies_is_one_line_that_names_the_item() -> None:
    def die(name: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(WitnessError, match=r"^a process died, of first or one behind it: run them one by one$"):
        list(side_by_side(die, ["first"], 2))


def test_there_is_a_core() -> None:
    assert cores() >= 1
