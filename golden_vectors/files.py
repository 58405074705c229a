"""Reading the vectors: whatever is not complete, sound and as its case says is one clear line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from firmware_sim.reading import arrays_of, one_line
from golden_vectors import trace, wav
from golden_vectors.errors import WitnessError
from golden_vectors.kinds.base import Case, Header
from golden_vectors.schema import check_arrays, check_case, check_header, wanted_arrays
from golden_vectors.vector import ARRAYS, HEADER, INPUT, SUFFIXES, TRACE, Vector, sha256, sounds_of

SCHEMA_FILE = "schema.json"
"""The JSON Schema of the headers, which lies beside them."""
DIRECTORY = Path(__file__).resolve().parent / "vectors"
REMEDY = "restore it or run `python -m golden_vectors generate`"
_LIMIT_BYTES = 1 << 26
"""All vectors together are smaller."""
_DAMAGE = (OSError, ValueError, KeyError, RecursionError)
"""What the file system, json and the checks raise for content that is not theirs."""


def load_all(directory: Path = DIRECTORY, cases: Iterable[Case] = ()) -> list[Vector]:
    """Every vector of a directory, in the order of tcId.

    cases   what the directory must hold, and as these cases say; further vectors are welcome when complete
    raises  WitnessError when there is none, or one is missing, doubled, incomplete or damaged
    """
    by_id = {case.id: case for case in cases}
    paths = [path for path in sorted(directory.glob(f"*.{HEADER}")) if path.name != SCHEMA_FILE]
    headed = {path.stem for path in paths}
    parts = {path.name for suffix in SUFFIXES if suffix != HEADER for path in directory.glob(f"*.{suffix}")}
    headless = sorted(name for name in parts if name.split(".")[0] not in headed)
    if not paths and not headless:
        raise WitnessError(f"{directory}: holds no vectors: run `python -m golden_vectors generate`")
    if headless:
        raise WitnessError(f"{directory}: without a header (.json): {', '.join(headless)}: {REMEDY}")
    missing = by_id.keys() - headed
    if missing:
        names = ", ".join(name for name in by_id if name in missing)
        raise WitnessError(f"{directory}: {len(missing)} of {len(by_id)} vectors missing: {names}: {REMEDY}")
    by_number: dict[int, Vector] = {}
    for path in paths:
        vector = load(path, by_id.get(path.stem))
        other = by_number.setdefault(vector.header["tcId"], vector)
        if other is not vector:
            raise WitnessError(f"{path}: duplicate: tcId {vector.header['tcId']} is that of {other.id}: {REMEDY}")
    return [by_number[number] for number in sorted(by_number)]


def load(path: Path, case: Case | None = None) -> Vector:
    """One vector from its header's path, complete, and as its case says if there is one.

    raises  WitnessError, one line naming the file, for everything that `generate` would not have written
    """
    try:
        header = check_header(_parsed(path.read_bytes()))
        if header["id"] != path.stem:
            raise ValueError(f"the file is named {path.stem}, its id is {header['id']}")
        vector = _assemble(header, _read_parts(path, header))
        check_arrays(header, vector.arrays)
        if vector.trace and "pcm" in vector.arrays:
            trace.check_played(vector.arrays, vector.trace)
        if case is not None:
            check_case(header, case)
        return vector
    except FileNotFoundError as error:
        raise WitnessError(f"{error.filename}: no such file: {REMEDY}") from None
    except _DAMAGE as error:
        raise WitnessError(f"{path}: not a vector of this version: {one_line(error)}: {REMEDY}") from None


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("the header is cut off or no JSON") from None


def _read_parts(path: Path, header: Header) -> dict[str, bytes]:
    """Suffix -> bytes of exactly the files that the header names, each with its sha256."""
    parts = {suffix: path.with_name(f"{path.stem}.{suffix}").read_bytes() for suffix in header["files"]}
    for suffix in SUFFIXES:
        if suffix not in (HEADER, *parts) and path.with_name(f"{path.stem}.{suffix}").exists():
            raise ValueError(f"{path.stem}.{suffix} lies beside it, the header does not know it")
    if TRACE in parts:  # first: it can say which line is wrong
        _named(f"{path.stem}.{TRACE}, ", lambda: trace.from_bytes(header, parts[TRACE]))
    for suffix, raw in parts.items():
        if sha256(raw) != header["files"][suffix]:
            raise ValueError(f"{path.stem}.{suffix} is not the file that the header was written for")
    return parts


def _assemble(header: Header, parts: Mapping[str, bytes]) -> Vector:
    """The vector of files that are whole."""
    arrays = (
        _named(f"{header['id']}.{ARRAYS}, ", lambda: arrays_of(parts[ARRAYS], _LIMIT_BYTES)) if ARRAYS in parts else {}
    )
    for suffix, name in sounds_of(wanted_arrays(header)).items():
        pcm = _named(f"{header['id']}.{suffix} ", lambda raw=parts[suffix]: wav.from_bytes(raw))
        hop = int(header["profile"]["hop_samples"])
        arrays[name] = pcm if suffix == INPUT else pcm.reshape(-1, hop)
    return Vector(header, arrays, trace.from_bytes(header, parts[TRACE]) if TRACE in parts else ())


def _named(name: str, read: Any) -> Any:
    """What `read` gives; its ValueError behind the name of the file."""
    try:
        return read()
    except ValueError as error:
        raise ValueError(f"{name}{error}") from None
