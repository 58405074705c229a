"""Plants faults in the arithmetic and counts how many of them the golden vectors kill: python -m tests.mutation."""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: E402

from golden_vectors.__main__ import BLESSED  # noqa: E402
from golden_vectors.errors import WitnessError  # noqa: E402
from golden_vectors.generate import load_graphs  # noqa: E402
from golden_vectors.verify import STEPS  # noqa: E402
from tests.mutation import catalogue, report  # noqa: E402
from tests.mutation.judge import Judge, load  # noqa: E402
from tests.mutation.mutant import ROOT, Mutant, PlantError  # noqa: E402
from tests.mutation.plant import KILLED, SAME_CODE, SURVIVED  # noqa: E402
from tests.mutation.run import Judged, Ledger, Runner, sources_digest  # noqa: E402

BUILD = ROOT / "build"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    top.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side (%(default)s)")
    top.add_argument("--share", type=float, default=1.0, help="share of the mutants to plant (%(default)s)")
    top.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="ids or files that contain one of these")
    top.add_argument("--build", type=Path, default=BUILD, help="folder of the result and of what it needs (build)")
    return top


def bench(steps: int = STEPS) -> Judge:
    """The committed vectors and models with all that the reference has to say, before any fault is planted."""
    from golden_vectors.cc import find_compiler, optimised

    found = load(load_graphs(BLESSED), steps)
    assert found.closed_loop
    optimised(find_compiler() or ())
    return found


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Judge every mutant of the draw that was not judged before; the result."""
    start, digest = time.monotonic(), sources_digest()
    room = arguments.build / "mutation"
    ledger = Ledger(room / "verdicts.jsonl", digest)
    judge = bench()
    found = catalogue.groups(judge.graphs)
    for group in found if arguments.only else ():
        group.mutants = [m for m in group.mutants if any(text in f"{m.id} {m.file}" for text in arguments.only)]
    runner = Runner(judge, room / digest, arguments.jobs)
    _check_controls(runner, ledger)
    draw, rows = catalogue.Draw(found, arguments.share), list[Judged]()

    with _progress(console) as progress:
        task = progress.add_task("mutants", total=draw.remaining)

        def note(row: Judged) -> None:
            rows.append(row)
            if row.verdict.verdict not in (KILLED, SURVIVED):
                draw.replace(row.mutant)
            progress.update(task, advance=1, total=len(rows) + draw.remaining)
            if row.verdict.verdict == SURVIVED:
                progress.console.print(_line(row), highlight=False, soft_wrap=True, markup=False)

        def fresh() -> Mutant | None:
            while (mutant := draw()) is not None and (row := ledger.known(mutant)) is not None:
                note(row)
            return mutant

        for row in runner.judged(fresh):
            ledger.add(row)
            note(row)
    return report.result(rows, catalogue.equivalents(), time.monotonic() - start)


def _check_controls(runner: Runner, ledger: Ledger) -> None:
    """Raises PlantError when the vectors are red without any fault: nothing could be told from them."""
    waiting = iter([mutant for mutant in catalogue.controls() if ledger.known(mutant) is None])
    for row in runner.judged(lambda: next(waiting, None)):
        if row.verdict.verdict not in (SURVIVED, SAME_CODE):
            raise PlantError(f"without a fault {row.mutant.file} is not equal: {row.verdict.why}")
        ledger.add(row)


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console)


def _line(row: Judged) -> str:
    return f"survives: {row.mutant.id}  {row.mutant.file}:{row.mutant.line}  {row.mutant.what}"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 the gate holds, 1 it does not, 2 it could not run."""
    arguments, console = parser().parse_args(argv), Console(stderr=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = run(arguments, console)
    except (PlantError, WitnessError) as error:
        print(f"mutation: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mutation: interrupted: the same command goes on where it was", file=sys.stderr)
        return 130
    report.save(found, arguments.build / "mutation.json")
    print(
        f"{found['planted']} mutants, {len(found['equivalents'])} of them equivalent; of {found['total']} faults "
        f"{found['killed']} are killed: {found['share']:.1%}"
    )
    for line in report.complaints(found):
        print(f"mutation: {line}", file=sys.stderr)
    return 1 if report.complaints(found) else 0


if __name__ == "__main__":
    sys.exit(main())
