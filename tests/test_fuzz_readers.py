"""No reader is surprised: damaged files of every kind, small files that promise gigabytes, what fuzzing has found."""

from __future__ import annotations

import hashlib
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import firmware_sim.__main__ as firmware_door
from export.provenance import ExportError
from export.student import load_student
from firmware_sim.graph import Graph, GraphError
from firmware_sim.reading import DamagedArchive, arrays_of, one_line
from golden_vectors.errors import WitnessError
from golden_vectors.files import DIRECTORY, load
from tests import damage, fuzz_readers
from training.datasets import CorpusError
from training.files import RunError
from training.handoff import load_student as load_float_student
from training.recipes import load_recipes
from training.runs import save_checkpoint

MOST_BYTES = 100 << 20

# ---------------------------------------------------------------- any damage


@pytest.mark.parametrize("reader", fuzz_readers.TRIES)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False))
def test_a_damaged_file_is_read_rightly_or_refused_in_one_line(
    reader: str, chance: Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    assert fuzz_readers.TRIES[reader](chance, folder).split(" ")[0] in ("refused", "read")


@pytest.mark.parametrize("reader", fuzz_readers.TRIES)
def test_some_damaged_files_are_refused_and_some_are_still_right(reader: str, tmp_path: Path) -> None:
    """So that neither half of the promise is left unproven."""
    found = {fuzz_readers.TRIES[reader](Random(seed), tmp_path).split(" ")[0] for seed in range(24)}
    assert found == {"refused", "read"}


@pytest.mark.parametrize(
    "message", ["model.npz: two\nlines", "another file", "model.npz: \x1b[31m", "model.npz: " + "x" * 5000]
)
def test_a_message_that_is_not_one_clear_line_is_caught(message: str) -> None:
    with (
        pytest.raises(fuzz_readers.ReaderError, match="not one clear line"),
        fuzz_readers.judged(Path("model.npz"), GraphError),
    ):
        raise GraphError(message)


def test_any_other_exception_and_any_warning_is_caught() -> None:
    with pytest.raises(KeyError), fuzz_readers.judged(Path("model.npz"), GraphError):
        raise KeyError("x")
    with pytest.raises(RuntimeWarning), fuzz_readers.judged(Path("model.npz"), GraphError):
        np.float64(1e308) * np.float64(1e308)


def test_a_reader_that_takes_too_long_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_readers, "SLOWEST_SECONDS", -1.0)
    with pytest.raises(fuzz_readers.ReaderError, match="took 0 s"), fuzz_readers.judged(Path("model.npz"), GraphError):
        pass


# ---------------------------------------------------------------- memory


def refused_within_memory(call: Callable[[], object], error: type[Exception]) -> str:
    """The message of a refusal that took no more memory than allowed."""
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            call()
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    return str(caught.value)


def test_memory_that_a_reader_takes_is_seen() -> None:
    def greedy() -> None:
        np.empty(MOST_BYTES + 1, np.uint8)
        raise GraphError

    with pytest.raises(AssertionError):
        refused_within_memory(greedy, GraphError)


def write_vector(folder: Path, arrays: bytes) -> Path:
    """A vector whose header names the sha256 of the arrays."""
    header = json.loads((DIRECTORY / "network_speech_int8.json").read_bytes())
    header["files"]["npz"] = hashlib.sha256(arrays).hexdigest()
    path = folder / "network_speech_int8.json"
    path.write_text(json.dumps(header))
    path.with_suffix(".npz").write_bytes(arrays)
    return path


@pytest.fixture(scope="module")
def bomb() -> bytes:
    return damage.bomb("meta", 140)


def everywhere(folder: Path, archive: bytes) -> list[tuple[Callable[[], object], type[Exception]]]:
    """Each reader of .npz, on an archive."""
    path, vector = folder / "file.npz", write_vector(folder, archive)
    path.write_bytes(archive)
    return [
        (lambda: Graph.load(path), GraphError),
        (lambda: load_student(path), ExportError),
        (lambda: load_float_student(path), RunError),
        (lambda: load(vector), WitnessError),
    ]


@pytest.mark.parametrize("header", damage.LYING_HEADERS)
def test_a_hundred_bytes_that_promise_gigabytes_are_refused(header: str, tmp_path: Path) -> None:
    lie = damage.npy_that_says(header)
    for call, error in everywhere(tmp_path, damage.archive_of([("graph.npy", lie), ("meta.npy", lie)])):
        assert "\n" not in refused_within_memory(call, error)


def test_a_small_archive_that_unfolds_to_a_large_one_is_refused(bomb: bytes, tmp_path: Path) -> None:
    assert len(bomb) < 1 << 20
    for call, error in everywhere(tmp_path, bomb):
        refused_within_memory(call, error)


# ---------------------------------------------------------------- arrays of an archive

PLAIN = {"a": np.arange(6, dtype="<i2").reshape(2, 3), "b": np.array("text"), "c": np.zeros((0, 4), ">f8")}


def packed(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_plain_arrays_of_any_order_and_version_come_back() -> None:
    arrays = {**PLAIN, "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "t": np.array([True, False])}
    members = [
        (f"{name}.npy", damage.npy(array, version)) for version in ((1, 0), (2, 0)) for name, array in arrays.items()
    ]
    for raw in (packed(**arrays), damage.archive_of(members[:5]), damage.archive_of(members[5:])):
        found = arrays_of(raw, 1 << 20)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
            assert found[name].flags.writeable


def test_what_is_not_plain_is_refused_with_its_reason() -> None:
    plain, two = damage.npy(PLAIN["a"]), ("a.npy", damage.npy(PLAIN["a"]))
    for members, reason in [
        ([two, two], "doubled"),
        ([("a.txt", plain)], "not .npy"),
        ([("a.npy", plain + b"x")], "a.npy does not hold what its header promises"),
        ([("a.npy", plain[:-1])], "a.npy does not hold what its header promises"),
        ([("a.npy", damage.npy(np.array([{}], object)))], "no plain numbers"),
        ([("a.npy", damage.npy(np.zeros(2, [("x", "<i2")])))], "no plain numbers"),
        ([("a.npy", damage.npy(PLAIN["a"], (3, 0)))], "another version"),
        ([("a.npy", b"")], "not an archive of arrays"),
    ]:
        with pytest.raises(DamagedArchive, match=reason):
            arrays_of(damage.archive_of(members), 1 << 20)
    with pytest.raises(DamagedArchive, match="more than 100 bytes"):
        arrays_of(packed(**PLAIN), 100)


def test_a_reason_is_one_printable_line_of_bounded_length() -> None:
    assert one_line(ValueError("two\n lines")) == "two lines"
    assert one_line(ValueError()) == "ValueError"
    assert one_line("\x1b[31m\ud800") == "\\x1b[31m\\ud800"
    assert len(one_line("x" * 5000)) < 400


# ---------------------------------------------------------------- what fuzzing has found


def test_a_vector_whose_arrays_have_an_empty_dtype_is_refused(tmp_path: Path) -> None:
    """numpy raised IndexError."""
    lie = damage.npy_that_says("{'descr': (), 'fortran_order': False, 'shape': (1,), }")
    with pytest.raises(WitnessError, match=r"network_speech_int8\.json: not a vector of this version"):
        load(write_vector(tmp_path, damage.archive_of([("mask.npy", lie)])))


def test_a_rate_that_the_output_cannot_hold_is_told_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line named no file."""
    path = tmp_path / "noisy.wav"
    soundfile.write(path, np.zeros(8), 2_000_000)
    assert firmware_door.main([str(path), "-o", str(tmp_path / "clean.flac"), "--wiener-only"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"stapes: {path}: FLAC cannot hold this signal: flac does not support this sample rate."


def test_a_student_of_the_other_byte_order_is_read_by_training(tmp_path: Path) -> None:
    """torch raised ValueError."""
    from training.designs import SEED
    from training.handoff import FORMAT, VERSION
    from training.student import Student, shape_for

    arrays = {name: tensor.numpy().astype(">f4") for name, tensor in Student(shape_for(SEED, 8)).state_dict().items()}
    meta = {"format": FORMAT, "version": VERSION, "profile": "seed"}
    (tmp_path / "student.npz").write_bytes(packed(**arrays, meta=np.array(json.dumps(meta))))
    student, _ = load_float_student(tmp_path / "student.npz")
    for name, tensor in student.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), arrays[name])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "recursion"),
        ("5", "a recipe must be an object"),
        ('"text"', "a recipe must be an object"),
        ("null", "a recipe must be an object"),
    ],
)
def test_lines_of_another_json_are_no_recipes(text: str, reason: str, tmp_path: Path) -> None:
    """RecursionError and AttributeError came through."""
    path = tmp_path / "recipes.jsonl"
    path.write_bytes(fuzz_readers.recipe_line() + text.encode())
    with pytest.raises(CorpusError, match=rf"recipes.jsonl:2 is not a mixing recipe: .*{reason}"):
        load_recipes(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"length": -1}, "length is -1"),
        ({"length": 1.5}, "length is 1.5"),
        ({"snr_db": float("nan")}, "snr_db is nan"),
        ({"snr_db": 10**400}, "snr_db is 1000"),
        ({"snr_db": "5"}, "snr_db is '5'"),
        ({"name": None}, "name is None"),
        ({"speech": {}}, "speech is not a list"),
        ({"speech": [{"path": "a.wav", "start": -1, "length": 1, "at": 0}]}, "speech: start is -1"),
        ({"speech": [{"path": 5, "start": 0, "length": 1, "at": 0}]}, "speech: path is 5"),
        ({"shaped": [5]}, "shaped must be an object"),
        ({"more": 1}, "a recipe must be an object with"),
    ],
)
def test_recipes_with_values_of_another_type_or_range_are_refused(
    change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    """They were read, and failed while they were rendered."""
    path = tmp_path / "recipes.jsonl"
    path.write_text(json.dumps({**json.loads(fuzz_readers.recipe_line()), **change}))
    with pytest.raises(CorpusError, match=rf"recipes.jsonl:1 is not a mixing recipe: .*{reason}"):
        load_recipes(path)


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        ("settings", 5, "no settings"),
        ("settings", {"unknown": 1}, "another version"),
        ("settings", {"blocks": "x"}, "another version"),
        ("settings", {"loss": "unknown", "blocks": 1}, "another version: unknown loss"),
        ("progress", {"unknown": 1}, "another version"),
        ("progress", {"block": "x"}, "another version"),
        ("student", {}, "another version"),
        ("student", {"norm.weight": torch.zeros(3)}, "another version"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(part: str, value: object, reason: str, tmp_path: Path) -> None:
    """TypeError, AttributeError and RuntimeError came through."""
    content = torch.load(io.BytesIO(fuzz_readers.checkpoint_bytes()), weights_only=True)
    save_checkpoint(tmp_path / "best.pt", {**content, part: value})
    with pytest.raises(RunError, match=rf"best.pt is .*{reason}") as caught:
        fuzz_readers.trainer().warm_start(tmp_path / "best.pt")
    assert "\n" not in str(caught.value)
