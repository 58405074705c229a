"""The timeline of a simulated device as an SVG picture: all hops against their deadline, the worst in close-up."""

from __future__ import annotations

from html import escape

from firmware_sim.parts import LOOP
from firmware_sim.ping_pong import Status
from firmware_sim.schedule import OtherLoad
from firmware_sim.simulation import SCHEDULE, Simulation, TimedHop

WIDTH, LEFT, RIGHT = 1000, 70, 20
TOP, OVERVIEW, GAP, LANE = 64, 150, 90, 26
COLUMNS = (WIDTH - LEFT - RIGHT) // 2
CLOSE_UP_HOPS = 9
COLOURS = {
    Status.ON_TIME: "#4c9f70", Status.LATE: "#d1495b", Status.HELD: "#edae49", Status.HELD_LATE: "#a23b72",
    Status.LOST: "#30343f",
}  # fmt: skip
STAGE_COLOURS = {
    "network": "#3d5a80", "wiener": "#81b29a", "features": "#e07a5f", "rfft": "#98c1d9", "irfft": "#b8b8d1",
    "window": "#f2cc8f", "gain": "#c9ada7", "overlap_add": "#6d6875", LOOP: "#999999", SCHEDULE: "#22223b",
}  # fmt: skip


def picture(simulation: Simulation) -> str:
    """An SVG document; the simulation has run at least one hop."""
    top = TOP + OVERVIEW + GAP
    chosen = _close_up(simulation)
    height = top + LANE * (len(chosen) + 1) + 70
    setting = simulation.setting
    title = f"Stapes on {setting.part.name} at {setting.mhz:g} MHz: cycles are modelled, not measured"
    parts = [
        _text(LEFT, 22, title, 15),
        *_overview(simulation),
        *_hops(simulation, chosen, top),
        *_legend(height - 20),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *parts, "</svg>", ""])


def _rect(x: float, y: float, width: float, height: float, colour: str, tip: str = "") -> str:
    inner = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{colour}">{inner}</rect>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "#888") -> str:
    return f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, size: int = 11, anchor: str = "start") -> str:
    return f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'


def _overview(simulation: Simulation) -> list[str]:
    """One column for each hop, or the slowest of several: time from the interrupt to the end, against the deadline."""
    period, hops = simulation.schedule.period, simulation.hops
    share = -(-len(hops) // COLUMNS)
    width = (WIDTH - LEFT - RIGHT) / -(-len(hops) // share)
    base, full = TOP + OVERVIEW, OVERVIEW / 1.5
    which = "every hop" if share == 1 else f"the slowest of every {share} hops"
    drawn = [_text(LEFT, TOP - 14, f"{which}, from its interrupt to its end; the line is the deadline")]
    for column, first in enumerate(range(0, len(hops), share)):
        group = hops[first : first + share]
        slowest = max(group, key=lambda hop: (not hop.slot.status.played, hop.slot.finish - hop.slot.hop * period))
        slot = slowest.slot
        used = min((slot.finish - slot.hop * period) / period, 1.5) * full
        tip = f"hop {slot.hop}: {slot.status.value}"
        drawn.append(_rect(LEFT + column * width, base - used, max(width * 0.9, 0.5), used, COLOURS[slot.status], tip))
    drawn += [_line(LEFT, base - full, WIDTH - RIGHT, base - full, "#222"), _line(LEFT, base, WIDTH - RIGHT, base)]
    drawn.append(_text(LEFT - 6, base - full + 4, f"{simulation.ms(period):g} ms", anchor="end"))
    drawn.append(_text(LEFT, base + 16, "0 s"))
    drawn.append(_text(WIDTH - RIGHT, base + 16, f"{simulation.ms(len(hops) * period) / 1000:.2f} s", anchor="end"))
    return drawn


def _close_up(simulation: Simulation) -> list[TimedHop]:
    """The hops around the first one that was not played, or around the worst one."""
    hops = simulation.hops
    missed = next((hop for hop in hops if not hop.slot.status.played), simulation.worst())
    first = max(min(missed.slot.hop - 2, len(hops) - CLOSE_UP_HOPS), 0)
    return hops[first : first + CLOSE_UP_HOPS]


def _hops(simulation: Simulation, hops: list[TimedHop], top: int) -> list[str]:
    """A lane for each hop from its interrupt on, its stages in order; below them the other load."""
    period, first = simulation.schedule.period, hops[0].slot.hop
    begin, end = first * period, max(max(hop.slot.finish for hop in hops), (hops[-1].slot.hop + 1) * period)
    scale = (WIDTH - LEFT - RIGHT) / (end - begin)
    bottom = top + LANE * (len(hops) + 1)
    drawn = [_text(LEFT, top - 26, "close-up: interrupts are vertical lines; a hop is to end before the next one")]
    for index in range(first, first + (end - begin) // period + 1):
        x = LEFT + (index * period - begin) * scale
        drawn += [_line(x, top - 8, x, bottom, "#ccc"), _text(x, top - 12, f"{simulation.ms(index * period):g} ms", 9)]
    for lane, hop in enumerate(hops):
        y = top + lane * LANE
        drawn.append(_text(LEFT - 6, y + 13, f"hop {hop.slot.hop}", 10, "end"))
        drawn += _bar(hop, LEFT + (hop.slot.start - begin) * scale, y, scale)
    drawn += _bursts(simulation.schedule.other, begin, end, top + len(hops) * LANE, scale)
    return drawn


def _bar(hop: TimedHop, x: float, y: float, scale: float) -> list[str]:
    """Stages side by side, stretched where other work went first; the status behind them."""
    slot, work = hop.slot, sum(hop.cycles.values())
    stretch = (slot.finish - slot.start) / work if work else 0.0
    drawn = []
    for stage, cycles in hop.cycles.items():
        width = cycles * stretch * scale
        drawn.append(_rect(x, y, width, LANE - 10, STAGE_COLOURS[stage], f"{stage}: {cycles:,.0f} cycles"))
        x += width
    return [*drawn, _rect(x, y, 3, LANE - 10, COLOURS[slot.status]), _text(x + 6, y + 12, slot.status.value, 10)]


def _bursts(other: OtherLoad | None, begin: int, end: int, y: float, scale: float) -> list[str]:
    if other is None:
        return []
    first = begin - (begin - other.phase) % other.period
    drawn = [_text(LEFT - 6, y + 13, "other load", 10, "end")]
    for start in range(first, end, other.period):
        low, high = max(start, begin), min(start + other.cost, end)
        if low < high:
            drawn.append(_rect(LEFT + (low - begin) * scale, y, (high - low) * scale, LANE - 10, "#bbb"))
    return drawn


def _legend(y: float) -> list[str]:
    drawn, x = [], float(LEFT)
    for name, colour in ({status.value: c for status, c in COLOURS.items()} | STAGE_COLOURS).items():
        drawn += [_rect(x, y - 9, 9, 9, colour), _text(x + 12, y, name, 9)]
        x += 18 + 5.4 * len(name)
    return drawn
