"""What a complete vector holds: the keys that every header has, and what its case says about it.

The rest is on the page of its kind. Every check raises a ValueError of one line. `schema.json` beside the vectors
says the same of keys and types, for tools that are not ours.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy.typing as npt

from firmware_sim.contract import CONTRACT_VERSION
from firmware_sim.graph import SCHEMES
from golden_vectors import json_words as words
from golden_vectors.errors import WitnessError
from golden_vectors.kinds import KINDS, kind_of
from golden_vectors.kinds.base import ANY_SCHEME, Case, Header, Wanted, check_shapes, listed, require, text, whole
from golden_vectors.notes import NOTES
from golden_vectors.vector import ARRAYS, HEADER, SUFFIXES, TRACE, sounds_of

SCHEMA = "stapes-vector"
SCHEMA_VERSION = 2
BYTE_ORDER = "little"

COMMON: dict[str, words.Word] = {
    "schema": words.const(SCHEMA),
    "schema_version": words.const(SCHEMA_VERSION),
    "contract_version": words.const(CONTRACT_VERSION),
    "generator_version": words.matching(words.VERSION),
    "byte_order": words.const(BYTE_ORDER),
    "id": words.matching(words.NAME),
    "tcId": words.whole(1),
    "group": words.TEXT,
    "kind": words.one_of(*KINDS),
    "scheme": words.one_of(*SCHEMES, ANY_SCHEME),
    "flags": words.list_of(words.TEXT),
    "notes": words.map_of(words.TEXT),
    "files": words.map_of(words.SHA256, *(suffix for suffix in SUFFIXES if suffix != HEADER)),
}
"""Key of every header -> what JSON Schema says of its value."""


@cache
def generator_version() -> str:
    """Version of the program that writes vectors: that of pyproject.toml, which every clone has."""
    page = Path(__file__).resolve().parent.parent / "pyproject.toml"
    try:
        return str(tomllib.loads(page.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError):
        raise WitnessError(f"{page}: cannot be read, it names the version: restore it from the repository") from None


def facts(case: Case) -> Header:
    """Everything that a header says of its case before anything has run."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "contract_version": CONTRACT_VERSION,
        "generator_version": generator_version(),
        "byte_order": BYTE_ORDER,
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
    wanted = set(COMMON) | kind.keys(header)
    if set(header) != wanted:
        raise ValueError(f"wrong keys: {', '.join(sorted(map(str, set(header) ^ wanted)))}")
    _check_common(header)
    kind.check(header)
    _check_files(header)
    return header


def _check_common(header: Header) -> None:
    require(whole(header["tcId"], 1), header, "tcId", "a whole number above 0")
    require(text(header["group"]), header, "group", "text")
    for key, pattern, wanted in (
        *((("graph_sha256", words.DIGEST, "64 hex digits"),) if "graph_sha256" in header else ()),
        ("id", words.NAME, "lower-case letters, digits and underscores"),
        ("generator_version", words.VERSION, "three numbers with points between"),
    ):
        value = header[key]
        require(isinstance(value, str) and re.search(pattern, value) is not None, header, key, wanted)
    schemes = (*SCHEMES, ANY_SCHEME)
    require(header["scheme"] in schemes, header, "scheme", f"one of {', '.join(schemes)}")
    require(header["byte_order"] == BYTE_ORDER, header, "byte_order", BYTE_ORDER)
    require(listed(header["flags"], text), header, "flags", "a list of names")
    notes = header["notes"]
    require(isinstance(notes, dict) and set(notes) == set(header["flags"]), header, "notes", "one note per flag")
    require(all(map(text, notes.values())), header, "notes", "text")


def _check_files(header: Header) -> None:
    files, wanted = header["files"], suffixes(header)
    complete = isinstance(files, dict) and set(files) == set(wanted)
    sound = complete and all(isinstance(digest, str) and re.search(words.DIGEST, digest) for digest in files.values())
    require(sound, header, "files", f"a SHA-256 for each of {', '.join(wanted) or 'nothing'}")


def wanted_arrays(header: Header) -> Wanted:
    """Arrays of a vector with this header, sounds included."""
    return KINDS[header["kind"]].arrays(header)


def suffixes(header: Header) -> list[str]:
    """The files that a vector has beside its header."""
    arrays = wanted_arrays(header)
    sounds = sounds_of(arrays)
    has = {ARRAYS: len(arrays) > len(sounds), TRACE: "hops_per_line" in header, **dict.fromkeys(sounds, True)}
    return [suffix for suffix in SUFFIXES if has.get(suffix)]


def check_arrays(header: Header, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Exactly the arrays of the vector's kind, each with its dtype and shape; raises ValueError."""
    check_shapes(wanted_arrays(header), arrays)


def json_schema() -> words.Word:
    """JSON Schema (2020-12) of every header."""
    kinds = [
        {
            "if": {"properties": {"kind": words.const(name)}, "required": ["kind"]},
            "then": kind.described(),
        }
        for name, kind in KINDS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Header of a Stapes golden vector",
        **words.object_of(COMMON),
        "allOf": kinds,
        "unevaluatedProperties": False,
    }
