"""Files written whole or not at all, and the error that the room's doors tell in one line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path


class RunError(ValueError):
    """What a door cannot do, and why; the message is one line for the user."""


def named_path(text: str) -> Path:
    """A path of the command line: an empty one would be the current folder, and libsndfile takes UTF-8 only."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; write . for the current folder")
    if not is_utf8(text):
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8: rename it")
    return Path(text)


def is_utf8(name: Path | str) -> bool:
    """Whether a file name can be written as UTF-8; others reach Python as lone surrogates."""
    try:
        os.fspath(name).encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse_same_file(target: Path, source: Path) -> None:
    """raises RunError: `target` is `source`, also through links"""
    linked = target.exists() and source.exists() and target.samefile(source)
    if linked or os.path.realpath(target) == os.path.realpath(source):
        raise RunError(f"{target}: is also the input: give another name")


def refuse_inputs(target: Path, *sources: Path | None) -> None:
    """raises RunError: `target` is a folder, or one of the files that are read"""
    refuse_folder(target)
    for source in sources:
        if source is not None:
            refuse_same_file(target, source)


def refuse_folder(target: Path) -> None:
    """raises RunError: a folder is where a file is to be written; asked before the work of hours"""
    if target.is_dir():
        raise RunError(f"cannot write {target}: it is a folder, give the name of a file")


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
    finally:
        if temporary.is_file():
            temporary.unlink()
