"""Loaders: every layout gives the same rows, split by talker; wrong folders give one clear line."""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training import layouts
from training.datasets import (
    SPLITS,
    CorpusError,
    Recording,
    add_dataset_arguments,
    load_manifest,
    recordings_from_arguments,
)

Tree = Callable[[Iterable[str]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes a quarter of a second of seeded noise to each relative path; returns their root."""

    def grow(paths: Iterable[str]) -> Path:
        for seed, name in enumerate(paths):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            samples = 0.1 * np.random.default_rng(seed).standard_normal(4000)
            soundfile.write(str(path), samples, 16000, subtype="PCM_16")
        return tmp_path

    return grow


def splits_of(rows: Iterable[Recording], kind: str = "speech") -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        if row.kind == kind:
            found.setdefault(row.split, set()).add(row.speaker if kind == "speech" else row.path.name)
    return found


def assert_apart(rows: list[Recording]) -> None:
    """All three splits are there, and no talker and no file is in two of them."""
    for kind in {row.kind for row in rows}:
        found = splits_of(rows, kind)
        assert set(found) == set(SPLITS)
        assert len(set().union(*found.values())) == sum(map(len, found.values()))


def write_manifest(root: Path, rows: list[dict[str, object]]) -> Path:
    path = root / "manifest.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def manifest_row(file: str, **fields: object) -> dict[str, object]:
    kind = "noise" if "noise" in file else "speech"
    row = {"file": file, "split": "train", "kind": kind, "seconds": 0.25, "speaker": "", "noise_kind": ""}
    return {**row, **fields}


def test_a_manifest_gives_its_rows_with_paths_beside_it(tree: Tree) -> None:
    root = tree(["train/a.flac", "test/noise.flac"])
    rows = [
        manifest_row("train/a.flac", speaker="ann", recording="a1", licence="CC0"),
        manifest_row("test/noise.flac", split="test", recording="", licence=""),
    ]
    write_manifest(root, rows)
    speech, noise = load_manifest(root)
    assert speech == Recording(root / "train/a.flac", "speech", "train", "ann", "a1", "", 0.25, "CC0")
    assert (noise.kind, noise.noise_kind, noise.recording) == ("noise", "other", "test/noise.flac")
    assert load_manifest(root / "manifest.csv", splits=["test"]) == [noise]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (manifest_row("gone.flac"), "lists .*gone.flac, which is not there"),
        (manifest_row("a.flac", seconds="long"), "seconds of 'a.flac' is 'long', not a number"),
        (manifest_row("a.flac", seconds="nan"), "seconds of 'a.flac' is 'nan', not a number from 0 up"),
        (manifest_row("a.flac", seconds="-5"), "seconds of 'a.flac' is '-5', not a number from 0 up"),
        (manifest_row("a.flac", split="dev"), "'dev/speech', not a known split and kind"),
        ({"file": "a.flac", "kind": "speech"}, "is not a corpus manifest: no column seconds, split"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_line(tree: Tree, row: dict[str, object], message: str) -> None:
    root = tree(["a.flac"])
    write_manifest(root, [row])
    with pytest.raises(CorpusError, match=message) as caught:
        load_manifest(root, splits=["train", "dev"])
    assert "\n" not in str(caught.value)


def test_a_missing_or_empty_corpus_says_how_to_build_one(tree: Tree) -> None:
    root = tree(["a.flac"])
    with pytest.raises(CorpusError, match="build it with `python -m training corpus`"):
        load_manifest(root)
    write_manifest(root, [manifest_row("a.flac")])
    with pytest.raises(CorpusError, match="lists no recordings of test"):
        load_manifest(root, splits=["test"])


def test_ears_keeps_its_own_splits_and_leaves_out_what_is_not_speech(tree: Tree) -> None:
    talkers = ["p001", "p002", "p099", "p100", "p101", "p102", "p107"]
    styles = ["emo_anger_freeform", "rainbow_01_whisper", "nonverbal_cough", "melodic", "interjection_hm"]
    rows = layouts.load_ears(tree(f"{talker}/{style}.wav" for talker in talkers for style in styles))
    assert len(rows) == 14
    assert splits_of(rows) == {
        "train": {"p001", "p002", "p099"},
        "validation": {"p100", "p101"},
        "test": {"p102", "p107"},
    }


def test_a_piece_of_ears_still_gives_three_splits(tree: Tree) -> None:
    assert_apart(layouts.load_ears(tree(f"p{number:03d}/emo_anger.wav" for number in range(1, 9))))


def test_wham_keeps_tr_cv_tt(tree: Tree) -> None:
    root = tree(f"wham_noise/{part}/{part}{index}.wav" for part in ("tr", "cv", "tt") for index in range(2))
    rows = layouts.load_wham(root)
    expected = {"train": "tr", "validation": "cv", "test": "tt"}
    assert splits_of(rows, "noise") == {split: {f"{part}0.wav", f"{part}1.wav"} for split, part in expected.items()}


def test_wham_at_48_khz_is_split_by_recording_and_joins_ears(tree: Tree) -> None:
    root = tree(
        [f"noise/high_res_wham/audio/{index}.wav" for index in range(8)]
        + [f"ears/p{number:03d}/emo_anger.wav" for number in range(96, 108)]
    )
    rows = layouts.load_ears_wham(root / "ears", root / "noise")
    assert_apart(rows)
    assert {row.kind for row in rows} == {"speech", "noise"}


def test_librispeech_subsets_are_the_splits(tree: Tree) -> None:
    names = ("train-clean-100/19/198/19-198-0000", "dev-clean/84/1/84-1-0000", "test-other/61/7/61-7-0000")
    rows = layouts.load_librispeech(tree(f"LibriSpeech/{name}.flac" for name in names))
    assert splits_of(rows) == {"train": {"19"}, "validation": {"84"}, "test": {"61"}}


def test_one_subset_of_librispeech_is_split_by_talker(tree: Tree) -> None:
    root = tree(f"dev-clean/{talker}/1/{talker}-1-{take:04d}.flac" for talker in range(30, 50) for take in range(2))
    rows = layouts.load_librispeech(root)
    assert_apart(rows)
    assert len(splits_of(rows)["train"]) == 18


@pytest.mark.parametrize(
    ("clean", "noise"), [("datasets_fullband/clean_fullband", "datasets_fullband/noise_fullband"), ("clean", "noise")]
)
def test_dns_is_split_by_the_reader_in_the_file_name(tree: Tree, clean: str, noise: str) -> None:
    book = clean + "/read_speech/book_{0}_chp_0009_reader_{1:05d}_{0}.wav"
    speech = [book.format(take, reader) for reader in range(10) for take in range(2)]
    vctk = [f"{clean}/vctk_wav48_silence_trimmed/p{number}/p{number}_001_mic1.flac" for number in (225, 226)]
    rows = layouts.load_dns(tree([*speech, *vctk, *(f"{noise}/fileid_{index}.wav" for index in range(5))]))
    assert_apart(rows)
    speakers = {row.speaker for row in rows if row.kind == "speech"}
    assert speakers == {f"{reader:05d}" for reader in range(10)} | {"p225", "p226"}


def test_voicebank_noise_is_the_difference_of_the_pair(tree: Tree, tmp_path: Path) -> None:
    names = ["p226_001", "p227_001", "p228_001", "p232_001"]
    parts = ["trainset_28spk"] * 3 + ["testset"]
    root = tree(
        f"{what}_{part}_wav/{name}.wav" for name, part in zip(names, parts, strict=True) for what in ("clean", "noisy")
    )
    (root / "log_trainset_28spk.txt").write_text("p226_001 babble 10\np227_001 cafeteria 5\n")
    rows = layouts.load_voicebank_demand(root, tmp_path / "derived")
    assert splits_of(rows) == {"train": {"p227", "p228"}, "validation": {"p226"}, "test": {"p232"}}
    noises = {row.path.stem: row for row in rows if row.kind == "noise"}
    assert noises["p226_001"].noise_kind == "babble"
    assert noises["p228_001"].noise_kind == "other"
    clean, noisy = (soundfile.read(str(root / f"{what}_testset_wav/p232_001.wav"))[0] for what in ("clean", "noisy"))
    np.testing.assert_allclose(soundfile.read(str(noises["p232_001"].path))[0], noisy - clean, atol=1 / 32768)
    before = noises["p232_001"].path.stat().st_mtime_ns
    assert layouts.load_voicebank_demand(root, tmp_path / "derived") == rows
    assert noises["p232_001"].path.stat().st_mtime_ns == before, "written once"


def test_voicebank_without_its_test_set_holds_out_a_talker(tree: Tree, tmp_path: Path) -> None:
    names = [f"p{talker}_{take:03d}" for talker in (230, 231, 233, 236) for take in range(2)]
    root = tree(f"{what}_trainset_28spk_wav/{name}.wav" for name in names for what in ("clean", "noisy"))
    rows = layouts.load_voicebank_demand(root, tmp_path / "derived")
    assert_apart(rows)
    speech = {row.path.stem: row.split for row in rows if row.kind == "speech"}
    assert speech == {row.path.stem: row.split for row in rows if row.kind == "noise"}, "noise goes with its talker"


def test_a_voicebank_file_without_its_partner_is_named(tree: Tree, tmp_path: Path) -> None:
    root = tree(f"clean_trainset_wav/p{talker}_001.wav" for talker in (226, 227, 228))
    with pytest.raises(CorpusError, match=r"p226_001.wav has no noisy partner"):
        layouts.load_voicebank_demand(root, tmp_path / "derived")


def test_plain_folders_take_talkers_kinds_and_splits_from_folder_names(tree: Tree) -> None:
    speech = [f"s/{split}/{split}_{talker}/x.wav" for split in ("train", "dev", "test") for talker in "ab"]
    noise = [f"n/rain/{index}.flac" for index in range(6)] + ["n/babble__cafe.wav"]
    root = tree([*speech, *noise])
    rows = layouts.load_folders(root / "s", root / "n")
    assert_apart(rows)
    assert splits_of(rows)["validation"] == {"dev_a", "dev_b"}
    assert {row.noise_kind for row in rows} == {"", "rain", "babble"}


def test_a_flat_folder_of_speech_is_one_talker_split_by_file(tree: Tree) -> None:
    rows = layouts.load_speech_folder(tree(f"me/{index}.wav" for index in range(12)) / "me")
    assert {row.speaker for row in rows} == {"me"}
    assert {row.split for row in rows} == set(SPLITS)


def test_the_split_of_a_folder_does_not_depend_on_where_it_lies(tree: Tree) -> None:
    names = [f"{talker}/{take}.wav" for talker in "abcdefgh" for take in range(2)]
    root = tree([*(f"here/{name}" for name in names), *(f"there/deep/{name}" for name in names)])
    here, there = (layouts.load_speech_folder(root / name) for name in ("here", "there/deep"))
    assert [(row.speaker, row.split) for row in here] == [(row.speaker, row.split) for row in there]


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (layouts.load_ears, "is not EARS: it has no talker folders p001"),
        (layouts.load_wham, "is not WHAM! noise: it has none of the folders tr, cv, tt, audio"),
        (layouts.load_librispeech, "is not LibriSpeech: it has no folder such as train-clean-100"),
        (layouts.load_dns, "is not DNS-Challenge: it needs clean_fullband and noise_fullband"),
        (layouts.load_voicebank_demand, "is not VoiceBank-DEMAND: it has no clean_trainset_28spk_wav"),
    ],
)
def test_a_foreign_folder_is_refused_in_one_line(
    tree: Tree, load: Callable[[Path], list[Recording]], message: str
) -> None:
    root = tree(["something/else.wav"])
    for folder, text in ((root, message), (root / "absent", "folder at .*absent: give the folder")):
        with pytest.raises(CorpusError, match=text) as caught:
            load(folder)
        assert "\n" not in str(caught.value)


def test_folders_with_nothing_too_little_or_no_audio_are_refused(tree: Tree) -> None:
    root = tree(["two/a.wav", "two/b.wav"])
    (root / "empty").mkdir()
    (root / "bad").mkdir()
    (root / "bad/x.wav").write_bytes(b"not audio")
    for name, message in {
        "empty": "no audio in .*empty: looked for .flac",
        "two": "two has too few recordings for train, validation and test",
        "bad": "cannot read .*x.wav as audio",
    }.items():
        with pytest.raises(CorpusError, match=message):
            layouts.load_noise_folder(root / name)


def test_a_file_name_that_is_not_utf8_is_refused_in_one_line(tree: Tree) -> None:
    root = tree(f"{talker}/1.wav" for talker in "abcd")
    (root / "a/1.wav").rename(root / os.fsdecode(b"a/\xff.wav"))
    for load in (layouts.load_speech_folder, layouts.load_noise_folder):
        with pytest.raises(CorpusError, match=r"\\udcff.wav' is not UTF-8: rename") as caught:
            load(root)
        assert "\n" not in str(caught.value)
        assert str(caught.value).isascii()


def test_a_manifest_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"file,split\xff\n")
    with pytest.raises(CorpusError, match="it is not UTF-8 text"):
        load_manifest(tmp_path)


def parsed(*flags: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_dataset_arguments(parser)
    return parser.parse_args([str(flag) for flag in flags])


def test_flags_combine_layouts(tree: Tree) -> None:
    root = tree([f"s/{talker}/1.wav" for talker in "abcd"] + [f"n/tr/{index}.wav" for index in range(4)])
    rows = recordings_from_arguments(parsed("--speech", root / "s", "--wham", root / "n"))
    assert_apart(rows)


def test_flags_that_bring_no_noise_are_refused(tree: Tree) -> None:
    root = tree(f"{talker}/1.wav" for talker in "abcd")
    with pytest.raises(CorpusError, match="--speech gives no noise: add a flag that brings noise"):
        recordings_from_arguments(parsed("--speech", root))


def test_without_flags_the_built_corpus_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match=r"no corpus manifest at build/corpus/manifest.csv"):
        recordings_from_arguments(parsed())
