"""The page about the vectors names every kind, group, key and file of the committed set."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from firmware_sim.contract import DEFAULT_PROFILE, PROFILES
from firmware_sim.frame_loop import TAP_DTYPES, TAPS, FrameLoop
from firmware_sim.graph import Graph
from golden_vectors import formats
from golden_vectors.__main__ import MODEL
from golden_vectors.cases import CASES
from golden_vectors.files import DIRECTORY
from golden_vectors.kinds import KINDS
from golden_vectors.kinds.stream import KEPT_TAPS, narrowest
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


def test_every_tap_stands_with_its_stage_its_widths_and_its_shape() -> None:
    loop = FrameLoop(PROFILES[DEFAULT_PROFILE], Graph.load(MODEL))
    hop = next(iter(loop.hops_of(np.zeros((1, 64), np.int16))))
    expected = [
        (
            f"`{tap}`",
            stage,
            np.dtype(TAP_DTYPES.get(tap, np.int32)).name,
            str(hop.taps[tap][0].shape),
            np.dtype(narrowest(tap)).name if tap in KEPT_TAPS else "",
        )
        for tap, stage in TAPS.items()
    ]
    start = PAGE.index("| tap | stage |")
    table = PAGE[start : PAGE.index("\n\n", start)].splitlines()[2:]
    assert [tuple(cell.strip() for cell in line.split("|")[1:6]) for line in table] == expected


def test_the_stages_that_files_alone_recompute_are_named() -> None:
    stages = {stage for stage in TAPS.values() if all(tap in KEPT_TAPS for tap, of in TAPS.items() if of == stage)}
    assert stages == {"overlap_add"}
    assert "From the files alone `overlap_add` can be computed again" in PAGE


def test_every_option_of_verify_is_explained() -> None:
    shown = set(re.findall(r"`(--\w+)", PAGE[PAGE.index("## verify") :]))
    assert {"--on", "--jobs", "--steps", "--vectors", "--html", "--matrix", "--check"} <= shown
