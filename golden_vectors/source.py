"""Where a value is computed: the function of the Python reference, and the C function that does the same.

Nothing here knows a line number: Python functions are asked where they are, C functions are looked for by name.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from export import c_tables
from export.c_writer import CWriter
from firmware_sim import features, fft, fixed, stft, tables, wiener
from firmware_sim.contract import Profile
from firmware_sim.frame_loop import MAKERS, TAPS
from firmware_sim.ops import Op
from firmware_sim.ping_pong import PingPong
from golden_vectors import units
from golden_vectors.cc import FIRMWARE, ROOT
from golden_vectors.compare import COUNTERS, SCHEDULE
from golden_vectors.kinds.base import ANY_SCHEME
from golden_vectors.units import UNITS

Function = Callable[..., Any]

TWINS = {
    "followed_noise": "follow_noise",
    "wiener": "stapes_wiener",
    "Network.step": "stapes_process_hop",
    "PingPong.finish": "stapes_ping_pong_finish",
}
"""C functions that are not called stapes_ and the name of the Python function. The step of the network is generated
code; the function that calls it stands for it."""
TRACKERS: dict[str, tuple[Function, ...]] = {
    "vad": (wiener.track_by_vad, wiener.log_likelihood, wiener.followed_noise),
    "spp": (wiener.track_by_presence, wiener.speech_absence, wiener.weighted_noise),
}
"""Makers that only profiles with this noise tracker call."""
_NAMES = ("stapes_{}", "{}", "stapes_{}_{}")
_WIDTHS = {"int16x8": "i16", "int8": "i8"}
_LINES = 24
"""Lines of a function that are shown."""


@dataclass(frozen=True)
class Source:
    """A function: file relative to the project, line, name, and its lines without the docstring."""

    language: str
    file: str
    line: int
    name: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.name}"


# ---------------------------------------------------------------- what computes it


def of_tap(
    stage: str, tap: str, scheme: str, profile: Profile | None = None, index: tuple[int, ...] = ()
) -> list[Source]:
    """Functions that compute a tap of the loop, Python before its C twin; for a counter, those of its whole stage.

    Without a scheme the stage is a unit by itself. Profile and index: as `makers` takes them.
    """
    if scheme == ANY_SCHEME:
        return of_unit(stage) if stage in UNITS else []
    return [
        source for function in makers(stage, tap, profile, index) for source in both(function, _WIDTHS.get(scheme, ""))
    ]


def makers(stage: str, tap: str, profile: Profile | None = None, index: tuple[int, ...] = ()) -> list[Function]:
    """The functions of the Python reference; none where the tap is of no stage that this page knows.

    profile  that the case runs: what only others call is left out; None: not known, nothing is
    index    of the element within the tap: the function that computes this one comes first
    """
    if stage == SCHEDULE:
        return [PingPong.finish]
    if tap in COUNTERS or tap == "digest":
        taps = [name for name, made_in in TAPS.items() if made_in == stage]
    else:
        taps = [name for name in (tap, f"{tap}_q15") if name in MAKERS]
    functions = dict.fromkeys(function for name in taps for function in MAKERS[name])
    if profile is None:
        return list(functions)
    unused = {function for tracker, own in TRACKERS.items() if tracker != profile.noise_tracker for function in own}
    if not profile.gain_channel:
        unused.add(features.gain_features)
    first = features.gain_features if tap == "x_q11" and index >= (profile.band_count,) else None
    return sorted((function for function in functions if function not in unused), key=lambda one: one is not first)


def both(function: Function, width: str = "") -> list[Source]:
    """A Python function and its C twin, if it has one; width: of the twin where there is one for each scheme."""
    name = function.__name__
    names = [TWINS.get(function.__qualname__, ""), *(pattern.format(name, width) for pattern in _NAMES)]
    return [python(function), *first_defined(names)]


def of_unit(name: str) -> list[Source]:
    """The Python function of this name, or the line that defines the unit; its C, or the line that writes a table."""
    named = (inspect.unwrap(vars(module).get(name, print)) for module in (fixed, stft, fft, wiener, features, tables))
    function = next(filter(inspect.isfunction, named), None)
    pages = sorted(Path(units.__file__).parent.glob("*.py"))
    definition = [python(function)] if function is not None else line_with("Python", name, f'"{name}",', pages)
    in_c = first_defined([f"stapes_{name}", f"unit_{name}"])
    return [*definition, *(in_c or line_with("C", name, f'"{name}": (', [Path(c_tables.__file__)]))]


def of_op(op: Op, paired: bool = False) -> list[Source]:
    """`run` of an op's page, and the C kernel that its page calls; where it calls none, what the page does instead.

    paired  the kernels for the Cortex-M's dual multiply-accumulate, where there are any
    """
    writer, page = CWriter(paired), cast(Any, op)  # each page has its own to_c
    page.to_c(writer)
    kernels = [match[1] for call in writer.calls if (match := re.match(r"\s*(\w+)\(", call))]
    return [python(op.run), *(first_defined(kernels[-1:]) or [python(page.to_c)])]


# ---------------------------------------------------------------- Python


def python(function: Function) -> Source:
    """Place and lines of a live function."""
    text, first = inspect.getsourcelines(function)
    file = Path(inspect.getsourcefile(function) or "").resolve().relative_to(ROOT)
    line, lines = _definition("".join(text))
    return Source("Python", str(file), first + line, function.__qualname__, lines)


def line_with(language: str, name: str, text: str, pages: Iterable[Path]) -> list[Source]:
    """The first line of these files that holds a text; none if there is none."""
    for path in pages:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if text in line:
                return [Source(language, str(path.resolve().relative_to(ROOT)), number, name, (line.strip(),))]
    return []


def _definition(text: str) -> tuple[int, tuple[str, ...]]:
    """Number of the line that begins with def, from 0, and the lines from there on without the docstring."""
    text = textwrap.dedent(text)
    lines = text.splitlines()
    definition = ast.parse(text).body[0]
    assert isinstance(definition, ast.FunctionDef)
    if ast.get_docstring(definition) is not None:
        docstring = definition.body[0]
        del lines[docstring.lineno - 1 : docstring.end_lineno]
    start = definition.lineno - 1
    return start, _shortened(lines[start:])


def _shortened(lines: list[str]) -> tuple[str, ...]:
    return tuple(lines if len(lines) <= _LINES else [*lines[:_LINES], "..."])


# ---------------------------------------------------------------- C


def first_defined(names: Iterable[str]) -> list[Source]:
    """The first of these functions that the firmware defines; none if it defines none."""
    found = (c_function(name) for name in names if name)
    return [source for source in found if source is not None][:1]


@cache
def c_function(name: str) -> Source | None:
    """Definition of a function in firmware/ or its port/, a line that begins with its type; None if there is none."""
    head, body = rf"^[A-Za-z_][^\n;#=(]*\b{re.escape(name)}\([^;{{]*\)\s*", r"\{(?:[^\n]*\}|\n.*?^\})$"
    definition = re.compile(head + body, re.MULTILINE | re.DOTALL)
    folders = (FIRMWARE, FIRMWARE / "port")
    for path in (path for folder in folders for kind in ("*.c", "*.h") for path in sorted(folder.glob(kind))):
        text = path.read_text("utf-8")
        match = definition.search(text)
        if match is not None:
            line = text.count("\n", 0, match.start()) + 1
            file = str(path.relative_to(FIRMWARE.parent))
            return Source("C", file, line, name, _shortened(match[0].splitlines()))
    return None
