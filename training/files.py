"""Files written whole or not at all, and the error that the room's doors tell in one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


class RunError(ValueError):
    """What a door cannot do, and why; the message is one line for the user."""


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it.

    raises   RunError: the folder or file cannot be written
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from None
