"""The page of first differences: complete in itself, true to what was found, and written whole or not at all."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from golden_vectors import executors
from golden_vectors.__main__ import main
from golden_vectors.compare import Rows, element_of_rows
from golden_vectors.difference_pictures import CELLS, curves, difference_map
from golden_vectors.executors.base import Executor
from golden_vectors.executors.numpy_reference import NumpyReference
from tests.golden_vectors.conftest import Evidence
from tests.golden_vectors.test_verify import Absent, Broken, OffByOne
from tests.test_gates_bite import FlippedWeight

pytestmark = pytest.mark.usefixtures("few_cases")
VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Refuses tags that are not closed in order; collects the text and what would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(monkeypatch: pytest.MonkeyPatch, evidence: Evidence, folder: Path, *engines: Executor) -> tuple[int, str]:
    """Exit code of verify with these engines, and the page that it writes."""
    monkeypatch.setattr(executors, "registry", lambda: list(engines))
    out = folder / "pages" / "difference.html"
    code = main(["verify", *evidence.options, "--build", str(folder), "--steps", "20", "--html", str(out)])
    assert [path.name for path in out.parent.iterdir()] == ["difference.html"]
    return code, out.read_text("utf-8")


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_a_page_of_equal_engines_says_so_with_the_matrix(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = page(monkeypatch, evidence, tmp_path, NumpyReference(), Absent())
    seen = read(text)
    assert code == 0
    assert "The same bits on every engine" in seen.text
    assert "First differences" not in seen.text
    assert text.count('class="equal"') == 8
    assert "absent: absentee: no such runtime: pip install runtime" in seen.text


def test_a_page_of_differences_has_place_neighbours_pictures_and_source(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = page(monkeypatch, evidence, tmp_path, FlippedWeight("gru1_h_n_w_i8", 5))
    seen = read(text)
    failures = [line for line in capsys.readouterr().err.splitlines() if line.startswith("differs: ")]
    assert code == 1
    assert text.count("<details") == len(failures) > 1
    assert text.count("<details open") == 1
    for line in failures:
        assert line.partition("): ")[2] in seen.text
    assert "FULLY_CONNECTED" in seen.text
    assert "acc = self._accumulate(x)" in seen.text
    assert "firmware/nn_dense.c:" in seen.text
    assert text.count("class=first") == len(failures)
    assert text.count("<svg") == 2 * len(failures)


def test_a_page_loads_nothing_from_anywhere(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = page(monkeypatch, evidence, tmp_path, FlippedWeight("fc2_w_i8", 5))
    assert read(text).loads == []
    assert not re.search(r"https?:|@import|url\(|<script|<link", text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_an_engine_that_raises_is_on_the_page_with_its_reason_and_nothing_is_markup(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sharp(Broken):
        def run_network(self, graph: object, codes: object) -> dict[str, np.ndarray]:  # type: ignore[override, type-arg]
            raise RuntimeError("<b>arena</b>")

    _, text = page(monkeypatch, evidence, tmp_path, Sharp("<i>skewed</i>"))
    assert "RuntimeError: <b>arena</b>" in read(text).text
    assert "<b>" not in text
    assert "<i>" not in text


def test_a_page_that_cannot_be_written_is_one_line(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(executors, "registry", lambda: [OffByOne("numpy")])
    blocked = tmp_path / "file"
    blocked.write_text("")
    code = main(
        ["verify", *evidence.options, "--build", str(tmp_path), "--steps", "20", "--html", str(blocked / "d.html")]
    )
    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert last.startswith(f"golden_vectors: {blocked / 'd.html'}: cannot be written")


# ---------------------------------------------------------------- pictures


def test_the_map_has_one_cell_for_each_element_that_differs() -> None:
    values = np.zeros((20, 10), np.int64)
    wrong = values.copy()
    wrong[4, 3], wrong[5, 3], wrong[6, 9] = 1, -2, 4000
    found = element_of_rows("case", 4, "gain", "gain_q15", Rows(values, wrong), 4.0)
    assert found is not None
    cells = {
        str(path.get("class")): str(path.get("d")).count("M")
        for path in ElementTree.fromstring(difference_map(found, "hop")).iter("path")
    }
    assert cells == {"cell some": 1, "cell more": 1, "cell most": 1}


def test_a_map_of_more_elements_than_cells_loses_no_difference() -> None:
    values = np.zeros((3 * CELLS[0] + 7, 2 * CELLS[1] + 1), np.int64)
    for step, element in ((0, 0), (391, 200), (values.shape[0] - 1, values.shape[1] - 1)):
        wrong = values.copy()
        wrong[step, element] = 1
        found = element_of_rows("case", step, "gain", "gain_q15", Rows(values, wrong), 4.0)
        assert found is not None
        assert difference_map(found, "hop").count("M") == 1


def test_values_of_64_bits_are_not_rounded_together() -> None:
    values = np.full((3, 4), 1 << 56, np.int64)
    wrong = values.copy()
    wrong[1, 2] += 1
    found = element_of_rows("case", 1, "wiener", "power", Rows(values, wrong), 4.0)
    assert found is not None
    assert difference_map(found, "hop").count("M") == 1
    drawn = ElementTree.fromstring(curves(found, "hop"))
    assert [path.get("d", "").count("M") for path in drawn.iter("path") if path.get("class") == "bars"] == [1]
    assert "+1" in [text.text for text in drawn.iter("text")]


def test_a_scalar_is_drawn_over_the_hops_and_has_no_map() -> None:
    values = np.arange(30)
    wrong = values.copy()
    wrong[7:] += 2
    found = element_of_rows("case", 7, "wiener", "likelihood_q16", Rows(values, wrong), 4.0)
    assert found is not None
    assert difference_map(found, "hop") == ""
    bars = [p for p in ElementTree.fromstring(curves(found, "hop")).iter("path") if p.get("class") == "bars"]
    assert str(bars[0].get("d")).count("M") == 23
