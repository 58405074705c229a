"""The door of the witness: generate, verify, selftest, count, report, memory."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeAlias

from rich.console import Console

from firmware_sim.arguments import named_path
from firmware_sim.contract import ContractError
from firmware_sim.graph import SCHEMES
from firmware_sim.parts import TABLE
from golden_vectors import formats, generate, invalid, matrix, page, pictures, report, selftest, verify
from golden_vectors.cases import CASES
from golden_vectors.difference_page import write_differences
from golden_vectors.errors import WitnessError
from golden_vectors.explain import MOST_EXPLAINED, explanations
from golden_vectors.files import DIRECTORY, load_all
from golden_vectors.formats import FORMATS
from golden_vectors.m7.build import COMPILERS, DEFAULT_PART, PARTS
from golden_vectors.m7.emulator import missing_unicorn, run_unicorn
from golden_vectors.side_by_side import cores
from golden_vectors.signals import PROFILE
from golden_vectors.tables import (
    console,
    print_counts,
    print_differences,
    print_outcome,
    print_report,
    print_selftest,
    progress,
)
from golden_vectors.vector import write

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
ENHANCED = "its enhanced file, as firmware_sim writes it: compared, or written where there is none"
BOARD = "C of a board: stapes_board_init, stapes_print, stapes_exit, as far as it has them; not with --run"
MOST_DIGITS = 7
JOBS = "engines that run side by side, each in a process (default: as many as there are cores)"
MODEL, MODEL_INT8, MODEL_COMPACT = (
    ROOT / "firmware_sim" / f"{name}.npz" for name in ("model", "model_int8", "model_compact")
)


BLESSED = {"int16x8": MODEL, "int8": MODEL_INT8, "compact": MODEL_COMPACT}
"""Name of a shipped model -> its file."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"golden_vectors: {message} ({self.prog} --help explains)", file=sys.stderr)
        raise SystemExit(2)


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def parser() -> Parser:
    """The command line."""
    top = Parser(prog="python -m golden_vectors", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    models = Parser(add_help=False)
    models.add_argument("--model", type=Path, default=MODEL, help="int16x8 model (default: the blessed one)")
    models.add_argument("--build", type=Path, default=BUILD, help="folder of generated files (default: build)")
    both = Parser(add_help=False, parents=[models])
    both.add_argument("--model-int8", type=Path, default=MODEL_INT8, help="int8 model (default: the blessed one)")
    both.add_argument("--model-compact", type=Path, default=MODEL_COMPACT, help="compact model, int16x8 (likewise)")
    both.add_argument("--vectors", type=Path, default=DIRECTORY, help="folder of the vectors")

    _add_vectors(commands, both)
    _add_board(commands, both)
    _add_report(commands, models)
    return top


def _add_vectors(commands: Commands, both: Parser) -> None:
    """generate and verify."""
    command = commands.add_parser("generate", parents=[both], help="write the vectors, or check that they are current")
    command.add_argument("--check", action="store_true", help="write nothing; exit 1 at the first file that differs")
    command.add_argument("--format", choices=FORMATS, help="do not write the vectors but export them: see --out")
    command.add_argument("--out", type=Path, metavar="DIR", help="folder of the export, not that of the vectors")
    command.add_argument("--only", nargs="+", metavar="ID", help="export these vectors (default: all)")
    command.set_defaults(run=run_generate)

    command = commands.add_parser("verify", parents=[both], help="run every engine on every vector")
    command.add_argument("--on", nargs="+", metavar="NAME", help="engines, by name or family (default: all)")
    steps, jobs = partial(_count, "steps"), partial(_count, "jobs")
    command.add_argument("--steps", type=steps, default=verify.STEPS, help="steps of the closed loop (%(default)s)")
    command.add_argument("--jobs", type=jobs, default=cores(), help=JOBS)
    command.add_argument("--matrix", type=Path, metavar="PAGE.md", help="write the agreement matrix into this page")
    command.add_argument("--check", action="store_true", help="with --matrix: write nothing; exit 1 if it is not so")
    command.add_argument("--html", type=named_path, metavar="OUT.html", help="page of the first differences to write")
    command.set_defaults(run=run_verify)


def _add_board(commands: Commands, both: Parser) -> None:
    """selftest, count and memory: what is about the Cortex-M7."""
    command = commands.add_parser("selftest", parents=[both], help="image of a Cortex-M7 that carries vectors inside")
    command.add_argument("--part", choices=PARTS, default=DEFAULT_PART, help="microcontroller (default: %(default)s)")
    command.add_argument("--compiler", choices=tuple(COMPILERS), default="zig", help="(default: %(default)s)")
    command.add_argument("--scheme", choices=tuple(selftest.CASES), default="int16x8", help="(default: %(default)s)")
    command.add_argument("--board", nargs="+", type=Path, default=[], metavar="FILE.c", help=BOARD)
    command.add_argument(
        "--run", dest="emulate", action="store_true", help="run it in Unicorn as well, counting instructions"
    )
    out, shown = BUILD / "selftest.elf", "(default: build/selftest.elf)"
    command.add_argument("-o", "--out", type=named_path, default=out, help=shown)
    command.set_defaults(run=run_selftest)

    command = commands.add_parser("count", parents=[both], help="count the M7's instructions of a hop in an emulator")
    command.add_argument("--bless", action="store_true", help="write them where firmware_sim --part reads them")
    command.set_defaults(run=run_count)

    command = commands.add_parser("memory", help="flash, RAM, code and stack of the image for a Cortex-M7")
    command.add_argument("--model", type=Path, help="model (default: the blessed one of the scheme)")
    command.add_argument("--scheme", choices=SCHEMES, default=SCHEMES[0], help="default: %(default)s")
    command.add_argument("--part", choices=PARTS, default=DEFAULT_PART, help="default: %(default)s")
    command.add_argument("--compiler", choices=tuple(COMPILERS), default="zig", help="default: %(default)s")
    command.set_defaults(run=run_memory)


def _add_report(commands: Commands, models: Parser) -> None:
    """report."""
    command = commands.add_parser("report", parents=[models], help="enhance a recording on two engines, picture page")
    command.add_argument("recording", type=Path, help="WAV or FLAC")
    command.add_argument(
        "--enhanced",
        type=named_path,
        required=True,
        metavar="OUT.wav",
        help=ENHANCED,
    )
    command.add_argument("--page", type=named_path, metavar="OUT.html", help="picture page to write")
    command.set_defaults(run=run_report)


def _count(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{what} must be a whole number above 0, not {text!r}")
    if len(text) > MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"{what} may have {MOST_DIGITS} digits, not {len(text)}")
    return int(text)


def run_generate(arguments: argparse.Namespace, console: Console) -> int:
    """generate [--check | --format FORMAT --out DIR [--only ID ...]]."""
    if arguments.format or arguments.out or arguments.only:
        return _export(arguments, console)
    graphs = generate.load_graphs(_models(arguments))
    if arguments.check:
        wrong = generate.check(arguments.vectors, graphs)
        if wrong is not None:
            raise WitnessError(f"{wrong}: see what changed, then run `python -m golden_vectors generate`")
        console.print(f"every file in {_relative(arguments.vectors)} is reproduced byte for byte")
        return 0
    sizes = generate.generate(arguments.vectors, graphs)
    console.print(f"{len(CASES)} vectors, {sum(sizes.values()) / 1e6:.2f} MB, in {_relative(arguments.vectors)}")
    return 0


def _export(arguments: argparse.Namespace, console: Console) -> int:
    if arguments.check or not (arguments.format and arguments.out):
        raise WitnessError("an export needs --format and --out, and has no --check")
    out = arguments.out.resolve()
    if out.is_relative_to(arguments.vectors.resolve()) or out.is_relative_to(DIRECTORY):
        raise WitnessError(f"{arguments.out}: is a folder of vectors: give another one to --out")
    vectors, graphs = load_all(arguments.vectors, CASES), generate.load_graphs(_models(arguments))
    sizes = formats.export(vectors, graphs, arguments.format, arguments.out, arguments.only)
    number = f"{len(sizes)} file{'' if len(sizes) == 1 else 's'}"
    console.print(f"{number}, {sum(sizes.values()) / 1e6:.2f} MB, in {_relative(arguments.out)}")
    return 0


def run_verify(arguments: argparse.Namespace, console: Console) -> int:
    """verify [--on NAME ...] [--matrix PAGE.md [--check]]."""
    from golden_vectors.executors import registry, select

    if arguments.check and arguments.matrix is None:
        raise WitnessError("--check has nothing to check: give --matrix README.md")
    if arguments.matrix is not None and arguments.on:
        raise WitnessError("--matrix is about every engine: leave --on out")
    engines = select(arguments.on, registry())
    vectors = load_all(arguments.vectors, CASES)
    bench = verify.Bench(vectors, generate.load_graphs(_models(arguments)), arguments.steps)
    generate.require_current(vectors, bench.graphs)
    with progress() as watch:
        outcome = verify.verify(bench, engines, arguments.jobs, watch)
    invalid.verify_invalid(arguments.vectors, bench.graphs, outcome)
    if arguments.on is None:
        verify.write_agreement(outcome, arguments.build)
    print_outcome(outcome, bench, console)
    found = explanations(bench, engines, outcome, None if arguments.html is not None else MOST_EXPLAINED)
    print_differences(outcome, found)
    if arguments.html is not None:
        write_differences(outcome, found, bench, arguments.html)
        console.print(f"page: {_relative(arguments.html)}", highlight=False, soft_wrap=True)
    if arguments.matrix is not None:
        (matrix.check_matrix if arguments.check else matrix.write_matrix)(outcome, arguments.matrix)
    return 1 if outcome.failures else 0


def run_selftest(arguments: argparse.Namespace, console: Console) -> int:
    """selftest --part PART -o IMAGE.elf [--run | --board FILE.c ...]."""
    if arguments.emulate and arguments.board:
        raise WitnessError("--run has no board for the hooks of --board: leave one of the two out")
    board = tuple(path.resolve() for path in arguments.board)
    missing = [path for path in board if not path.is_file()]
    if missing:
        raise WitnessError(f"{missing[0]}: no such file")
    bench = verify.Bench(load_all(arguments.vectors, CASES), generate.load_graphs(_models(arguments)))
    made = selftest.build_selftest(bench, arguments.scheme, PROFILE, arguments.part, arguments.compiler, board)
    write(arguments.out.parent, arguments.out.name, made.elf)
    print_selftest(made, _relative(arguments.out), console)
    if not arguments.emulate:
        return 0
    reason = missing_unicorn()
    if reason is not None:
        raise WitnessError(reason)
    ended = run_unicorn(arguments.out, {}, arguments.part, counting=True)
    console.print(ended.printed, highlight=False, soft_wrap=True, markup=False, end="")
    return ended.status


def run_count(arguments: argparse.Namespace, console: Console) -> int:
    """count [--bless]."""
    from golden_vectors import instructions

    table = instructions.count(generate.load_graphs(_models(arguments)))
    print_counts(instructions.rows(table), table["schedule"], console)
    if arguments.bless:
        instructions.bless(table)
        console.print(f"wrote {_relative(TABLE)}")
    return 0


def run_report(arguments: argparse.Namespace, console: Console) -> int:
    """report RECORDING --enhanced OUT.wav [--page OUT.html]."""
    if arguments.page is not None:
        pictures.require()
    graph = generate.load_graphs({"int16x8": arguments.model})["int16x8"]
    found = report.measure(arguments.recording, graph, arguments.enhanced)
    print_report(found, console)
    if arguments.page is not None:
        page.write_page(found, arguments.page, arguments.build)
        console.print(f"picture page: {_relative(arguments.page)}")
    if found.differences:
        print(f"differs: {found.differences[0]}", file=sys.stderr)
    return 1 if found.differences else 0


def run_memory(arguments: argparse.Namespace, console: Console) -> int:
    """memory [--part NAME] [--compiler NAME] [--scheme NAME]."""
    from golden_vectors.memory import print_memory

    path = arguments.model or {"int16x8": MODEL, "int8": MODEL_INT8}[arguments.scheme]
    graph = generate.load_graphs({arguments.scheme: path})[arguments.scheme]
    print_memory(graph, arguments.part, arguments.compiler, console)
    return 0


def _models(arguments: argparse.Namespace) -> dict[str, Path]:
    return {"int16x8": arguments.model, "int8": arguments.model_int8, "compact": arguments.model_compact}


def _relative(path: Path) -> str:
    """A path as the user would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 all equal, 1 something differs, 2 it could not run."""
    arguments = parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows ASCII alone
    try:
        result: int = arguments.run(arguments, console())
        sys.stdout.flush()
    except (WitnessError, ContractError) as error:
        print(f"golden_vectors: {error}", file=sys.stderr)
        return 1 if getattr(arguments, "check", False) else 2
    except OSError as error:  # a full disk behind standard output, a name that is too long
        print(f"golden_vectors: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("golden_vectors: interrupted", file=sys.stderr)
        return 130
    return result


if __name__ == "__main__":
    sys.exit(main())
