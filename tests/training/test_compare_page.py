"""The page: every system can be heard, everything foreign is escaped, and it needs no server."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.training.small import recordings
from training.compare_page import chosen, saved_recipes, write_page
from training.files import RunError
from training.mixing import MixRecipe, evaluation_recipes

FACTS = {"latency_ms": 8.0, "params": None, "mmac_per_s": None, "instructions_per_hop": None, "file": None, "files": 5}
RESULT: dict[str, Any] = {
    "systems": [
        {**FACTS, "system": "noisy", "pesq_wb": 1.25, "ci95": {"pesq_wb": [1.0, 1.5]}},
        {**FACTS, "system": "wiener", "pesq_wb": 1.5, "ci95": {"pesq_wb": None}},
    ],
    "command": "python -m training evaluate --corpus '<b>&'",
    "corpus": "c" * 16,
}


class Sources(HTMLParser):
    """Everything that the page loads, and its texts."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attributes if name == "src"]
        self.links += [value or "" for name, value in attributes if name == "href"]


@pytest.fixture(scope="module")
def recipes() -> list[MixRecipe]:
    return evaluation_recipes(recordings(), 2)


@pytest.fixture
def page(recipes: list[MixRecipe], tmp_path: Path) -> Path:
    return write_page(RESULT, chosen(recipes, 2), tmp_path / "page", "board.png")


def test_all_that_the_page_loads_lies_beside_it(page: Path) -> None:
    parser = Sources()
    parser.feed(page.read_text())
    assert parser.links == []
    audio = [source for source in parser.sources if source.endswith(".wav")]
    assert sorted(set(parser.sources) - set(audio)) == ["board.png"]
    assert len(set(audio)) == 2 * 3  # two mixtures: clean, noisy, wiener
    for source in audio:
        assert re.fullmatch(r"audio/[\w.-]+", source)
        assert (page.parent / source).is_file()


def test_foreign_text_is_escaped_and_intervals_are_shown(page: Path) -> None:
    text = page.read_text()
    assert "--corpus &#39;&lt;b&gt;&amp;&#39;" in text
    assert "<b>" not in text
    assert "1.25 ±0.25" in text
    assert ">1.50<" in text  # no interval, no ±


def test_a_clip_is_what_the_system_makes_of_the_mixture(page: Path) -> None:
    audio = {path.stem.rpartition("_")[2]: soundfile.read(path)[0] for path in (page.parent / "audio").glob("000*")}
    assert set(audio) == {"speech", "noisy", "wiener"}
    lead_in = slice(2000, 8000)  # noise alone: 120 ms of learning, then less of it
    assert np.std(audio["wiener"][lead_in]) < 0.7 * np.std(audio["noisy"][lead_in])
    assert np.std(audio["speech"][lead_in]) < 1e-3
    assert len({len(samples) for samples in audio.values()}) == 1


def test_played_mixtures_are_of_different_pairs_at_five_db(recipes: list[MixRecipe]) -> None:
    assert [recipe.name for recipe in chosen(recipes, 5)] == ["000_+5dB", "001_+5dB"]
    assert [recipe.name for recipe in chosen(recipes, 1)] == ["000_+5dB"]
    assert chosen(recipes, 0) == []
    assert len(chosen([recipe for recipe in recipes if recipe.snr_db == 15], 5)) == 2


def test_an_evaluation_without_its_recipes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="evaluate` again"):
        saved_recipes(tmp_path / "evaluation.json")
