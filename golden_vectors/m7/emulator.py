"""A Cortex-M7 in Unicorn: runs an ELF image from reset, with semihosting files in memory and exact counts.

It counts instructions, never cycles.

source   Unicorn 2.1.4; its traps: the mode must be THUMB alone (MCLASS ignores the CPU model), and a hook on
         code misses instructions that an IT block skips, so blocks are counted and their lengths decoded
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from golden_vectors.errors import WitnessError
from golden_vectors.m7.build import DEFAULT_PART, PORT
from golden_vectors.m7.image import Image
from golden_vectors.program import Ended

SYSTEM_SPACE = (0xE0000000, 1 << 20)
"""Registers of the core itself; plain memory is enough for code that only sets them."""
DWT, MPS2_TIMER = 0xE0001000, 0x40000000
"""Pages of the clocks that firmware/port/m7/clock.h reads."""
SYS_EXIT_EXTENDED = 0x20
SEMIHOSTING_BREAKPOINT = b"\xab\xbe"
TIMEOUT_S = 600.0
_PAGE = 4096
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


def missing_unicorn() -> str | None:
    """None if the emulator can be imported, else one line with the command that installs it."""
    return None if find_spec("unicorn") else "no emulator of the M7: pip install unicorn==2.1.4"


def memory_regions(part: str = DEFAULT_PART) -> dict[str, tuple[int, int]]:
    """Name -> (origin, bytes) of the memories of a part, read from its link script."""
    pattern = r"(\w+) \(\w+\) : ORIGIN = (0x[0-9a-fA-F]+), LENGTH = (\d+)([KM]?)"
    found = re.findall(pattern, (PORT / f"{part}.ld").read_text())
    return {name: (int(origin, 16), int(length) * _UNITS[unit]) for name, origin, length, unit in found}


def memory_roles(part: str = DEFAULT_PART) -> dict[str, str]:
    """CODE, WEIGHTS and DATA -> the memory in which a part has them."""
    return dict(re.findall(r'REGION_ALIAS\("(\w+)", (\w+)\)', (PORT / f"{part}.ld").read_text()))


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
    phases  function -> phase that begins with its first instruction and ends where it returns to; what lies
            between the phases is the phase ""
    calls   a Counter {(phase, function): instructions} for each call
    """

    def __init__(self, image: Image, home: str, phases: Mapping[str, str]) -> None:
        from unicorn.arm_const import UC_ARM_REG_LR

        self.calls: list[Counter[tuple[str, str]]] = []
        self._image, self._home, self._link = image, image.address(home), UC_ARM_REG_LR
        self._starts = {image.address(function): phase for function, phase in phases.items()}
        self._phase, self._return, self._phase_return = "", -1, -1
        self._blocks: dict[tuple[int, int], tuple[int, str]] = {}

    def block(self, core: Any, address: int, size: int, _: object) -> None:
        """Hook of the emulator: a block is about to run."""
        if address == self._home:
            self.calls.append(Counter())
            self._phase = ""
            self._return = core.reg_read(self._link) & ~1
        elif address == self._return:
            self._return = -1
        if self._return < 0:
            return
        if address in self._starts:
            self._phase, self._phase_return = self._starts[address], core.reg_read(self._link) & ~1
        elif address == self._phase_return:
            self._phase, self._phase_return = "", -1
        known = self._blocks.get((address, size))
        if known is None:
            known = self._blocks[address, size] = self._decoded(core, address, size)
        instructions, function = known
        self.calls[-1][self._phase, function] += instructions

    def _decoded(self, core: Any, address: int, size: int) -> tuple[int, str]:
        """(instructions, function) of a block."""
        return instructions_in(bytes(core.mem_read(address, size))), self._image.function_at(address)


class InstructionClock:
    """The clocks of firmware/port/m7/clock.h, made of instructions: DWT's cycle counter, and the timer of the MPS2 as
    `qemu-system-arm -icount shift=10` has it.

    A block counts when it begins, so readings differ by exactly what ran between them if they come from one place.
    """

    def __init__(self, core: Any) -> None:
        self._instructions, self._lengths = 0, dict[tuple[int, int], int]()
        core.mem_unmap(DWT, _PAGE)
        core.mmio_map(DWT, _PAGE, self._cycle_counter, None, _ignore, None)
        core.mmio_map(MPS2_TIMER, _PAGE, self._timer, None, _ignore, None)

    def block(self, core: Any, address: int, size: int, _: object) -> None:
        """Hook of the emulator: a block is about to run."""
        length = self._lengths.get((address, size))
        if length is None:
            length = self._lengths[address, size] = instructions_in(bytes(core.mem_read(address, size)))
        self._instructions += length

    def _cycle_counter(self, _core: Any, offset: int, _size: int, _: object) -> int:
        return self._instructions & 0xFFFFFFFF if offset == 4 else 0

    def _timer(self, _core: Any, offset: int, _size: int, _: object) -> int:
        """25 MHz downwards, 1024 ns an instruction."""
        return ~(self._instructions * 1024 // 40) & 0xFFFFFFFF if offset == 4 else 0


def _ignore(_core: Any, _offset: int, _size: int, _value: int, _: object) -> None:
    """A write to a clock: what is read is compared, never its zero."""


class Emulator:
    """One run of an image on one part.

    files   semihosting files by name: read by the image, and what it wrote after `run`
    printed what the image printed
    counter  what counts the calls of a function; None: nothing does, at full speed
    counting whether the clocks of the image count instructions; else they stand still
    """

    def __init__(
        self,
        image: Image,
        files: Mapping[str, bytes],
        counter: HopCounter | None = None,
        part: str = DEFAULT_PART,
        counting: bool = False,
    ) -> None:
        import unicorn as uc
        from unicorn import arm_const as arm

        self.image, self._arm, self._uc = image, arm, uc
        self.files = {name: bytearray(data) for name, data in files.items()}
        self.status: int | None = None
        self.printed = bytearray()
        self._handles: list[str] = []
        self._positions: list[int] = []
        self.core = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB)
        self.core.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M7)
        regions = memory_regions(part)
        for name, (origin, size) in {**regions, "": SYSTEM_SPACE}.items():
            self.core.mem_map(origin, size, uc.UC_PROT_READ | uc.UC_PROT_EXEC if name == "FLASH" else uc.UC_PROT_ALL)
        for address, data in image.segments:
            self.core.mem_write(address, data)
        self._flash = regions["FLASH"][0]
        self.core.hook_add(uc.UC_HOOK_INTR, self._interrupt)
        clock = InstructionClock(self.core)
        for hook in [*([counter.block] if counter else []), *([clock.block] if counting else [])]:
            self.core.hook_add(uc.UC_HOOK_BLOCK, hook)

    def run(self, timeout_s: float = TIMEOUT_S) -> int:
        """From reset to the exit of the image; returns its status; raises WitnessError when there is none in time."""
        stack, start = struct.unpack("<II", self.core.mem_read(self._flash, 8))
        self.core.reg_write(self._arm.UC_ARM_REG_SP, stack)
        try:
            self.core.emu_start(start | 1, 0xFFFFFFFE, timeout=int(timeout_s * 1e6))
        except self._uc.UcError as error:
            address = self.core.reg_read(self._arm.UC_ARM_REG_PC)
            where = self.image.function_at(address) or "no function"
            raise WitnessError(f"the M7 stopped at {address:#010x} in {where}: {error}") from None
        if self.status is None:
            where = self.image.function_at(self.core.reg_read(self._arm.UC_ARM_REG_PC)) or "no function"
            raise WitnessError(f"the M7 came to no exit within {timeout_s:g} s: it was in {where}")
        return self.status

    # ------------------------------------------------------------ semihosting

    def _interrupt(self, core: Any, number: int, _: object) -> None:
        arm = self._arm
        pc = core.reg_read(arm.UC_ARM_REG_PC)
        if core.mem_read(pc, 2) != SEMIHOSTING_BREAKPOINT:
            core.emu_stop()
            return
        operation, block = core.reg_read(arm.UC_ARM_REG_R0), core.reg_read(arm.UC_ARM_REG_R1)
        if operation == 0x04:
            self._print(block)
        else:
            words = 2 if operation == SYS_EXIT_EXTENDED else 3
            arguments = struct.unpack(f"<{words}I", core.mem_read(block, 4 * words))
            core.reg_write(arm.UC_ARM_REG_R0, self._call(operation, arguments))
        core.reg_write(arm.UC_ARM_REG_PC, (pc + 2) | 1)

    def _call(self, operation: int, arguments: tuple[int, ...]) -> int:
        """Result of a semihosting operation: exit, open, write or read."""
        if operation == SYS_EXIT_EXTENDED:
            self.status = arguments[1]
            self.core.emu_stop()
            return 0
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
        return 0xFFFFFFFF

    def _print(self, address: int) -> None:
        """A text that ends with a zero."""
        while (byte := bytes(self.core.mem_read(address, 1))) != b"\0":
            self.printed += byte
            address += 1

    def _open(self, name: str, *, writing: bool) -> int:
        if writing:
            self.files[name] = bytearray()
        elif name not in self.files:
            return 0xFFFFFFFF
        self._handles.append(name)
        self._positions.append(0)
        return len(self._handles)


def run_unicorn(
    image: Path,
    files: Mapping[str, bytes],
    part: str = DEFAULT_PART,
    counter: HopCounter | None = None,
    counting: bool = False,
) -> Ended:
    """Run an image of a part from reset to its exit; raises WitnessError when it does not come to one."""
    emulator = Emulator(Image.load(image), files, counter, part, counting)
    status = emulator.run()
    written = {name: bytes(data) for name, data in emulator.files.items() if name not in files}
    return Ended(status, written, emulator.printed.decode("ascii"))
