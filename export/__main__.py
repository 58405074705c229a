"""Door: python -m export [build/student.npz | firmware_sim/model.npz] --to graph onnx tflite c ranges"""

from __future__ import annotations

import os

# Before numpy is loaded: its products are tiny, and on a busy machine threads that wait for each other
# make the calibration a hundred times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from export import provenance, ranges
from export.c_memory import KINDS, STACK_BYTES, MemoryMap, total
from export.c_writer import memory_map
from export.provenance import COMMAND, ExportError, sha256, write_all
from export.quantize import Quality, measure, quantize_all
from export.student import check_origin, load_student
from firmware_sim import graph as graph_module
from firmware_sim.contract import PROFILES
from firmware_sim.graph import SCHEMES, Graph, GraphError

MODELS = Path(graph_module.__file__).parent
BLESSED = {"int16x8": MODELS / "model.npz", "int8": MODELS / "model_int8.npz"}
"""The committed graphs of the base student, by scheme: the default of every door."""
COMPACT = MODELS / "model_compact.npz"
"""The committed graph of the compact student, int16x8."""
BASE_NAME, COMPACT_NAME = "base", "compact"
TARGETS = ("graph", "onnx", "tflite", "c", "ranges")
REPORTED = ("h0_next", "h1_next", "fc1", "mask")
"""Tensors whose distance from the float student is printed."""


BLESS = "a student's graphs, both schemes, become the defaults; `--bless compact`: its int16x8 graph the compact one"


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"stapes export: {message} ({self.prog} --help explains)", file=sys.stderr)
        raise SystemExit(2)


def named_folder(text: str) -> Path:
    """A folder with a name: an empty one would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name of the folder is empty; write . for the current one")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8: choose another name") from None
    return Path(text)


def parser() -> Parser:
    """Arguments of the door."""
    p = Parser(prog=COMMAND, description="Translate a student or a graph for the device.")
    p.add_argument("source", nargs="?", type=Path, help="build/student.npz or a graph; default: the blessed graph")
    p.add_argument("--to", nargs="+", choices=TARGETS, default=list(TARGETS), help="what to write (default: all)")
    p.add_argument("--scheme", choices=SCHEMES, help="int16x8 (default) or int8")
    p.add_argument("--out", type=named_folder, default=Path("build"), help="folder to write to (default: build)")
    p.add_argument("--per-channel", action="store_true", help="a student's weights: one scale per output")
    p.add_argument("--paired", action="store_true", help="c: weights for the Cortex-M's dual multiply-accumulate")
    p.add_argument("--bless", nargs="?", const=BASE_NAME, choices=(BASE_NAME, COMPACT_NAME), help=BLESS)
    return p


def is_graph(source: Path) -> bool:
    """Whether a file is meant as a graph; its loader then judges it."""
    try:
        with zipfile.ZipFile(source) as archive:
            return "graph.npy" in archive.namelist()
    except Exception:  # zipfile names no common class for what a damaged file raises
        return False


def obtain_graph(arguments: argparse.Namespace, console: Console) -> tuple[Graph, dict[Path, Graph]]:
    """The graph to translate, quantized from a student if that is the source, and the graphs to bless by their file."""
    source: Path = arguments.source or BLESSED[arguments.scheme or "int16x8"]
    if arguments.source is None or is_graph(source):
        if arguments.bless or arguments.per_channel:
            raise ExportError(f"{source}: --bless and --per-channel need a student, this is a graph")
        if not source.exists():
            raise ExportError(f"{source}: no such file; bless a student: {COMMAND} build/student.npz --bless")
        graph = Graph.load(source)
        if arguments.scheme not in (None, graph.scheme):
            raise ExportError(f"{source}: the graph is {graph.scheme}, not {arguments.scheme}; export the student")
        try:
            check_origin(graph.meta)
        except ExportError as error:
            raise ExportError(f"{source}: cannot be exported: {error}") from None
        return graph, {}
    student = load_student(source)
    wanted = arguments.scheme or "int16x8"
    places = {BASE_NAME: BLESSED, COMPACT_NAME: {"int16x8": COMPACT}}.get(arguments.bless, {})
    names = dict.fromkeys((wanted, *places))
    try:
        graphs = quantize_all(student, tuple(names), arguments.per_channel)
    except GraphError as error:
        raise ExportError(f"{source}: cannot be quantized: {error}") from None
    console.print(quality_table({name: measure(graph, student) for name, graph in graphs.items()}))
    return graphs[wanted], {path: graphs[name] for name, path in places.items()}


def refuse_to_replace_the_source(source: Path | None, files: dict[Path, bytes]) -> None:
    """An artefact must not take the place of what it was made from, unless with the same bytes."""
    for path, data in files.items():
        if source and path.exists() and path.samefile(source) and path.read_bytes() != data:
            raise ExportError(f"{path}: is also the source: give another folder with --out")


def translate(graph: Graph, targets: Sequence[str], paired: bool = False) -> dict[str, bytes]:
    """Files of the targets, by name; `paired` is for the C."""
    files: dict[str, bytes] = {}
    if "graph" in targets:
        files["stapes_graph.npz"] = graph.to_bytes()
    if "onnx" in targets:
        from export.onnx_writer import to_onnx

        files["stapes.onnx"] = to_onnx(graph)
    if "tflite" in targets:
        from export.tflite_writer import c_array, to_tflite

        model = to_tflite(graph)
        header, source = c_array(graph, model)
        files["stapes.tflite"] = model
        files["stapes_tflite_model.h"], files["stapes_tflite_model.c"] = header.encode(), source.encode()
    if "c" in targets:
        from export.c_writer import to_c

        files |= to_c(graph, PROFILES[graph.meta["profile"]], paired)
    if "ranges" in targets:
        files |= ranges.to_files(graph, ranges.proven(graph, PROFILES[graph.meta["profile"]]))
    return files


def prove(source: Path, graphs: Sequence[Graph], console: Console) -> None:
    """No graph leaves the door whose registers can overflow; says what is proven."""
    for graph in graphs:
        try:
            ledger = ranges.proven(graph, PROFILES[graph.meta["profile"]])
        except ExportError as error:
            raise ExportError(f"{source}: {error}") from None
        console.print(ranges.summary(graph, ledger), highlight=False, soft_wrap=True)


def quality_table(qualities: dict[str, Quality]) -> Table:
    """Distance from the float student, closed loop on the calibration features."""
    table = Table("scheme", *REPORTED, "saturated", title="SNR against the float student, dB")
    for name, quality in qualities.items():
        cells = [f"{quality.snr_db[tensor]:.1f}" for tensor in REPORTED]
        table.add_row(name, *cells, f"{100 * quality.saturations:.4f} %")
    return table


def file_table(out: Path, files: dict[str, bytes]) -> Table:
    """What was written."""
    table = Table("file", "bytes", "sha256", title=f"written to {out}")
    for name, data in files.items():
        table.add_row(name, f"{len(data):,}", sha256(data)[:16])
    return table


def memory_table(memory: MemoryMap) -> Table:
    """Flash and RAM, buffer by buffer, as in the header; code depends on the compiler."""
    constants = Table("flash", "bytes", box=SIMPLE_HEAD)
    for kind in KINDS:
        rows = memory.flash_of(kind)
        if rows:
            constants.add_row(f"[bold]{kind}", f"[bold]{sum(rows.values()):,}")
        for name, size in rows.items():
            constants.add_row(f"  {name}", f"{size:,}")
    state = Table("RAM of one ear", "bytes", box=SIMPLE_HEAD)
    for name, size in memory.state:
        state.add_row(name, f"{size:,}")
    for column in (constants.columns[1], state.columns[1]):
        column.justify = "right"
    summary = f"flash {memory.flash_bytes:,}, RAM {total(memory.state):,} an ear, stack {STACK_BYTES}"
    both = Table(title=f"bytes: {summary}", box=None, show_header=False, pad_edge=False)
    both.add_row(constants, state)
    return both


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        code = _export(arguments, Console())
        sys.stdout.flush()
        return code
    except OSError as error:  # a full disk behind standard output, a name that is too long
        print(f"stapes export: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stapes export: stopped", file=sys.stderr)
        return 130


def _export(arguments: argparse.Namespace, console: Console) -> int:
    try:
        graph, blessed = obtain_graph(arguments, console)
        graphs = {each.digest: each for each in (graph, *blessed.values())}
        prove(arguments.source or BLESSED[graph.scheme], list(graphs.values()), console)
        files = translate(graph, arguments.to, arguments.paired)
        files["manifest.json"] = provenance.manifest(graph, files, arguments.out)
        written = {arguments.out / name: data for name, data in files.items()}
        written |= {path: blessed_graph.to_bytes() for path, blessed_graph in blessed.items()}
        refuse_to_replace_the_source(arguments.source, written)
        write_all(written)
    except (ExportError, GraphError) as error:
        print(f"stapes export: {error}", file=sys.stderr)
        return 1
    for path, blessed_graph in blessed.items():
        console.print(f"blessed {path.name}: {blessed_graph.digest}", highlight=False)
    console.print(file_table(arguments.out, files))
    if "c" in arguments.to:
        console.print(memory_table(memory_map(graph, PROFILES[graph.meta["profile"]], arguments.paired)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
