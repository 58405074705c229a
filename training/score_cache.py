"""Scores that are already known, so that a stopped run goes on and a new system costs only itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from training.files import RunError

Values = dict[str, float]


class ScoreCache:
    """One file a system and fingerprint, a line of JSON a mixture and metric set, appended as results come.

    Keys are digests of what the score depends on, so that an entry never becomes wrong, only unused: the folder may be
    deleted at any time. A line that a stop cut short is passed over, and computed again.
    """

    def __init__(self, folder: Path) -> None:
        """raises RunError: the folder cannot be made"""
        self._folder = folder
        self._known: dict[Path, dict[tuple[str, str], Values]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot write {folder}: {error.strerror or error}") from None

    def get(self, system: str, fingerprint: str, mixture: str, metrics: str) -> Values | None:
        """Values by metric; NaN where there is none; None: not known.

        system, fingerprint   name and digest of the system
        mixture, metrics      digest of the mixture; name and versions of the metric set
        """
        return self._file(system, fingerprint).get((mixture, metrics))

    def put(self, system: str, fingerprint: str, mixture: str, metrics: str, values: Mapping[str, float]) -> None:
        """Remember, in memory and on disk; raises RunError: not writable."""
        path = self._path(system, fingerprint)
        self._file(system, fingerprint)[mixture, metrics] = dict(values)
        told = {name: value if math.isfinite(value) else None for name, value in values.items()}
        line = json.dumps({"mixture": mixture, "metrics": metrics, "values": told})
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror or error}") from None

    def _path(self, system: str, fingerprint: str) -> Path:
        return self._folder / f"{system}-{fingerprint}.jsonl"

    def _file(self, system: str, fingerprint: str) -> dict[tuple[str, str], Values]:
        path = self._path(system, fingerprint)
        if path not in self._known:
            self._known[path] = _read(path)
        return self._known[path]


def _read(path: Path) -> dict[tuple[str, str], Values]:
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from None
    if text and not text.endswith("\n"):  # what a stop cut short must not swallow the next line
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror or error}") from None
    known = {}
    for line in text.splitlines():
        entry = _entry(line)
        if entry is not None:
            known[entry[0]] = entry[1]
    return known


def _entry(line: str) -> tuple[tuple[str, str], Values] | None:
    """A line of `put`, None if it is damaged."""
    try:
        entry = json.loads(line)
        values = {str(name): math.nan if value is None else float(value) for name, value in entry["values"].items()}
        return (str(entry["mixture"]), str(entry["metrics"])), values
    except (ArithmeticError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
