"""Packages as folders, without root: `apt-get download`, size and SHA256 checked, `dpkg-deb -x`.

The cache has `debs/` (archives) and `ext/PACKAGE/` (their contents). Both are filled under a temporary name
and renamed, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from training.datasets import CorpusError

NO_APT = (
    "this machine has no {tool}, and the corpus is made from Debian packages: train on your own recordings "
    "instead: EARS and WHAM! (--ears, --wham), VoiceBank-DEMAND (--voicebank), DNS-Challenge (--dns), "
    "LibriSpeech (--librispeech) or plain folders (--speech, --noise)"
)
_UNPACKED_RATIO = 2.0  # contents over archive size, measured 1.6
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Archive:
    """One .deb as apt announces it; size 0 and sha256 '' where only a file in the cache is known."""

    package: str
    name: str
    size: int
    sha256: str


def require_tools() -> None:
    """raises CorpusError: apt-get or dpkg-deb is not there; the line names the other data sets that serve"""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise CorpusError(NO_APT.format(tool=tool))


def announced(packages: Sequence[str]) -> dict[str, Archive]:
    """Name, size and SHA256 of the archives that apt would download, without those that apt does not know."""
    command = ["apt-get", "download", "--print-uris", "-qq", *packages]
    archives = {}
    for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines():
        uri, name, size, *digest = [*line.split(), ""]
        if uri.startswith("'"):
            package = name.split("_")[0]
            archives[package] = Archive(package, name, int(size), digest[0].removeprefix("SHA256:"))
    return archives


def locate(packages: Sequence[str], cache: Path) -> list[Archive]:
    """The archives to use: those that apt announces, else those that lie in the cache.

    raises    CorpusError: neither
    """
    found = announced(packages)
    for package in packages:
        held = sorted((cache / "debs").glob(f"{package}_*.deb"))
        if package not in found and held:
            found[package] = Archive(package, held[-1].name, held[-1].stat().st_size, "")
    unknown = [package for package in packages if package not in found]
    if unknown:
        raise CorpusError(
            f"apt knows no package {', '.join(unknown[:3])}: run `apt-get update` as root; "
            "the corpus is made for Debian 12"
        )
    return [found[package] for package in packages]


def check_space(archives: Sequence[Archive], cache: Path) -> None:
    """raises CorpusError: the disk has no room for what is still to be downloaded and unpacked"""
    missing = [archive for archive in archives if not (cache / "ext" / archive.package).is_dir()]
    needed = sum(int(archive.size * (1 + _UNPACKED_RATIO)) for archive in missing)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise CorpusError(f"{cache} has {free >> 20} MB free, {needed >> 20} MB are needed: choose another --cache")


def fetch(archive: Archive, cache: Path, advance: Advance = lambda size: None) -> Path:
    """The folder with the package's contents, downloaded and unpacked unless it is there.

    advance   told the bytes of archive as they arrive
    raises    CorpusError: download or unpacking failed, or the archive is not the one that apt announces
    """
    contents = cache / "ext" / archive.package
    if contents.is_dir():
        advance(archive.size)
        return contents
    deb = _download(archive, cache / "debs", advance)
    temporary = contents.with_name(archive.package + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    run = subprocess.run(["dpkg-deb", "-x", str(deb), str(temporary)], capture_output=True, text=True)
    if run.returncode:
        raise CorpusError(f"cannot unpack {deb}: {_last_line(run.stderr)}; delete it and run again")
    os.replace(temporary, contents)
    return contents


def _download(archive: Archive, folder: Path, advance: Advance) -> Path:
    deb = folder / archive.name
    if deb.is_file() and _problem(deb, archive) is None:
        advance(archive.size)
        return deb
    temporary = folder / f"{archive.package}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    command = ["apt-get", "download", "-qq", archive.package]
    with subprocess.Popen(command, cwd=temporary, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        told = 0
        while run.poll() is None:
            told = _tell(temporary, told, advance)
            time.sleep(0.2)
        _tell(temporary, told, advance)
        errors = run.stderr.read() if run.stderr else ""
    arrived = next(temporary.glob("*.deb"), None)
    if run.returncode or arrived is None:
        raise CorpusError(f"cannot download {archive.package}: {_last_line(errors)}; run again to go on")
    problem = _problem(arrived, archive)
    if problem:
        raise CorpusError(f"{archive.name} {problem}: run `apt-get update` as root, then again")
    os.replace(arrived, deb)
    shutil.rmtree(temporary, ignore_errors=True)
    return deb


def _tell(folder: Path, told: int, advance: Advance) -> int:
    size = sum(path.stat().st_size for path in folder.glob("*.deb*"))
    advance(max(size - told, 0))
    return max(size, told)


def _problem(deb: Path, archive: Archive) -> str | None:
    """What makes a file another one than the archive that apt announces; None if it is that one."""
    size = deb.stat().st_size
    if archive.size and size != archive.size:
        return f"has {size} bytes instead of {archive.size}"
    if archive.sha256:
        with deb.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != archive.sha256:
                return "has another SHA256 than apt announces"
    return None


def version_of(archive: Archive) -> str:
    """Debian version, from the archive's name."""
    return unquote(archive.name).split("_")[1] if archive.name.count("_") >= 2 else "unknown"


def _last_line(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith("E:")]
    return (errors or text.strip().splitlines() or ["no message"])[-1]
