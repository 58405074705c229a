"""The file format: what one vector is, and the bytes that it becomes.

    <id>.json     header: what the case is, and the sha256 of every other file
    <id>.npz      arrays
    <id>.wav      input of a stream, 16 kHz mono int16
    <id>.out.wav  what the device plays
    <id>.trace    text, a line per hop: its status and a digest of each stage

A vector has those that its kind needs. They are the same bytes wherever they are made: no pickle, no compression
(whose bytes depend on the zlib), no date.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from golden_vectors import trace, wav
from golden_vectors.errors import WitnessError

_EPOCH = (1980, 1, 1, 0, 0, 0)
HEADER, ARRAYS, INPUT, OUTPUT, TRACE = "json", "npz", "wav", "out.wav", "trace"
SUFFIXES = (HEADER, ARRAYS, INPUT, OUTPUT, TRACE)
"""What follows the id in the name of a file."""


@dataclass(frozen=True)
class Vector:
    """One case with its evidence.

    header  JSON facts: those of `schema.facts` and of its kind
    arrays  input and expected output, as its kind says
    trace   a stream's digests, one line of `contract.STAGES` words per line of the file
    """

    header: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]
    trace: tuple[str, ...] = ()

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

    @property
    def model(self) -> str:
        """Which model it runs: a name of `kinds.base.MODELS`; its scheme where the header names none."""
        return str(self.header.get("model", self.scheme))

    def files(self) -> dict[str, bytes]:
        """File name -> its bytes."""
        sounds = sounds_of(self.arrays)
        parts = {suffix: wav.to_bytes(self.arrays[name]) for suffix, name in sounds.items()}
        plain = {name: values for name, values in self.arrays.items() if name not in sounds.values()}
        if plain:
            parts[ARRAYS] = archive(plain)
        if self.trace:
            parts[TRACE] = trace.to_bytes(self.header, self.trace)
        header = {**self.header, "files": {suffix: sha256(content) for suffix, content in parts.items()}}
        return {f"{self.id}.{suffix}": content for suffix, content in {HEADER: to_json(header), **parts}.items()}


def sounds_of(arrays: Iterable[str]) -> dict[str, str]:
    """Suffix -> the array of a stream that this sound file holds; what is played is pcm unless hops were late."""
    names = set(arrays)
    if "input_pcm" not in names:
        return {}
    return {INPUT: "input_pcm", OUTPUT: "played" if "played" in names else "pcm"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """An .npz whose bytes depend on the arrays alone."""
    members = {}
    for name, values in arrays.items():
        member = io.BytesIO()
        np.lib.format.write_array(member, np.asarray(values, order="C"), version=(1, 0), allow_pickle=False)
        members[f"{name}.npy"] = member.getvalue()
    return stored(members)


def stored(members: Mapping[str, bytes]) -> bytes:
    """A zip without compression and without the time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return buffer.getvalue()


def to_json(value: Any) -> bytes:
    """Sorted keys, ASCII, LF."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def write(directory: Path, name: str, content: bytes) -> None:
    """A file that appears whole or not at all; its name may have folders."""
    target = directory / name
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, target)
    except OSError as error:
        raise WitnessError(f"{target}: cannot be written: {error.strerror or 'input/output error'}") from None
    finally:
        if temporary.is_file():
            temporary.unlink()
