"""What a kind of vector is, and the words in which headers are checked.

A kind is one page: its case, what its header and arrays hold, how the reference makes it, how an engine is
compared with it. Every check says in one line what is wrong, as a ValueError that the loader turns into the line
with the file's name: whatever is absent cannot be compared, so an incomplete vector would be green.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import PROFILES, Profile
from firmware_sim.fixed import Ints
from firmware_sim.graph import SCHEMES, Graph
from golden_vectors import json_words as words
from golden_vectors.compare import Difference, Taps
from golden_vectors.executors.base import Executor
from golden_vectors.json_words import Word
from golden_vectors.vector import Vector

Header: TypeAlias = dict[str, Any]
Shape: TypeAlias = tuple[int | None, ...]
"""None: the network decides."""
Wanted: TypeAlias = dict[str, tuple[npt.DTypeLike, Shape]]
"""Name of an array -> its dtype and shape."""
Graphs: TypeAlias = Mapping[str, Graph]
"""Name of MODELS -> its graph."""
Built: TypeAlias = tuple[Header, dict[str, npt.NDArray[Any]], tuple[str, ...]]
"""What a case becomes: its further header, arrays, and a stream's trace (else empty)."""

MODELS: Mapping[str, str] = {**{scheme: scheme for scheme in SCHEMES}, "compact": "int16x8"}
"""Shipped models -> their scheme: the base model in both schemes, and the compact one."""
ANY_SCHEME = "any"
"""Scheme of a vector whose arithmetic does not depend on it."""


class Case(Protocol):
    """What goes in, and which bug it catches; the fields that every kind has."""

    kind: ClassVar[str]

    @property
    def tc_id(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def flags(self) -> tuple[str, ...]: ...
    @property
    def scheme(self) -> str: ...


class Witness(Protocol):
    """What a comparison may ask of the bench: the models, and what the reference computes."""

    graphs: Graphs

    @property
    def closed_loop(self) -> Mapping[str, Mapping[str, Ints]]:
        """The reference's long closed loop, by scheme."""
        ...

    def reference_taps(self, vector: Vector) -> Taps | None:
        """All taps of a stream, or None when the reference has not the digests of the vector."""
        ...


class Kind(Protocol):
    """One page of `kinds`."""

    name: str

    def facts(self, case: Any) -> Header:
        """What the header says of the case beside `schema.facts`, before anything has run."""
        ...

    def keys(self, header: Header) -> set[str]:
        """Keys of the header beside those of every vector."""
        ...

    def properties(self) -> dict[str, Word]:
        """Every key that a header of this kind may have beside those of every vector -> its JSON Schema."""
        ...

    def described(self) -> Word:
        """The same as a JSON Schema: which of them stand together."""
        ...

    def check(self, header: Header) -> None:
        """Values of these keys; raises ValueError."""
        ...

    def arrays(self, header: Header) -> Wanted:
        """Exactly the arrays of a vector with this header."""
        ...

    def build(self, case: Any, graphs: Graphs) -> Built:
        """The case through the reference."""
        ...

    def runs_on(self, engine: Executor, header: Header) -> bool:
        """Whether the engine can run the vector of this header."""
        ...

    def compare(self, engine: Any, vector: Vector, bench: Witness) -> tuple[Difference | None, float]:
        """The first difference, or None; the share of outputs that differ, [0, 1]."""
        ...


# ---------------------------------------------------------------- checks


def require(right: bool, header: Header, key: str, wanted: str) -> None:
    """The value of a key is right; raises ValueError."""
    if not right:
        raise ValueError(f"{key} must be {wanted}, it is {shortened(header.get(key))}")


def shortened(value: Any, length: int = 60) -> str:
    """A value as one line of limited length."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}..."


def whole(value: Any, least: int = 0) -> bool:
    """An int of at least `least`, and no bool."""
    return type(value) is int and value >= least


def listed(value: Any, sound: Callable[[Any], bool]) -> bool:
    """A list whose every item is sound."""
    return isinstance(value, list) and all(sound(item) for item in value)


def text(value: Any) -> bool:
    """A str that is not empty."""
    return isinstance(value, str) and value != ""


def profile_facts(profile: Profile) -> Header:
    """A profile as a header has it."""
    return {**asdict(profile), "bands": [list(run) for run in profile.bands]}


def check_model(header: Header) -> None:
    """The header's model is one that is shipped, and of its scheme; raises ValueError."""
    fitting = [name for name, scheme in MODELS.items() if scheme == header["scheme"]]
    require(header["model"] in fitting, header, "model", f"one of {', '.join(fitting)}")


def check_fields(header: Header, key: str, kind: type[Any]) -> None:
    """The header's object has the fields of a dataclass, and their types, and the dataclass accepts it."""
    value = header[key]
    names = {field.name: str(field.type) for field in fields(kind)}
    require(isinstance(value, dict), header, key, f"an object with {', '.join(names)}")
    if set(value) != set(names):
        raise ValueError(f"wrong keys in {key}: {', '.join(sorted(map(str, set(value) ^ set(names))))}")
    for name, wanted in names.items():
        if wanted == words.PAIRS:
            sound = listed(value[name], lambda pair: listed(pair, whole) and len(pair) == 2)
            wanted = "a list of pairs"
        else:
            sound = type(value[name]).__name__ == wanted
        if not sound:
            raise ValueError(f"{key}: {name} must be of type {wanted}, it is {shortened(value[name])}")
    kind(**value)


def check_profile(header: Header) -> None:
    """The header's profile is one of the contract's; raises ValueError."""
    check_fields(header, "profile", Profile)
    profile = header["profile"]
    if PROFILES.get(profile["name"]) != Profile(**profile):
        raise ValueError(f"profile {profile['name']} with these sizes is none of this program's: {', '.join(PROFILES)}")


def check_shapes(wanted: Wanted, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Exactly these arrays, each with its dtype and shape; raises ValueError."""
    for what, names in (("lacks", wanted.keys() - arrays.keys()), ("holds foreign", arrays.keys() - wanted.keys())):
        if names:
            raise ValueError(f"the .npz {what} {', '.join(sorted(names))}")
    for name, (dtype, shape) in wanted.items():
        found = arrays[name]
        fits = found.ndim == len(shape) and all(b in (None, a) for a, b in zip(found.shape, shape, strict=True))
        if found.dtype != np.dtype(dtype) or not fits:
            raise ValueError(
                f"{name} must be {np.dtype(dtype)} {_shown(shape)}, it is {found.dtype} {_shown(found.shape)}"
            )


def _shown(shape: Shape) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
