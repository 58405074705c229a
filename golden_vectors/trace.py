"""The trace of a stream: text, a line per hop with its status and a digest of each stage.

    hop status window rfft wiener features network gain irfft overlap_add
    0 on_time efd300bc7aff912d 20d8d99f83ce69c4 ...

The first line names the columns. A digest is 16 hex digits of the SHA-256 of the stage's taps in the order of
`frame_loop.TAPS`, each in its device width, little-endian. Where the header has more than one hop a line, a line
stands for all hops up to its own: one SHA-256 per stage goes on from hop to hop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import STAGES
from firmware_sim.frame_loop import TAPS, tap_bytes
from firmware_sim.ping_pong import Status

COLUMNS = ("hop", "status", *STAGES)
DIGITS = 16
_STATUSES = frozenset(status.value for status in Status)
_HEX = frozenset("0123456789abcdef")


def to_bytes(header: Mapping[str, Any], digests: Sequence[str]) -> bytes:
    """The file of a header's stream; ASCII, LF."""
    rows = (" ".join((*row, line)) for row, line in zip(_labels(header), digests, strict=True))
    return "".join(f"{row}\n" for row in (" ".join(COLUMNS), *rows)).encode("ascii")


def from_bytes(header: Mapping[str, Any], raw: bytes) -> tuple[str, ...]:
    """The digests of a file; raises ValueError naming the first line that is not as the header says."""
    lines = raw.decode("ascii", "replace").split("\n")
    labels = _labels(header)
    if lines[0] != " ".join(COLUMNS):
        raise ValueError(f"line 1: must name the columns {' '.join(COLUMNS)}")
    digests = [_digests(number, line, labels) for number, line in enumerate(lines[1:-1], 2)]
    if len(digests) < len(labels) or lines[-1]:
        raise ValueError(f"line {len(lines)}: the file ends here, after {len(digests)} of {len(labels)} lines")
    return tuple(digests)


def _digests(number: int, line: str, labels: Sequence[tuple[str, str]]) -> str:
    """The digests of line `number`, which the line itself must say it is."""
    index, words = number - 2, line.split(" ")
    if index >= len(labels):
        raise ValueError(f"line {number}: is one too many: there are {len(labels)} lines behind the first")
    if tuple(words[:2]) != labels[index]:
        raise ValueError(
            f"line {number}: must begin with {' '.join(labels[index])!r}, not {' '.join(words[:2])[:40]!r}"
        )
    if len(words) != len(COLUMNS) or any(len(word) != DIGITS or set(word) - _HEX for word in words[2:]):
        raise ValueError(f"line {number}: must have {len(STAGES)} words of {DIGITS} hex digits, it is {line[:170]!r}")
    return " ".join(words[2:])


def _labels(header: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Last hop and status of each line."""
    step = int(header["hops_per_line"])
    status = {hop: kind for hop, kind in header.get("events", ()) if kind in _STATUSES}
    return [(str(hop), status.get(hop, Status.ON_TIME.value)) for hop in range(step - 1, header["hops"], step)]


def check_played(arrays: Mapping[str, npt.NDArray[Any]], digests: Sequence[str]) -> None:
    """The output of every hop has the digest of its last stage, which covers nothing else; raises ValueError."""
    for hop, (pcm, line) in enumerate(zip(arrays["pcm"], digests, strict=True)):
        if hashlib.sha256(tap_bytes("pcm", pcm)).hexdigest()[:DIGITS] != line.split(" ")[-1]:
            raise ValueError(f"the trace, line {hop + 2}: {STAGES[-1]} is not the digest of the pcm of hop {hop}")


def chained(taps: Mapping[str, npt.NDArray[Any]], hops_per_line: int) -> tuple[str, ...]:
    """Lines of all hops so far: every `hops_per_line` hops the state of one SHA-256 per stage.

    taps  every name of TAPS -> (hops, ...)
    """
    columns = []
    for stage in STAGES:
        content, lines = hashlib.sha256(), []
        rows = _stage_bytes(taps, stage)
        for start in range(0, len(rows), hops_per_line):
            content.update(rows[start : start + hops_per_line].tobytes())
            lines.append(content.hexdigest()[:DIGITS])
        columns.append(lines)
    return tuple(" ".join(words) for words in zip(*columns, strict=True))


def _stage_bytes(taps: Mapping[str, npt.NDArray[Any]], stage: str) -> npt.NDArray[np.uint8]:
    """(hops, bytes) of a stage's taps."""
    names = [name for name in TAPS if TAPS[name] == stage]
    rows = [np.frombuffer(tap_bytes(name, taps[name]), np.uint8).reshape(len(taps[name]), -1) for name in names]
    return np.concatenate(rows, axis=1)
