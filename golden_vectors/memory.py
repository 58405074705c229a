"""The memory of a linked image: regions, buffers, code by function, and the stack of every call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from export.c_memory import STACK_BYTES, flash_kind
from export.c_writer import memory_map
from firmware_sim.contract import PROFILES
from firmware_sim.graph import Graph
from golden_vectors.m7.build import DSP, build_m7
from golden_vectors.m7.elf import ALLOCATED, OBJECT, Elf, Section
from golden_vectors.m7.emulator import memory_regions
from golden_vectors.m7.stack import API, HOP, RESET, StackAnalysis, check_stack

STATE = "ear"
"""The state of the image's one ear, in firmware/port/main.c."""
UNNAMED = "strings and alignment"


@dataclass(frozen=True)
class Region:
    """A memory of the part and what lies in it: section, or "copy of" a section that start-up code moves -> bytes."""

    name: str
    size: int
    holds: dict[str, int]

    @property
    def used(self) -> int:
        return sum(self.holds.values())


def regions(elf: Elf, part: str) -> list[Region]:
    """The memories of a part; `.stack` counts with the least room that it must find."""
    found = []
    for name, (origin, size) in memory_regions(part).items():
        here = [section for section in _allocated(elf) if origin <= section.address < origin + size]
        holds = {section.name: section.size for section in here}
        if name == "FLASH":
            moved = [section for section in _allocated(elf) if section.data is not None and section not in here]
            holds |= {f"copy of {section.name}": section.size for section in moved}
        found.append(Region(name, size, holds))
    return found


def buffers(elf: Elf) -> list[tuple[str, str, int]]:
    """Every object of the image as (section, name, bytes), and in each section what no name covers."""
    rows: list[tuple[str, str, int]] = []
    for section in _allocated(elf):
        objects = [s for s in elf.symbols if s.kind == OBJECT and s.section == section.name]
        if objects:
            rows += [(section.name, symbol.name, symbol.size) for symbol in objects]
            rest = section.size - sum(symbol.size for symbol in objects)
            rows += [(section.name, UNNAMED, rest)] * bool(rest)
    return rows


def _allocated(elf: Elf) -> list[Section]:
    return [section for section in elf.sections if section.flags & ALLOCATED and section.size]


# ---------------------------------------------------------------- print


def print_memory(graph: Graph, part: str, compiler: str, console: Console) -> None:
    """Build the image and print its whole map; raises WitnessError when it does not build or has no stack bound."""
    profile = PROFILES[graph.meta["profile"]]
    elf = Elf.load(build_m7(graph, profile, compiler=compiler, part=part, flags=DSP))
    bounds = check_stack(elf)
    console.print(f"{graph.scheme} on {part}, built by {compiler} at -O2; all sizes in bytes", highlight=False)
    console.print(_region_table(regions(elf, part)))
    console.print(_buffer_table(elf, memory_map(graph, profile, paired=True).state))
    console.print(_code_table(elf))
    analysis = StackAnalysis(elf)
    table = _table("stack", "declared", "bound", "deepest calls, with what each adds")
    for name in API:
        table.add_row(name, f"{STACK_BYTES}", f"{bounds[name].size}", str(bounds[name]))
    room, whole = elf.section(".stack"), analysis.bound(RESET)
    table.add_row(RESET, f"{room.size if room else 0}", f"{whole.size}", str(whole))
    console.print(table)


def _table(*columns: str) -> Table:
    """Names at the left, numbers at the right, and a last column of text where there are four."""
    table = Table(box=SIMPLE_HEAD)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < i < 3 else "left", overflow="fold")
    return table


def _region_table(rows: Iterable[Region]) -> Table:
    table = _table("memory", "used", "free", "holds")
    for region in rows:
        holds = ", ".join(f"{name} {size:,}" for name, size in region.holds.items())
        table.add_row(region.name, f"{region.used:,}", f"{region.size - region.used:,}", holds)
    return table


def _buffer_table(elf: Elf, state: Sequence[tuple[str, int]]) -> Table:
    table = _table("buffer", "bytes", "section", "kind")
    for section, name, size in buffers(elf):
        constant = section not in (".vectors", ".bss", ".stack") and name != UNNAMED
        table.add_row(name, f"{size:,}", section, flash_kind(name) if constant else "")
        if name == STATE:
            for member, bytes_ in state:
                table.add_row(f"  {member}", f"{bytes_:,}", "", "state")
    return table


def _code_table(elf: Elf) -> Table:
    analysis, functions = StackAnalysis(elf), sorted(elf.functions.values(), key=lambda f: -f.size)
    in_hop = set(analysis.reached(HOP))
    hop = sum(function.size for function in functions if function.name in in_hop)
    table = _table("function", "code", "frame", "in a hop")
    table.title = f"code {sum(function.size for function in functions):,}, of which a hop runs {hop:,}"
    for function in functions:
        mark = "yes" if function.name in in_hop else ""
        table.add_row(function.name, f"{function.size:,}", f"{analysis.frame(function.name).own}", mark)
    return table
