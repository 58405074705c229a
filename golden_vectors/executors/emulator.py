"""A Cortex-M7 in Unicorn: runs an ELF image from reset, with semihosting files in memory and exact counts.

It counts instructions, never cycles.

source   Unicorn 2.1.4; its traps: the mode must be THUMB alone (MCLASS ignores the CPU model), and a hook on
         code misses instructions that an IT block skips, so blocks are counted and their lengths decoded
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from golden_vectors.errors import WitnessError
from golden_vectors.executors.cc_m7 import DEFAULT_PART, PORT

SYSTEM_SPACE = (0xE0000000, 1 << 20)
"""Registers of the core itself; plain memory is enough for code that only sets them."""
SEMIHOSTING_BREAKPOINT = b"\xab\xbe"
_PT_LOAD, _SHT_SYMTAB, _STT_FUNC = 1, 2, 2
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


def missing_unicorn() -> str | None:
    """None if the emulator can be imported, else one line with the command that installs it."""
    return None if find_spec("unicorn") else "no emulator of the M7: pip install unicorn==2.1.4"


def memory_regions(part: str = DEFAULT_PART) -> dict[str, tuple[int, int]]:
    """Name -> (origin, bytes) of the memories of a part, read from its link script."""
    pattern = r"(\w+) \(\w+\) : ORIGIN = (0x[0-9a-fA-F]+), LENGTH = (\d+)([KM]?)"
    found = re.findall(pattern, (PORT / f"{part}.ld").read_text())
    return {name: (int(origin, 16), int(length) * _UNITS[unit]) for name, origin, length, unit in found}


# ---------------------------------------------------------------- images


_CONFIG_ID = re.compile(r"(?<=^stapes_network)(_reset|_step|)_[0-9a-f]{8}$")
"""What an export adds to the symbols of its network: see SYMBOLS in export/c_writer.py."""


@dataclass(frozen=True)
class Function:
    """Name (without the export's digits) and first address of a function; `end` is the first address behind it."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Image:
    """What an emulator needs of an ELF file: (load address, bytes) and the functions by address."""

    segments: list[tuple[int, bytes]]
    functions: list[Function]

    @classmethod
    def load(cls, path: Path) -> Image:
        """Read a 32-bit little-endian ELF; raises WitnessError for anything else."""
        data = path.read_bytes()
        if data[:6] != b"\x7fELF\x01\x01":
            raise WitnessError(f"{path}: not a 32-bit little-endian ELF image")
        offset, entry_bytes, count = *struct.unpack_from("<I", data, 28), *struct.unpack_from("<HH", data, 42)
        headers = [struct.unpack_from("<6I", data, offset + i * entry_bytes) for i in range(count)]
        segments = [(load, data[at : at + size]) for kind, at, _, load, size, _ in headers if kind == _PT_LOAD and size]
        return cls(segments, _functions(data))

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


def _functions(data: bytes) -> list[Function]:
    """The function symbols of an ELF, in order of address (bit 0 of a Thumb symbol is no part of it)."""
    offset, entry_bytes, count = *struct.unpack_from("<I", data, 32), *struct.unpack_from("<HH", data, 46)
    sections = [struct.unpack_from("<10I", data, offset + i * entry_bytes) for i in range(count)]
    found = []
    for section in sections:
        if section[1] != _SHT_SYMTAB:
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 16):
            name, value, size, info = struct.unpack_from("<IIIB", data, at)
            if info & 15 == _STT_FUNC:
                text = data[names + name : data.index(b"\0", names + name)].decode("ascii")
                found.append(Function(_CONFIG_ID.sub(r"\1", text), value & ~1, (value & ~1) + size))
    return sorted(found, key=lambda f: f.start)


# ---------------------------------------------------------------- the core


def instructions_in(code: bytes) -> int:
    """Number of Thumb instructions in a block: a halfword of 0xE800 or more begins one of four bytes."""
    at = count = 0
    while at < len(code):
        at += 4 if code[at + 1] >= 0xE8 else 2
        count += 1
    return count


class HopCounter:
    """Instructions of every call of one function, by phase and function.

    home    function whose calls are counted; a call ends where it returns to
    phases  function -> phase that begins with its first instruction and ends with the next phase, or back in
            `home`, whose own instructions are the phase ""
    calls   a Counter {(phase, function): instructions} for each call
    """

    def __init__(self, image: Image, home: str, phases: Mapping[str, str]) -> None:
        from unicorn.arm_const import UC_ARM_REG_LR

        self.calls: list[Counter[tuple[str, str]]] = []
        self._image, self._home, self._link = image, image.address(home), UC_ARM_REG_LR
        self._starts = {image.address(function): phase for function, phase in phases.items()}
        self._home_name, self._phase, self._return = home, "", -1
        self._blocks: dict[tuple[int, int], tuple[int, str, str | None]] = {}

    def block(self, core: Any, address: int, size: int, _: object) -> None:
        """Hook of the emulator: a block is about to run."""
        if address == self._home:
            self.calls.append(Counter())
            self._return = core.reg_read(self._link) & ~1
        elif address == self._return:
            self._return = -1
        if self._return < 0:
            return
        known = self._blocks.get((address, size))
        if known is None:
            known = self._blocks[address, size] = self._decoded(core, address, size)
        instructions, function, phase = known
        if phase is not None:
            self._phase = phase
        self.calls[-1][self._phase, function] += instructions

    def _decoded(self, core: Any, address: int, size: int) -> tuple[int, str, str | None]:
        """(instructions, function, phase that begins here or None) of a block."""
        function = self._image.function_at(address)
        phase = "" if function == self._home_name else self._starts.get(address)
        return instructions_in(bytes(core.mem_read(address, size))), function, phase


class Emulator:
    """One run of an image on one part.

    files   semihosting files by name: read by the image, and what it wrote after `run`
    counter what counts instructions; None: nothing does, at full speed
    """

    def __init__(
        self, image: Image, files: Mapping[str, bytes], counter: HopCounter | None = None, part: str = DEFAULT_PART
    ) -> None:
        import unicorn as uc
        from unicorn import arm_const as arm

        self.image, self._arm, self._uc = image, arm, uc
        self.files = {name: bytearray(data) for name, data in files.items()}
        self.status: int | None = None
        self._handles: list[str] = []
        self._positions: list[int] = []
        self.core = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB)
        self.core.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M7)
        regions = memory_regions(part)
        for origin, size in (*regions.values(), SYSTEM_SPACE):
            self.core.mem_map(origin, size)
        for address, data in image.segments:
            self.core.mem_write(address, data)
        self._flash = regions["FLASH"][0]
        self.core.hook_add(uc.UC_HOOK_INTR, self._interrupt)
        if counter is not None:
            self.core.hook_add(uc.UC_HOOK_BLOCK, counter.block)

    def run(self) -> int:
        """From reset to the exit of the image; returns its status; raises WitnessError when there is none."""
        stack, start = struct.unpack("<II", self.core.mem_read(self._flash, 8))
        self.core.reg_write(self._arm.UC_ARM_REG_SP, stack)
        try:
            self.core.emu_start(start | 1, 0xFFFFFFFE)
        except self._uc.UcError as error:
            address = self.core.reg_read(self._arm.UC_ARM_REG_PC)
            where = self.image.function_at(address) or "no function"
            raise WitnessError(f"the M7 stopped at {address:#010x} in {where}: {error}") from None
        if self.status is None:
            raise WitnessError("the M7 stopped without an exit status")
        return self.status

    # ------------------------------------------------------------ semihosting

    def _interrupt(self, core: Any, number: int, _: object) -> None:
        arm = self._arm
        pc = core.reg_read(arm.UC_ARM_REG_PC)
        if core.mem_read(pc, 2) != SEMIHOSTING_BREAKPOINT:
            core.emu_stop()
            return
        operation, block = core.reg_read(arm.UC_ARM_REG_R0), core.reg_read(arm.UC_ARM_REG_R1)
        core.reg_write(arm.UC_ARM_REG_R0, self._call(operation, struct.unpack("<3I", core.mem_read(block, 12))))
        core.reg_write(arm.UC_ARM_REG_PC, (pc + 2) | 1)

    def _call(self, operation: int, arguments: tuple[int, ...]) -> int:
        """Result of a semihosting operation: open, write, read or exit."""
        a, b, c = arguments
        if operation == 0x01:
            return self._open(bytes(self.core.mem_read(a, c)).decode("ascii"), writing=b >= 4)
        if operation == 0x05:
            self.files[self._handles[a - 1]] += self.core.mem_read(b, c)
            return 0
        if operation == 0x06:
            start = self._positions[a - 1]
            data = bytes(self.files[self._handles[a - 1]][start : start + c])
            self.core.mem_write(b, data)
            self._positions[a - 1] += len(data)
            return c - len(data)
        if operation == 0x20:
            self.status = b
            self.core.emu_stop()
            return 0
        return 0xFFFFFFFF

    def _open(self, name: str, *, writing: bool) -> int:
        if writing:
            self.files[name] = bytearray()
        elif name not in self.files:
            return 0xFFFFFFFF
        self._handles.append(name)
        self._positions.append(0)
        return len(self._handles)
