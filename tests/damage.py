"""Files that are nearly right: bytes, .npz archives, .npy arrays and JSON, changed as accidents and attackers do.

Every function takes what chooses (`random.Random`, or hypothesis' own, which then can shrink) and returns the changed
content; none changes its argument.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

Members = list[tuple[str, bytes]]
"""Name and content of an archive's members, in order; names may occur twice."""

# ---------------------------------------------------------------- bytes


def damaged_bytes(chance: Random, raw: bytes) -> bytes:
    """Cut, flipped, overwritten, shifted, doubled."""
    if not raw:
        return bytes(chance.randrange(256) for _ in range(8))
    at, other = chance.randrange(len(raw)), chance.randrange(len(raw))
    kind = chance.randrange(7)
    if kind == 0:
        return raw[:at]
    if kind == 1:
        return raw[at:]
    if kind == 2:
        return raw[:at] + bytes([raw[at] ^ (1 << chance.randrange(8))]) + raw[at + 1 :]
    if kind == 3:
        number = chance.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, chance.randrange(1 << 32)])
        return raw[:at] + struct.pack(chance.choice("<>") + "I", number) + raw[at + 4 :]
    if kind == 4:
        return raw[:at] + raw[other : other + 64] + raw[at:]
    if kind == 5:
        return raw[: min(at, other)] + raw[max(at, other) :]
    return raw + raw[at:]


# ---------------------------------------------------------------- JSON

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 65, 1 << 31, -(1 << 63), 10**400, 0.5, -0.0, 1e308, 1e-320, float("nan"),
    float("inf"), -float("inf"), "", "x", "h0", "mask", "../../etc", "a\nb\x1b[31m", "\ud800", "x" * 5000, "2" * 5000,
    [], {}, [[]], [None], [1, 2], {"a": 1}, {"": None}, ["x"], [0] * 2000,
)  # fmt: skip
"""Values of every JSON type that no header holds."""


def damaged_json(chance: Random, value: Any, times: int = 1) -> bytes:
    """The text of a value in which nodes were replaced, left out, doubled or renamed; rarely no JSON at all."""
    kind = chance.randrange(24)
    if kind == 0:
        return damaged_bytes(chance, json.dumps(value).encode())
    if kind == 1:
        return b"[" * chance.choice([100, 3000, 200_000])
    if kind == 2:
        return b'{"a":' * 5000 + b"1" + b"}" * 5000
    if kind == 3:
        return b"9" * chance.choice([400, 5000, 100_000])
    for _ in range(times):
        value = replaced(chance, value)
    return json.dumps(value).encode()


def replaced(chance: Random, value: Any) -> Any:
    """A copy in which one node is another."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(sorted(value))
        kind = chance.randrange(12)
        if kind == 0:
            return {name: inner for name, inner in value.items() if name != key}
        if kind == 1:
            return {**value, chance.choice(["", "extra", key + "x"]): value[key]}
        return {**value, key: replaced(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        kind = chance.randrange(12)
        if kind == 0:
            return value[:at] + value[at + 1 :]
        if kind == 1:
            return [*value[:at], value[at], *value[at:]]
        if kind == 2:
            return value[::-1]
        return [*value[:at], replaced(chance, value[at]), *value[at + 1 :]]
    if type(value) is int and chance.random() < 0.5:
        return value + chance.choice([-1, 1, 2, -value, 1 << 20, -(1 << 40)])
    return chance.choice(STRANGE)


# ---------------------------------------------------------------- arrays


def npy(array: npt.NDArray[Any], version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy file, objects pickled."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version, allow_pickle=True)
    return buffer.getvalue()


def npy_that_says(header: str, body: bytes = b"") -> bytes:
    """A .npy file with a header of one's own."""
    text = header.encode("latin-1")
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


LYING_HEADERS = (
    "{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (268435456,), }",
    "{'descr': '|u1', 'fortran_order': True, 'shape': (4611686018427387904, 4611686018427387904), }",
    "{'descr': '<i2', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<i2', 'fortran_order': False, 'shape': (0, 99999999999999999999), }",
    "{'descr': '|V1000000000', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (), }",
    "{'descr': [('a', '<i2', (1000, 1000, 1000))], 'fortran_order': False, 'shape': (2,), }",
    "{'descr': '<i2', 'shape': (1,), }",
    "{'descr': '<i2', 'fortran_order': 1, 'shape': 5, }",
    "{'descr': " + "(" * 90 + ")" * 90 + ", 'fortran_order': False, 'shape': (1,), }",
    "__import__('os').abort()",
)
"""A hundred bytes that promise gigabytes, or no array."""


def damaged_npy(chance: Random, raw: bytes) -> bytes:
    """The member of an archive: another dtype, order, shape or version, other values, a header that lies."""
    if chance.random() < 0.3:
        return chance.choice([damaged_bytes(chance, raw), npy_that_says(chance.choice(LYING_HEADERS), raw[128:])])
    try:
        array = np.lib.format.read_array(io.BytesIO(raw), allow_pickle=False)
    except ValueError:
        return damaged_bytes(chance, raw)
    changes: list[Callable[[], npt.NDArray[Any]]] = [
        lambda: array.astype(object),
        lambda: array.astype(chance.choice(["<f8", "<f4", ">i2", "<i8", "|i1", "<u8", "|b1", "<c8", "<U5", "<f2"])),
        lambda: array.astype(array.dtype.newbyteorder(">")),
        lambda: np.asfortranarray(np.atleast_2d(array)),
        lambda: array.reshape(-1),
        lambda: array.T,
        lambda: array[..., None],
        lambda: array[:0],
        lambda: array[:-1] if array.ndim else array,
        lambda: np.concatenate([array.ravel(), array.ravel()]),
        lambda: np.asarray(array.ravel()[0] if array.size else 0),
        lambda: _with_value(array, chance),
        lambda: np.zeros(array.shape, [("a", "<i2"), ("b", "<f4")]),
        lambda: np.full(array.shape, "2026-01-01", "datetime64[D]"),
    ]
    with np.errstate(all="ignore"):
        try:
            return npy(chance.choice(changes)(), chance.choice([(1, 0), (1, 0), (2, 0), (3, 0)]))
        except (ValueError, TypeError, IndexError):
            return damaged_bytes(chance, raw)


def _with_value(array: npt.NDArray[Any], chance: Random) -> npt.NDArray[Any]:
    """One value, or all, is extreme."""
    changed = array.copy()
    if not changed.size or changed.dtype.kind not in "iuf":
        return changed
    if changed.dtype.kind == "f":
        value: float = chance.choice([np.nan, np.inf, -np.inf, 1e30, -1024.0, 1024.0, 1e-40, 0.0, -0.0])
    else:
        limits = np.iinfo(changed.dtype)
        value = chance.choice([limits.min, limits.max, 0, 1])
    if chance.random() < 0.3:
        changed[...] = value
    else:
        changed.flat[chance.randrange(changed.size)] = value
    return changed


# ---------------------------------------------------------------- archives


def members_of(raw: bytes) -> Members:
    """The members of an archive."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def archive_of(members: Members, compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of members, in their order, names that occur twice included."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            archive.NameToInfo.pop(info.filename, None)  # zipfile warns of a name that it knows
            archive.writestr(info, content, compression)
    return buffer.getvalue()


NAMES = ("graph.npy", "meta.npy", "x.npy", "../x.npy", "a/", "", "x" * 300 + ".npy", "h0", "ü.npy", "graph.npy.npy")


def damaged_archive(chance: Random, raw: bytes) -> bytes:
    """Bytes of the container, the set of its members, or one member."""
    kind = chance.randrange(12)
    if kind == 0:
        return damaged_bytes(chance, raw)
    members = members_of(raw)
    at = chance.randrange(len(members))
    name, content = members[at]
    if kind == 1:
        del members[at]
    elif kind == 2:
        members.append((name, chance.choice([content, damaged_npy(chance, content)])))
    elif kind == 3:
        members[at] = chance.choice(NAMES), content
    elif kind == 4:
        members.insert(0, (chance.choice(NAMES), content))
    elif kind == 5:
        chance.shuffle(members)
    elif kind == 6:
        return archive_of(members, chance.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    else:
        members[at] = name, damaged_npy(chance, content)
    made = archive_of(members)
    return damaged_entry(chance, made) if kind == 7 else made


def damaged_entry(chance: Random, raw: bytes) -> bytes:
    """A field of the central directory: method, flags, sizes, places."""
    entry = raw.rfind(b"PK\x01\x02")
    offset, width = chance.choice([(8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4)])
    value = chance.choice([0, 1, 8, 99, (1 << (8 * width)) - 1, chance.randrange(1 << (8 * width))])
    at = entry + offset
    return raw[:at] + value.to_bytes(width, "little") + raw[at + width :]


def bomb(name: str, megabytes: int) -> bytes:
    """A small archive whose member is a long array of zeros."""
    buffer = io.BytesIO()
    header = npy_that_says(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({megabytes << 18},), }}")
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as member,
    ):
        member.write(header)
        for _ in range(megabytes):
            member.write(bytes(1 << 20))
    return buffer.getvalue()
