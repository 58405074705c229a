"""The corpus builder: fetched and checked, cleaned, split by talker, resumed, and clear where it cannot work.

Small archives stand for the Debian packages: tar files that a stand-in apt-get serves and a stand-in
dpkg-deb unpacks.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import re
import stat
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.training.sounds import speechlike, write
from training import corpus, corpus_fetch, corpus_parts
from training.audio import RATE_HZ, active_rms
from training.corpus_sources import LICENCES, SPEECH
from training.datasets import SPLITS, load_manifest

PACKAGES = ("klettres-data", "lincity-ng-data")
LETTERS = [source for source in SPEECH if source.package == "klettres-data"]
BABBLE = [3, 1, 2]
NOISES = ("University1", "MarketMed2", "Tip1", "Farm1", "Mill2")  # validation, test, none, train, train


def fill_packages(root: Path) -> None:
    """Contents of the two packages: three words for each talker, five noises, a file twice, one too noisy."""
    for number, source in enumerate(LETTERS):
        folder = re.search(r"klettres/(\w+)/", source.pattern)
        assert folder
        for take in range(3):
            target = root / "klettres-data/usr/share/klettres" / folder[1] / f"{take}.ogg"
            write(target, speechlike(0.9 + 0.9 * take, 10 * number + take, 44100), 44100)
    hiss = 0.1 * np.random.default_rng(5).standard_normal(RATE_HZ)
    write(root / "klettres-data/usr/share/klettres/da/noisy.ogg", hiss)
    for number, name in enumerate(NOISES):
        noise = 0.05 * np.random.default_rng(100 + number).standard_normal((66150, 2))
        write(root / f"lincity-ng-data/usr/share/lincity-ng/sounds/{name}.wav", noise, 22050)
    sounds = root / "lincity-ng-data/usr/share/lincity-ng/sounds"
    (sounds / "Copy.wav").write_bytes((sounds / "Mill2.wav").read_bytes())
    for package in PACKAGES:
        copyright_file = root / package / "usr/share/doc" / package / "copyright"
        copyright_file.parent.mkdir(parents=True)
        copyright_file.write_text(f"authors of {package}\n")


APT_GET = """#!{python}
import pathlib, shutil, sys
shop = pathlib.Path({shop!r})
with open(shop / "calls", "a") as calls:
    print(*sys.argv[1:], file=calls)
listing = dict(line.split(maxsplit=1) for line in (shop / "index").read_text().splitlines())
for name in (word for word in sys.argv[2:] if not word.startswith("-")):
    if name not in listing:
        print("E: Unable to locate package", name, file=sys.stderr)
    elif "--print-uris" in sys.argv:
        print("'http://shop/" + name + "'", listing[name])
    elif (shop / "broken").exists():
        sys.exit("E: Failed to fetch, no network")
    else:
        shutil.copy(shop / listing[name].split()[0], ".")
"""
DPKG_DEB = """#!{python}
import sys, tarfile
tarfile.open(sys.argv[2]).extractall(sys.argv[3], filter="data")
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two archives and the stand-ins of apt-get and dpkg-deb on PATH."""
    folder = tmp_path / "shop"
    contents = tmp_path / "contents"
    folder.mkdir()
    fill_packages(contents)
    index = []
    for package in PACKAGES:
        name = f"{package}_4%3a1.0-1_all.deb"
        with tarfile.open(folder / name, "w") as archive:
            archive.add(contents / package, arcname=".")
        data = (folder / name).read_bytes()
        index.append(f"{package} {name} {len(data)} SHA256:{hashlib.sha256(data).hexdigest()}")
    (folder / "index").write_text("\n".join(index) + "\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool, text in {"apt-get": APT_GET, "dpkg-deb": DPKG_DEB}.items():
        script = tools / tool
        script.write_text(text.format(python=sys.executable, shop=str(folder)))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(corpus, "packages", lambda small: PACKAGES)
    monkeypatch.setattr(corpus_parts, "BABBLE_COUNT", dict(zip(SPLITS, BABBLE, strict=True)))
    monkeypatch.setattr(corpus, "BABBLE_COUNT", corpus_parts.BABBLE_COUNT)
    return folder


Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the door with an output and a cache below tmp_path; returns the exit code."""

    def call(out: str = "corpus", cache: str = "cache", *flags: str) -> int:
        parser = argparse.ArgumentParser()
        corpus.add_arguments(parser)
        where = ["--out", str(tmp_path / out), "--cache", str(tmp_path / cache), "--jobs", "1"]
        return corpus.main(parser.parse_args([*where, *flags]))

    return call


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_corpus_is_built_split_by_talker_and_listed(
    shop: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    rows = load_manifest(tmp_path / "corpus")
    speech = [row for row in rows if row.kind == "speech"]
    assert {(row.speaker, row.split) for row in speech} == {(source.speaker, source.split) for source in LETTERS}
    noises = {(row.split, row.path.name) for row in rows if row.noise_kind not in ("", "babble")}
    assert noises == {
        ("validation", "people__lincity-ng__University1.flac"),
        ("test", "people__lincity-ng__MarketMed2.flac"),
        ("train", "nature__lincity-ng__Farm1.flac"),
        ("train", "other__lincity-ng__Copy.flac"),
    }, "one of two equal files is taken, and no jingle"
    babble = [row for row in rows if row.noise_kind == "babble"]
    assert [sum(row.split == split for row in babble) for split in SPLITS] == BABBLE
    for row in rows:
        info = soundfile.info(str(row.path))
        assert (info.samplerate, info.channels, info.format, info.subtype) == (16000, 1, "FLAC", "PCM_16")
        assert round(row.seconds * RATE_HZ) == info.frames
    levels = [active_rms(soundfile.read(str(row.path))[0]) for row in speech]
    np.testing.assert_allclose(20 * np.log10(levels), -26.0, atol=0.5)
    assert "klettres-data" in capsys.readouterr().out


def test_manifests_and_licences_name_every_package(shop: Path, run: Run, tmp_path: Path) -> None:
    assert run() == 0
    out = tmp_path / "corpus"
    with (out / "manifest.csv").open(newline="") as stream:
        listed = list(csv.DictReader(stream))
    names = "file,split,kind,package,speaker,language,sex,recording,noise_kind,seconds,snr_db,hf4_db,native_rate"
    header = f"{names},bandwidth_hz,joined,licence,sources"
    assert (out / "manifest.csv").read_text().splitlines()[0] == header
    for split in SPLITS:
        with (out / split / "manifest.csv").open(newline="") as stream:
            assert list(csv.DictReader(stream)) == [row for row in listed if row["split"] == split]
    assert all(row["licence"] for row in listed)
    licences = (out / "LICENCES.md").read_text()
    for package in PACKAGES:
        assert re.search(rf"\| {package} \| 4:1.0-1 \| {re.escape(LICENCES[package])} \|", licences)
        assert (out / "licences" / f"{package}.txt").read_text() == f"authors of {package}\n"


def test_two_builds_are_equal_byte_for_byte_whatever_the_number_of_jobs(shop: Path, run: Run, tmp_path: Path) -> None:
    assert run("one") == 0
    assert run("two", "cache", "--jobs", "2") == 0
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_a_second_run_keeps_what_is_there_and_mends_what_is_not(shop: Path, run: Run, tmp_path: Path) -> None:
    assert run() == 0
    out = tmp_path / "corpus"
    built = files_of(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.flac")}
    lost, *kept = sorted(times)
    lost.unlink()
    (out / "parts" / "noise_lincity-ng-data_test.building").mkdir()
    (shop / "broken").touch()
    assert run() == 0, "nothing is downloaded again"
    assert files_of(out) == built
    same_part = {path for path in kept if path.parent == lost.parent}
    for path in set(kept) - same_part:
        assert path.stat().st_mtime_ns == times[path], path


def test_an_interrupted_download_starts_that_package_again(shop: Path, run: Run, tmp_path: Path) -> None:
    debs = tmp_path / "cache/debs"
    (debs / "klettres-data.part").mkdir(parents=True)
    (debs / "klettres-data.part/klettres-data_4%3a1.0-1_all.deb").write_bytes(b"half")
    (debs / "lincity-ng-data_4%3a1.0-1_all.deb").write_bytes(b"truncated")
    (tmp_path / "cache/ext/lincity-ng-data.part").mkdir(parents=True)
    assert run() == 0
    calls = (shop / "calls").read_text().splitlines()
    assert [call for call in calls if "--print-uris" not in call] == [
        "download -qq klettres-data",
        "download -qq lincity-ng-data",
    ]
    assert not list((tmp_path / "cache").rglob("*.part"))


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line on stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_wrong_size_or_sha256_is_refused(
    shop: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = (shop / "index").read_text()
    wrong_size = re.sub(r"(klettres-data \S+) \d+", r"\1 1234", index)
    wrong_digest = re.sub(r"SHA256:\w{8}", "SHA256:00000000", index)
    for text, message in ((wrong_size, "bytes instead of 1234"), (wrong_digest, "another SHA256 than apt")):
        (shop / "index").write_text(text)
        assert run() == 1
        assert message in error_of(capsys)
        assert not list((tmp_path / "cache/debs").glob("klettres-data_*.deb"))
        assert not (tmp_path / "corpus/manifest.csv").exists()


def test_a_failed_download_and_an_unknown_package_are_named(
    shop: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "broken").touch()
    assert run() == 1
    message = "cannot download klettres-data: E: Failed to fetch, no network; run again to go on"
    assert message in error_of(capsys)
    (shop / "index").write_text("")
    assert run() == 1
    assert "apt knows no package klettres-data, lincity-ng-data: run `apt-get update`" in error_of(capsys)


def test_an_archive_in_the_cache_serves_where_apt_announces_none(shop: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "cache/debs").mkdir(parents=True)
    for package in PACKAGES:
        name = f"{package}_4%3a1.0-1_all.deb"
        (tmp_path / "cache/debs" / name).write_bytes((shop / name).read_bytes())
    (shop / "index").write_text("")
    assert run() == 0
    assert "not announced by apt" in (tmp_path / "corpus/LICENCES.md").read_text()


def test_without_apt_one_line_names_the_other_data_sets(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert run() == 1
    line = error_of(capsys)
    for word in ("apt-get", "--ears", "--wham", "--voicebank", "--dns", "--librispeech", "--speech", "--noise"):
        assert word in line


def test_a_full_disk_and_wrong_jobs_are_refused_before_anything_is_fetched(
    shop: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("corpus", "cache", "--jobs", "0") == 1
    assert "--jobs is 0" in error_of(capsys)
    usage = type(corpus_fetch.shutil.disk_usage("/"))(10, 10, 0)
    monkeypatch.setattr(corpus_fetch.shutil, "disk_usage", lambda path: usage)
    assert run() == 1
    assert "has 0 MB free" in error_of(capsys)
    assert "download -qq" not in (shop / "calls").read_text()


def test_a_package_with_other_contents_is_refused(
    shop: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache/ext/klettres-data").mkdir(parents=True)
    assert run() == 1
    assert "gives nothing for da_joe_kle (no files)" in error_of(capsys)
