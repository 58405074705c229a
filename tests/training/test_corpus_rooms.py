"""Rooms and music as parts of the corpus: built once, kept, listed, and read back by a recipe."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from tests.training.sounds import speechlike, write
from training import corpus, corpus_rooms
from training.audio import RATE_HZ, AudioCache
from training.corpus_clean import prepare_noise
from training.corpus_fetch import Archive
from training.corpus_report import write_manifests
from training.corpus_sources import LICENCES, MUSIC, NOISE, MusicSource
from training.datasets import load_manifest


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache in which the head's package is unpacked."""
    path = tmp_path / "cache/ext/libmysofa1" / corpus_rooms.HEAD_FILE
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file["SourcePosition"] = np.array([[0.0, 0.0, 1.4], [90.0, 0.0, 1.4], [180.0, 0.0, 1.4], [270.0, 0.0, 1.4]])
        file["Data.IR"] = np.random.default_rng(1).standard_normal((4, 2, 128)) * np.exp(-np.arange(128) / 10)
        file["Data.SamplingRate"] = np.array([16000.0])
        file.attrs["SOFAConventions"] = np.bytes_("SimpleFreeFieldHRIR")
    return tmp_path / "cache"


@pytest.fixture
def builder(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> corpus.Builder:
    monkeypatch.setattr(corpus_rooms, "ROOMS", 2)
    monkeypatch.setattr(corpus_rooms, "ROOM_PARTS", {"train": 2, "validation": 1, "test": 1})
    archive = Archive("libmysofa1", "libmysofa1_1.3.1~dfsg0-1_amd64.deb", 0, "")
    return corpus.Builder(tmp_path / "corpus", cache, [archive])


def test_rooms_of_every_split_are_built_listed_and_heard(builder: corpus.Builder) -> None:
    rows = builder.build_rooms()
    assert [row["split"] for row in rows] == ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    write_manifests(rows, builder.out)
    listed = load_manifest(builder.out)
    assert {(row.kind, row.licence) for row in listed} == {("room", LICENCES["libmysofa1"])}
    audio = AudioCache()
    for row in listed:
        info = soundfile.info(str(row.path))
        assert (info.samplerate, info.channels, info.subtype) == (RATE_HZ, 5, "PCM_24")
        for index in range(5):
            assert np.abs(audio.response(row.path, index)).max() == pytest.approx(0.9, abs=1e-4)


def test_a_second_build_keeps_the_rooms_and_mends_the_part_that_lost_one(builder: corpus.Builder) -> None:
    files = [builder.out / row["file"] for row in builder.build_rooms()]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    files[0].unlink()
    builder.build_rooms()
    after = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    assert [data for data, _ in after] == [data for data, _ in before]
    assert [time for _, time in after[2:]] == [time for _, time in before[2:]]


def test_without_the_head_package_there_are_no_rooms(builder: corpus.Builder) -> None:
    builder.archives = []
    assert builder.build_rooms() == []


def test_music_is_half_a_minute_from_the_middle_and_no_noise(tmp_path: Path) -> None:
    source = MusicSource("test", "tuxfootball", r"\.ogg$", "music", 5.0)
    long = write(tmp_path / "long.ogg", speechlike(60.0, 1))
    short = write(tmp_path / "short.ogg", speechlike(2.0, 2))
    prepared = [(path.name, prepare_noise(path, source.min_seconds)) for path in (long, short)]
    part = corpus_rooms.build_music(source, prepared, tmp_path / "out")
    assert part.counts == {"ok": 1, "short": 1}
    (row,) = part.rows
    assert (row["kind"], row["split"], row["seconds"]) == ("music", "test", 30.0)
    assert soundfile.info(str(tmp_path / "out" / row["file"])).frames == 30 * RATE_HZ


def test_no_package_has_music_of_two_splits_and_no_noise_source_takes_it() -> None:
    assert len({source.package for source in MUSIC}) == len(MUSIC)
    assert {source.split for source in MUSIC} == {"train", "test"}
    assert all(source.package in LICENCES for source in MUSIC)
    assert len({source.name for source in (*MUSIC, *NOISE)}) == len(MUSIC) + len(NOISE)
