"""The page to listen on: the leaderboard, the plot, and some mixtures through every system, as WAVs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.audio import RATE_HZ, write_audio
from training.datasets import CorpusError
from training.evaluation_files import COLUMNS, FACTS, beside, cell_of, loss_line, short_number
from training.files import RunError, write_whole
from training.frontend import to_int16_grid
from training.mixing import MixRecipe, load_recipes, render
from training.zoo import Spec, make

TEMPLATE = Path(__file__).with_name("compare.html")
PAGE = "index.html"
LISTENING_SNR_DB = 5.0
"""Where noise is plain to hear and speech is still understood."""


@dataclass(frozen=True)
class Clip:
    """One player: a system's name and the audio file's name, relative to the page."""

    system: str
    file: str


@dataclass(frozen=True)
class Listening:
    """One mixture: its title and its players, clean speech and the mixture first."""

    title: str
    clips: list[Clip]


def write_page(result: dict[str, Any], recipes: Sequence[MixRecipe], folder: Path, plot: str) -> Path:
    """Render the audio and write the page.

    recipes   mixtures that are played
    plot      name of the picture in `folder`
    returns   the page
    raises    RunError: a system is gone, or nothing can be written; CorpusError: the recordings are
    """
    specs = [Spec(row["system"], Path(row["file"]) if row.get("file") else None) for row in result["systems"]]
    listening = [_listen(recipe, specs, folder) for recipe in recipes]
    environment = Environment(loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined)
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in result["systems"])]
    text = environment.get_template(TEMPLATE.name).render(
        rows=[_cells(row, shown) for row in result["systems"]],
        headings=[*FACTS, *(COLUMNS[name][0] for name in shown)],
        losses=[loss_line(loss) for loss in result.get("integer_loss", [])],
        listening=listening,
        plot=plot,
        command=result.get("command", ""),
        corpus=result.get("corpus", ""),
        files=result["systems"][0].get("files", 0),
    )
    page = folder / PAGE
    write_whole(page, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return page


def chosen(recipes: Sequence[MixRecipe], count: int) -> list[MixRecipe]:
    """`count` mixtures of different pairs at +5 dB, or, where there are none, of any SNR; spread over the list."""
    at_level = [recipe for recipe in recipes if recipe.snr_db == LISTENING_SNR_DB] or list(recipes)
    places = np.linspace(0, len(at_level) - 1, min(count, len(at_level))).astype(int)
    return [at_level[place] for place in places]


def saved_recipes(evaluation: Path) -> list[MixRecipe]:
    """The mixtures of a result file, which lie beside it; raises RunError."""
    try:
        return load_recipes(beside(evaluation, "recipes.jsonl"))
    except CorpusError as error:
        raise RunError(f"{error}: run `python -m training evaluate` again") from None


def _listen(recipe: MixRecipe, specs: Sequence[Spec], folder: Path) -> Listening:
    """Every system on one mixture, lead-in included."""
    clean, noisy = render(recipe)
    streams = to_int16_grid(noisy[None])
    clips = [_clip(recipe, "clean speech", clean, folder)]
    for spec in specs:
        system = make(spec)
        reason = system.available()
        if reason:
            raise RunError(f"{spec.name} cannot be played: {reason}")
        clips.append(_clip(recipe, spec.name, system(streams, clean[None])[0], folder))
    noise = Path(recipe.noise[0].path).stem if recipe.noise else "shaped noise"
    return Listening(f"{recipe.snr_db:+g} dB, noise {noise}", clips)


def _clip(recipe: MixRecipe, system: str, audio: np.ndarray, folder: Path) -> Clip:
    """A WAV of 16 bits; its name is made of letters that need no quoting."""
    name = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in f"{recipe.name}_{system}")
    write_audio(folder / "audio" / f"{name}.wav", to_int16_grid(audio), RATE_HZ, "WAV")
    return Clip(system, f"audio/{name}.wav")


def _cells(row: dict[str, Any], shown: Sequence[str]) -> list[dict[str, Any]]:
    """Cells of the table: the text, and the number that sorts it."""
    facts = [(f"{row['latency_ms']:g}", row["latency_ms"])]
    facts += [(short_number(row[name]), row[name]) for name in ("params", "mmac_per_s", "instructions_per_hop")]
    cells = [{"text": row["system"], "sort": row["system"]}]
    cells += [{"text": text, "sort": 0 if value is None else value} for text, value in facts]
    return cells + [{"text": cell_of(row, name), "sort": row.get(name) or 0} for name in shown]
