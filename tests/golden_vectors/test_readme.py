"""The page about the vectors names every kind, group, key and file of the committed set."""

from __future__ import annotations

import re
from pathlib import Path

from golden_vectors import formats
from golden_vectors.cases import CASES
from golden_vectors.files import DIRECTORY
from golden_vectors.kinds import KINDS
from golden_vectors.schema import COMMON
from golden_vectors.vector import SUFFIXES

PAGE = (Path(__file__).resolve().parents[2] / "golden_vectors" / "README.md").read_text(encoding="utf-8")


def test_every_kind_stands_with_its_groups() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| ")]
    listed = {row[0]: set(row[1].split(", ")) for row in rows if row[0] in KINDS}
    found: dict[str, set[str]] = {}
    for case in CASES:
        found.setdefault(case.kind, set()).add(case.group)
    assert listed == found


def test_every_key_of_a_header_is_explained() -> None:
    keys = set(COMMON).union(*(kind.properties() for kind in KINDS.values()))
    assert keys <= set(re.findall(r"`(\w+)`", PAGE)), keys - set(re.findall(r"`(\w+)`", PAGE))


def test_every_file_and_format_is_named() -> None:
    assert all(f"`<id>.{suffix}`" in PAGE for suffix in SUFFIXES)
    assert {path.name for path in DIRECTORY.iterdir() if "." not in path.name} == {"invalid"}
    assert all(f"--format {name}" in PAGE for name in formats.FORMATS)
