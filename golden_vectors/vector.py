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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import CONTRACT_VERSION
from firmware_sim.frame_loop import TAP_DTYPES
from golden_vectors.errors import WitnessError

SCHEMA = "stapes-vector"
SCHEMA_VERSION = 1
DIRECTORY = Path(__file__).resolve().parent / "vectors"
_EPOCH = (1980, 1, 1, 0, 0, 0)

KEPT_TAPS = ("likelihood_q16", "vad", "wiener_gain_q15", "x_q11", "h0", "h1", "mask_q15", "gain_q15", "pcm")
"""Taps that a stream vector carries in full; the digests cover the others, whose expected elements come from the
reference once it agrees with those digests."""

KEYS = {
    "stream": {"profile", "parameters", "resets", "hops", "stages", "digests", "counters"},
    "network": {"steps"},
}
_COMMON_KEYS = {
    "schema", "schema_version", "contract_version", "id", "tcId", "group", "kind", "scheme", "graph_sha256",
    "flags", "notes", "byte_order", "arrays_sha256",
}  # fmt: skip


@dataclass(frozen=True)
class Vector:
    """One case with its evidence.

    header  JSON facts, see KEYS
    arrays  stream: input_pcm and `KEPT_TAPS`, each (hops, ...); network: input_x, mask, h0, h1, each (steps, n)
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


def narrowest(name: str) -> npt.DTypeLike:
    """Little-endian dtype in which a tap is stored: its width on the device."""
    return np.dtype(np.uint8 if name == "vad" else TAP_DTYPES.get(name, np.int32)).newbyteorder("<")


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


def load_all(directory: Path = DIRECTORY) -> list[Vector]:
    """Every vector of a directory, in the order of tcId; raises WitnessError when there is none or one is damaged."""
    vectors = [load(path) for path in sorted(directory.glob("*.json"))]
    if not vectors:
        raise WitnessError(f"{directory}: holds no vectors: run `python -m golden_vectors generate`")
    return sorted(vectors, key=lambda vector: int(vector.header["tcId"]))


def load(path: Path) -> Vector:
    """One vector from its header's path.

    raises  WitnessError, one line naming the file, for everything that `generate` would not have written
    """
    try:
        header = _header(path.read_bytes())
        raw = path.with_suffix(".npz").read_bytes()
        if hashlib.sha256(raw).hexdigest() != header["arrays_sha256"]:
            raise ValueError(f"{path.stem}.npz is not the file that the header was written for")
        return Vector(header, _arrays(raw))
    except FileNotFoundError as error:
        raise WitnessError(f"{error.filename}: no such file: restore it or run `generate`") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise WitnessError(f"{path}: not a vector of this version: {reason}: restore it or run `generate`") from None


def _header(raw: bytes) -> dict[str, Any]:
    header = json.loads(raw)
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise ValueError("another file format")
    for key, ours in (("schema_version", SCHEMA_VERSION), ("contract_version", CONTRACT_VERSION)):
        if header.get(key) != ours:
            raise ValueError(f"{key.replace('_', ' ')} {header.get(key)}, this program has {ours}")
    wanted = _COMMON_KEYS | KEYS.get(str(header.get("kind")), {"kind"})
    if set(header) != wanted:
        raise ValueError(f"wrong keys: {', '.join(sorted(map(str, set(header) ^ wanted)))}")
    return header


def _arrays(raw: bytes) -> dict[str, npt.NDArray[Any]]:
    with zipfile.ZipFile(io.BytesIO(raw)) as members:
        return {
            name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(members.read(name)), allow_pickle=False)
            for name in members.namelist()
        }
