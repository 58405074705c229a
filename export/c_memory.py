"""The static memory map of the generated C: bytes in flash and RAM, buffer by buffer, and the stack that a call needs.

The map is a claim; `MemoryMap.asserts` makes the compiler hold it against the structs, member by member.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from firmware_sim.contract import Profile

STACK_BYTES = 640
"""Stack that no call of stapes.h and ping_pong.h exceeds on a Cortex-M7, of any scheme and compiler: tests hold the
bound of the linked images (golden_vectors/m7/stack.py) against it. Exception frames and the caller's own stack come on
top."""

Rows: TypeAlias = Sequence[tuple[str, int]]
"""Members of a struct with their bytes, in order; holes are rows called PADDING."""
PADDING = "padding"

_KINDS = {"_w_i8": "weights", "_w_pairs_i16": "weights", "_b_i32": "biases", "_rescale": "scales"}


KINDS = ("weights", "biases", "scales", "tables")


def flash_kind(name: str) -> str:
    """What a constant is for: weights, biases, scales (requantisation) or tables."""
    return next((kind for end, kind in _KINDS.items() if name.endswith(end)), "tables")


# ---------------------------------------------------------------- layout


def laid_out(members: Iterable[tuple[str, int, int]], alignment: int) -> list[tuple[str, int]]:
    """Rows of a struct with members (name, bytes, alignment), as C lays it out.

    alignment  of the whole struct, at least that of each member
    """
    rows: list[tuple[str, int]] = []
    used = 0
    for name, size, step in members:
        if padding := -used % step:
            rows.append((PADDING, padding))
        rows.append((name, size))
        used += padding + size
    if padding := -used % alignment:
        rows.append((PADDING, padding))
    return rows


def total(rows: Rows) -> int:
    """Bytes of a struct."""
    return sum(size for _, size in rows)


def state_buffers(profile: Profile) -> dict[str, tuple[int, int]]:
    """Bytes and alignment of the members of stapes_state_t before and after the network, in order."""
    n, hop, bins, bands = profile.analysis_samples, profile.hop_samples, profile.bins, profile.band_count
    return {
        "frame_q30": (4 * n, 4),
        "spectrum_q30": (8 * bins, 4),
        "power": (8 * bins, 8),
        "noise": (8 * bins, 8),
        "xi_uq16": (4 * bins, 4),
        "likelihood_q16": (8, 8),
        "vad": (4, 4),
        "raw_gain_q15": (2 * bins, 2),
        "wiener_gain_q15": (2 * bins, 2),
        "feature_q16": (4 * bands, 4),
        "x_q11": (2 * profile.inputs, 2),
        "mask_q15": (2 * bands, 2),
        "gain_q15": (2 * bins, 2),
        "enhanced_q30": (8 * bins, 4),
        "frame_out": (4 * n, 4),
        "pcm": (2 * hop, 2),
        "history": (2 * n, 2),
        "overlap": (4 * hop, 4),
        "wiener": (-(-(24 * bins + 4) // 8) * 8, 8),
        "network": (0, 4),
        "parameters": (8, 2),
        "counters": (64, 4),
    }


def state_layout(profile: Profile, network_bytes: int) -> list[tuple[str, int]]:
    """Rows of stapes_state_t."""
    buffers = state_buffers(profile)
    buffers["network"] = network_bytes, buffers["network"][1]
    return laid_out(((name, *place) for name, place in buffers.items()), 8)


def layout_asserts(struct: str, rows: Rows) -> str:
    """One assert for each member: the compiler refuses a place or a size that is not in the map."""
    lines, at = [], 0
    for name, size in rows:
        if name != PADDING:
            lines.append(f"LIES_AT({struct}, {name}, {at}, {size});\n")
        at += size
    return "".join(lines)


_LIES_AT = """\
#define LIES_AT(type, member, offset, bytes)                                                                  \\
    _Static_assert(offsetof(type, member) == (offset) && sizeof(((type *)0)->member) == (bytes),              \\
                   #member " is not as in its memory map")
"""


# ---------------------------------------------------------------- map


@dataclass(frozen=True)
class MemoryMap:
    """Memory of one export, in bytes.

    flash    constant -> bytes
    state    rows of stapes_state_t, for each ear
    network  rows of its member `network`
    """

    flash: Mapping[str, int]
    state: Rows
    network: Rows

    @property
    def flash_bytes(self) -> int:
        """All constants; code is another matter."""
        return sum(self.flash.values())

    def flash_of(self, kind: str) -> dict[str, int]:
        """The constants of a kind, see `flash_kind`."""
        return {name: size for name, size in self.flash.items() if flash_kind(name) == kind}

    def asserts(self) -> str:
        """What makes the compiler refuse another layout than the map's."""
        rows = layout_asserts("stapes_state_t", self.state) + layout_asserts("stapes_network_t", self.network)
        return f"{_LIES_AT}\n{rows}"

    def comment(self) -> str:
        """The map as a comment; the tensors of the network are indented below the state."""
        flash, state, network = self.flash, self.state, self.network
        lines = [
            "/* Static memory map, bytes.",
            " *",
            f" * flash {self.flash_bytes} for weights and tables, code apart",
        ]
        lines += [f" *   {size:7d}  {name}" for name, size in flash.items()]
        lines += [" *", f" * RAM {total(state)} for each instance (ear), stack apart"]
        lines += [f" *   {size:7d}  {name}" for name, size in state]
        lines += [" *", f" * of these, network {total(network)}:"]
        lines += [f" *            {size:7d}  .{name}" for name, size in network]
        lines += [
            " *",
            f" * stack {STACK_BYTES} at most below the caller of any function of this library, on a Cortex-M7",
        ]
        return "\n".join([*lines, " */"])
