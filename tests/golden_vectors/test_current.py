"""A vector that lost a part of what its case runs is refused, although the reference agrees with the rest."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from golden_vectors import generate
from golden_vectors.__main__ import BLESSED, main
from golden_vectors.cases import CASES
from golden_vectors.errors import WitnessError
from golden_vectors.files import DIRECTORY, load
from golden_vectors.vector import Vector

ROOT = Path(__file__).resolve().parents[2]
GRAPHS = generate.load_graphs(BLESSED)


def committed(name: str) -> Vector:
    return load(DIRECTORY / f"{name}.json")


def cut(vector: Vector, **header: Any) -> Vector:
    """The vector with its first row alone."""
    arrays = {name: values[:1] for name, values in vector.arrays.items()}
    return Vector({**vector.header, "rows": 1, **header}, arrays, vector.trace)


def test_committed_vectors_are_what_their_cases_make() -> None:
    cases = {case.id: case for case in CASES}
    for name in ("word_mulhi_i32", "op_tanh_int8", "silence"):
        assert generate.stale(committed(name), cases[name], GRAPHS) == []


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (lambda: cut(committed("word_mulhi_i32")), "vector word_mulhi_i32: rows: not as its case makes it"),
        (lambda: cut(committed("op_tanh_int8")), "vector op_tanh_int8: rows: not as its case makes it"),
        (lambda: cut(committed("op_tanh_int8"), tensors=[]), "vector op_tanh_int8: rows, tensors: not as its case"),
        (
            lambda: cut(committed("op_tanh_int8"), ops=["FULLY_CONNECTED", "TANH"]),
            "vector op_tanh_int8: rows, ops: not as its case",
        ),
    ],
)
def test_a_gutted_vector_is_refused(vector: Any, message: str) -> None:
    with pytest.raises(WitnessError, match=message):
        generate.require_current([vector()], GRAPHS)


@pytest.mark.parametrize("name", ["word_mulhi_i32", "op_tanh_int8", "silence"])
def test_other_inputs_under_the_same_header_are_refused(name: str) -> None:
    vector = committed(name)
    inputs = [key for key in vector.arrays if key.startswith("in")]
    arrays = {**vector.arrays, inputs[0]: vector.arrays[inputs[0]] * 0}
    if name == "silence":
        arrays[inputs[0]] = arrays[inputs[0]] + 1
    with pytest.raises(WitnessError, match=f"vector {name}: {inputs[0]}: not as its case makes it"):
        generate.require_current([Vector(vector.header, arrays, vector.trace)], GRAPHS)


def test_an_interrupt_ends_every_process_of_verify_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "golden_vectors", "verify", "--on", "numpy", "c_host", "--build", str(tmp_path)]
    started = subprocess.Popen(
        [*command, "--jobs", "2"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    children, until = Path(f"/proc/{started.pid}/task/{started.pid}/children"), time.monotonic() + 90.0
    while time.monotonic() < until and not (children.exists() and children.read_text()):
        time.sleep(0.2)  # until the workers run, or where nobody can tell
    time.sleep(4.0)  # a worker that is only starting dies anyhow: it must be at work
    os.killpg(started.pid, signal.SIGINT)
    try:
        _, err = started.communicate(timeout=20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    assert (started.returncode, err) == (130, "golden_vectors: interrupted\n")


@pytest.mark.parametrize("steps", ["99999999999999999999999", "12345678"])
def test_numbers_beyond_all_use_are_one_line(steps: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["verify", "--steps", steps])
    assert f"steps may have 7 digits, not {len(steps)}" in capsys.readouterr().err


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["generate", "--format", "npz", "--only", "dc", "--out", str(tmp_path / ("x" * 300))]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "File name too long" in err
