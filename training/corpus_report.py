"""What the corpus says about itself: manifests, licences, tables, and the check that its splits are apart."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from training import corpus_sources as sources
from training.corpus_fetch import Archive, version_of
from training.corpus_parts import COLUMNS, Part, Row, write_text
from training.datasets import SPLITS, CorpusError


def check_splits(rows: Sequence[Row]) -> None:
    """raises CorpusError: a talker or a recording is in two splits, or a file is listed twice"""
    home: dict[tuple[str, str], str] = {}
    files: set[str] = set()
    for row in rows:
        if row["file"] in files:
            raise CorpusError(f"{row['file']} is listed twice: corpus_sources names it in two sources")
        files.add(row["file"])
        for what in ("speaker", "recording"):
            name = row.get(what)
            if name and home.setdefault((what, name), row["split"]) != row["split"]:
                raise CorpusError(f"{what} {name} is in two splits, {home[what, name]} and {row['split']}")


def write_manifests(rows: Sequence[Row], out: Path) -> None:
    """manifest.csv of all recordings, and one in each split's folder."""
    for folder, listed in {
        out: rows,
        **{out / split: [row for row in rows if row["split"] == split] for split in SPLITS},
    }.items():
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)
        write_text(folder / "manifest.csv", text.getvalue())


def write_licences(rows: Sequence[Row], archives: Sequence[Archive], cache: Path, out: Path) -> None:
    """LICENCES.md: a line a package; licences/PACKAGE.txt: the copyright file that the package ships."""
    lines = [
        "# Licences of the corpus",
        "",
        "Every recording keeps the licence of its package; babble is made from speech of its split and",
        "carries all of its licences; rooms are simulated, most of them with the head of libmysofa1.",
        "Fetch the corpus, never commit or publish it. The packages' own",
        "copyright files, which name the authors, are in `licences/`.",
        "",
        "| package | version | licence of the audio | speech min | noise min | music min | SHA256 of the archive |",
        "|---|---|---|---|---|---|---|",
    ]
    for archive in archives:
        minutes = [_minutes(rows, kind, archive.package) for kind in ("speech", "noise", "music")]
        lines.append(
            f"| {archive.package} | {version_of(archive)} | {sources.LICENCES[archive.package]} "
            f"| {minutes[0]:.1f} | {minutes[1]:.1f} | {minutes[2]:.1f} | {archive.sha256 or 'not announced by apt'} |"
        )
        text = cache / "ext" / archive.package / "usr/share/doc" / archive.package / "copyright"
        if text.is_file():
            (out / "licences").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(text, out / "licences" / f"{archive.package}.txt")
    write_text(out / "LICENCES.md", "\n".join(lines) + "\n")


def _minutes(rows: Sequence[Row], kind: str, package: str = "") -> float:
    chosen = (row for row in rows if row["kind"] == kind and package in ("", row["package"]))
    return float(sum(row["seconds"] for row in chosen)) / 60


def archive_table(archives: Sequence[Archive]) -> Table:
    """What is going to be fetched, under which licence."""
    table = Table(title="Debian packages of the corpus")
    for name in ("package", "version", "licence", "MB"):
        table.add_column(name, overflow="fold")
    for archive in archives:
        table.add_row(
            archive.package,
            version_of(archive),
            sources.LICENCES[archive.package],
            f"{archive.size / 1e6:.0f}",
        )
    table.add_row("", "", "", f"{sum(archive.size for archive in archives) / 1e6:.0f}")
    return table


def part_line(name: str, part: Part) -> str:
    """One line of the log: what a source gave, and why files were left out."""
    left_out = ", ".join(f"{count} {why}" for why, count in sorted(part.counts.items()) if why != "ok")
    minutes = sum(row["seconds"] for row in part.rows) / 60
    kept = f"{name}: {minutes:.1f} min, {part.counts.get('ok', 0)} of {sum(part.counts.values())} files"
    return f"{kept} (left out: {left_out})" if left_out else kept


def summary_table(rows: Sequence[Row]) -> Table:
    """Hours, talkers and noises of each split."""
    table = Table(
        "split", "speech h", "clips", "talkers", "languages", "noise min", "noises", "of it babble", "music", "rooms"
    )
    for split in SPLITS:
        speech = [row for row in rows if row["split"] == split and row["kind"] == "speech"]
        noise = [row for row in rows if row["split"] == split and row["kind"] == "noise"]
        table.add_row(
            split,
            f"{_minutes(speech, 'speech') / 60:.2f}",
            str(len(speech)),
            str(len({row["speaker"] for row in speech})),
            str(len({row["language"] for row in speech})),
            f"{_minutes(noise, 'noise'):.1f}",
            str(len(noise)),
            str(sum(row["noise_kind"] == "babble" for row in noise)),
            *(str(sum((row["split"], row["kind"]) == (split, kind) for row in rows)) for kind in ("music", "room")),
        )
    return table
