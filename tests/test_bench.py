"""What `make bench` makes of exact instruction counts: the figures' names, their groups and their table."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.bench import M7_GROUPS, Cost, instruction_table, macs, write_json
from firmware_sim.contract import PROFILES, STAGES
from golden_vectors.executors.c_m7 import LOOP, HopInstructions
from tests.firmware.c_library import model

FIGURES = {"instructions_per_mac", "network_instructions_per_hop", "front_end_instructions_per_hop",
           "worst_hop_instructions", "synthesis_instructions_per_hop", "loop_instructions_per_hop"}  # fmt: skip


def cost(scale: int = 1) -> Cost:
    """Two hops; stage i costs 10^i, or twice that in the second hop of odd stages."""
    steps = [np.array([1, 1 + i % 2]) * 10**i * scale for i in range(len(STAGES) + 1)]
    return Cost.of(HopInstructions(dict(zip((*STAGES, LOOP), steps, strict=True)), np.array([30, 50]) * scale), 100)


def test_the_groups_are_the_whole_hop_and_share_no_stage() -> None:
    stages = [stage for group in M7_GROUPS.values() for stage in group]
    assert sorted(stages) == sorted((*STAGES, LOOP))
    assert M7_GROUPS["front_end"] == ("window", "rfft", "wiener", "features")


def test_a_group_is_as_dear_as_its_worst_hop() -> None:
    assert STAGES == ("window", "rfft", "wiener", "features", "network", "gain", "irfft", "overlap_add")
    figures = cost().figures("")
    assert set(figures) == FIGURES
    assert figures["front_end_instructions_per_hop"] == 1 + 20 + 100 + 2000
    assert figures["network_instructions_per_hop"] == 10_000
    assert figures["synthesis_instructions_per_hop"] == 200_000 + 1_000_000 + 20_000_000
    assert figures["worst_hop_instructions"] == 121_212_121
    assert figures["instructions_per_mac"] == pytest.approx(0.5, abs=0)


def test_a_suffix_says_what_was_counted() -> None:
    assert set(cost().figures("_int8_gcc_plain_c")) == {f"{name}_int8_gcc_plain_c" for name in FIGURES}


def test_the_table_has_a_ratio_for_every_compiler_that_is_here() -> None:
    page = StringIO()
    costs = {"": cost(), "_plain_c": cost(3), "_gcc": cost(2), "_gcc_plain_c": cost(8)}
    Console(file=page, width=160).print(instruction_table("int16x8", costs))
    row = next(line for line in page.getvalue().splitlines() if "network" in line)
    assert re.findall(r"[\d,.]+", row) == ["10,000", "30,000", "3.00", "20,000", "80,000", "4.00"]
    Console(file=page, width=160).print(instruction_table("int8", {"": cost(), "_plain_c": cost()}))
    assert "instructions, not cycles" in page.getvalue()


@pytest.mark.parametrize(("profile", "products"), [("seed", 197_120), ("default", 197_760)])
def test_the_macs_are_those_of_the_network_of_a_profile(profile: str, products: int) -> None:
    assert macs(model("int16x8", PROFILES[profile])) == products


def test_figures_are_merged_into_what_the_file_has(tmp_path: Path) -> None:
    write_json(tmp_path / "bench.json", {"a": 1, "b": 2})
    write_json(tmp_path / "bench.json", {"b": 3})
    assert json.loads((tmp_path / "bench.json").read_text()) == {"a": 1, "b": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
