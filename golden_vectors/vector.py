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

from golden_vectors.errors import WitnessError

_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Vector:
    """One case with its evidence.

    header  JSON facts: those of `schema.facts` and of its kind
    arrays  input and expected output, as its kind says
    """

    header: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]

    @property
    def id(self) -> str:
        return str(self.header["id"])

    @property
    def kind(self) -> str:
        """Name of its page in `kinds`."""
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
