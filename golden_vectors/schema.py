"""What a complete vector holds: the keys of its header, its arrays, and what its case says about it.

Whatever is absent cannot be compared, so an incomplete vector would be green: every check here says in one
line what is wrong, as a ValueError that the loader turns into the line with the file's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import CONTRACT_VERSION, STAGES, Parameters, Profile
from firmware_sim.frame_loop import TAP_DTYPES
from firmware_sim.graph import SCHEMES
from firmware_sim.ping_pong import Status, next_behind
from golden_vectors.cases import NOTES, PROFILE, Case, StreamCase
from golden_vectors.executors.base import EVENTS, RESTART
from golden_vectors.executors.schedule import COUNTERS

Header: TypeAlias = dict[str, Any]
Shape: TypeAlias = tuple[int | None, ...]
"""None: the network decides."""

SCHEMA = "stapes-vector"
SCHEMA_VERSION = 1

KEPT_TAPS = ("likelihood_q16", "vad", "wiener_gain_q15", "x_q11", "h0", "h1", "mask_q15", "gain_q15", "pcm")
"""Taps that a stream vector carries in full; the digests cover the others, whose expected elements come from the
reference once it agrees with those digests."""

NETWORK_DTYPES = {"int16x8": "<i2", "int8": "|i1"}
"""Scheme -> dtype of a network vector's arrays."""

EVENT_KEYS = {"events", "schedule"}
"""Keys of a stream in which hops were late or lost, or the device restarted; its vector also holds `played`."""

KEYS = {
    "stream": {"profile", "parameters", "resets", "hops", "stages", "digests", "counters"},
    "network": {"steps"},
}
_COMMON_KEYS = {
    "schema", "schema_version", "contract_version", "id", "tcId", "group", "kind", "scheme", "graph_sha256",
    "flags", "notes", "byte_order", "arrays_sha256",
}  # fmt: skip
_HEX = frozenset("0123456789abcdef")
_DIGEST_DIGITS = 16


def narrowest(name: str) -> npt.DTypeLike:
    """Little-endian dtype in which a tap is stored: its width on the device."""
    return np.dtype(np.uint8 if name == "vad" else TAP_DTYPES.get(name, np.int32)).newbyteorder("<")


def facts(case: Case) -> Header:
    """Everything that a header says of its case before anything has run."""
    common = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "contract_version": CONTRACT_VERSION,
        "byte_order": "little",
        "id": case.id,
        "tcId": case.tc_id,
        "group": case.group,
        "scheme": case.scheme,
        "flags": list(case.flags),
        "notes": {flag: f"catches {NOTES[flag]}" for flag in case.flags},
    }
    if not isinstance(case, StreamCase):
        return {**common, "kind": "network", "steps": case.steps}
    return {
        **common,
        "kind": "stream",
        "profile": asdict(PROFILE),
        "parameters": asdict(case.parameters),
        "resets": list(case.resets),
        "hops": case.hops,
        "stages": list(STAGES),
        **({"events": [list(event) for event in case.events]} if case.events else {}),
    }


def check_case(header: Header, case: Case) -> None:
    """The header is that of the case; raises ValueError."""
    wrong = [key for key, value in facts(case).items() if header.get(key) != value]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} not as in case {case.id}")


# ---------------------------------------------------------------- header


def check_header(header: Any) -> Header:
    """A header in which every key is present and sound; raises ValueError."""
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise ValueError("another file format")
    for key, ours in (("schema_version", SCHEMA_VERSION), ("contract_version", CONTRACT_VERSION)):
        if header.get(key) != ours:
            raise ValueError(f"{key.replace('_', ' ')} {header.get(key)}, this program has {ours}")
    _require(header.get("kind") in tuple(KEYS), header, "kind", "stream or network")
    wanted = _COMMON_KEYS | KEYS[header["kind"]]
    if header["kind"] == "stream" and "events" in header:
        wanted |= EVENT_KEYS
    if set(header) != wanted:
        raise ValueError(f"wrong keys: {', '.join(sorted(map(str, set(header) ^ wanted)))}")
    _check_common(header)
    if header["kind"] == "stream":
        _check_stream(header)
    else:
        _require(_whole(header["steps"], 1), header, "steps", "a whole number above 0")
    return header


def _require(right: bool, header: Header, key: str, wanted: str) -> None:
    if not right:
        raise ValueError(f"{key} must be {wanted}, it is {_shortened(header.get(key))}")


def _shortened(value: Any, length: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}..."


def _whole(value: Any, least: int = 0) -> bool:
    return type(value) is int and value >= least


def _listed(value: Any, sound: Callable[[Any], bool]) -> bool:
    """A list whose every item is sound."""
    return isinstance(value, list) and all(sound(item) for item in value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _check_common(header: Header) -> None:
    _require(_whole(header["tcId"], 1), header, "tcId", "a whole number above 0")
    for key in ("id", "group", "graph_sha256", "arrays_sha256"):
        _require(_text(header[key]), header, key, "text")
    _require(header["scheme"] in tuple(SCHEMES), header, "scheme", f"one of {', '.join(SCHEMES)}")
    _require(header["byte_order"] == "little", header, "byte_order", "little")
    _require(_listed(header["flags"], _text), header, "flags", "a list of names")
    notes = header["notes"]
    _require(isinstance(notes, dict) and set(notes) == set(header["flags"]), header, "notes", "one note per flag")


def _check_stream(header: Header) -> None:
    hops, resets = header["hops"], header["resets"]
    _check_fields(header, "profile", Profile)
    _check_fields(header, "parameters", Parameters)
    _require(_whole(hops, 1), header, "hops", "a whole number above 0")
    inside = _listed(resets, lambda hop: _whole(hop) and hop < hops)
    _require(inside and resets == sorted(set(resets)), header, "resets", f"ascending hops below {hops}")
    _require(header["stages"] == list(STAGES), header, "stages", f"{', '.join(STAGES)}")
    _check_digests(header["digests"], hops)
    if "events" in header:
        _check_events(header)
    counters = header["counters"]
    complete = isinstance(counters, dict) and set(counters) == set(STAGES)
    _require(complete, header, "counters", f"two numbers for each of {', '.join(STAGES)}")
    for stage, pair in counters.items():
        if not (_listed(pair, _whole) and len(pair) == 2):
            raise ValueError(f"counters of {stage} must be two whole numbers, they are {_shortened(pair)}")


def _check_events(header: Header) -> None:
    """Events that can follow each other, and the counters that they lead to."""
    events, hops = header["events"], header["hops"]
    known = _listed(events, lambda e: isinstance(e, list) and len(e) == 2 and _whole(e[0]) and e[1] in EVENTS)
    _require(known and events != [], header, "events", f"pairs of a hop and one of {', '.join(EVENTS)}")
    restarts = [hop for hop, kind in events if kind == RESTART]
    statuses = [(hop, Status(kind)) for hop, kind in events if kind != RESTART]
    for listed in (restarts, [hop for hop, _ in statuses]):
        inside = listed == sorted(set(listed)) and all(hop < hops for hop in listed)
        _require(inside, header, "events", f"at ascending hops below {hops}, statuses and restarts each")
    behind = False
    for hop in range(hops):
        status = dict(statuses).get(hop, Status.ON_TIME)
        if status is Status.LOST and hop in (0, *header["resets"], *restarts):
            raise ValueError(f"events: hop {hop} comes from home, where there are no taps yet: it cannot be lost")
        behind = next_behind(status, behind, f"events: hop {hop}")
    schedule = header["schedule"]
    complete = isinstance(schedule, dict) and set(schedule) == set(COUNTERS) and all(map(_whole, schedule.values()))
    _require(complete, header, "schedule", f"a whole number for each of {', '.join(COUNTERS)}")


def _check_fields(header: Header, key: str, kind: type[Parameters] | type[Profile]) -> None:
    """The header's object has the fields of a dataclass, and their types, and the dataclass accepts it."""
    value = header[key]
    names = {field.name: str(field.type) for field in fields(kind)}
    _require(isinstance(value, dict), header, key, f"an object with {', '.join(names)}")
    if set(value) != set(names):
        raise ValueError(f"wrong keys in {key}: {', '.join(sorted(map(str, set(value) ^ set(names))))}")
    for name, wanted in names.items():
        if type(value[name]).__name__ != wanted:
            raise ValueError(f"{key}: {name} must be of type {wanted}, it is {_shortened(value[name])}")
    kind(**value)


def _check_digests(digests: Any, hops: int) -> None:
    if not isinstance(digests, list) or len(digests) != hops:
        given = f"{len(digests)} lines" if isinstance(digests, list) else _shortened(digests)
        raise ValueError(f"digests must be {hops} lines, one per hop; they are {given}")
    for hop, line in enumerate(digests):
        words = line.split(" ") if isinstance(line, str) else []
        if len(words) != len(STAGES) or any(len(word) != _DIGEST_DIGITS or set(word) - _HEX for word in words):
            raise ValueError(
                f"digests of hop {hop} must be {len(STAGES)} words of {_DIGEST_DIGITS} hex digits, "
                f"they are {_shortened(line, 170)}"
            )


# ---------------------------------------------------------------- arrays


def check_arrays(header: Header, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Exactly the arrays of the vector's kind, each with its dtype and shape; raises ValueError."""
    wanted = _stream_arrays(header) if header["kind"] == "stream" else _network_arrays(header)
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


def _stream_arrays(header: Header) -> dict[str, tuple[npt.DTypeLike, Shape]]:
    hops, profile = int(header["hops"]), Profile(**header["profile"])
    widths: dict[str, Shape] = {
        "likelihood_q16": (),
        "vad": (),
        "h0": (None,),
        "h1": (None,),
        "pcm": (profile.hop_samples,),
    }
    kept = {name: (narrowest(name), (hops, *widths.get(name, (profile.bins,)))) for name in KEPT_TAPS}
    played: dict[str, tuple[npt.DTypeLike, Shape]] = {"played": ("<i2", (hops, profile.hop_samples))}
    return {"input_pcm": ("<i2", (hops * profile.hop_samples,)), **kept, **(played if "events" in header else {})}


def _network_arrays(header: Header) -> dict[str, tuple[npt.DTypeLike, Shape]]:
    dtype, shape = NETWORK_DTYPES[header["scheme"]], (int(header["steps"]), None)
    return dict.fromkeys(("input_x", "h0", "h1", "mask"), (dtype, shape))
