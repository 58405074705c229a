"""What verify, selftest, count and report print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from golden_vectors.compare import Difference
from golden_vectors.executors import SHORT
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.explain import Explanation, lines
from golden_vectors.invalid import GROUP, INVALID, LOADER
from golden_vectors.kinds.base import ANY_SCHEME
from golden_vectors.kinds.drift import HOPS_PER_LINE, SHORT_LINES
from golden_vectors.matrix import column_of, columns, rank
from golden_vectors.report import Report, level_dbfs
from golden_vectors.selftest import SelfTest
from golden_vectors.source import Source
from golden_vectors.verify import FORGED, Bench, Cell, Outcome

WIDTH = 110
"""Columns of the agreement table where the output is not a terminal."""


def console() -> Console:
    """Standard output; a pipe is as wide as the widest table."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=max(plain.width, WIDTH))


@contextmanager
def progress() -> Iterator[Callable[[list[str]], None]]:
    """While engines run: how many have still to come, and the next of them; on a terminal only."""
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("engines", total=None)

        def watch(waiting: list[str]) -> None:
            total = bar.tasks[0].total or max(len(waiting), 1)
            running = f"verify: {escape(waiting[0])}" if waiting else "verify"
            bar.update(task, total=total, completed=total - len(waiting), description=running)

        yield watch


def print_outcome(outcome: Outcome, bench: Bench, console: Console) -> None:
    """Engine x column of the matrix: how many cases are equal, or the share of outputs that differ."""
    heads = columns(outcome)
    table = Table(title="Same bits on every engine: number of equal cases", box=SIMPLE_HEAD)
    table.padding = (0, 0, 0, 1)
    table.add_column("engine", no_wrap=True, vertical="bottom")
    for head in heads:
        table.add_column(head.replace(" ", "\n"), justify="right", vertical="bottom", no_wrap=True)
    cells = _by_column(outcome)
    for engine in outcome.engines:
        marks = ["[dim]absent[/]"] if engine in outcome.absent else [_mark(cells.get((engine, head))) for head in heads]
        table.add_row(escape(engine), *marks)
    console.print(table)
    legend = "= cases that are equal, % of outputs that differ where that is reported, · not run by this engine"
    console.print(f"[dim]{legend}\nclosed loop: {bench.steps} steps of real features, compared by SHA-256[/]")
    _print_notes(outcome, console)
    for reason in dict.fromkeys(outcome.absent.values()):
        names = ", ".join(engine for engine, why in outcome.absent.items() if why == reason)
        console.print(f"absent: {escape(names)}: {escape(reason)}", highlight=False, soft_wrap=True)
    console.print(_verdict(outcome, bench), highlight=False, soft_wrap=True)


def _verdict(outcome: Outcome, bench: Bench) -> str:
    """One line: who ran, and whether all agree."""
    here = [engine for engine in outcome.engines if engine not in outcome.absent]
    ran = f"{len(here)} of {len(outcome.engines)} engines, {len(bench.vectors)} vectors"
    wrong = dict.fromkeys(engine for engine, _, _ in outcome.failures)
    if wrong:
        return f"[bold red]DIFFERS[/]: {escape(', '.join(wrong))} ({ran})"
    distant = dict.fromkeys(engine.split(" (")[0] for (engine, _, _), cell in outcome.cells.items() if cell.first)
    beside = f"; {', '.join(distant)} at the reported distance in int8" if distant else ""
    return f"[green]equal[/], bit for bit: {ran}{beside}"


def _print_notes(outcome: Outcome, console: Console) -> None:
    """What a cell does not say: engines that run a part, and files that were refused."""
    if any(group == "drift" for _, _, group in outcome.cells):
        hops, engines = SHORT_LINES * HOPS_PER_LINE, ", ".join(sorted(SHORT))
        console.print(f"[dim]drift: {engines} run the first {hops} hops alone[/]", soft_wrap=True)
    if (LOADER, ANY_SCHEME, GROUP) in outcome.cells:
        refused = outcome.cells[LOADER, ANY_SCHEME, GROUP].equal
        console.print(f"invalid: {refused} of {len(INVALID)} spoiled vectors refused, each with its own line")


def columns_of(outcome: Outcome) -> list[tuple[str, str]]:
    """(group, scheme) of the matrix, in order."""
    return sorted(
        dict.fromkeys((group, scheme) for engine, scheme, group in outcome.cells if engine != LOADER),
        key=_networks_last,
    )


def _by_column(outcome: Outcome) -> dict[tuple[str, str], dict[str, list[Cell]]]:
    """(engine, column) -> scheme -> the cells of its groups."""
    found: dict[tuple[str, str], dict[str, list[Cell]]] = {}
    for (engine, scheme, group), cell in outcome.cells.items():
        found.setdefault((engine, column_of(group)), {}).setdefault(scheme, []).append(cell)
    return found


def _networks_last(column: tuple[str, str]) -> tuple[bool, bool]:
    """Streams first, int16x8 before int8; otherwise in the order of the vectors."""
    name, scheme = column
    return name in ("network", "closed loop"), scheme == "int8"


def _mark(schemes: Mapping[str, Sequence[Cell]] | None) -> str:
    """How many cases are equal, or the largest share of a case's outputs that differ, by scheme."""
    if schemes is None:
        return "[dim]·[/]"
    distant = {scheme: [cell for cell in cells if cell.first is not None] for scheme, cells in schemes.items()}
    marks = [_distance(scheme, cells) for scheme, cells in distant.items() if cells]
    return " ".join(marks) or f"[green]= {sum(cell.equal for cells in schemes.values() for cell in cells)}[/]"


def _distance(scheme: str, cells: Sequence[Cell]) -> str:
    if any(cell.failed for cell in cells):
        return f"[bold red]{scheme} {sum(cell.unequal for cell in cells)} differ[/]"
    return f"[yellow]{scheme} {100 * max(cell.distance for cell in cells):.2g} %[/]"


def print_differences(outcome: Outcome, found: Mapping[tuple[str, str, str], Explanation]) -> None:
    """Every failure on standard error: one line that a program can read, and what is known about it, indented."""
    seen: set[Source] = set()
    for key, cell in sorted(outcome.failures.items(), key=lambda item: rank(item[0][2])):
        engine, scheme, group = key
        print(f"differs: {engine}, {group} ({scheme}): {cell.first}", file=sys.stderr)
        if engine == NumpyReference.name:
            print(f"  {FORGED}", file=sys.stderr)
        if key in found:
            language = "C" if engine.startswith("c_") else "Python"
            print("\n".join(lines(found[key], seen, language)), file=sys.stderr)
    if len(found) < sum(isinstance(cell.first, Difference) for cell in outcome.failures.values()):
        print("  verify --html PAGE.html explains the others, too", file=sys.stderr)


def print_selftest(made: SelfTest, name: str, console: Console) -> None:
    """What a self-test image carries."""
    carried = f"every tap of the first {made.full_hops} hops of each:"
    console.print(f"{name}: {made.flash_bytes:,} bytes of flash, {carried}", highlight=False, soft_wrap=True)
    for one in made.evidence:
        console.print(f"  {one.name}: {one.hops} {'steps' if one.counters is None else 'hops'}", highlight=False)


def print_report(report: Report, console: Console) -> None:
    """What went in, what came out, and whether the engines agree."""
    table = Table(title="One recording through the device", box=SIMPLE_HEAD, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in rows(report).items():
        table.add_row(name, escape(value))
    console.print(table)


def rows(report: Report) -> dict[str, str]:
    """The report as text, for the table and the page."""
    profile, reduction = report.profile, report.pause_reduction_db
    counted = ", ".join(f"{stage} {a} saturations, {b} overflows" for stage, (a, b) in report.counted.items())
    facts = {
        "input": f"{report.description}, {level_dbfs(report.noisy):.1f} dBFS",
        "output": f"{level_dbfs(report.enhanced):.1f} dBFS",
        "latency": f"{profile.latency_ms:g} ms ({profile.latency_samples} samples)",
        "noise in pauses": "no pauses found" if reduction is None else decibels(-reduction),
        "counters": counted or "no saturation, no overflow",
    }
    for engine in report.engines:
        facts[engine.name] = f"{engine.x_realtime:.3g} x real time, every tap {engine.digest[:16]}"
    facts |= {name: f"absent: {reason}" for name, reason in report.absent.items()}
    facts["agreement"] = agreement(report)
    return facts


def print_counts(rows: Sequence[Sequence[str]], schedule: Mapping[str, int], console: Console) -> None:
    """Instructions of every stage by scheme and kind of hop (the first row is the head), and of the schedule."""
    title = "Cortex-M7, emulated: instructions (not cycles), worst hop of each stage and kind; a hop is their sum"
    table = Table(title=title, box=SIMPLE_HEAD)
    for i, head in enumerate(rows[0]):
        table.add_column(head, justify="right" if i else "left")
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)
    console.print("schedule: " + ", ".join(f"{name} {count:,}" for name, count in schedule.items()))


def decibels(value: float) -> str:
    """A change of level, with its sign."""
    return f"{value:+.1f} dB".replace("-", "\u2212")


def agreement(report: Report) -> str:
    """Whether numpy and C computed the same."""
    if report.differences:
        return f"DIFFERS: {report.differences[0]}"
    if report.absent:
        return "only one engine here"
    samples, hops = report.noisy.size, report.hops * len(report.noisy)
    return f"numpy and C are identical: {samples:,} samples, {hops:,} hops, every tap, every counter"
