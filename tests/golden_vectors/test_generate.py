"""Only `generate` writes vectors, and `--check` proves that the committed ones are its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from firmware_sim.graph import Graph
from golden_vectors.__main__ import BLESSED, main
from golden_vectors.errors import WitnessError
from golden_vectors.files import DIRECTORY
from golden_vectors.generate import check, generate, load_graphs
from tests.golden_vectors.conftest import Evidence
from tests.golden_vectors.models import small_graph, small_graphs


@pytest.fixture
def vectors(evidence: Evidence, tmp_path: Path) -> Path:
    return Path(shutil.copytree(evidence.vectors, tmp_path / "vectors"))


@pytest.mark.usefixtures("few_cases")
def test_a_second_run_writes_the_same_bytes(vectors: Path) -> None:
    assert check(vectors, small_graphs()) is None


def test_the_committed_vectors_are_reproduced_byte_for_byte() -> None:
    assert check(DIRECTORY, load_graphs(BLESSED)) is None


@pytest.mark.usefixtures("few_cases")
def test_check_names_the_first_file_that_differs(vectors: Path) -> None:
    path = vectors / "silence.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert check(vectors, small_graphs()) == f"{path}: is not what `generate` writes"


@pytest.mark.usefixtures("few_cases")
def test_check_names_a_missing_file_and_a_stranger(vectors: Path) -> None:
    (vectors / "stranger.json").write_text("{}")
    assert check(vectors, small_graphs()) == f"{vectors / 'stranger.json'}: belongs to no case"
    (vectors / "level_jump_90db.json").unlink()
    assert check(vectors, small_graphs()) == f"{vectors / 'level_jump_90db.json'}: is missing"


@pytest.mark.usefixtures("few_cases")
def test_check_sees_another_model(vectors: Path) -> None:
    graphs = {**small_graphs(), "int8": small_graph("int8", seed=5)}
    assert check(vectors, graphs) == f"{vectors / 'speech_int8.json'}: is not what `generate` writes"


@pytest.mark.usefixtures("few_cases")
def test_generate_removes_vectors_that_no_case_makes_any_more(vectors: Path) -> None:
    (vectors / "stranger.npz").write_bytes(b"")
    generate(vectors, small_graphs())
    assert not (vectors / "stranger.npz").exists()
    assert check(vectors, small_graphs()) is None


@pytest.mark.usefixtures("few_cases")
def test_a_folder_of_someone_elses_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "song.wav").write_bytes(b"music")
    with pytest.raises(WitnessError, match="holds other files than vectors"):
        generate(tmp_path, small_graphs())
    assert [path.name for path in tmp_path.rglob("*")] == ["song.wav"]


@pytest.mark.usefixtures("few_cases")
def test_files_below_the_vectors_that_are_none_of_theirs_stay(vectors: Path) -> None:
    mine = vectors / "notes" / "settings.json"
    mine.parent.mkdir()
    mine.write_text("{}")
    generate(vectors, small_graphs())
    assert mine.read_text() == "{}"


@pytest.mark.usefixtures("few_cases")
def test_the_command_line_checks_and_says_so(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--check", *evidence.options]) == 0
    assert "reproduced byte for byte" in capsys.readouterr().out
    changed = evidence.vectors / "zz.json"
    changed.write_text("{}")
    try:
        assert main(["generate", "--check", *evidence.options]) == 1
    finally:
        changed.unlink()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "zz.json: belongs to no case" in lines[0]


def test_a_missing_or_swapped_model_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(WitnessError, match=r"absent\.npz: no such file: `python -m export"):
        load_graphs({"int16x8": tmp_path / "absent.npz"})
    path = tmp_path / "swapped.npz"
    small_graph("int8").save(path)
    assert Graph.load(path).scheme == "int8"
    with pytest.raises(WitnessError, match="is a model of scheme int8, int16x8 is needed here"):
        load_graphs({"int16x8": path})
