"""A mixture as data: recipes are saved and replayed here; `rendering` makes them sound, `mixing` draws them.

All positions and lengths are samples at 16 kHz. Fields that have a default came later: a line of JSON that was
saved without them still is a recipe.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from firmware_sim.reading import one_line
from training.audio import RATE_HZ
from training.datasets import CorpusError
from training.files import write_whole

_CORNERS_HZ = (20.0, 7900.0)
_LARGEST, _LARGEST_HZ = 1000.0, 1e5  # no level, slope or ratio of a recipe comes near
_LONGEST = 3600 * RATE_HZ  # samples: no place or length of a recipe is an hour away
_SEEDS = 1 << 32


@dataclass(frozen=True)
class SpeechClip:
    """`length` samples of `path` from `start`, placed at sample `at` of the stream."""

    path: str
    start: int
    length: int
    at: int


@dataclass(frozen=True)
class NoiseClip:
    """`path` from sample `start`, round and round; level_db relative to the others.

    at, length    where in the stream it sounds; length 0: to the end
    """

    path: str
    start: int
    level_db: float
    at: int = 0
    length: int = 0


@dataclass(frozen=True)
class ShapedNoise:
    """Gaussian noise whose amplitude spectrum falls as frequency ** -slope (0 white, 0.5 pink, 1 brown)."""

    seed: int
    slope: float
    level_db: float


@dataclass(frozen=True)
class Colour:
    """A linear filter of one source: band limits and two gentle shelves; 0 leaves a part of it out.

    high_pass_hz, low_pass_hz    -3 dB points of Butterworth filters of second and sixth order
    low_hz, low_db               corner and gain of a low shelf of second order
    high_hz, high_db             corner and gain of a high shelf of second order
    raises                       ValueError: a corner that no filter at 16 kHz can have
    """

    high_pass_hz: float = 0.0
    low_pass_hz: float = 0.0
    low_hz: float = 300.0
    low_db: float = 0.0
    high_hz: float = 3000.0
    high_db: float = 0.0

    def __post_init__(self) -> None:
        corners = {self.high_pass_hz, self.low_pass_hz, self.low_hz, self.high_hz} - {0.0}
        if not all(_CORNERS_HZ[0] <= corner <= _CORNERS_HZ[1] for corner in corners):
            raise ValueError(f"corners of {sorted(corners)} Hz: they lie in {_CORNERS_HZ}")


@dataclass(frozen=True)
class Response:
    """Channel `index` of the room file `path`: the way from one place of that room to the microphone."""

    path: str
    index: int


@dataclass(frozen=True)
class Step:
    """From sample `at` on the noise is `level_db` above the level that the SNR gives it (-200: digital silence)."""

    at: int
    level_db: float


@dataclass(frozen=True)
class MixRecipe:
    """Everything that decides a mixture.

    length             samples of the stream
    speech             clips of the talker, or of music; none: a stream of noise alone
    noise              recorded noises; level_db are relative to each other
    shaped             coloured noises; level_db on the same scale
    snr_db             active level of the talker over noise RMS, both measured from `lead_in` on
    level_dbfs         active level of the talker; lowered where the mixture would exceed -0.09 dBFS
    lead_in            samples of noise alone at the start that metrics leave out
    name               identity for tables and file names
    speech_response    way of the talker's voice; the target keeps its early part
    noise_responses    ways of the recorded noises, in their order, round and round; their early part is used
    speech_colour      filter of the talker, in mixture and target
    noise_colour       filter of all noise
    own_voice          clips of the wearer, who is close to the microphone and belongs to the target
    own_db             active level of the wearer over that of the talker
    own_colour         filter of the wearer
    steps              course of the noise's level over time, by rising `at`
    clip_db            the microphone cuts the mixture this far below its peak; 0: not at all
    """

    length: int
    speech: tuple[SpeechClip, ...]
    noise: tuple[NoiseClip, ...]
    shaped: tuple[ShapedNoise, ...]
    snr_db: float
    level_dbfs: float
    lead_in: int = 0
    name: str = ""
    speech_response: Response | None = None
    noise_responses: tuple[Response, ...] = ()
    speech_colour: Colour | None = None
    noise_colour: Colour | None = None
    own_voice: tuple[SpeechClip, ...] = ()
    own_db: float = 0.0
    own_colour: Colour | None = None
    steps: tuple[Step, ...] = ()
    clip_db: float = 0.0


def save_recipes(path: Path | str, recipes: Iterable[MixRecipe], root: Path | str | None = None) -> None:
    """One JSON object a line, written whole or not at all; audio paths relative to `root` if given; raises RunError."""
    text = "".join(json.dumps(_values(recipe, root), separators=(",", ":")) + "\n" for recipe in recipes)
    write_whole(Path(path), lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _values(recipe: MixRecipe, root: Path | str | None) -> dict[str, Any]:
    """The JSON of a recipe; later fields only where they say something."""
    values = asdict(recipe)
    for field in fields(MixRecipe):
        if field.name not in ("lead_in", "name") and values[field.name] == field.default:
            del values[field.name]
    for name in _LISTS.keys() & values.keys():
        values[name] = [
            _rooted(part, lambda path: os.path.relpath(path, root) if root else path) for part in values[name]
        ]
    for name in _PARTS.keys() & values.keys():
        values[name] = _rooted(values[name], lambda path: os.path.relpath(path, root) if root else path)
    return values


def load_recipes(path: Path | str, root: Path | str | None = None) -> list[MixRecipe]:
    """Recipes of `save_recipes`; `root` is put before their relative audio paths.

    raises    CorpusError: no such file, or a line that is not a recipe (with its number)
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot read recipes from {path}: {error}") from None
    recipes = []
    for number, line in enumerate(lines, 1):
        try:
            recipes.append(_recipe(json.loads(line), Path(root or "")))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CorpusError(f"{path}:{number} is not a mixing recipe: {one_line(error)}") from None
    return recipes


_LISTS: dict[str, type[Any]] = {
    "speech": SpeechClip,
    "noise": NoiseClip,
    "shaped": ShapedNoise,
    "noise_responses": Response,
    "own_voice": SpeechClip,
    "steps": Step,
}
_PARTS: dict[str, type[Any]] = {
    "speech_response": Response,
    "speech_colour": Colour,
    "noise_colour": Colour,
    "own_colour": Colour,
}


def _rooted(part: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """The same values with another audio path, if they have one."""
    return {**part, "path": Path(change(part["path"])).as_posix()} if "path" in part else part


def _recipe(value: Any, root: Path) -> MixRecipe:
    """A recipe from its JSON; raises TypeError or ValueError."""
    own = _checked("a recipe", MixRecipe, value, leave=(*_LISTS, *_PARTS))
    for name in _LISTS.keys() & own.keys():
        if not isinstance(own[name], list):
            raise TypeError(f"{name} is not a list")
        own[name] = tuple(_part(name, _LISTS[name], item, root) for item in own[name])
    for name in _PARTS.keys() & own.keys():
        own[name] = None if own[name] is None else _part(name, _PARTS[name], own[name], root)
    return MixRecipe(**own)


def _part(name: str, kind: type[Any], value: Any, root: Path) -> Any:
    return kind(**_rooted(_checked(name, kind, value), lambda path: str(root / path)))


def _checked(what: str, kind: type[Any], value: Any, leave: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a dataclass, each of its type: whole numbers from 0 up, finite numbers, text."""
    names = {field.name: str(field.type) for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING or field.name in ("lead_in", "name")}
    if not isinstance(value, dict) or not needed <= value.keys() <= names.keys():
        raise TypeError(f"{what} must be an object with {', '.join(sorted(needed))}")
    for name in value.keys() - set(leave):
        given = value[name]
        sound = {
            "int": type(given) is int and 0 <= given < (_SEEDS if name == "seed" else _LONGEST),
            "float": type(given) in (int, float) and abs(given) < (_LARGEST_HZ if name.endswith("_hz") else _LARGEST),
            "str": isinstance(given, str),
        }
        if not sound[names[name]]:
            raise ValueError(f"{what}: {name} is {given!r}")
    return dict(value)
