"""A C compiler that keeps the object of every source: only what a fault touches is compiled again.

Built as the project builds (golden_vectors.cc), but file by file, at -O1, without warnings (a fault may cause some).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

FLAGS = ("-std=c11", "-O1", "-fPIC", "-w")
_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


class CompileError(RuntimeError):
    """The compiler refuses a source."""


class ObjectCache:
    """Objects by the digest of all text that goes into them.

    folder    where they are kept
    original  the tree without a fault, planted: its copy with one; None to compile what stands there
    changed   whether any library so far got other machine code than the tree without the fault gives
    """

    def __init__(self, folder: Path, original: Path, planted: Path | None = None) -> None:
        self.folder, self.original, self.planted = folder, original, planted
        self.changed = False
        folder.mkdir(parents=True, exist_ok=True)

    def library(self, command: Sequence[str], defines: Sequence[str] = ()) -> None:
        """Do what a command of `golden_vectors.cc` for a shared library asks for.

        raises  CompileError with the compiler's first line
        """
        compiler = list(command[: command.index("-std=c11")])
        sources = [Path(word) for word in command if word.endswith(".c")]
        includes = [Path(word[2:]) for word in command if word.startswith("-I")]
        flags = [*FLAGS, *(word for word in command if word.startswith("-D")), *defines]
        objects = []
        for source in sources:
            clean = self._object(compiler, flags, source, includes)
            made = clean
            if self.planted is not None:
                made = self._object(compiler, flags, self._moved(source), list(map(self._moved, includes)))
            self.changed |= made != clean and made.read_bytes() != clean.read_bytes()
            objects.append(str(made))
        _run([*compiler, "-shared", "-o", command[command.index("-o") + 1], *objects])

    def _moved(self, path: Path) -> Path:
        """Where a path of the original tree lies in the planted one."""
        assert self.planted is not None
        inside = path.is_relative_to(self.original)
        return self.planted / path.relative_to(self.original) if inside else path

    def _object(self, compiler: list[str], flags: list[str], source: Path, includes: list[Path]) -> Path:
        digest = hashlib.sha256(" ".join([*compiler, *flags, source.name]).encode())
        for content in _closure(source, includes, set()):
            digest.update(hashlib.sha256(content).digest())
        made = self.folder / f"{digest.hexdigest()[:24]}.o"
        if not made.exists():
            handle, temporary = tempfile.mkstemp(suffix=".o", dir=self.folder)
            os.close(handle)
            try:
                _run([*compiler, *flags, *(f"-I{path}" for path in includes), "-c", str(source), "-o", temporary])
                os.replace(temporary, made)
            finally:
                Path(temporary).unlink(missing_ok=True)
        return made


def _closure(path: Path, includes: list[Path], seen: set[Path]) -> Iterator[bytes]:
    """Contents of a file and of all that it includes from the project."""
    seen.add(path)
    content = path.read_bytes()
    yield content
    for name in _INCLUDE.findall(content[:20_000]):
        places = (folder / name.decode() for folder in (path.parent, *includes))
        found = next((place for place in places if place.is_file()), None)
        if found is not None and found not in seen:
            yield from _closure(found, includes, seen)


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no message"]
        raise CompileError(next((line for line in lines if "error" in line), lines[0]))
