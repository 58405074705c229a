"""The file format: the same bytes everywhere, and one clear line for everything else."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden_vectors.cases import CASES
from golden_vectors.errors import WitnessError
from golden_vectors.files import DIRECTORY, load, load_all
from golden_vectors.kinds import KINDS
from golden_vectors.vector import archive, write
from tests.golden_vectors.conftest import FEW, Evidence


@pytest.fixture
def copy(evidence: Evidence, tmp_path: Path) -> Path:
    """The header of one vector in a folder of its own."""
    for path in evidence.vectors.glob("silence.*"):
        shutil.copy(path, tmp_path)
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
        assert arrays["vad"].dtype == np.uint8
        assert arrays["mask_q15"].shape == (60, 64)


def test_an_archive_depends_on_its_arrays_alone() -> None:
    a = np.arange(6).reshape(2, 3)
    assert archive({"a": a}) == archive({"a": np.asfortranarray(a)})
    assert archive({"a": a}) != archive({"a": a + 1})


def change(path: Path, **replaced: Any) -> None:
    header = json.loads(path.read_bytes())
    header.update(replaced)
    path.write_text(json.dumps(header))


def nested(path: Path, key: str, **replaced: Any) -> None:
    change(path, **{key: json.loads(path.read_bytes())[key] | replaced})


def rearray(path: Path, **replaced: Any) -> None:
    """Other arrays (None: none) under the sha256 that fits them."""
    vector = load(path)
    arrays = {name: values for name, values in {**vector.arrays, **replaced}.items() if values is not None}
    for name, content in replace(vector, arrays=arrays).files().items():
        (path.parent / name).write_bytes(content)


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
        (lambda path: change(path, schema_version=1), "schema version 1, this program has 2"),
        (lambda path: change(path, contract_version=99), "contract version 99"),
        (lambda path: change(path, surprise=1), "wrong keys: surprise"),
        (lambda path: change(path, kind="poem"), "kind must be one of stream, network, drift, closed_loop"),
        (lambda path: change(path, kind=["stream"]), "kind must be one of stream, network, drift, "),
        (lambda path: change(path, tcId="x"), "tcId must be a whole number above 0, it is 'x'"),
        (lambda path: change(path, tcId=None), "tcId must be a whole number above 0, it is None"),
        (lambda path: change(path, tcId=True), "tcId must be a whole number above 0, it is True"),
        (lambda path: change(path, id="noise"), "the file is named silence, its id is noise"),
        (lambda path: change(path, group=7), "group must be text"),
        (lambda path: change(path, scheme="float"), "scheme must be one of int16x8, int8"),
        (lambda path: change(path, byte_order="big"), "byte_order must be little"),
        (lambda path: change(path, flags="all"), "flags must be a list"),
        (lambda path: change(path, notes={}), "notes must be one note per flag"),
        (lambda path: change(path, id="Silence 1"), "id must be lower-case letters, digits and underscores"),
        (lambda path: change(path, notes={"NoiseFloor": ""}), "notes must be text"),
        (lambda path: change(path, generator_version="new"), "generator_version must be three numbers"),
        (lambda path: change(path, files={}), "files must be a SHA-256 for each of npz, wav, out.wav, trace"),
        (lambda path: nested(path, "files", wav="0"), "files must be a SHA-256 for each of npz, wav, out.wav, trace"),
        (lambda path: change(path, hops_per_line=2), "hops_per_line must be 1, it is 2"),
        (lambda path: change(path, hops=0), "hops must be a whole number above 0"),
        (
            lambda path: change(path, hops=59),
            "silence.trace, line 61: is one too many: there are 59",
        ),
        (lambda path: change(path, resets=[3, 2]), "resets must be ascending hops below 60"),
        (lambda path: change(path, resets=[60]), "resets must be ascending hops below 60"),
        (lambda path: change(path, counters=[]), "counters must be two numbers for each of"),
        (lambda path: nested(path, "counters", rfft=[0]), "counters of rfft must be two whole numbers"),
        (lambda path: change(path, parameters="default"), "parameters must be an object with gain_floor_q15"),
        (lambda path: nested(path, "parameters", volume=3), "wrong keys in parameters: volume"),
        (lambda path: nested(path, "parameters", dry_q15="0"), "parameters: dry_q15 must be of type int, it is '0'"),
        (lambda path: nested(path, "parameters", bypass=0), "parameters: bypass must be of type bool, it is 0"),
        (lambda path: nested(path, "parameters", dry_q15=40000), "dry_q15 = 40000 is outside"),
        (lambda path: nested(path, "profile", analysis_samples=100), "analysis 100 is not a power of two"),
        (lambda path: rearray(path, vad=None), "the .npz lacks vad"),
        (lambda path: rearray(path, poem=np.zeros(3)), "the .npz holds foreign poem"),
        (lambda path: rearray(path, pcm=np.zeros((59, 64), "<i2")), "must be int16 (60, 64), it is int16 (59, 64)"),
        (lambda path: rearray(path, vad=np.zeros(60)), "vad must be uint8 (60), it is float64 (60)"),
        (lambda path: rearray(path, input_pcm=np.zeros(64, "<i2")), "input_pcm must be int16 (3840), it is int16 (64)"),
        (lambda path: rearray(path, pcm=np.ones((60, 64), "<i2")), "line 2: overlap_add is not the digest of the pcm"),
        (
            lambda path: nested(path, "profile", name="other"),
            "profile other with these sizes is none of",
        ),
        (lambda path: flip(path.with_suffix(".npz")), "not the file that the header was written for"),
        (lambda path: path.with_suffix(".npz").write_bytes(b""), "not the file that the header was written for"),
        (lambda path: flip(path.with_suffix(".wav")), "silence.wav is not the file that the header was written for"),
        (lambda path: path.with_suffix(".out.wav").unlink(), "silence.out.wav: no such file"),
        (lambda path: path.with_suffix(".trace").unlink(), "silence.trace: no such file"),
    ],
)
def test_a_damaged_vector_is_one_line_that_names_the_file(
    copy: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(copy)
    with pytest.raises(WitnessError, match=re.escape(message)) as caught:
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
    vectors = load_all(DIRECTORY, CASES)
    assert [vector.id for vector in vectors] == [case.id for case in CASES]
    assert {vector.kind for vector in vectors} == set(KINDS)
    assert sum(path.stat().st_size for path in DIRECTORY.rglob("*.*")) < 5_000_000
