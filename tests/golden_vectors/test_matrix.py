"""The agreement matrix: README says what verify finds, and every way to be wrong is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from golden_vectors import executors
from golden_vectors.__main__ import BLESSED, main
from golden_vectors.cases import CASES
from golden_vectors.errors import WitnessError
from golden_vectors.executors import family, registry
from golden_vectors.executors.base import Executor
from golden_vectors.files import load_all
from golden_vectors.generate import load_graphs
from golden_vectors.matrix import BEGIN, END, Rows, check_matrix, read_matrix, rows, table, write_matrix
from golden_vectors.verify import Bench, Cell, Outcome, verify
from tests.golden_vectors.conftest import Evidence

README = Path(__file__).resolve().parents[2] / "README.md"
QUICK = {"numpy", "c_host", "tflm", "litert", "tf.lite"}
"""Engines that this suite runs; CI also checks the table with all of them (.ci/run)."""
STREAMS = {"dither_1lsb", "overrun_int8"}


@pytest.fixture(scope="module")
def found() -> Outcome:
    """What the quick engines that are here find on two streams and all vectors of the network, the others absent."""
    vectors = [v for v in load_all(cases=CASES) if v.kind != "stream" or v.id in STREAMS]
    bench = Bench(vectors, load_graphs(BLESSED))
    engines = registry()
    quick = [e for e in engines if e.name in QUICK or family(e.name) in QUICK - {"c_host"}]
    outcome = verify(bench, quick)
    outcome.engines = [engine.name for engine in engines]
    outcome.absent |= {engine.name: "not asked" for engine in engines if engine not in quick}
    return outcome


def planted(folder: Path, change: Callable[[Rows], object]) -> Path:
    """README with another table."""
    found = read_matrix(README)
    change(found)
    text = README.read_text()
    page = folder / "README.md"
    page.write_text(f"{text[: text.index(BEGIN)]}{BEGIN}\n{table(found) if found else ''}\n{text[text.index(END) :]}")
    return page


def cell(engine: str, column: str, text: str) -> Callable[[Rows], object]:
    return lambda found: found[engine].update({column: text})


def renamed(found: Rows) -> None:
    for engine, cells in found.items():
        found[engine] = {"clock" if name == "timing" else name: text for name, text in cells.items()}


def test_readme_says_what_verify_finds(found: Outcome) -> None:
    check_matrix(found, README)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cell("tflm", "network", "int8: distance"), "tflm, network: 'int8: distance', found 'equal'"),
        (cell("tflm", "whole loop", "equal"), "tflm, whole loop: 'equal', found '–'"),
        (cell("litert", "network", "equal"), "litert, network: 'equal', found 'int8: distance'"),
        (cell("litert", "network", "int16x8: distance"), "litert, network: 'int16x8: distance', found"),
        (lambda found: found.pop("tflm"), "missing row tflm"),
        (lambda found: found.pop("c_m7 (gcc)"), r"missing row c_m7 \(gcc\)"),
        (lambda found: found.update(silicon=found["numpy"]), "unknown row silicon"),
        (renamed, r"columns .*clock, network, closed loop, not as found"),
        (lambda found: found.clear(), "no table between the markers"),
    ],
)
def test_a_planted_fault_in_the_table_is_one_line(
    found: Outcome, tmp_path: Path, change: Callable[[Rows], object], message: str
) -> None:
    with pytest.raises(WitnessError, match=message) as caught:
        check_matrix(found, planted(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_a_run_that_finds_another_thing_is_not_what_readme_says(found: Outcome) -> None:
    worse = Outcome(found.engines, {**found.cells, ("tflm", "int16x8", "network"): Cell(1, 0.5, "off by one")})
    worse.absent = found.absent
    with pytest.raises(WitnessError, match="tflm, network: 'equal', found 'int16x8: distance'"):
        check_matrix(worse, README)


# ---------------------------------------------------------------- writing


def outcome() -> Outcome:
    cells = {
        ("numpy", "any", "words"): Cell(3),
        ("numpy", "any", "cochlea"): Cell(1),
        ("numpy", "int16x8", "speech"): Cell(3),
        ("numpy", "int16x8", "network"): Cell(2),
        ("litert", "int16x8", "network"): Cell(2),
        ("litert", "int8", "network"): Cell(0, 0.4449, "differs", tolerated=True),
    }
    return Outcome(["numpy", "litert"], cells)


TABLE = """| engine | words, tables | whole loop | network | cochlea |
| --- | --- | --- | --- | --- |
| `numpy` | equal | equal | equal | equal |
| `litert` | – | – | int8: distance | – |"""


def test_a_new_group_is_a_column_and_the_text_around_the_table_stays(tmp_path: Path) -> None:
    assert table(rows(outcome())) == TABLE
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nbehind\n")
    write_matrix(outcome(), page)
    assert page.read_text() == f"before\n{BEGIN}\n\n{TABLE}\n\n{END}\nbehind\n"
    assert read_matrix(page) == rows(outcome())
    check_matrix(outcome(), page)
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.parametrize("content", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"])
def test_a_page_without_both_markers_is_not_written(tmp_path: Path, content: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(content)
    with pytest.raises(WitnessError, match="needs the line"):
        write_matrix(outcome(), page)
    assert page.read_text() == content


def test_a_page_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WitnessError, match=r"nowhere\.md: cannot be read: No such file"):
        write_matrix(outcome(), tmp_path / "nowhere.md")


def test_neither_an_absent_engine_nor_a_difference_writes_the_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    absent, differs = outcome(), outcome()
    absent.absent["litert"] = "not here: pip install it"
    differs.cells["numpy", "int8", "speech"] = Cell(0, 0.1, "off by one")
    with pytest.raises(WitnessError, match="run of every engine: litert is absent: not here: pip install it"):
        write_matrix(absent, page)
    with pytest.raises(WitnessError, match="a run without differences"):
        write_matrix(differs, page)
    assert page.read_text() == f"{BEGIN}\n{END}\n"


# ---------------------------------------------------------------- the door


def run(evidence: Evidence, build: Path, *arguments: str) -> int:
    return main(["verify", *evidence.options, "--build", str(build), "--steps", "20", *arguments])


@pytest.mark.usefixtures("few_cases")
def test_the_door_writes_the_table_and_checks_it(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engines: list[Executor] = [e for e in registry() if e.name in ("numpy", "c_host")]
    monkeypatch.setattr(executors, "registry", lambda: engines)
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    assert run(evidence, tmp_path, "--matrix", str(page)) == 0
    assert "| `c_host` | equal | equal | equal |" in page.read_text()
    assert run(evidence, tmp_path, "--matrix", str(page), "--check") == 0
    page.write_text(page.read_text().replace("| `c_host` | equal", "| `c_host` | –"))
    capsys.readouterr()
    assert run(evidence, tmp_path, "--matrix", str(page), "--check") == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "page.md: c_host, whole loop: '–', found 'equal'" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--check"], "give --matrix README.md"), (["--matrix", "README.md", "--on", "numpy"], "leave --on out")],
)
def test_requests_that_make_no_sense_are_one_line(
    evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(evidence, tmp_path, *arguments) in (1, 2)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
