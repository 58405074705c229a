"""The only writer of vectors: every case through the numpy reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from firmware_sim.graph import Graph, GraphError
from golden_vectors import invalid
from golden_vectors.cases import CASES
from golden_vectors.errors import WitnessError
from golden_vectors.files import SCHEMA_FILE
from golden_vectors.kinds import kind_of
from golden_vectors.kinds.base import MODELS, Case, Graphs
from golden_vectors.kinds.graph import GraphCase
from golden_vectors.kinds.stream import StreamCase
from golden_vectors.kinds.unit import UnitCase
from golden_vectors.schema import facts, json_schema
from golden_vectors.vector import SUFFIXES, Vector, to_json, write


def load_graphs(paths: Mapping[str, Path]) -> dict[str, Graph]:
    """The models of `kinds.base.MODELS`, or some of them.

    raises  WitnessError naming the file that is missing, foreign or of the other scheme
    """
    graphs = {}
    for name, path in paths.items():
        try:
            graphs[name] = Graph.load(path)
        except GraphError as error:
            raise WitnessError(f"{error}: `python -m export build/student.npz --bless` makes it") from None
        if graphs[name].scheme != MODELS[name]:
            raise WitnessError(f"{path}: is a model of scheme {graphs[name].scheme}, {MODELS[name]} is needed here")
    return graphs


def build(case: Case, graphs: Graphs) -> Vector:
    """The vector of one case."""
    header, arrays, trace = kind_of(case).build(case, graphs)
    return Vector({**facts(case), **header}, arrays, trace)


def files(graphs: Graphs) -> Iterator[tuple[str, bytes]]:
    """Every file of the set, name and bytes: the schema, then case by case, then those that must be refused."""
    yield SCHEMA_FILE, to_json(json_schema())
    for case in CASES:
        yield from build(case, graphs).files().items()
    yield from invalid.files(build(invalid.TINY, graphs), graphs)


def generate(directory: Path, graphs: Graphs) -> dict[str, int]:
    """Write the whole set, remove vectors that no case makes any more; file name -> bytes written.

    raises  WitnessError: the directory holds files and no vectors, so it is someone's and not ours to tidy
    """
    if directory.is_dir() and any(directory.iterdir()) and not (directory / SCHEMA_FILE).is_file():
        raise WitnessError(f"{directory}: holds other files than vectors: give a folder of its own")
    sizes = {}
    for name, content in files(graphs):
        write(directory, name, content)
        sizes[name] = len(content)
    for name in _strangers(directory, set(sizes)):
        (directory / name).unlink()
    return sizes


def check(directory: Path, graphs: Graphs) -> str | None:
    """None when the directory holds exactly what `generate` would write, else the first file that does not."""
    names = set()
    for name, content in files(graphs):
        names.add(name)
        path = directory / name
        if not path.is_file():
            return f"{path}: is missing"
        if path.read_bytes() != content:
            return f"{path}: is not what `generate` writes"
    return next((f"{directory / name}: belongs to no case" for name in _strangers(directory, names)), None)


def require_current(vectors: Iterable[Vector], graphs: Graphs) -> None:
    """Each vector runs all that its case says: the rows of units and graphs, the samples of streams.

    A reference that agrees with a vector which lost rows or tensors would call it equal.
    raises  WitnessError naming the first vector and what is not as its case makes it
    """
    cases = {case.id: case for case in CASES}
    for vector in vectors:
        wrong = stale(vector, cases[vector.id], graphs) if vector.id in cases else []
        if wrong:
            names = ", ".join(wrong)
            raise WitnessError(f"vector {vector.id}: {names}: not as its case makes it: see `generate --check`")


def stale(vector: Vector, case: Case, graphs: Graphs) -> list[str]:
    """Keys of the header and arrays that are not as the case makes them, as far as that is quick to know."""
    if isinstance(case, StreamCase) and "input_pcm" in vector.arrays:
        return [] if np.array_equal(vector.arrays["input_pcm"], case.pcm()) else ["input_pcm"]
    if not isinstance(case, UnitCase | GraphCase):
        return []
    made = build(case, graphs)
    keys = [key for key, value in made.header.items() if vector.header.get(key) != value]
    inputs = [name for name in made.arrays if name.startswith("in_")]
    if keys:
        return keys
    return [name for name in inputs if not np.array_equal(vector.arrays[name], made.arrays[name])]


def _strangers(directory: Path, names: set[str]) -> list[str]:
    """Files of the set's two folders that look like ours and are not, by their names below the directory."""
    paths = (*directory.glob("*"), *(directory / invalid.FOLDER).rglob("*"))
    found = (path.relative_to(directory).as_posix() for path in paths if _ours(path))
    return sorted(name for name in found if name not in names)


def _ours(path: Path) -> bool:
    return path.is_file() and path.name.endswith(tuple(f".{suffix}" for suffix in SUFFIXES))
