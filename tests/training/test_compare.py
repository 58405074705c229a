"""The leaderboard: ranked, plotted with its intervals, and a page that can be listened to from a file system."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from training import compare
from training.compare import AXES, plot, ranked
from training.evaluation_files import print_table
from training.files import RunError
from training.recipes import MixRecipe, save_recipes

ROWS: list[dict[str, Any]] = [
    {"system": "noisy", "latency_ms": 0.0, "params": None, "mmac_per_s": None, "instructions_per_hop": None,
     "pesq_wb": 1.25, "ci95": {"pesq_wb": [1.2, 1.3]}},
    {"system": "base", "latency_ms": 8.0, "params": 198_849, "mmac_per_s": 49.3, "instructions_per_hop": 280_000,
     "pesq_wb": 1.5, "ci95": {"pesq_wb": [1.4, 1.65]}},
    {"system": "silent", "latency_ms": 8.0, "params": 1, "mmac_per_s": 1.0, "instructions_per_hop": None, "ci95": {}},
]  # fmt: skip


RECIPES = [MixRecipe(16000, (), (), (), 5.0, -26.0, name=f"00{pair}_+5dB") for pair in range(3)]


def console() -> Console:
    return Console(width=200, record=True, file=io.StringIO())


def test_the_best_comes_first_and_what_has_no_score_last() -> None:
    assert [row["system"] for row in ranked(ROWS)] == ["base", "noisy", "silent"]


def test_the_plot_has_a_point_and_an_interval_a_system_against_every_cost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figures: list[Figure] = []
    saved = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), saved(self, *a, **k)))
    plot(ROWS, tmp_path / "board.png")
    assert (tmp_path / "board.png").read_bytes().startswith(b"\x89PNG")
    panels = figures[0].axes
    assert [panel.get_xlabel() for panel in panels] == list(AXES.values())
    assert [text.get_text() for text in panels[0].texts] == ["noisy", "base"]
    bars = [container.lines[2][0].get_segments()[0] for container in panels[0].containers]
    assert [[round(float(y), 2) for _, y in bar] for bar in bars] == [[1.2, 1.3], [1.4, 1.65]]


def test_nothing_to_plot_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing to plot"):
        plot(ROWS[2:], tmp_path / "board.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["index.html", "leaderboard.png"])
def test_an_evaluation_named_like_an_output_is_not_written_over(tmp_path: Path, name: str) -> None:
    result = {"format": "stapes-evaluation", "version": 1, "systems": ROWS[:2]}
    (tmp_path / name).write_text(json.dumps(result))
    with pytest.raises(RunError, match="is also the input"):
        compare.compare(tmp_path / name, tmp_path, 0, console())
    assert json.loads((tmp_path / name).read_text()) == result


def test_nothing_is_written_where_the_recipes_are_gone(tmp_path: Path) -> None:
    result = {"format": "stapes-evaluation", "version": 1, "systems": ROWS[:2]}
    (tmp_path / "evaluation.json").write_text(json.dumps(result))
    with pytest.raises(RunError, match="evaluate` again"):
        compare.compare(tmp_path / "evaluation.json", tmp_path / "out", 1, console())
    assert not (tmp_path / "out").exists()


def test_a_name_may_hold_what_rich_and_matplotlib_would_read_as_markup(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "system": "[/red]"}, {**ROWS[1], "system": r"$\foo$"}]
    screen = console()
    print_table({"systems": rows}, screen)
    assert "[/red]" in screen.export_text()
    plot(rows, tmp_path / "board.png")


def test_compare_prints_the_table_and_writes_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compare, "write_page", lambda result, recipes, folder, name: folder / str(len(recipes)))
    save_recipes(tmp_path / "evaluation_recipes.jsonl", RECIPES)
    evaluation = tmp_path / "evaluation.json"
    evaluation.write_text(
        json.dumps({"format": "stapes-evaluation", "version": 1, "systems": ROWS[:2], "integer_loss": []})
    )
    screen = console()
    assert compare.compare(evaluation, tmp_path / "out", 2, screen) == tmp_path / "out" / "2"
    text = screen.export_text()
    assert text.index("base") < text.index("noisy")
    assert "1.50 ±0.12" in text
    assert (tmp_path / "out" / compare.PLOT).is_file()
