"""One raw little-endian binary per vector, its arrays one after the other, and a JSON that says where each begins."""

from __future__ import annotations

from typing import Any

from golden_vectors.formats import Export
from golden_vectors.vector import sha256, to_json

ALIGNMENT = 8
"""Bytes at whose multiples arrays begin; zeros fill the gaps."""


def files(one: Export) -> dict[str, bytes]:
    """`<id>.bin` and `<id>.json`: the header's facts, and of each array offset, dtype, shape and sha256."""
    arrays = {**one.arrays, **({} if one.digests is None else {"digests": one.digests})}
    data, places = bytearray(), dict[str, Any]()
    for name, values in arrays.items():
        data += bytes(-len(data) % ALIGNMENT)
        content = values.tobytes()
        places[name] = {
            "offset": len(data),
            "bytes": len(content),
            "dtype": values.dtype.str,
            "shape": list(values.shape),
            "sha256": sha256(content),
        }
        data += content
    binary = f"{one.id}.bin"
    described = {**one.facts, "binary": {"file": binary, "sha256": sha256(bytes(data)), "arrays": places}}
    return {binary: bytes(data), f"{one.id}.json": to_json(described)}
