"""The committed vectors in the forms that a board or a hardware bench takes: C headers, plain .npz, raw binaries.

Every writer is generic: it sees the facts of the header, the arrays and the trace, whatever the kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.onnx_writer import to_onnx
from export.provenance import ExportError
from export.tflite_writer import to_tflite
from firmware_sim.contract import STAGES
from firmware_sim.graph import Graph
from golden_vectors.errors import WitnessError
from golden_vectors.executors.network import revealed
from golden_vectors.kinds.closed_loop import ClosedLoopKind, loop_codes
from golden_vectors.kinds.drift import DriftKind
from golden_vectors.kinds.graph import MODEL, GraphKind, graph_of
from golden_vectors.kinds.network import NETWORK_DTYPES
from golden_vectors.kinds.stream import recipe_pcm
from golden_vectors.vector import Vector, sha256, to_json, write

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Export:
    """What a writer is given.

    facts    the header without what speaks of our files
    arrays   input and expected output, little-endian; a recipe's input too
    digests  (lines, stages) uint64 of the trace, None without one
    """

    id: str
    facts: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]
    digests: npt.NDArray[np.uint64] | None


def exported(vector: Vector) -> Export:
    """A vector for a writer."""
    facts = {key: value for key, value in vector.header.items() if key != "files"}
    arrays = {name: _little(values) for name, values in {**vector.arrays, **_recipe_input(vector)}.items()}
    words = [[int(word, 16) for word in line.split()] for line in vector.trace]
    return Export(vector.id, facts, arrays, np.array(words, "<u8") if words else None)


def _recipe_input(vector: Vector) -> dict[str, npt.NDArray[Any]]:
    """The input of a vector whose files do not hold it."""
    header = vector.header
    if vector.kind == DriftKind.name:
        return {"input_pcm": recipe_pcm(header)}
    if vector.kind == ClosedLoopKind.name:
        codes = loop_codes(header["recipe"], header["steps"], vector.scheme)
        return {"input_x": codes.astype(NETWORK_DTYPES[vector.scheme])}
    return {}


def _little(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))


def graph_files(vector: Vector, graphs: Mapping[str, Graph], name: str) -> dict[str, bytes]:
    """The graph that a vector runs on, one file for all its vectors; empty without one.

    An .onnx or .tflite of a graph vector is its own: what its tensors depend on, with these as outputs.

    graphs  scheme -> model
    name    of FORMATS
    raises  WitnessError when the vector was made for another model, or the packages of a writer are missing
    """
    header = vector.header
    digest = header.get("ops_sha256", header.get("graph_sha256"))
    if digest is None or name == "c":
        return {}
    source = header.get("graph", MODEL)
    graph, stem = graph_of(source, vector.model, graphs), f"{source}_{vector.model}"
    if graph.digest != digest:
        raise WitnessError(
            f"vector {vector.id} is of graph {digest[:16]}..., not of {graph.digest[:16]}...: see --model"
        )
    if name not in _TRANSLATED:
        return {f"{stem}.graph.npz": graph.to_bytes()}
    if vector.kind == GraphKind.name:
        graph, stem = revealed(graph, [tensor for tensor, _ in header["tensors"]]), vector.id
    try:
        return {f"{stem}.{name}": _TRANSLATED[name](graph)}
    except ExportError as error:
        raise WitnessError(str(error)) from None


def formats() -> dict[str, Callable[[Export], dict[str, bytes]]]:
    """Name of a format -> its writer of cases: file name -> bytes; none for a format of graphs alone."""
    from golden_vectors.formats import c_header, npz, raw

    return {"c": c_header.files, "npz": npz.files, "raw": raw.files, **dict.fromkeys(_TRANSLATED, lambda one: {})}


_TRANSLATED: dict[str, Callable[[Graph], bytes]] = {"onnx": to_onnx, "tflite": to_tflite}
FORMATS = ("c", "npz", "raw", *_TRANSLATED)


def export(
    vectors: Sequence[Vector],
    graphs: Mapping[str, Graph],
    name: str,
    directory: Path,
    only: Sequence[str] | None = None,
) -> dict[str, int]:
    """Write vectors in a format, with the graphs that they run on; file name -> bytes.

    graphs  scheme -> model
    name    of FORMATS
    only    ids, None for all
    raises  WitnessError when an id is unknown, or a file is in the way that no export has written
    """
    known = {vector.id: vector for vector in vectors}
    for one in only or ():
        if one not in known:
            raise WitnessError(f"--only {one}: no vector is called so: see golden_vectors/vectors")
    writer = formats()[name]
    made: dict[str, bytes] = {}
    for vector in (known[one] for one in dict.fromkeys(only if only is not None else known)):
        made |= writer(exported(vector)) | graph_files(vector, graphs, name)
    written = _written(directory)
    for file, content in made.items():
        _refuse_foreign(directory / file, content, written.get(file))
    manifest = written | {file: sha256(content) for file, content in made.items()}
    for file, content in made.items():
        write(directory, file, content)
    write(directory, MANIFEST, to_json({"stages": list(STAGES), "files": manifest}))
    return {file: len(content) for file, content in made.items()}


def _written(directory: Path) -> dict[str, str]:
    """File name -> sha256 of what exports wrote here before; raises WitnessError for a manifest that is not ours."""
    path = directory / MANIFEST
    if not path.exists():
        return {}
    try:
        files = json.loads(path.read_bytes())["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise WitnessError(f"{path}: is no manifest of an export: give another folder to --out") from None


def _refuse_foreign(path: Path, content: bytes, known: str | None) -> None:
    """An existing file is this very one, or what an export left here."""
    if path.is_dir():
        raise WitnessError(f"{path}: is a folder: give another folder to --out")
    if not path.exists():
        return
    found = path.read_bytes()
    if found != content and sha256(found) != known:
        raise WitnessError(f"{path}: was not written by an export: remove it, or give another folder to --out")
