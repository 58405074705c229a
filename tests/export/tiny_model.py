"""A network of hidden size 8 whose integers are written down, and its committed C.

A change of code generation shows as a diff under tests/data/tiny_model. To accept it:

    python -m tests.export.tiny_model
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.c_writer import to_c
from export.provenance import write_atomic
from firmware_sim.blocks import RECIPES, Dense, GruWeights, Scheme, mask_network
from firmware_sim.contract import PROFILES, Profile
from firmware_sim.graph import Graph

HIDDEN = 8
SEED, DEFAULT = PROFILES["seed"], PROFILES["default"]
DIRECTORY = Path(__file__).resolve().parents[1] / "data" / "tiny_model"
COMMITTED = {"int16x8": ("stapes_tables.h", "stapes_model.h", "stapes_model.c"), "int8": ("stapes_model.c",)}
"""Files kept for each scheme: what the other scheme would repeat is left out."""
OF_DEFAULT = "default"
"""Folder of the int16x8 model of the profile `default`: its tables and its calls."""


def dense(rows: int, columns: int, scheme: Scheme, seed: int) -> Dense:
    """Weights from a linear congruence: the same on every machine and with every numpy."""
    values = (np.arange(rows * columns, dtype=np.int64) * 7919 + seed * 104729) % 255 - 127
    bias = 2 * ((np.arange(rows, dtype=np.int64) * 31 + seed) % 401 - 200) + 1
    return Dense(values.reshape(rows, columns).astype(np.int8), 2.0**-8, bias)


def tiny_graph(scheme_name: str, hidden: int = HIDDEN, profile: Profile = SEED) -> Graph:
    """Two GRU layers of 8 units, or another number, and the mask head."""
    scheme = RECIPES[scheme_name]
    layers = [
        GruWeights(
            x_rz=dense(2 * hidden, columns, scheme, 4 * i),
            x_n=dense(hidden, columns, scheme, 4 * i + 1),
            h_rz=dense(2 * hidden, hidden, scheme, 4 * i + 2),
            h_n=dense(hidden, hidden, scheme, 4 * i + 3),
        )
        for i, columns in enumerate((profile.inputs, hidden))
    ]
    fc1, fc2 = dense(hidden, hidden, scheme, 8), dense(profile.band_count, hidden, scheme, 9)
    room = (hidden // (HIDDEN + 1)).bit_length()  # more units, larger sums
    fc1_scale = 2.0 ** (room - 12) if scheme.tie_free else 2.0**-4
    floor = profile.wiener_floor_q15
    meta = {"profile": profile.name, "student_sha256": "none: written by hand", "wiener_floor_q15": floor}
    return mask_network(scheme, layers, fc1, fc1_scale, fc2, meta)


def generated() -> dict[Path, bytes]:
    """Committed file -> the bytes that code generation gives today."""
    files: dict[Path, bytes] = {}
    for scheme, names in COMMITTED.items():
        made = to_c(tiny_graph(scheme), SEED)
        files |= {DIRECTORY / scheme / name: made[name] for name in names}
    made = to_c(tiny_graph("int16x8", profile=DEFAULT), DEFAULT)
    return files | {DIRECTORY / OF_DEFAULT / name: made[name] for name in ("stapes_tables.h", "stapes_model.c")}


if __name__ == "__main__":
    for path, data in generated().items():
        write_atomic(path, data)
