"""The corpus builder: `python -m training corpus`.

Debian packages of speech and noise -> 16 kHz mono FLAC at one level, split by talker and by recording, with a
manifest, licences, and babble made from each split's own speech. It can be stopped at any point and goes
on; the same packages give the same samples.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from training.corpus_clean import Prepared, prepare_noise, prepare_speech
from training.corpus_fetch import Archive, check_space, fetch, locate, require_tools
from training.corpus_parts import (
    BABBLE_COUNT,
    Part,
    Row,
    Source,
    build_babble,
    build_noise,
    build_speech,
    keep_or_build,
    part_key,
)
from training.corpus_report import (
    archive_table,
    check_splits,
    part_line,
    summary_table,
    write_licences,
    write_manifests,
)
from training.corpus_rooms import HEAD_FILE, HEAD_PACKAGE, ROOMS, build_music, build_rooms, room_parts
from training.corpus_sources import (
    LARGE_PACKAGES,
    MUSIC,
    NOISE,
    NOISE_KINDS,
    SPEECH,
    MusicSource,
    NoiseSource,
    SpeechSource,
    packages,
)
from training.datasets import SPLITS, CorpusError
from training.engines import Engine, Serial, in_order, open_engine
from training.files import RunError, named_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the door `python -m training corpus`."""
    parser.add_argument(
        "--out", type=named_path, default=Path("build/corpus"), help="folder of the corpus (%(default)s)"
    )
    parser.add_argument(
        "--cache",
        type=named_path,
        default=Path("build/corpus_cache"),
        help="archives and their contents, 3 GB, may be deleted afterwards (%(default)s)",
    )
    large = ", ".join(LARGE_PACKAGES)
    parser.add_argument("--small", action="store_true", help=f"half of the download: without {large}")
    parser.add_argument("--jobs", type=int, default=2, help="processes that decode and clean (%(default)s)")
    parser.add_argument(
        "--engine", default="local", help="local, dask, or dask://HOST:PORT of a running scheduler (%(default)s)"
    )


def main(args: argparse.Namespace) -> int:
    """Run the builder; returns the exit code: 0 built, 1 with one line on stderr, 130 stopped by the user."""
    console = Console()
    try:
        build_corpus(args.out, args.cache, args.small, args.jobs, console, args.engine)
    except (CorpusError, RunError) as error:
        print(f"stapes: corpus: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"stapes: corpus: {error.filename or args.out}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stapes: corpus: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def build_corpus(out: Path, cache: Path, small: bool, jobs: int, console: Console, engine: str = "local") -> list[Row]:
    """Fetch, clean and list everything; returns the manifest's rows.

    raises    CorpusError: no apt, unknown package, failed download, no space, `jobs` below 1, a file for a folder
              RunError: see `engines.open_engine`
    """
    if jobs < 1:
        raise CorpusError(f"--jobs is {jobs}: give at least 1")
    for folder in (out, cache):
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not nearest.is_dir():
            raise CorpusError(f"cannot build in {folder}: {nearest} is a file, not a folder")
    require_tools()
    with open_engine(engine, jobs, start=None) as running:  # an unknown one is refused before the download
        archives = locate(packages(small), cache)
        check_space(archives, cache)
        console.print(archive_table(archives))
        _fetch_all(archives, cache, console)
        rows = _build_all(archives, cache, out, running, console)
    write_manifests(rows, out)
    write_licences(rows, archives, cache, out)
    console.print(summary_table(rows))
    console.print(
        f"{len(rows)} recordings in {out / 'manifest.csv'}, their licences in {out / 'LICENCES.md'}", soft_wrap=True
    )
    return rows


def _fetch_all(archives: Sequence[Archive], cache: Path, console: Console) -> None:
    columns = (TextColumn("{task.description:32}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("fetch", total=sum(archive.size for archive in archives))
        for archive in archives:
            progress.update(task, description=f"fetch {archive.package}")
            fetch(archive, cache, lambda size: progress.advance(task, size))
        progress.update(task, description=f"fetched {len(archives)} packages")


def _build_all(archives: Sequence[Archive], cache: Path, out: Path, engine: Engine, console: Console) -> list[Row]:
    """All parts in the order of the tables: speech, noise, music, babble, rooms."""
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("clean")
        builder = Builder(out, cache, archives, engine, lambda: progress.advance(task))
        files = builder.files()
        progress.update(task, total=sum(map(len, files.values())))
        rows: list[Row] = []
        done = 0
        for source, names in files.items():
            progress.update(task, description=f"clean {source.name}")
            part = builder.build(source, names)
            rows += part.rows
            progress.console.print(part_line(source.name, part), highlight=False, soft_wrap=True)
            done += len(names)
            progress.update(task, completed=done)
        for split in SPLITS:
            progress.update(task, description=f"babble {split}")
            rows += builder.build_babble(rows, split)
        progress.update(task, description="rooms")
        rows += builder.build_rooms()
        progress.update(task, description="cleaned")
    check_splits(rows)
    return rows


@dataclass
class Builder:
    """Builds parts one after the other, files within a part in parallel.

    engine    runs what decodes and cleans
    advance   called for every file that is done
    """

    out: Path
    cache: Path
    archives: Sequence[Archive]
    engine: Engine = field(default_factory=Serial)
    advance: Callable[[], None] = lambda: None
    _noise_digests: set[str] = field(default_factory=set)

    def files(self) -> dict[SpeechSource | NoiseSource, list[str]]:
        """Paths below the package's folder of every source whose package is among the archives."""
        present = {archive.package for archive in self.archives}
        every: tuple[SpeechSource | NoiseSource, ...] = (*SPEECH, *NOISE, *MUSIC)
        return {
            source: package_files(self._contents(source), source.pattern)
            for source in every
            if source.package in present
        }

    def build(self, source: SpeechSource | NoiseSource, files: Sequence[str]) -> Part:
        """One source, with at least one row.

        raises    CorpusError: nothing of it was kept, so the package is not the one that the table describes
        """
        archive = next(archive for archive in self.archives if archive.package == source.package)
        others = sorted(self._noise_digests) if type(source) is NoiseSource else []
        key = part_key(vars(source), NOISE_KINDS, archive.name, archive.sha256, others)
        part = keep_or_build(self.out, source.name, key, partial(self._build_part, source, files))
        if not part.rows:
            found = ", ".join(f"{count} {why}" for why, count in sorted(part.counts.items())) or "no files"
            raise CorpusError(f"{archive.name} gives nothing for {source.name} ({found}): not Debian 12's package?")
        if isinstance(source, NoiseSource):
            self._noise_digests.update(part.digests)
        return part

    def build_babble(self, rows: Sequence[Row], split: str) -> list[Row]:
        """Manifest rows of the babble made from the speech of `rows` that is in `split`."""
        speech = [row for row in rows if row["split"] == split and row["kind"] == "speech"]
        key = part_key(speech, BABBLE_COUNT[split])
        build = partial(build_babble, speech, split, self.out)
        return keep_or_build(self.out, f"babble_{split}", key, build).rows

    def build_rooms(self) -> list[Row]:
        """Manifest rows of the rooms; none where the head's package is not among the archives."""
        archive = next((archive for archive in self.archives if archive.package == HEAD_PACKAGE), None)
        rows: list[Row] = []
        for name, split, seed in room_parts() if archive else ():
            key = part_key(name, split, seed, ROOMS, archive.name if archive else "")
            build = partial(build_rooms, split, seed, self.cache / "ext" / HEAD_PACKAGE / HEAD_FILE, self.engine)
            rows += keep_or_build(self.out, name, key, build).rows
        return rows

    def _build_part(self, source: SpeechSource | NoiseSource, files: Sequence[str], folder: Path) -> Part:
        if isinstance(source, SpeechSource):
            prepare = partial(prepare_speech, min_snr_db=source.min_snr_db)
            return build_speech(source, self._prepared(prepare, source, files), folder)
        prepare = partial(prepare_noise, min_seconds=source.min_seconds)
        if isinstance(source, MusicSource):
            return build_music(source, self._prepared(prepare, source, files), folder)
        return build_noise(source, self._prepared(prepare, source, files), self._noise_digests, folder)

    def _prepared(
        self, prepare: Callable[[Path], Prepared], source: SpeechSource | NoiseSource, files: Sequence[str]
    ) -> Iterator[Source]:
        paths = [self._contents(source) / file for file in files]
        for file, result in zip(files, in_order(self.engine, prepare, paths), strict=True):
            self.advance()
            yield file, result

    def _contents(self, source: SpeechSource | NoiseSource) -> Path:
        return self.cache / "ext" / source.package


def package_files(root: Path, pattern: str) -> list[str]:
    """Sorted paths below `root` in which `pattern` is found, symbolic links left out."""
    search = re.compile(pattern).search
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if search(relative) and not path.is_symlink():
                found.append(relative)
    return sorted(found)
