"""The static memory map of the generated C: bytes in flash and RAM, buffer by buffer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firmware_sim.contract import Profile


def state_buffers(profile: Profile) -> dict[str, tuple[int, int]]:
    """Bytes and alignment of the members of stapes_state_t before and after the network, in order."""
    n, hop, bins = profile.analysis_samples, profile.hop_samples, profile.bins
    return {
        "frame_q30": (4 * n, 4),
        "spectrum_q30": (8 * bins, 4),
        "power": (8 * bins, 8),
        "noise": (8 * bins, 8),
        "xi_uq16": (4 * bins, 4),
        "likelihood_q16": (8, 8),
        "vad": (4, 4),
        "wiener_gain_q15": (2 * bins, 2),
        "feature_q16": (4 * bins, 4),
        "x_q11": (2 * bins, 2),
        "mask_q15": (2 * bins, 2),
        "gain_q15": (2 * bins, 2),
        "enhanced_q30": (8 * bins, 4),
        "frame_out": (4 * n, 4),
        "pcm": (2 * hop, 2),
        "history": (2 * n, 2),
        "overlap": (4 * hop, 4),
        "wiener": (-(-(20 * bins + 4) // 8) * 8, 8),
        "network": (0, 2),
        "parameters": (8, 2),
        "counters": (64, 4),
    }


def state_layout(profile: Profile, network_bytes: int) -> list[tuple[str, int]]:
    """Members of stapes_state_t with their bytes, padding included, in order."""
    rows, used = [], 0
    for name, (size, alignment) in state_buffers(profile).items():
        size = network_bytes if name == "network" else size
        if padding := -used % alignment:
            rows.append(("padding", padding))
        rows.append((name, size))
        used += padding + size
    if padding := -used % 8:
        rows.append(("padding", padding))
    return rows


def memory_map(flash: Mapping[str, int], ram: Sequence[tuple[str, int]]) -> str:
    """Flash and RAM of each constant and buffer, as a comment."""
    lines = ["/* Static memory map, bytes.", " *", f" * flash {sum(flash.values())} for weights and tables, code apart"]
    lines += [f" *   {size:7d}  {name}" for name, size in flash.items()]
    lines += [" *", f" * RAM {sum(size for _, size in ram)} for each instance (ear), stack apart"]
    lines += [f" *   {size:7d}  {name}" for name, size in ram]
    return "\n".join([*lines, " */"])
