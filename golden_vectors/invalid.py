"""Negative vectors: files that must be refused, each with one line of its own.

Each is a folder of `vectors/invalid/`, made from one valid vector of three hops. All but the last few are refused by
the loader. Those are sound in every byte and digest that they hold, and only the reference can tell.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from firmware_sim.contract import CONTRACT_VERSION
from firmware_sim.frame_loop import tap_bytes
from golden_vectors import wav
from golden_vectors.errors import WitnessError
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.files import REMEDY, load
from golden_vectors.kinds import KINDS
from golden_vectors.kinds.base import ANY_SCHEME, Graphs, profile_facts
from golden_vectors.kinds.stream import StreamCase
from golden_vectors.schema import SCHEMA_VERSION
from golden_vectors.signals import PROFILE, noisy
from golden_vectors.trace import DIGITS
from golden_vectors.vector import ARRAYS, HEADER, INPUT, OUTPUT, TRACE, Vector, sha256, stored, to_json
from golden_vectors.verify import FORGED, Bench, Cell, Outcome

Files: TypeAlias = dict[str, bytes]
"""Suffix -> bytes of one vector."""

FOLDER, MANIFEST = "invalid", "manifest.json"
GROUP, LOADER = "invalid", "loader"
TINY = StreamCase(1, "tiny", GROUP, ("WholeLoop",), 3, noisy(0.3))
"""The valid vector that all of them are made from."""


@dataclass(frozen=True)
class Invalid:
    """A vector that must be refused.

    id       name of its folder
    refusal  the one line, without the folder
    spoil    the valid vector and its files -> the files that are there instead
    """

    id: str
    refusal: str
    spoil: Callable[[Vector, Files], Files]


def damaged(reason: str) -> str:
    """The loader's line."""
    return f"{TINY.id}.{HEADER}: not a vector of this version: {reason}: {REMEDY}"


def other(suffix: str) -> str:
    return damaged(f"{TINY.id}.{suffix} is not the file that the header was written for")


FOREIGN_GRAPH = "0" * 64
_FOREIGN = (
    f"vector {TINY.id} was generated for graph {FOREIGN_GRAPH[:12]}, the {TINY.scheme} model is {{graph}}: give the "
    "model of the vectors, or bless this one with `python -m golden_vectors generate`"
)

# ---------------------------------------------------------------- damage


def cut(suffix: str) -> Callable[[Vector, Files], Files]:
    """The last third of a file is missing."""
    return lambda _, files: {**files, suffix: files[suffix][: 2 * len(files[suffix]) // 3]}


def without(suffix: str) -> Callable[[Vector, Files], Files]:
    return lambda _, files: {name: content for name, content in files.items() if name != suffix}


def flip(suffix: str) -> Callable[[Vector, Files], Files]:
    """The lowest bit of the last byte."""
    return lambda _, files: {**files, suffix: files[suffix][:-1] + bytes([files[suffix][-1] ^ 1])}


def header(**changes: Any) -> Callable[[Vector, Files], Files]:
    """Other values in the header."""
    return lambda _, files: {**files, HEADER: to_json({**json.loads(files[HEADER]), **changes})}


def rehashed(suffix: str, change: Callable[[bytes], bytes]) -> Callable[[Vector, Files], Files]:
    """Another file, and its sha256 in the header."""

    def spoil(_: Vector, files: Files) -> Files:
        content, facts = change(files[suffix]), json.loads(files[HEADER])
        return {
            **files,
            suffix: content,
            HEADER: to_json({**facts, "files": {**facts["files"], suffix: sha256(content)}}),
        }

    return spoil


def remade(change: Callable[[Vector], Vector]) -> Callable[[Vector, Files], Files]:
    """Another vector under the same id, every sha256 and digest its own."""
    return lambda vector, _: files_of(change(vector))


def arrays(**changes: Any) -> Callable[[Vector, Files], Files]:
    """Other arrays, each made from the one of its name, with the sha256 that fits."""

    def change(vector: Vector) -> Vector:
        changed = {name: make(vector.arrays[name]) for name, make in changes.items()}
        return replace(vector, arrays={**vector.arrays, **changed})

    return remade(change)


def lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[bytes], bytes]:
    return lambda raw: b"".join(change(raw.splitlines(keepends=True)))


def swap(rows: list[Any], a: int, b: int) -> list[Any]:
    """Two of them in each other's place."""
    return [rows[b if i == a else a if i == b else i] for i in range(len(rows))]


def one_more(values: Any) -> Any:
    """The first element of the last row, one higher."""
    values = values.copy()
    values.reshape(len(values), -1)[-1, 0] += 1
    return values


def of_objects(_: bytes) -> bytes:
    """An .npz that would run code where pickles are allowed."""
    head = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return stored({"vad.npy": b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + b"N."})


def forged_pcm(vector: Vector) -> Vector:
    """Another output sample, and its digest in the trace."""
    pcm = one_more(vector.arrays["pcm"])
    words = [*vector.trace[-1].split()[:-1], sha256(tap_bytes("pcm", pcm[-1]))[:DIGITS]]
    return replace(vector, arrays={**vector.arrays, "pcm": pcm}, trace=(*vector.trace[:-1], " ".join(words)))


def forged_input(vector: Vector) -> Vector:
    """An input that the rest was not computed from."""
    return replace(vector, arrays={**vector.arrays, "input_pcm": one_more(vector.arrays["input_pcm"])})


def forged_counters(vector: Vector) -> Vector:
    """One saturation more."""
    counters = {**vector.header["counters"], "network": [vector.header["counters"]["network"][0] + 1, 0]}
    return replace(vector, header={**vector.header, "counters": counters})


PROFILE_512 = {**profile_facts(PROFILE), "analysis_samples": 512, "bands": [[257, 1]]}
PICKLE = f"tiny.{ARRAYS}, vad.npy holds no plain numbers or text"
STEREO = f"tiny.{INPUT} is not 192 samples of mono 16-bit PCM at 16000 Hz behind a header of 44 bytes"
INVALID = (
    Invalid("truncated_header", damaged("the header is cut off or no JSON"), cut(HEADER)),
    Invalid("truncated_arrays", other(ARRAYS), cut(ARRAYS)),
    Invalid("truncated_input", other(INPUT), cut(INPUT)),
    Invalid("truncated_output", other(OUTPUT), cut(OUTPUT)),
    Invalid("truncated_trace", damaged(f"tiny.{TRACE}, line 3: the file ends here, after 1 of 3 lines"), cut(TRACE)),
    Invalid("missing_trace", f"tiny.{TRACE}: no such file: {REMEDY}", without(TRACE)),
    Invalid("bit_flipped_arrays", other(ARRAYS), flip(ARRAYS)),
    Invalid("bit_flipped_input", other(INPUT), flip(INPUT)),
    Invalid("swapped_sounds", other(OUTPUT), lambda _, f: {**f, INPUT: f[OUTPUT], OUTPUT: f[INPUT]}),
    Invalid("other_contract", damaged(f"contract version {CONTRACT_VERSION + 1}, this program has {CONTRACT_VERSION}"),
            header(contract_version=CONTRACT_VERSION + 1)),
    Invalid("other_schema", damaged(f"schema version {SCHEMA_VERSION - 1}, this program has {SCHEMA_VERSION}"),
            header(schema_version=SCHEMA_VERSION - 1)),
    Invalid("other_format", damaged("another file format"), header(schema="wycheproof")),
    Invalid("foreign_profile", damaged("profile default with these sizes is none of this program's: seed, default"),
            header(profile=PROFILE_512)),
    Invalid("foreign_graph", _FOREIGN, header(graph_sha256=FOREIGN_GRAPH)),
    Invalid("unknown_key", damaged("wrong keys: tolerance"), header(tolerance=1)),
    Invalid("big_endian_header", damaged("byte_order must be little, it is 'big'"), header(byte_order="big")),
    Invalid("big_endian_arrays", damaged("likelihood_q16 must be int64 (3), it is >i8 (3)"),
            arrays(likelihood_q16=lambda values: values.astype(">i8"))),
    Invalid("float_arrays", damaged("mask_q15 must be uint16 (3, 64), it is float64 (3, 64)"),
            arrays(mask_q15=lambda values: values.astype("<f8"))),
    Invalid("pickled_arrays", damaged(PICKLE), rehashed(ARRAYS, of_objects)),
    Invalid("stereo_input", damaged(STEREO), rehashed(INPUT, lambda raw: raw[:22] + b"\2" + raw[23:])),
    Invalid("short_input", damaged("input_pcm must be int16 (192), it is int16 (128)"),
            rehashed(INPUT, lambda raw: wav.to_bytes(wav.from_bytes(raw)[:128]))),
    Invalid("swapped_trace_lines", damaged(f"tiny.{TRACE}, line 2: must begin with '0 on_time', not '1 on_time'"),
            rehashed(TRACE, lines(lambda rows: swap(rows, 1, 2)))),
    Invalid("renumbered_trace_lines", damaged("the trace, line 2: overlap_add is not the digest of the pcm of hop 0"),
            remade(lambda vector: replace(vector, trace=tuple(swap(list(vector.trace), 0, 2))))),
    Invalid("rehashed_output", damaged("the trace, line 4: overlap_add is not the digest of the pcm of hop 2"),
            arrays(pcm=one_more)),
    Invalid("rehashed_mask", f"{TINY.id}.{HEADER}: {FORGED}", arrays(mask_q15=one_more)),
    Invalid("forged_input", f"{TINY.id}.{HEADER}: {FORGED}", remade(forged_input)),
    Invalid("forged_output", f"{TINY.id}.{HEADER}: {FORGED}", remade(forged_pcm)),
    Invalid("forged_counters", f"{TINY.id}.{HEADER}: {FORGED}", remade(forged_counters)),
)  # fmt: skip
"""Every one of them is refused, or `verify` is red."""


def files_of(vector: Vector) -> Files:
    """The vector's files by suffix."""
    return {name.removeprefix(f"{vector.id}."): content for name, content in vector.files().items()}


# ---------------------------------------------------------------- the set


def files(valid: Vector, graphs: Graphs) -> Iterator[tuple[str, bytes]]:
    """Every file of the folder, name and bytes; the manifest names each header and the line it must give."""
    for one in INVALID:
        for suffix, content in one.spoil(valid, files_of(valid)).items():
            yield f"{FOLDER}/{one.id}/{valid.id}.{suffix}", content
    refusals = {f"{one.id}/{valid.id}.{HEADER}": expected(one, graphs) for one in INVALID}
    yield f"{FOLDER}/{MANIFEST}", to_json(refusals)


def expected(one: Invalid, graphs: Graphs) -> str:
    """The line with the digest of the model at hand."""
    return one.refusal.replace("{graph}", graphs[TINY.scheme].digest[:12])


def refusal(path: Path, graphs: Graphs) -> str | None:
    """The line that a vector is refused with, without its folder; None: it is accepted."""
    try:
        vector = load(path)
        first, _ = KINDS[vector.kind].compare(NumpyReference(), vector, Bench([vector], graphs))
    except WitnessError as error:
        return str(error).replace(f"{path.parent}{os.sep}", "")
    return None if first is None else f"{path.name}: {FORGED}"


def verify_invalid(directory: Path, graphs: Graphs, outcome: Outcome) -> None:
    """Every invalid vector beside the valid ones, into the outcome.

    raises  WitnessError when they are not all there
    """
    cell = outcome.cells.setdefault((LOADER, ANY_SCHEME, GROUP), Cell())
    for one in INVALID:
        folder = directory / FOLDER / one.id
        if not folder.is_dir():
            raise WitnessError(f"{folder}: no such folder: {REMEDY}")
        wanted, got = expected(one, graphs), refusal(folder / f"{TINY.id}.{HEADER}", graphs)
        cell.equal += got == wanted
        if got != wanted:
            what = "is accepted" if got is None else f"is refused with {got!r}"
            cell.first = cell.first or f"{one.id}: {what}, expected {wanted!r}"
            cell.distance = 1.0
