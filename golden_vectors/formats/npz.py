"""One plain .npz per vector: its arrays by name, the trace as `digests` (lines, stages), the header as JSON text."""

from __future__ import annotations

import numpy as np

from golden_vectors.formats import Export
from golden_vectors.vector import archive, to_json


def files(one: Export) -> dict[str, bytes]:
    """`<id>.npz`; read it with numpy.load, without pickle."""
    arrays = {**one.arrays, "header_json": np.array(to_json(dict(one.facts)).decode("ascii"))}
    if one.digests is not None:
        arrays["digests"] = one.digests
    return {f"{one.id}.npz": archive(arrays)}
