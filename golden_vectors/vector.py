"""The file format: one vector is `<id>.json` (header, digests) and `<id>.npz` (input, expected taps).

Both are the same bytes wherever they are made: no pickle, no compression (whose bytes depend on the zlib),
no date. The header names the sha256 of its arrays, so the pair cannot be mixed up.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from golden_vectors.cases import Case
from golden_vectors.errors import WitnessError
from golden_vectors.schema import check_arrays, check_case, check_header

DIRECTORY = Path(__file__).resolve().parent / "vectors"
_EPOCH = (1980, 1, 1, 0, 0, 0)
REMEDY = "restore it or run `python -m golden_vectors generate`"
_DAMAGE = (OSError, ValueError, KeyError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What json, zipfile and numpy raise for content that is not theirs."""


@dataclass(frozen=True)
class Vector:
    """One case with its evidence.

    header  JSON facts, see `schema.KEYS`
    arrays  stream: input_pcm and `schema.KEPT_TAPS`, each (hops, ...); network: input_x, mask, h0, h1, each (steps, n)
    """

    header: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]

    @property
    def id(self) -> str:
        return str(self.header["id"])

    @property
    def kind(self) -> str:
        """ "stream" or "network"."""
        return str(self.header["kind"])

    @property
    def scheme(self) -> str:
        return str(self.header["scheme"])

    def files(self) -> dict[str, bytes]:
        """File name -> its bytes."""
        arrays = archive(self.arrays)
        header = {**self.header, "arrays_sha256": hashlib.sha256(arrays).hexdigest()}
        return {f"{self.id}.json": _json(header), f"{self.id}.npz": arrays}


def archive(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """An .npz whose bytes depend on the arrays alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as members:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False)
            members.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), member.getvalue())
    return buffer.getvalue()


def _json(header: Mapping[str, Any]) -> bytes:
    """Sorted, one hop's digests per line."""
    return (json.dumps(header, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def write(directory: Path, name: str, content: bytes) -> None:
    """A file that appears whole or not at all."""
    target = directory / name
    temporary = target.with_name(f"{name}.part")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, target)
    except OSError as error:
        raise WitnessError(f"{target}: cannot be written: {error.strerror or 'input/output error'}") from None
    finally:
        if temporary.is_file():
            temporary.unlink()


def load_all(directory: Path = DIRECTORY, cases: Iterable[Case] = ()) -> list[Vector]:
    """Every vector of a directory, in the order of tcId.

    cases   what the directory must hold, and as these cases say; further vectors are welcome when complete
    raises  WitnessError when there is none, or one is missing, doubled, incomplete or damaged
    """
    by_id = {case.id: case for case in cases}
    paths = sorted(directory.glob("*.json"))
    headless = sorted(path.name for path in directory.glob("*.npz") if not path.with_suffix(".json").is_file())
    if not paths and not headless:
        raise WitnessError(f"{directory}: holds no vectors: run `python -m golden_vectors generate`")
    if headless:
        raise WitnessError(f"{directory}: without a header (.json): {', '.join(headless)}: {REMEDY}")
    missing = by_id.keys() - {path.stem for path in paths}
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
        header = check_header(json.loads(path.read_bytes()))
        if header["id"] != path.stem:
            raise ValueError(f"the file is named {path.stem}, its id is {header['id']}")
        raw = path.with_suffix(".npz").read_bytes()
        if hashlib.sha256(raw).hexdigest() != header["arrays_sha256"]:
            raise ValueError(f"{path.stem}.npz is not the file that the header was written for")
        arrays = _arrays(raw)
        check_arrays(header, arrays)
        if case is not None:
            check_case(header, case)
        return Vector(header, arrays)
    except FileNotFoundError as error:
        raise WitnessError(f"{error.filename}: no such file: {REMEDY}") from None
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise WitnessError(f"{path}: not a vector of this version: {reason}: {REMEDY}") from None


def _arrays(raw: bytes) -> dict[str, npt.NDArray[Any]]:
    with zipfile.ZipFile(io.BytesIO(raw)) as members:
        return {
            name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(members.read(name)), allow_pickle=False)
            for name in members.namelist()
        }
