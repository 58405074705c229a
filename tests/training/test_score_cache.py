"""The cache: what was scored is not scored again, and a stop in the middle of a line costs that line alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from training.files import RunError
from training.score_cache import ScoreCache

KEY = ("noisy", "f" * 16, "a" * 16, "basic pesq==0.0.4")


def test_what_was_put_is_found_by_the_next_run(tmp_path: Path) -> None:
    ScoreCache(tmp_path).put(*KEY, {"pesq_wb": 1.25, "stoi": math.nan})
    found = ScoreCache(tmp_path).get(*KEY)
    assert found is not None
    assert found["pesq_wb"] == 1.25
    assert math.isnan(found["stoi"])


@pytest.mark.parametrize("changed", range(4))
def test_another_system_fingerprint_mixture_or_metric_is_not_known(changed: int, tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    cache.put(*KEY, {"pesq_wb": 1.25})
    other = [f"{part}x" if place == changed else part for place, part in enumerate(KEY)]
    assert cache.get(*other) is None
    assert ScoreCache(tmp_path).get(*other) is None


def test_a_line_cut_short_loses_itself_alone(tmp_path: Path) -> None:
    ScoreCache(tmp_path).put(*KEY, {"stoi": 0.5})
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text() + file.read_text()[:-20])
    cache = ScoreCache(tmp_path)
    cache.put(*KEY[:2], "b" * 16, KEY[3], {"stoi": 0.75})
    again = ScoreCache(tmp_path)
    assert again.get(*KEY) == {"stoi": 0.5}
    assert again.get(*KEY[:2], "b" * 16, KEY[3]) == {"stoi": 0.75}


@pytest.mark.parametrize(
    "line", ["", "{}", "[1]", '{"mixture": "a", "metrics": "b", "values": {"stoi": "loud"}}', "\x00"]
)
def test_a_foreign_line_is_passed_over(line: str, tmp_path: Path) -> None:
    (tmp_path / f"{KEY[0]}-{KEY[1]}.jsonl").write_text(line + "\n")
    assert ScoreCache(tmp_path).get(*KEY) is None


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot write"):
        ScoreCache(tmp_path / "file")
