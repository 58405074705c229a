"""A mixture as data, and what it sounds like: recipes are saved, replayed and rendered, never rolled here.

All positions and lengths are samples at 16 kHz; audio is float32 mono, 1.0 = int16 full scale. The same
recipe and the same files give the same samples.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from firmware_sim.reading import one_line
from training.audio import AudioCache, active_rms
from training.datasets import CorpusError

_PEAK = 0.99
_SILENCE_RMS = 1e-5  # -100 dBFS: what is weaker is not amplified, so digital silence stays silent
_LARGEST = 1e6  # no level, slope or ratio of a recipe comes near
_EDGE_SAMPLES = 80  # 5 ms fades where a clip is cut out of a longer recording


@dataclass(frozen=True)
class SpeechClip:
    """`length` samples of `path` from `start`, placed at sample `at` of the stream."""

    path: str
    start: int
    length: int
    at: int


@dataclass(frozen=True)
class NoiseClip:
    """`path` from sample `start`, round and round over the whole stream; level_db relative to the others."""

    path: str
    start: int
    level_db: float


@dataclass(frozen=True)
class ShapedNoise:
    """Gaussian noise whose amplitude spectrum falls as frequency ** -slope (0 white, 0.5 pink, 1 brown)."""

    seed: int
    slope: float
    level_db: float


@dataclass(frozen=True)
class MixRecipe:
    """Everything that decides a mixture.

    length        samples of the stream
    speech        clips of the clean signal, one talker
    noise         recorded noises; level_db are relative to each other
    shaped        coloured noises; level_db on the same scale
    snr_db        active speech level over noise RMS, both measured from `lead_in` on
    level_dbfs    active level of the clean speech; lowered where the mixture would exceed -0.09 dBFS
    lead_in       samples of noise alone at the start that metrics leave out
    name          identity for tables and file names
    """

    length: int
    speech: tuple[SpeechClip, ...]
    noise: tuple[NoiseClip, ...]
    shaped: tuple[ShapedNoise, ...]
    snr_db: float
    level_dbfs: float
    lead_in: int = 0
    name: str = ""


def render(recipe: MixRecipe, audio: AudioCache | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The mixture of a recipe: a pure function of the recipe and its files.

    audio     where decoded files are kept from call to call (same samples with and without)
    returns   (clean, noisy), float32 (recipe.length,) each, |noisy| and |clean| <= 0.99
    raises    CorpusError: a file is absent or not audio
    """
    audio = audio or AudioCache(limit_bytes=0)
    clean = _render_speech(recipe, audio)
    noise = _render_noise(recipe, audio)
    level = 10.0 ** (recipe.level_dbfs / 20.0)
    clean *= np.float32(level / max(active_rms(clean[recipe.lead_in :]), _SILENCE_RMS))
    noise_level = level * 10.0 ** (-recipe.snr_db / 20.0)
    noise *= np.float32(noise_level / max(_rms(noise[recipe.lead_in :]), _SILENCE_RMS))
    noisy = clean + noise
    peak = max(float(np.abs(noisy).max()), float(np.abs(clean).max()))
    if peak > _PEAK:
        clean *= np.float32(_PEAK / peak)
        noisy *= np.float32(_PEAK / peak)
    return clean, noisy


def _render_speech(recipe: MixRecipe, audio: AudioCache) -> np.ndarray:
    stream = np.zeros(recipe.length, dtype=np.float32)
    for clip in recipe.speech:
        take = min(clip.length, recipe.length - clip.at)
        piece = audio.get(clip.path)[clip.start : clip.start + take].astype(np.float32) / np.float32(32768.0)
        edge = min(_EDGE_SAMPLES, len(piece) // 2)
        ramp = np.linspace(0.0, 1.0, edge, dtype=np.float32)
        piece[:edge] *= ramp
        piece[len(piece) - edge :] *= ramp[::-1]
        stream[clip.at : clip.at + len(piece)] += piece
    return stream


def _render_noise(recipe: MixRecipe, audio: AudioCache) -> np.ndarray:
    """All noises at RMS 1, then at their relative levels; silence stays weak."""
    stream = np.zeros(recipe.length, dtype=np.float32)
    for clip in recipe.noise:
        stream += _levelled(_looped(audio.get(clip.path), clip.start, recipe.length), clip.level_db)
    for shaped in recipe.shaped:
        stream += _levelled(shaped_noise(shaped, recipe.length), shaped.level_db)
    return stream


def _levelled(noise: np.ndarray, level_db: float) -> np.ndarray:
    noise -= noise.mean()
    noise *= np.float32(10.0 ** (level_db / 20.0) / max(_rms(noise), _SILENCE_RMS))
    return noise


def _looped(samples: np.ndarray, start: int, length: int) -> np.ndarray:
    """float32 (length,) of int16 samples from `start` on, beginning anew at their end."""
    start %= len(samples)
    if start + length > len(samples):
        samples = np.concatenate([samples[start:], samples[:start]])
        start = 0
        samples = np.tile(samples, -(-length // len(samples)))
    return samples[start : start + length].astype(np.float32) / np.float32(32768.0)


def shaped_noise(shaped: ShapedNoise, length: int) -> np.ndarray:
    """float32 (length,) of Gaussian noise, amplitude falling as frequency ** -slope; without its level."""
    white = np.random.default_rng(shaped.seed).standard_normal(length, dtype=np.float32)
    spectrum = np.fft.rfft(white)
    spectrum *= np.maximum(np.arange(len(spectrum), dtype=np.float32), 1.0) ** np.float32(-shaped.slope)
    return np.asarray(np.fft.irfft(spectrum, length), dtype=np.float32)


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples), dtype=np.float64))) if len(samples) else 0.0


def save_recipes(path: Path | str, recipes: Iterable[MixRecipe], root: Path | str | None = None) -> None:
    """One JSON object a line, written whole or not at all; audio paths relative to `root` if given."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    lines = []
    for recipe in recipes:
        values = asdict(recipe)
        for clip in (*values["speech"], *values["noise"]):
            clip["path"] = Path(os.path.relpath(clip["path"], root) if root else clip["path"]).as_posix()
        lines.append(json.dumps(values, separators=(",", ":")) + "\n")
    temporary.write_text("".join(lines), encoding="utf-8")
    os.replace(temporary, path)


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


_PARTS: dict[str, type[SpeechClip | NoiseClip | ShapedNoise]] = {
    "speech": SpeechClip,
    "noise": NoiseClip,
    "shaped": ShapedNoise,
}


def _recipe(value: Any, root: Path) -> MixRecipe:
    """A recipe from its JSON; raises TypeError or ValueError."""
    own = _checked("a recipe", MixRecipe, value, leave=tuple(_PARTS))
    for name, kind in _PARTS.items():
        if not isinstance(own[name], list):
            raise TypeError(f"{name} is not a list")
        parts = [_checked(name, kind, item) for item in own[name]]
        own[name] = tuple(
            kind(**{**part, **({"path": str(root / part["path"])} if "path" in part else {})}) for part in parts
        )
    return MixRecipe(**own)


def _checked(what: str, kind: type[Any], value: Any, leave: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a dataclass, each of its type: whole numbers from 0 up, finite numbers, text."""
    names = {field.name: str(field.type) for field in fields(kind)}
    if not isinstance(value, dict) or set(value) != set(names):
        raise TypeError(f"{what} must be an object with {', '.join(names)}")
    for name in names.keys() - set(leave):
        given = value[name]
        sound = {
            "int": type(given) is int and 0 <= given < 1 << 53,
            "float": type(given) in (int, float) and abs(given) < _LARGEST,
            "str": isinstance(given, str),
        }
        if not sound[names[name]]:
            raise ValueError(f"{what}: {name} is {given!r}")
    return dict(value)
