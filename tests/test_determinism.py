"""The same bits everywhere: two checkouts, other processors, other BLAS kernels, threads, locales, hash seeds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from firmware_sim import activations, tables
from tests import determinism
from tests.determinism import ROOT, Run, digest, moved, run_probe
from tests.synthetic_student import save_student, synthetic_student

ROOMS = ("firmware_sim", "export", "golden_vectors")
EVERYTHING = ("--to", "graph", "onnx", "tflite", "c", "ranges")

# ---------------------------------------------------------------- environments


@pytest.fixture(scope="module")
def usual() -> Run:
    return run_probe(determinism.threads_of(1))


def test_an_old_processor_and_many_threads_give_the_same_bits(usual: Run) -> None:
    """Without any feature that numpy dispatches on, with the oldest kernels of OpenBLAS."""
    variation = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(usual.in_force["numpy"]),
        "OPENBLAS_CORETYPE": "Prescott",
        **determinism.threads_of(7),
    }
    old = run_probe(variation)
    assert moved(usual, old) == []
    assert old.in_force["numpy"] == []
    if usual.in_force["numpy"]:
        assert old.in_force["tanh"] != usual.in_force["tanh"]
    if usual.in_force["blas"]:
        assert old.in_force["blas"]["threads"] == 7
        if "X86_V3" in usual.in_force["numpy"]:
            assert old.in_force["matmul"] != usual.in_force["matmul"]


def test_another_locale_time_zone_and_order_of_hashes_give_the_same_bits(usual: Run, tmp_path: Path) -> None:
    made = determinism.made_locales(tmp_path, ("tr_TR",)).get("tr_TR", {"LC_ALL": "C"})
    other = run_probe({**made, "PYTHONUTF8": "0", "PYTHONHASHSEED": "3", "TZ": "Pacific/Kiritimati"})
    assert moved(usual, other) == []
    assert other.in_force["hash"] != usual.in_force["hash"]
    assert other.in_force["locale"] != usual.in_force["locale"]


def test_a_bit_that_moves_is_named() -> None:
    one, other = Run({"a": "1", "b": "2"}, {}), Run({"a": "1", "b": "3", "c": "4"}, {})
    assert moved(one, one) == []
    assert moved(one, other) == ["b", "c"]
    assert moved(other, one) == ["b", "c"]


def test_a_digest_sees_every_bit() -> None:
    values = np.arange(5.0)
    assert digest(values) != digest(np.nextafter(values, 9.0))


# ---------------------------------------------------------------- tables


def imprecise(ulps: int) -> SimpleNamespace:
    """numpy with sin, cos, exp and log2 of a C library that errs by up to `ulps` last places, but not at 0 and 1."""
    rng = np.random.default_rng(ulps)

    def erring(function: np.ufunc) -> object:
        def call(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            y = function(x)
            error = np.spacing(np.abs(y)) * rng.integers(-ulps, ulps + 1, np.shape(y))
            return np.where((x == 0.0) | (x == 1.0), y, y + error)

        return call

    replaced = {name: erring(getattr(np, name)) for name in ("sin", "cos", "exp", "log2")}
    return SimpleNamespace(**{**vars(np), **replaced})


def remade(monkeypatch: pytest.MonkeyPatch, ulps: int) -> str:
    with monkeypatch.context() as patch:
        patch.setattr(tables, "np", imprecise(ulps))
        patch.setattr(activations, "np", imprecise(ulps))
        return digest(*determinism.tables(), activations._sigmoid_table())


def test_tables_do_not_depend_on_the_last_places_of_a_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """No entry lies near a rounding tie, so libraries that err by 16 ulp (good ones: below 1) give the same tables."""
    exact = remade(monkeypatch, 0)
    assert {remade(monkeypatch, ulps) for ulps in (1, 2, 4, 8, 15, 16)} == {exact}


def test_tables_would_show_a_c_library_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert remade(monkeypatch, 1 << 22) != remade(monkeypatch, 0)


# ---------------------------------------------------------------- checkouts


def run_door(checkout: Path, folder: Path, *arguments: str, **environment: str) -> None:
    """A door of a checkout, run from another folder."""
    inherited = {name: value for name, value in os.environ.items() if name not in determinism.VARIED}
    variables = {**inherited, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    command = [sys.executable, "-m", *arguments]
    ended = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


def contents(folder: Path) -> dict[str, bytes]:
    """Name -> bytes of every file."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def other_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the rooms, without vectors, in a folder with a longer name, a space and a letter that is not ASCII."""
    checkout = tmp_path_factory.mktemp("checkout") / "another place" / "stäpes"
    for room in ROOMS:
        shutil.copytree(ROOT / room, checkout / room, ignore=shutil.ignore_patterns("vectors", "__pycache__"))
    for folder in ("firmware", "tests/data"):
        shutil.copytree(ROOT / folder, checkout / folder)
    shutil.copy(ROOT / "pyproject.toml", checkout)
    return checkout


def exports(checkout: Path, student: Path, folder: Path, **environment: str) -> dict[str, bytes]:
    """Every artefact of the blessed graph, and of a student in the other scheme."""
    folder.mkdir()
    run_door(checkout, folder, "export", *EVERYTHING, "--out", "blessed", **environment)
    source = os.path.relpath(student, folder)
    run_door(checkout, folder, "export", source, "--scheme", "int8", *EVERYTHING, "--out", "student", **environment)
    return contents(folder)


def test_exports_of_two_checkouts_are_the_same_bytes(other_checkout: Path, tmp_path: Path) -> None:
    student = save_student(synthetic_student(hidden=16, frames=40), tmp_path / "student.npz")
    before = os.umask(0o022)
    try:
        here = exports(ROOT, student, tmp_path / "here", HOME="/", TZ="UTC")
        os.umask(0o077)
        variables = {"HOME": str(tmp_path), "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
        there = exports(other_checkout, student, tmp_path / "there", **variables)
    finally:
        os.umask(before)
    assert list(here) == list(there)
    assert [name for name in here if here[name] != there[name]] == []
    names = (
        "stapes_graph.npz",
        "stapes.onnx",
        "stapes.tflite",
        "stapes_model.c",
        "stapes_ranges.json",
        "manifest.json",
    )
    assert {f"{made}/{name}" for made in ("blessed", "student") for name in names} <= here.keys()
    made_at = (str(ROOT).encode(), str(other_checkout).encode(), str(tmp_path).encode())
    assert not [name for name, data in {**here, **there}.items() if any(path in data for path in made_at)]


def test_another_checkout_generates_the_committed_vectors(other_checkout: Path, tmp_path: Path) -> None:
    run_door(other_checkout, tmp_path, "golden_vectors", "generate", "--vectors", "vectors", TZ="Pacific/Kiritimati")
    committed, made = contents(ROOT / "golden_vectors" / "vectors"), contents(tmp_path / "vectors")
    assert list(made) == list(committed)
    assert [name for name in made if made[name] != committed[name]] == []
