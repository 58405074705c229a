"""Engines are equal, absent or named with their first difference; the door's exit code says which."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from golden_vectors import executors
from golden_vectors.__main__ import main
from golden_vectors.cases import CASES
from golden_vectors.errors import WitnessError
from golden_vectors.executors import c_m7, select
from golden_vectors.executors.base import Executor, StreamExecutor, StreamInput, StreamRun
from golden_vectors.executors.c_host import CHost
from golden_vectors.executors.litert import LiteRt
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.files import load, load_all
from golden_vectors.generate import build
from golden_vectors.kinds.stream import KEPT_TAPS
from golden_vectors.verify import Bench, verify
from tests.golden_vectors.conftest import Evidence
from tests.golden_vectors.models import small_graph, small_graphs


class Absent(NumpyReference):
    name = "absentee"

    def available(self) -> str | None:
        return "no such runtime: pip install runtime"


class OffByOne:
    """A network engine whose mask is one too high in step 2, bin 7."""

    def __init__(self, name: str = "skewed") -> None:
        self.name = name

    def available(self) -> str | None:
        return None

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        run = NumpyReference().run_network(graph, codes)
        run["mask"][2, 7] += 1
        return run


class Broken(OffByOne):
    """An engine that fails on the network and loses a counter in streams."""

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        raise RuntimeError("arena\ntoo small")


@pytest.fixture(scope="module")
def bench(evidence: Evidence) -> Bench:
    return Bench(load_all(evidence.vectors), small_graphs(), steps=60)


def use(monkeypatch: pytest.MonkeyPatch, *engines: Executor) -> None:
    monkeypatch.setattr(executors, "registry", lambda: list(engines))


def test_numpy_and_the_c_host_are_equal_on_every_vector(bench: Bench) -> None:
    outcome = verify(bench, [NumpyReference(), CHost()])
    assert not outcome.failures, [str(cell.first) for cell in outcome.failures.values()]
    assert set(outcome.agreement()["schemes"]["int16x8"].values()) == {"equal"}
    assert sum(cell.equal for cell in outcome.cells.values()) == 2 * (len(bench.vectors) + len(bench.graphs))


def test_an_absent_engine_is_listed_with_its_command(bench: Bench) -> None:
    outcome = verify(bench, [Absent()])
    assert outcome.absent == {"absentee": "no such runtime: pip install runtime"}
    assert not outcome.failures
    assert outcome.agreement() == {"schemes": {}}


def test_absent_engines_stand_in_the_agreement_beside_present_ones(bench: Bench) -> None:
    schemes = verify(bench, [OffByOne(), Absent()]).agreement()["schemes"]
    assert set(schemes) == {"int16x8", "int8"}
    assert all(row["absentee"] == "absent" for row in schemes.values())
    assert schemes["int8"]["skewed"] == pytest.approx(1 / (60 * 64), abs=1e-6)


def test_a_network_engine_runs_no_streams_and_is_named_with_its_first_difference(bench: Bench) -> None:
    outcome = verify(bench, [OffByOne()])
    assert {group for _, _, group in outcome.cells} == {"network", "closed loop"}
    first = outcome.failures["skewed", "int8", "closed loop"].first
    assert "closed_loop: step 2, stage network, mask[7]" in str(first)


def test_int8_on_litert_is_a_distance_and_not_a_failure_but_int16x8_is(bench: Bench) -> None:
    outcome = verify(bench, [OffByOne("litert (reference)")])
    assert {scheme for _, scheme, _ in outcome.failures} == {"int16x8"}
    assert outcome.agreement()["schemes"]["int8"]["litert (reference)"] > 0


def test_an_engine_that_raises_fails_in_one_line_and_stops_no_other(bench: Bench) -> None:
    outcome = verify(bench, [Broken(), NumpyReference()])
    firsts = {str(cell.first) for key, cell in outcome.failures.items() if key[0] == "skewed"}
    assert "closed_loop: RuntimeError: arena too small" in firsts
    assert {key[0] for key in outcome.failures} == {"skewed"}
    assert outcome.agreement()["schemes"]["int8"] == {"skewed": 1.0, "numpy": "equal"}


def test_a_tolerated_engine_that_raises_is_a_failure(bench: Bench) -> None:
    outcome = verify(bench, [Broken("litert")])
    assert {scheme for _, scheme, _ in outcome.failures} == {"int16x8", "int8"}


def test_vectors_of_another_model_are_refused_in_one_line(bench: Bench) -> None:
    with pytest.raises(WitnessError, match=r"vector speech_int8 was generated for graph \w{12}, the int8 model is"):
        Bench(bench.vectors, {**small_graphs(), "int8": small_graph("int8", seed=5)})


def test_the_protocols_tell_streams_from_networks() -> None:
    assert isinstance(NumpyReference(), StreamExecutor)
    assert isinstance(CHost(), StreamExecutor)
    assert not isinstance(LiteRt(), StreamExecutor)
    assert all(isinstance(engine, Executor) for engine in executors.registry())


def test_engines_are_chosen_by_name_or_family() -> None:
    engines = executors.registry()
    assert len({engine.name for engine in engines}) == len(engines)
    assert [engine.name for engine in select(["onnxruntime (basic)"], engines)] == ["onnxruntime (basic)"]
    assert len(select(["onnxruntime", "tflm"], engines)) == 5
    assert select(None, engines) == engines
    with pytest.raises(WitnessError, match="is called silicon: choose from numpy, c_host, c_m7, c_m7_qemu, onnx"):
        select(["silicon"], engines)


def test_an_engine_that_was_asked_for_and_is_absent_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_m7, "missing_qemu", lambda: "no qemu: install it")
    with pytest.raises(WitnessError, match="c_m7_qemu cannot run here: no qemu: install it"):
        select(["numpy", "c_m7_qemu"], executors.registry())


# ---------------------------------------------------------------- the door

pytestmark = pytest.mark.usefixtures("few_cases")


def run(evidence: Evidence, build: Path, *arguments: str) -> int:
    return main(["verify", *evidence.options, "--build", str(build), "--steps", "20", *arguments])


def test_the_door_prints_the_table_and_writes_the_agreement(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, NumpyReference(), Absent())
    assert run(evidence, tmp_path) == 0
    out, err = capsys.readouterr()
    assert "absent: absentee: no such runtime: pip install runtime" in out
    assert "equal, bit for bit: 1 of 2 engines, 7 vectors" in out
    assert err == ""
    assert json.loads((tmp_path / "agreement.json").read_bytes()) == {
        "schemes": {scheme: {"numpy": "equal", "absentee": "absent"} for scheme in ("int16x8", "int8")}
    }


def test_a_part_of_the_engines_writes_no_agreement(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, NumpyReference(), Absent())
    assert run(evidence, tmp_path, "--on", "numpy") == 0
    assert not (tmp_path / "agreement.json").exists()


def test_the_door_fails_with_the_first_difference_on_stderr(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, OffByOne())
    assert run(evidence, tmp_path) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith((" ", ">"))]
    assert len(lines) == 4
    assert all(line.startswith("differs: skewed, ") for line in lines)
    assert "closed_loop: step 2, stage network, mask[7]: expected" in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "silicon"], "no executor is called silicon"),
        (["--vectors", "nowhere"], "nowhere: holds no vectors: run `python -m golden_vectors generate`"),
        (["--model", "nowhere.npz"], "nowhere.npz: no such file"),
    ],
)
def test_bad_requests_are_one_line_and_exit_code_2(
    evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], message: str
) -> None:
    assert run(evidence, tmp_path, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize("steps", ["0", "-3", "x", "1.5", ""])
def test_steps_are_a_whole_number_above_0(
    evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: str
) -> None:
    line = wrong_arguments(capsys, *evidence.options, "--build", str(tmp_path), f"--steps={steps}")
    assert "--steps: steps must be a whole number above 0, not" in line


def test_wrong_arguments_are_one_line_that_names_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    line = wrong_arguments(capsys, "--nonsense")
    assert line.startswith("golden_vectors: unrecognized arguments: --nonsense (python -m golden_vectors")


def wrong_arguments(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The only line that verify prints before it ends with exit code 2."""
    with pytest.raises(SystemExit) as caught:
        main(["verify", *arguments])
    out, err = capsys.readouterr()
    assert (caught.value.code, out, err.count("\n")) == (2, "", 1)
    return err


# ---------------------------------------------------------------- what is absent is not green


def rewrite(path: Path, *absent: str, **replaced: Any) -> None:
    """A vector without some of its arrays, with another header, and with the right sha256."""
    vector = load(path)
    kept = {name: values for name, values in vector.arrays.items() if name not in absent}
    for name, content in replace(vector, header={**vector.header, **replaced}, arrays=kept).files().items():
        path.with_name(name).write_bytes(content)


def delete(*paths: Path) -> None:
    for path in paths:
        path.unlink()


def double(folder: Path) -> None:
    """The vector "silence" a second time under a name of its own, honest in everything but its number."""
    vector = load(folder / "silence.json")
    for name, content in replace(vector, header={**vector.header, "id": "twin"}).files().items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: delete(*d.glob("silence.*")), "1 of 7 vectors missing: silence:"),
        (
            lambda d: delete(*d.glob("*_*.*")),
            "6 of 7 vectors missing: speech_rain, ",
        ),
        (
            lambda d: delete(d / "silence.json"),
            "without a header (.json): silence.npz, silence.out.wav, silence.trace",
        ),
        (lambda d: delete(d / "silence.npz"), "silence.npz: no such file"),
        (lambda d: shutil.copy(d / "silence.json", d / "copy.json"), "the file is named copy, its id is silence"),
        (double, "twin.json: duplicate: tcId 5 is that of silence"),
        (
            lambda d: rewrite(d / "silence.json", *KEPT_TAPS[:-2]),
            "silence.json: not a vector of this version: the .npz lacks",
        ),
        (lambda d: rewrite(d / "network_speech_int8.json", "mask"), "the .npz lacks mask"),
        (lambda d: rewrite(d / "silence.json", counters={}), "counters must be two numbers for each of window, rfft"),
        (lambda d: rewrite(d / "silence.json", resets=[10**9]), "resets must be ascending hops below 60"),
        (lambda d: rewrite(d / "reset_in_speech.json", resets=[45]), "resets not as in case reset_in_speech"),
        (lambda d: rewrite(d / "silence.json", flags=[], notes={}), "flags, notes not as in case silence"),
    ],
)
def test_missing_doubled_and_hollow_vectors_are_one_line_and_exit_code_2(
    evidence: Evidence,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    message: str,
) -> None:
    folder = tmp_path / "vectors"
    shutil.copytree(evidence.vectors, folder)
    damage(folder)
    assert run(evidence, tmp_path, "--vectors", str(folder), "--on", "numpy") == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_a_complete_vector_of_ones_own_is_welcome_beside_the_set(
    evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "vectors"
    shutil.copytree(evidence.vectors, folder)
    own = replace(next(case for case in CASES if case.id == "silence"), id="own", tc_id=100, group="own")
    for name, content in build(own, small_graphs()).files().items():
        (folder / name).write_bytes(content)
    assert run(evidence, tmp_path, "--vectors", str(folder), "--on", "numpy") == 0
    assert "own" in capsys.readouterr().out


def test_a_stream_of_the_reference_without_a_network_is_the_wiener_stage_alone(bench: Bench) -> None:
    vector = next(vector for vector in bench.vectors if vector.id == "silence")
    from firmware_sim.contract import WIENER_ALONE

    stream = StreamInput(vector.arrays["input_pcm"], WIENER_ALONE)
    runs: list[StreamRun] = [engine.run_stream(None, stream) for engine in (NumpyReference(), CHost())]
    assert runs[0].taps["h0"].shape == (60, 0)
    assert runs[0].counters == runs[1].counters
    for name, values in runs[0].taps.items():
        assert (values == runs[1].taps[name]).all(), name
