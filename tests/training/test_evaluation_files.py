"""The result on disk: valid JSON, tables that agree with it, integers beside floats, and one line of what they lose."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.training.small import recordings
from training.evaluate import Facts, Mixture, mixtures_of
from training.evaluation_files import (
    Run,
    beside,
    loss_line,
    print_table,
    read_evaluation,
    result_of,
    short_number,
    write_evaluation,
)
from training.files import RunError
from training.mixing import load_recipes
from training.scores import Score
from training.zoo import Spec

FACTS = [
    Facts(Spec("noisy"), "0" * 16, 0.0, None, None, None),
    Facts(Spec("base", Path("model.npz")), "1" * 16, 8.0, 198_849, 49.3, 280_000),
    Facts(Spec("base-float"), "2" * 16, 8.0, 198_979, 49.3, None),
]


@pytest.fixture(scope="module")
def mixtures() -> list[Mixture]:
    return mixtures_of(recordings(), pairs=1)


@pytest.fixture(scope="module")
def scores(mixtures: list[Mixture]) -> list[Score]:
    """PESQ 1.0 noisy, 1.5 in float, and in integers 1.25 at the first SNR and 1.5 at the others."""
    found = []
    for facts, base in zip(FACTS, (1.0, 1.5, 1.5), strict=True):
        for place, mixture in enumerate(mixtures):
            lost = 0.25 if facts.spec.name == "base" and place == 0 else 0.0
            values = {"pesq_wb": base - lost, "stoi": math.nan, "si_sdr_db": 2.0}
            recipe = mixture.recipe
            found.append(Score(facts.spec.name, recipe.name, 0, recipe.snr_db, "rain", "talker", values))
    return found


@pytest.fixture
def written(scores: list[Score], mixtures: list[Mixture], tmp_path: Path) -> Path:
    path = tmp_path / "evaluation.json"
    write_evaluation(path, result_of(Run("python -m training evaluate", "c" * 16), FACTS, scores), scores, mixtures)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_result_is_strict_json_with_a_row_a_system(written: Path) -> None:
    result = json.loads(written.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert [(row["system"], row["latency_ms"], row["params"]) for row in result["systems"]] == [
        ("noisy", 0.0, None),
        ("base", 8.0, 198_849),
        ("base-float", 8.0, 198_979),
    ]
    base = result["systems"][1]
    assert (base["pesq_wb"], base["instructions_per_hop"], base["files"]) == (1.45, 280_000, 5)
    assert base["by_snr"]["-5"]["pesq_wb"] == 1.25
    assert base["ci95"] == {"pesq_wb": None, "si_sdr_db": None}  # one pair has no interval
    assert (result["command"], result["corpus"]) == ("python -m training evaluate", "c" * 16)
    assert result["over_noisy"]["base-float"]["pesq_wb"]["mean"] == 0.5


def test_what_integers_lose_is_said_with_the_worst_file(written: Path) -> None:
    (loss,) = read_evaluation(written)["integer_loss"]
    assert (loss["system"], loss["float"]) == ("base", "base-float")
    assert loss["metrics"]["pesq_wb"]["mean"] == -0.05
    assert loss["metrics"]["pesq_wb"]["lowest_file"] == "000_-5dB"
    assert loss_line(loss) == (
        "integers: base less base-float: PESQ-WB -0.0500, at worst -0.250; SI-SDR dB +0.0000, at worst +0.000"
    )


def test_float_and_integer_stand_side_by_side_a_file(written: Path) -> None:
    table = rows(beside(written, "integer.csv"))
    assert len(table) == 5
    assert (table[0]["system"], table[0]["float"], table[0]["file"]) == ("base", "base-float", "000_-5dB")
    assert (table[0]["pesq_wb"], table[0]["pesq_wb_float"]) == ("1.25000", "1.50000")
    assert table[0]["pesq_wb_difference"] == "-0.25000"
    assert table[0]["stoi_difference"] == ""


def test_every_mixture_is_a_line_and_a_missing_value_is_empty(written: Path) -> None:
    table = rows(beside(written, "files.csv"))
    assert len(table) == 15
    assert table[0]["stoi"] == ""
    assert {row["noise"] for row in table} == {"rain"}
    assert sum(float(row["pesq_wb"]) for row in table if row["system"] == "base") / 5 == pytest.approx(1.45)


def test_the_recipes_can_be_rendered_again(written: Path, mixtures: list[Mixture]) -> None:
    assert load_recipes(beside(written, "recipes.jsonl")) == [mixture.recipe for mixture in mixtures]


def test_the_table_tells_what_the_file_does(written: Path) -> None:
    console = Console(width=40, record=True, file=io.StringIO())
    print_table(read_evaluation(written), console)
    text = console.export_text()
    line = next(line for line in text.splitlines() if "base " in line)
    assert all(cell in line for cell in ("199k", "49.3", "280k", "1.45", "2.0"))
    assert "integers: base less base-float" in text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (8.7, "8.7"), (2130.0, "2.13k"), (198_979, "199k"), (2_850_000, "2.85M")]
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert short_number(value) == text


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"systems": []}', '{"format": "stapes-evaluation", "version": 1, "systems": []}']
)
def test_what_is_no_evaluation_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(content)
    with pytest.raises(RunError, match="evaluation") as caught:
        read_evaluation(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("system", 3),
        ("system", ""),
        ("system", "a\x1b[31m"),
        ("system", "\ud800"),
        ("latency_ms", -8),
        ("params", -5),
        ("pesq_wb", 10**400),
        ("pesq_wb", 1e308),
        ("ci95", {"pesq_wb": [2.0, 1.0]}),
        ("file", []),
        ("latency_ms", None),
        ("latency_ms", "8"),
        ("params", "many"),
        ("instructions_per_hop", True),
        ("pesq_wb", "1.5"),
        ("ci95", []),
        ("ci95", {"pesq_wb": [1.0]}),
        ("ci95", {"estoi": [0.1, "x"]}),
    ],
)
def test_a_row_of_foreign_types_is_refused(written: Path, name: str, value: Any) -> None:
    result = json.loads(written.read_text())
    result["systems"][-1][name] = value
    written.write_text(json.dumps(result))
    with pytest.raises(RunError, match=rf"system 2: {name}( of \w+|) makes no sense|system 2: no object") as caught:
        read_evaluation(written)
    assert "\n" not in str(caught.value)


def test_a_system_may_stand_there_but_once(written: Path) -> None:
    result = json.loads(written.read_text())
    result["systems"].append(result["systems"][0])
    written.write_text(json.dumps(result))
    with pytest.raises(RunError, match="lists a system twice"):
        read_evaluation(written)


@pytest.mark.parametrize(
    "losses",
    [
        {},
        [3],
        [{"system": "base", "float": "base-float"}],
        [{"system": "base", "float": "base-float", "metrics": {"pesq_wb": {"mean": None, "lowest": 0, "ci95": None}}}],
        [{"system": "base", "float": 1, "metrics": {}}],
    ],
)
def test_losses_of_foreign_types_are_refused(written: Path, losses: Any) -> None:
    result = json.loads(written.read_text())
    result["integer_loss"] = losses
    written.write_text(json.dumps(result))
    with pytest.raises(RunError, match="integer_loss is damaged"):
        read_evaluation(written)


def test_an_absent_evaluation_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="python -m training evaluate"):
        read_evaluation(tmp_path / "none.json")


def test_nothing_is_half_written(scores: list[Score], mixtures: list[Mixture], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result: dict[str, Any] = result_of(Run("", ""), FACTS, scores)
    with pytest.raises(RunError, match="cannot write"):
        write_evaluation(tmp_path / "file" / "evaluation.json", result, scores, mixtures)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
