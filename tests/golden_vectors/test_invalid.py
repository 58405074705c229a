"""Files that must be refused are refused, each with its own line; whoever accepts one turns verify red."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from golden_vectors import executors, invalid
from golden_vectors.__main__ import BLESSED, main
from golden_vectors.errors import WitnessError
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.files import DIRECTORY, load
from golden_vectors.generate import load_graphs
from golden_vectors.invalid import FOLDER, INVALID, MANIFEST, Invalid, refusal, verify_invalid
from golden_vectors.verify import FORGED, Outcome
from tests.golden_vectors.conftest import Evidence
from tests.golden_vectors.models import small_graphs

GRAPHS = load_graphs(BLESSED)
REFUSALS: dict[str, str] = json.loads((DIRECTORY / FOLDER / MANIFEST).read_bytes())


@pytest.mark.parametrize("one", INVALID, ids=lambda one: one.id)
def test_a_committed_invalid_vector_is_refused_with_the_line_of_the_manifest(one: Invalid) -> None:
    name = f"{one.id}/tiny.json"
    line = refusal(DIRECTORY / FOLDER / name, GRAPHS)
    assert line == REFUSALS[name]
    assert "\n" not in line


def test_the_manifest_names_every_invalid_vector_and_no_other() -> None:
    folders = {path.name for path in (DIRECTORY / FOLDER).iterdir() if path.is_dir()}
    assert folders == {one.id for one in INVALID} == {name.split("/")[0] for name in REFUSALS}
    assert len(folders) >= 20
    assert sum(path.stat().st_size for path in (DIRECTORY / FOLDER).rglob("*.*")) < 300_000


def test_a_forged_vector_passes_the_loader_and_is_refused_by_the_reference_alone() -> None:
    forged = [one.id for one in INVALID if one.refusal.endswith(FORGED)]
    assert forged == ["rehashed_mask", "forged_input", "forged_output", "forged_counters"]
    for name in forged:
        assert load(DIRECTORY / FOLDER / name / "tiny.json").id == "tiny"


# ---------------------------------------------------------------- the gate bites


@pytest.fixture
def folder(evidence: Evidence, tmp_path: Path) -> Path:
    return Path(shutil.copytree(evidence.vectors, tmp_path / "vectors"))


def outcome(folder: Path) -> Outcome:
    found = Outcome([])
    verify_invalid(folder, small_graphs(), found)
    return found


def first(found: Outcome) -> str:
    (cell,) = found.failures.values()
    return str(cell.first)


def test_the_set_of_another_model_is_refused_as_well(folder: Path) -> None:
    found = outcome(folder)
    assert not found.failures
    assert [cell.equal for cell in found.cells.values()] == [len(INVALID)]


@pytest.mark.parametrize(
    ("gate", "accepted"),
    [
        ("check_header", "other_format"),
        ("check_arrays", "big_endian_arrays"),
        ("trace.check_played", "renumbered_trace_lines"),
    ],
)
def test_a_loader_without_a_check_turns_verify_red(
    folder: Path, monkeypatch: pytest.MonkeyPatch, gate: str, accepted: str
) -> None:
    monkeypatch.setattr(f"golden_vectors.files.{gate}", lambda first, *_: first)
    found = first(outcome(folder))
    assert found.split(":")[0] in (accepted, "other_contract")


def test_a_loader_that_accepts_everything_turns_verify_red(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    valid = load(next((folder / FOLDER).glob("forged_input/*.json")))
    monkeypatch.setattr(invalid, "load", lambda path: valid)
    assert first(outcome(folder)).startswith("truncated_header: is refused with")


def test_a_valid_vector_in_the_place_of_an_invalid_one_turns_verify_red(folder: Path) -> None:
    from golden_vectors.generate import build

    for name, content in build(invalid.TINY, small_graphs()).files().items():
        (folder / FOLDER / "forged_output" / name).write_bytes(content)
    assert first(outcome(folder)).startswith(
        "forged_output: is accepted, expected 'tiny.json: numpy computes otherwise"
    )


def test_a_missing_invalid_vector_is_one_line(folder: Path) -> None:
    shutil.rmtree(folder / FOLDER / "big_endian_arrays")
    with pytest.raises(WitnessError, match="big_endian_arrays: no such folder: restore it or run"):
        outcome(folder)


@pytest.mark.usefixtures("few_cases")
def test_the_door_counts_them_and_fails_with_the_first_that_is_accepted(
    folder: Path, evidence: Evidence, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(executors, "registry", lambda: [NumpyReference()])
    arguments = ["verify", *evidence.options, "--vectors", str(folder), "--build", str(folder.parent), "--steps", "9"]
    assert main(arguments) == 0
    assert f"invalid: {len(INVALID)} of {len(INVALID)} spoiled vectors refused" in capsys.readouterr().out
    agreement = json.loads((folder.parent / "agreement.json").read_text())
    assert all(set(row) == {"numpy"} for row in agreement["schemes"].values())
    shutil.copytree(folder / FOLDER / "unknown_key", folder / FOLDER / "other_format", dirs_exist_ok=True)
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert f"invalid: {len(INVALID) - 1} of {len(INVALID)} spoiled" in out
    assert err.startswith("differs: loader, invalid (any): other_format: is refused with 'tiny.json: not a vector")


@pytest.mark.usefixtures("few_cases")
def test_a_vector_that_the_reference_does_not_compute_is_called_forged_or_stale(
    folder: Path, evidence: Evidence, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from golden_vectors.vector import Vector

    silence = load(folder / "silence.json")
    mask = silence.arrays["mask_q15"].copy()
    mask[40, 7] ^= 1
    for name, content in Vector(silence.header, {**silence.arrays, "mask_q15": mask}, silence.trace).files().items():
        (folder / name).write_bytes(content)
    monkeypatch.setattr(executors, "registry", lambda: [NumpyReference()])
    assert main(["verify", *evidence.options, "--vectors", str(folder), "--build", str(folder), "--steps", "9"]) == 1
    err = capsys.readouterr().err
    assert "silence: hop 40 (160 ms), stage network, mask_q15[7]: expected" in err
    assert f"\n  {FORGED}\n" in err
