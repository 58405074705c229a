"""What an emulator needs of an ELF file: where its bytes go, and which function lies where."""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from golden_vectors.errors import WitnessError
from golden_vectors.m7.elf import Elf

_LOADED = 1
"""Kind of segment that has bytes in memory."""


@dataclass(frozen=True)
class Function:
    """Name (without the export's digits) and first address of a function; `end` is the first address behind it."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Image:
    """(load address, bytes) of each segment, and the functions by address."""

    segments: list[tuple[int, bytes]]
    functions: list[Function]

    @classmethod
    def load(cls, path: Path) -> Image:
        """Read a 32-bit little-endian ELF file; raises WitnessError for anything else."""
        return cls.parse(path.read_bytes(), str(path))

    @classmethod
    def parse(cls, data: bytes, path: str = "the image") -> Image:
        """The same of a file's content."""
        functions = [Function(f.name, f.address, f.address + f.size) for f in Elf.parse(data, path).functions.values()]
        offset, entry_bytes, count = *struct.unpack_from("<I", data, 28), *struct.unpack_from("<HH", data, 42)
        headers = [struct.unpack_from("<6I", data, offset + i * entry_bytes) for i in range(count)]
        segments = [(load, data[at : at + size]) for kind, at, _, load, size, _ in headers if kind == _LOADED and size]
        return cls(segments, functions)

    def address(self, function: str) -> int:
        """First address of a function; raises WitnessError when the image has none of that name."""
        for known in self.functions:
            if known.name == function:
                return known.start
        raise WitnessError(f"the image has no function {function}")

    def function_at(self, address: int) -> str:
        """Name of the function that holds an address, "" for none."""
        i = bisect_right(self.functions, address, key=lambda f: f.start) - 1
        return self.functions[i].name if i >= 0 and address < self.functions[i].end else ""
