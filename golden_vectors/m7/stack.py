"""The most stack that a function of a linked image can need, and by which calls: a bound for every input.

Each function is walked along all its paths; what every instruction does to SP is known or refused (thumb.py). The
bound of a function is the deepest of its own frame and, at each call, the depth there and the bound of the callee.
Nothing is counted for exceptions: their frames lie on top of the depth that they interrupt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from export.c_memory import STACK_BYTES
from golden_vectors.errors import WitnessError
from golden_vectors.m7.elf import Elf, Symbol
from golden_vectors.m7.thumb import Flow, Instruction, decode

HOP = "stapes_process_hop"
RUN = "stapes_ping_pong_run"
API = (
    "stapes_init", "stapes_reset", "stapes_restart", "stapes_set_parameters", "stapes_default_parameters", HOP,
    "stapes_hold_hop", "stapes_state_bytes", "stapes_counters", "stapes_config_digest", "stapes_tap",
    "stapes_ping_pong_init", "stapes_ping_pong_interrupt", RUN, "stapes_ping_pong_begin", "stapes_ping_pong_process",
    "stapes_ping_pong_finish",
)  # fmt: skip
"""The functions of stapes.h and ping_pong.h."""
RESET = "Reset_Handler"
_MOVW_MOVT_BX = ((0xF240, 0xFBF0), (0x0C00, 0x8F00), (0xF2C0, 0xFBF0), (0x0C00, 0x8F00), (0x4760, 0xFFFF))
"""Halfwords and masks of a veneer: movw ip; movt ip; bx ip."""


@dataclass(frozen=True)
class Frame:
    """What one function does with the stack.

    own     bytes between SP at its entry and the lowest SP of its own
    calls   (address of the callee, bytes in use at the call), tail calls included
    """

    own: int
    calls: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class Bound:
    """Most bytes below SP at the entry of a function.

    path  the calls that need them: (function, bytes that it adds)
    """

    size: int
    path: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        return " > ".join(f"{name} {size}" for name, size in self.path)


def check_stack(elf: Elf, functions: Sequence[str] = API) -> dict[str, Bound]:
    """The bound of each function that a device calls.

    raises  WitnessError when one is above what the generated header declares, or has no bound
    """
    analysis = StackAnalysis(elf)
    bounds = {name: analysis.bound(name) for name in functions}
    for name, bound in bounds.items():
        if bound.size > STACK_BYTES:
            raise WitnessError(
                f"{name} needs {bound.size} bytes of stack, above STAPES_STACK_BYTES {STACK_BYTES}: {bound}"
            )
    return bounds


class StackAnalysis:
    """Frames and bounds of one image."""

    def __init__(self, elf: Elf) -> None:
        self.elf = elf
        self._frames: dict[int, Frame] = {}
        self._bounds: dict[int, Bound] = {}

    def bound(self, function: str) -> Bound:
        """Most stack from a function on.

        raises  WitnessError for recursion, a jump through a register, or an instruction that is not known
        """
        return self._bound(self.elf.function(function).address, ())

    def frame(self, function: str) -> Frame:
        """A function alone; raises WitnessError as `bound`."""
        return self._frame(self.elf.function(function).address)

    def called(self, function: str) -> set[str]:
        """Names of what a function calls or ends in; raises WitnessError as `bound`."""
        return {self.elf.functions[callee].name for callee, _ in self.frame(function).calls}

    def reached(self, function: str) -> list[str]:
        """Names of a function and of everything that it can call, in order of address."""
        found, waiting = set(), [self.elf.function(function).address]
        while waiting:
            address = waiting.pop()
            if address not in found:
                found.add(address)
                waiting += [callee for callee, _ in self._frame(address).calls]
        return [self.elf.functions[address].name for address in sorted(found)]

    def _bound(self, address: int, callers: tuple[int, ...]) -> Bound:
        if address in callers:
            circle = [self.elf.functions[a].name for a in (*callers[callers.index(address) :], address)]
            raise WitnessError(f"no bound for the stack: recursion {' > '.join(circle)}")
        if address not in self._bounds:
            frame, name = self._frame(address), self.elf.functions[address].name
            deepest = Bound(frame.own, ((name, frame.own),))
            for callee, depth in sorted(frame.calls):
                below = self._bound(callee, (*callers, address))
                if depth + below.size > deepest.size:
                    deepest = Bound(depth + below.size, ((name, depth), *below.path))
            self._bounds[address] = deepest
        return self._bounds[address]

    def _frame(self, address: int) -> Frame:
        if address not in self._frames:
            symbol = self.elf.functions.get(address)
            if symbol is None:
                raise WitnessError(f"no bound for the stack: a call to {address:#x}, where no function begins")
            self._frames[address] = _Walk(self.elf, symbol).frame()
        return self._frames[address]


class _Walk:
    """All paths through one function, with the bytes below its entry at every instruction."""

    def __init__(self, elf: Elf, function: Symbol) -> None:
        self.elf, self.function = elf, function
        self.depths: dict[int, int] = {}
        self.calls: set[tuple[int, int]] = set()
        self.waiting = [(function.address, 0)]
        self.deepest = 0

    def frame(self) -> Frame:
        target = self._veneer()
        if target is not None:
            return Frame(0, frozenset({(target, 0)}))
        while self.waiting:
            self._straight(*self.waiting.pop())
        return Frame(self.deepest, frozenset(self.calls))

    def _veneer(self) -> int | None:
        """Where a linker's long jump leads: a constant in the code, or None for any other function."""
        address, size = self.function.address, self.function.size
        if size == 8 and self.elf.read(address, 4) in (b"\xdf\xf8\x00\xf0", b"\x5f\xf8\x00\xf0"):  # ldr pc, [pc]
            return int.from_bytes(self.elf.read(address + 4, 4), "little") & ~1
        if size != 10:
            return None
        words = [int.from_bytes(self.elf.read(address + i, 2), "little") for i in range(0, 10, 2)]
        if any(word & mask != known for word, (known, mask) in zip(words, _MOVW_MOVT_BX, strict=True)):
            return None
        return (_immediate16(*words[:2]) | _immediate16(*words[2:4]) << 16) & ~1

    def _straight(self, address: int, depth: int) -> None:
        """From an address to where the flow ends or meets code that was walked before."""
        conditional = 0
        while address not in self.depths:
            step = self._instruction(address)
            self.depths[address] = depth
            if conditional and step.push and step.flow is Flow.NEXT:
                self._refuse(f"a conditional move of SP at {address:#x}")
            after = depth + step.push
            self.deepest = max(self.deepest, after)
            if after < 0:
                self._refuse(f"SP above its entry at {address:#x}")
            self._follow(step, address, after)
            if step.flow in (Flow.JUMP, Flow.RETURN, Flow.STOP) and not conditional:
                return
            depth = depth if step.flow is Flow.RETURN else after
            conditional = step.condition or max(0, conditional - 1)
            address += step.size
        if self.depths[address] != depth:
            self._refuse(f"two depths at {address:#x}: {self.depths[address]} and {depth}")

    def _instruction(self, address: int) -> Instruction:
        end = self.function.address + self.function.size
        if not self.function.address <= address < end:
            self._refuse(f"its code runs on at {address:#x}, behind its end")
        try:
            return decode(self.elf.read(address, min(4, end - address)), address)
        except WitnessError as error:
            self._refuse(str(error))

    def _follow(self, step: Instruction, address: int, depth: int) -> None:
        """What an instruction leads to beside the one behind it."""
        if step.flow is Flow.INDIRECT:
            self._refuse(f"a jump through a register at {address:#x}")
        if step.flow is Flow.RETURN and depth:
            self._refuse(f"a return at {address:#x} with {depth} bytes on the stack")
        if step.flow not in (Flow.CALL, Flow.JUMP, Flow.BRANCH):
            return
        if step.flow is not Flow.CALL and 0 <= step.target - self.function.address < self.function.size:
            self.waiting.append((step.target, depth))
        else:
            self.calls.add((step.target, depth))

    def _refuse(self, why: str) -> NoReturn:
        raise WitnessError(f"no bound for the stack: {self.function.name}: {why}")


def _immediate16(first: int, second: int) -> int:
    """The constant of MOVW and MOVT."""
    return (first & 15) << 12 | (first & 0x400) << 1 | (second >> 12 & 7) << 8 | second & 0xFF
