"""What one Thumb-2 instruction does to the stack pointer and to the flow of control; all else is ignored.

Every encoding that could write SP or PC in a way that is not known here is refused, so that a bound which is built
on this is one for the code as it runs.

source  Armv7-M Architecture Reference Manual (DDI 0403E), A5 "The Thumb Instruction Set Encoding", A7.7
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from golden_vectors.errors import WitnessError

_SP, _LR, _PC = 13, 14, 15


class Flow(Enum):
    """Where the next instruction is."""

    NEXT = "behind this one"
    BRANCH = "behind this one or at the target"
    JUMP = "at the target"
    CALL = "at the target, and then behind this one"
    RETURN = "with the caller"
    INDIRECT = "wherever a register says"
    STOP = "nowhere: undefined on purpose"


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    size       2 or 4 bytes
    push       bytes by which SP goes down; negative: up
    target     address, for BRANCH, JUMP and CALL
    condition  of IT: how many of the instructions that follow are conditional
    """

    size: int
    push: int = 0
    flow: Flow = Flow.NEXT
    target: int = 0
    condition: int = 0


def decode(code: bytes, address: int) -> Instruction:
    """The instruction that `code` (4 bytes; 2 at the end of a section) begins with.

    raises  WitnessError for one that may write SP or PC in an unknown way
    """
    first, second = (int.from_bytes(code[i : i + 2], "little") for i in (0, 2))
    is_wide = first >= 0xE800
    found = _wide(first, second, address) if is_wide else _narrow(first, address)
    if found is None:
        width = 4 if is_wide else 2
        raise WitnessError(f"instruction {code[:width].hex(' ', 2)} at {address:#x}: its use of SP or PC is not known")
    return found


def _signed(value: int, bits: int) -> int:
    return value - ((value & 1 << (bits - 1)) << 1)


# ---------------------------------------------------------------- 16 bits: only these know more than r0 to r7


def _narrow(op: int, address: int) -> Instruction | None:
    high = op >> 8
    if 0x44 <= high <= 0x47:
        return _narrow_special(op)
    if high == 0xB0:
        return Instruction(2, (op & 0x7F) * (4 if op & 0x80 else -4))
    if high in (0xB4, 0xB5):
        return Instruction(2, 4 * (op & 0x1FF).bit_count())
    if high in (0xBC, 0xBD):
        return Instruction(2, -4 * (op & 0x1FF).bit_count(), Flow.RETURN if op & 0x100 else Flow.NEXT)
    if high == 0xBF and op & 0xF:  # IT; its mask ends with a one
        return Instruction(2, condition=4 - ((op & -op).bit_length() - 1))
    if high in (0xB1, 0xB3, 0xB9, 0xBB):  # CBZ, CBNZ
        return Instruction(2, flow=Flow.BRANCH, target=address + 4 + ((op >> 3 & 31) << 1 | (op >> 9 & 1) << 6))
    if high == 0xDE:
        return Instruction(2, flow=Flow.STOP)
    if high == 0xDF:  # SVC: an exception, with a frame of its own
        return None
    if 0xD0 <= high < 0xDE:
        return Instruction(2, flow=Flow.BRANCH, target=address + 4 + 2 * _signed(op & 0xFF, 8))
    if 0xE0 <= high < 0xE8:
        return Instruction(2, flow=Flow.JUMP, target=address + 4 + 2 * _signed(op & 0x7FF, 11))
    return Instruction(2)


def _narrow_special(op: int) -> Instruction | None:
    """ADD, CMP and MOV with high registers; BX and BLX."""
    if op >> 8 == 0x47:
        is_return = not op & 0x80 and op >> 3 & 15 == _LR
        return Instruction(2, flow=Flow.RETURN if is_return else Flow.INDIRECT)
    written = op & 7 | op >> 4 & 8
    if op >> 8 == 0x45 or written not in (_SP, _PC):
        return Instruction(2)
    return Instruction(2, flow=Flow.INDIRECT) if written == _PC else None


# ---------------------------------------------------------------- 32 bits


def _wide(first: int, second: int, address: int) -> Instruction | None:
    group = first >> 9 & 15
    if group == 0b0100:
        return _dual(first, second) if first & 0x40 else _multiple(first, second)
    if group >> 2 == 0b10 and second & 0x8000:
        return _branch(first, second, address)
    if group == 0b1100:
        return _single(first, second)
    if group in (0b0101, 0b1101) or group >> 2 == 0b10:
        return _arithmetic(first, second)
    return _float(first, second) if group == 0b0110 else None


def _multiple(first: int, second: int) -> Instruction | None:
    """LDM, STM: only PUSH and POP may move SP."""
    load, base, back, count = bool(first & 0x10), first & 15, first & 0x20, second.bit_count()
    upwards = {1: True, 2: False}.get(first >> 7 & 3)
    if upwards is None or second & 1 << _SP or (base == _SP and back and upwards != load):
        return None
    move = 4 * count * (-1 if load else 1) if base == _SP and back else 0
    if not load or not second & 1 << _PC:
        return Instruction(4, move)
    return Instruction(4, move, Flow.RETURN) if move else None


def _dual(first: int, second: int) -> Instruction | None:
    """LDRD, STRD; LDREX, STREX; TBB and TBH; exclusive accesses of other widths are not known."""
    base, back, before = first & 15, first & 0x20, first & 0x100
    if first & 0xFFE0 == 0xE840:  # the one loads bits 15 to 12, the other leaves its success in bits 11 to 8
        return None if _SP in (second >> 12, second >> 8 & 15) else Instruction(4)
    if first >> 4 == 0xE8D and second & 0xFFE0 == 0xF000:
        return Instruction(4, flow=Flow.INDIRECT)
    if not (back or before) or (first & 0x10 and _SP in (second >> 12, second >> 8 & 15)):
        return None
    move = (second & 0xFF) * (-4 if first & 0x80 else 4)
    return Instruction(4, move if back and base == _SP else 0)


def _single(first: int, second: int) -> Instruction | None:
    """LDR, STR and their kin: one register, perhaps with a moving base."""
    load, base, register = bool(first & 0x10), first & 15, second >> 12
    immediate8 = not first & 0x80 and second & 0x800 and base != _PC
    moving = immediate8 and second & 0x100
    move = (second & 0xFF) * (-1 if second & 0x200 else 1) if moving and base == _SP else 0
    is_word = first >> 5 & 3 == 2
    if load and register == _SP:
        return None
    if load and register == _PC and is_word:
        is_return = move == -4 and not second & 0x400
        return Instruction(4, move, Flow.RETURN if is_return else Flow.INDIRECT)
    return Instruction(4, move)


def _branch(first: int, second: int, address: int) -> Instruction | None:
    """Branches, and the system instructions between them."""
    sign, j1, j2 = first >> 10 & 1, second >> 13 & 1, second >> 11 & 1
    low = (second & 0x7FF) << 1
    if second & 0x5000 == 0 and first >> 7 & 7 != 7:
        offset = _signed(sign << 20 | j2 << 19 | j1 << 18 | (first & 0x3F) << 12 | low, 21)
        return Instruction(4, flow=Flow.BRANCH, target=address + 4 + offset)
    if second & 0x1000:
        top = sign << 24 | (1 - (j1 ^ sign)) << 23 | (1 - (j2 ^ sign)) << 22
        target = address + 4 + _signed(top | (first & 0x3FF) << 12 | low, 25)
        return Instruction(4, flow=Flow.CALL if second & 0x4000 else Flow.JUMP, target=target)
    is_plain = second & 0x4000 == 0 and first in (0xF3AF, 0xF3BF)  # hints and barriers
    is_mrs = first == 0xF3EF and second >> 8 & 15 not in (_SP, _PC)
    return Instruction(4) if is_plain or is_mrs else None


def _arithmetic(first: int, second: int) -> Instruction | None:
    """Data processing: the results are in bits 11 to 8, and 15 to 12 of a long multiplication."""
    is_immediate = first >> 11 == 0b11110
    if second >> 8 & 15 != _SP:
        return None if not is_immediate and first >> 8 == 0xFB and second >> 12 == _SP else Instruction(4)
    if not is_immediate or first & 15 != _SP:
        return None
    value = second & 0xFF | (second >> 12 & 7) << 8 | (first & 0x400) << 1
    kind = first & 0xFBFF & ~0xF
    if kind in (0xF200, 0xF2A0):  # ADDW, SUBW: a plain number
        return Instruction(4, value if kind == 0xF2A0 else -value)
    if kind in (0xF100, 0xF1A0):  # ADD, SUB: a modified constant
        constant = _expanded(value)
        return Instruction(4, constant if kind == 0xF1A0 else -constant)
    return None


def _expanded(value: int) -> int:
    """A modified immediate constant (ThumbExpandImm) of 12 bits."""
    byte, kind = value & 0xFF, value >> 8
    if kind < 4:
        return byte * (1, 0x00010001, 0x01000100, 0x01010101)[kind]
    turned = 0x80 | value & 0x7F
    return turned << (32 - (value >> 7))


def _float(first: int, second: int) -> Instruction | None:
    """VPUSH and VPOP of the floating-point unit; all else of the coprocessors is not known."""
    base, is_float = first & 15, second >> 9 & 7 == 0b101
    if not is_float or base != _SP or first & 0xFFBF not in (0xED2D, 0xECBD):
        return None
    return Instruction(4, 4 * (second & 0xFF) * (1 if first & 0x100 else -1))
