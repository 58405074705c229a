"""The few words of JSON Schema (2020-12) in which the keys of headers are described."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

Word: TypeAlias = dict[str, Any]
"""A JSON Schema."""

DIGEST = r"^[0-9a-f]{64}$"
NAME = r"^[a-z][a-z0-9_]*$"
VERSION = r"^[0-9]+\.[0-9]+\.[0-9]+$"

TEXT: Word = {"type": "string", "minLength": 1}
SHA256: Word = {"type": "string", "pattern": DIGEST}


def const(value: str | int) -> Word:
    return {"const": value}


def whole(least: int = 0) -> Word:
    return {"type": "integer", "minimum": least}


def matching(pattern: str) -> Word:
    return {"type": "string", "pattern": pattern}


def one_of(*values: str) -> Word:
    return {"enum": list(values)}


def list_of(item: Word, count: int | None = None) -> Word:
    """A list, of `count` items if given."""
    size = {} if count is None else {"minItems": count, "maxItems": count}
    return {"type": "array", "items": item, **size}


def tuple_of(*items: Word) -> Word:
    """A list of exactly these."""
    return {"type": "array", "prefixItems": list(items), "minItems": len(items), "maxItems": len(items)}


def map_of(value: Word, *keys: str) -> Word:
    """An object of any keys, or of some of `keys`."""
    names = {"propertyNames": {"enum": list(keys)}} if keys else {}
    return {"type": "object", "additionalProperties": value, **names}


def object_of(properties: Mapping[str, Word], optional: Collection[str] = ()) -> Word:
    """An object with these keys; the optional ones all together or none. Further keys are the schema's to close."""
    together = {key: sorted(set(optional) - {key}) for key in sorted(optional)}
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [key for key in properties if key not in optional],
        **({"dependentRequired": together} if together else {}),
    }


def closed(properties: Mapping[str, Word]) -> Word:
    """An object with exactly these keys."""
    return {**object_of(properties), "additionalProperties": False}


def dataclass_of(kind: type[Any]) -> Word:
    """An object with the fields of a dataclass of int, bool, str and pairs of int."""
    return closed({field.name: _FIELDS[str(field.type)] for field in fields(kind)})


PAIRS = "tuple[tuple[int, int], ...]"
"""Type of a field that JSON holds as a list of lists."""
_FIELDS: dict[str, Word] = {
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    PAIRS: list_of(list_of(whole(1), 2)),
}
