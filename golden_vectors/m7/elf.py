"""A linked image of the device as its sections and symbols: 32-bit little-endian ELF.

source  "ELF for the Arm Architecture"; bit 0 of the address of a Thumb function is no part of it
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from golden_vectors.errors import WitnessError

FUNCTION, OBJECT = 2, 1
"""Kinds of symbols."""
WRITE, ALLOCATED = 1, 2
"""Flags of sections."""
_SYMBOL_TABLE, _NO_BITS = 2, 8
_CONFIG_ID = re.compile(r"(?<=^stapes_network)(\w*)_[0-9a-f]{8}$")
"""What an export adds to the symbols of its network: see SYMBOLS in export/c_writer.py."""


@dataclass(frozen=True)
class Section:
    """A section at the address where it runs; `data` is None where the file holds no bytes of it."""

    name: str
    flags: int
    address: int
    size: int
    data: bytes | None


@dataclass(frozen=True)
class Symbol:
    """A function or an object, without the digits of its export; `section` is the name of its section."""

    name: str
    kind: int
    address: int
    size: int
    section: str


@dataclass(frozen=True)
class Elf:
    """Sections and symbols; symbols by address."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    @classmethod
    def load(cls, path: Path) -> Elf:
        """Read an object file or an image; raises WitnessError for anything but a 32-bit little-endian ELF."""
        try:
            return cls.parse(path.read_bytes(), str(path))
        except OSError as error:
            raise WitnessError(f"{path}: cannot be read: {error.strerror}") from None

    @classmethod
    def parse(cls, data: bytes, path: str = "the image") -> Elf:
        """The same of a file's content."""
        if data[:6] != b"\x7fELF\x01\x01":
            raise WitnessError(f"{path}: not a 32-bit little-endian ELF image")
        offset, entry_bytes, count, names = *struct.unpack_from("<I", data, 32), *struct.unpack_from("<3H", data, 46)
        headers = [struct.unpack_from("<10I", data, offset + i * entry_bytes) for i in range(count)]
        sections = [_section(data, header, headers[names][4]) for header in headers]
        symbols = [symbol for header in headers if header[1] == _SYMBOL_TABLE
                   for symbol in _symbols(data, header, headers[header[6]][4], sections)]  # fmt: skip
        return cls(tuple(sections), tuple(sorted(symbols, key=lambda s: (s.address, s.name))))

    @cached_property
    def functions(self) -> dict[int, Symbol]:
        """The functions by first address; of several names at one address, one."""
        return {symbol.address: symbol for symbol in self.symbols if symbol.kind == FUNCTION}

    def function(self, name: str) -> Symbol:
        """A function by name; raises WitnessError when the image has none or several."""
        found = [symbol for symbol in self.functions.values() if symbol.name == name]
        if len(found) != 1:
            raise WitnessError(f"the image has {len(found) or 'no'} function{'s' * bool(found)} {name}")
        return found[0]

    def section(self, name: str) -> Section | None:
        """A section by name."""
        return next((section for section in self.sections if section.name == name), None)

    def read(self, address: int, size: int) -> bytes:
        """Bytes at an address of the running image; raises WitnessError where the file has none."""
        for section in self.sections:
            start = address - section.address
            if section.flags & ALLOCATED and section.data is not None and 0 <= start <= section.size - size:
                return section.data[start : start + size]
        raise WitnessError(f"the image has no bytes at {address:#010x}")


def plain_name(symbol: str) -> str:
    """The name of a symbol without the digits of its export."""
    return _CONFIG_ID.sub(r"\1", symbol)


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode("ascii")


def _section(data: bytes, header: tuple[int, ...], names: int) -> Section:
    name, kind, flags, address, offset, size = header[:6]
    return Section(
        _text(data, names + name), flags, address, size, None if kind == _NO_BITS else data[offset : offset + size]
    )


def _symbols(data: bytes, header: tuple[int, ...], names: int, sections: list[Section]) -> list[Symbol]:
    found = []
    for at in range(header[4], header[4] + header[5], 16):
        name, value, size, info, _, index = struct.unpack_from("<IIIBBH", data, at)
        kind = info & 15
        if kind in (FUNCTION, OBJECT) and 0 < index < len(sections):
            address = value & ~1 if kind == FUNCTION else value
            text = plain_name(_text(data, names + name))
            found.append(Symbol(text, kind, address, size, sections[index].name))
    return found
