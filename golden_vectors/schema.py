"""What a complete vector holds: the keys that every header has, and what its case says about it.

The rest is on the page of its kind. Every check raises a ValueError of one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from firmware_sim.contract import CONTRACT_VERSION
from firmware_sim.graph import SCHEMES
from golden_vectors.kinds import KINDS, kind_of
from golden_vectors.kinds.base import ANY_SCHEME, Case, Header, check_shapes, listed, require, text, whole
from golden_vectors.notes import NOTES

SCHEMA = "stapes-vector"
SCHEMA_VERSION = 1

_COMMON_KEYS = {
    "schema", "schema_version", "contract_version", "id", "tcId", "group", "kind", "scheme", "flags", "notes",
    "byte_order", "arrays_sha256",
}  # fmt: skip


def facts(case: Case) -> Header:
    """Everything that a header says of its case before anything has run."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "contract_version": CONTRACT_VERSION,
        "byte_order": "little",
        "id": case.id,
        "tcId": case.tc_id,
        "group": case.group,
        "kind": case.kind,
        "scheme": case.scheme,
        "flags": list(case.flags),
        "notes": {flag: f"catches {NOTES[flag]}" for flag in case.flags},
        **kind_of(case).facts(case),
    }


def check_case(header: Header, case: Case) -> None:
    """The header is that of the case; raises ValueError."""
    wrong = [key for key, value in facts(case).items() if header.get(key) != value]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} not as in case {case.id}")


def check_header(header: Any) -> Header:
    """A header in which every key is present and sound; raises ValueError."""
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise ValueError("another file format")
    for key, ours in (("schema_version", SCHEMA_VERSION), ("contract_version", CONTRACT_VERSION)):
        if header.get(key) != ours:
            raise ValueError(f"{key.replace('_', ' ')} {header.get(key)}, this program has {ours}")
    require(header.get("kind") in tuple(KINDS), header, "kind", f"one of {', '.join(KINDS)}")
    kind = KINDS[header["kind"]]
    wanted = _COMMON_KEYS | kind.keys(header)
    if set(header) != wanted:
        raise ValueError(f"wrong keys: {', '.join(sorted(map(str, set(header) ^ wanted)))}")
    _check_common(header)
    kind.check(header)
    return header


def _check_common(header: Header) -> None:
    require(whole(header["tcId"], 1), header, "tcId", "a whole number above 0")
    for key in ("id", "group", "graph_sha256", "arrays_sha256"):
        require(key not in header or text(header[key]), header, key, "text")
    schemes = (*SCHEMES, ANY_SCHEME)
    require(header["scheme"] in schemes, header, "scheme", f"one of {', '.join(schemes)}")
    require(header["byte_order"] == "little", header, "byte_order", "little")
    require(listed(header["flags"], text), header, "flags", "a list of names")
    notes = header["notes"]
    require(isinstance(notes, dict) and set(notes) == set(header["flags"]), header, "notes", "one note per flag")


def check_arrays(header: Header, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Exactly the arrays of the vector's kind, each with its dtype and shape; raises ValueError."""
    check_shapes(KINDS[header["kind"]].arrays(header), arrays)
