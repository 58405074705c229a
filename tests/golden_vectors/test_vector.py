"""The file format: the same bytes everywhere, and one clear line for everything else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden_vectors.errors import WitnessError
from golden_vectors.vector import DIRECTORY, archive, load, load_all, write
from tests.golden_vectors.conftest import FEW, Evidence


@pytest.fixture
def copy(evidence: Evidence, tmp_path: Path) -> Path:
    """The header of one vector in a folder of its own."""
    for suffix in (".json", ".npz"):
        shutil.copy(evidence.vectors / f"silence{suffix}", tmp_path)
    return tmp_path / "silence.json"


def test_what_is_loaded_gives_the_same_bytes_again(evidence: Evidence) -> None:
    for vector in load_all(evidence.vectors):
        for name, content in vector.files().items():
            assert (evidence.vectors / name).read_bytes() == content


def test_vectors_come_in_the_order_of_their_numbers(evidence: Evidence) -> None:
    numbers = [vector.header["tcId"] for vector in load_all(evidence.vectors)]
    assert numbers == sorted(numbers)
    assert len(numbers) == len(set(numbers)) == len(FEW)


def test_a_header_says_which_bugs_its_vector_catches(evidence: Evidence) -> None:
    header = load(evidence.vectors / "reset_in_speech.json").header
    assert set(header["notes"]) == set(header["flags"]) == {"StateLost", "ResetWhileLearning"}
    assert all(note.startswith("catches ") for note in header["notes"].values())


def test_arrays_are_readable_by_plain_numpy_without_pickle(evidence: Evidence) -> None:
    with np.load(evidence.vectors / "silence.npz", allow_pickle=False) as arrays:
        assert arrays["input_pcm"].dtype == np.int16
        assert arrays["gain_q15"].shape == (60, 65)


def test_an_archive_depends_on_its_arrays_alone() -> None:
    a = np.arange(6).reshape(2, 3)
    assert archive({"a": a}) == archive({"a": np.asfortranarray(a)})
    assert archive({"a": a}) != archive({"a": a + 1})


def change(path: Path, **replaced: Any) -> None:
    header = json.loads(path.read_bytes())
    header.update(replaced)
    path.write_text(json.dumps(header))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.with_suffix(".npz").unlink(), "no such file"),
        (lambda path: path.write_text("{"), "not a vector"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not a vector"),
        (lambda path: path.write_text("[]"), "another file format"),
        (lambda path: change(path, schema="wycheproof"), "another file format"),
        (lambda path: change(path, schema_version=2), "schema version 2, this program has 1"),
        (lambda path: change(path, contract_version=99), "contract version 99"),
        (lambda path: change(path, surprise=1), "wrong keys: surprise"),
        (lambda path: change(path, kind="poem"), "wrong keys"),
        (lambda path: flip(path.with_suffix(".npz")), "not the file that the header was written for"),
        (lambda path: path.with_suffix(".npz").write_bytes(b""), "not the file that the header was written for"),
    ],
)
def test_a_damaged_vector_is_one_line_that_names_the_file(
    copy: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(copy)
    with pytest.raises(WitnessError, match=message) as caught:
        load(copy)
    assert "silence" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(WitnessError, match="python -m golden_vectors generate"):
        load_all(tmp_path)


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WitnessError, match="cannot be written"):
        write(tmp_path / "file", "a.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_committed_vectors_are_small_and_complete() -> None:
    vectors = load_all(DIRECTORY)
    assert {vector.kind for vector in vectors} == {"stream", "network"}
    assert sum(path.stat().st_size for path in DIRECTORY.iterdir()) < 3_000_000
