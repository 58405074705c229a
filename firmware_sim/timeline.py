"""The timeline of a simulated device as an SVG picture: all hops against their deadline, the slowest in close-up."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from firmware_sim.parts import LOOP
from firmware_sim.ping_pong import Status
from firmware_sim.schedule import OtherLoad
from firmware_sim.simulation import SCHEDULE, Simulation, TimedHop

WIDTH, LEFT, RIGHT = 1000, 70, 40
TOP, OVERVIEW, GAP, LANE = 64, 150, 90, 26
LEGEND = 60
LETTER = 5.6
"""Width of a letter of size 10, about."""
COLUMNS = (WIDTH - LEFT - RIGHT) // 2
CLOSE_UP_HOPS = 9
FULL_PERIODS = 1.5
"""Height of the overview; longer bars are cut there and marked."""
COLOURS = {
    Status.ON_TIME: "#2ca02c", Status.LATE: "#d62728", Status.HELD: "#ffbf00", Status.HELD_LATE: "#c218b8",
    Status.LOST: "#000000",
}  # fmt: skip
STAGE_COLOURS = {
    "window": "#d9c7a0", "rfft": "#17becf", "wiener": "#5fa8d3", "features": "#8c6d46", "network": "#1f3b73",
    "gain": "#f7b6d2", "irfft": "#a6e3e0", "overlap_add": "#7f7f7f", LOOP: "#4b6b3f", SCHEDULE: "#8f7fd0",
}  # fmt: skip
OTHER_COLOUR = "#cccccc"


def picture(simulation: Simulation) -> str:
    """An SVG document; the simulation has run at least one hop."""
    top = TOP + OVERVIEW + GAP
    chosen = _close_up(simulation)
    height = top + LANE * (len(chosen) + 1) + LEGEND
    setting = simulation.setting
    title = (
        f"Stapes on {setting.part.name} at {setting.mhz:g} MHz: cycles are modelled ({setting.assume}), not measured"
    )
    parts = [
        _text(LEFT, 22, title, 15),
        *_overview(simulation),
        *_hops(simulation, chosen, top),
        *_legend(height - 32, "hop", {_name(status.value): colour for status, colour in COLOURS.items()}),
        *_legend(height - 14, "stage", {**{_name(s): c for s, c in STAGE_COLOURS.items()}, "other load": OTHER_COLOUR}),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *parts, "</svg>", ""])


def _name(name: str) -> str:
    """A status or a stage as a reader writes it."""
    return name.replace("_", " ")


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
    base, full = TOP + OVERVIEW, OVERVIEW / FULL_PERIODS
    which = "every hop" if share == 1 else f"the slowest of every {share} hops"
    drawn = [_text(LEFT, TOP - 14, f"{which}, from its interrupt to its end; the line is the deadline")]
    cut = False
    for column, first in enumerate(range(0, len(hops), share)):
        group = hops[first : first + share]
        slowest = max(group, key=lambda hop: (not hop.slot.status.played, hop.slot.finish - hop.slot.hop * period))
        slot = slowest.slot
        periods = (slot.finish - slot.hop * period) / period
        used = min(periods, FULL_PERIODS) * full
        x, wide = LEFT + column * width, max(width * 0.9, 0.5)
        tip = f"hop {slot.hop}: {_name(slot.status.value)}, {periods:.2f} periods"
        drawn.append(_rect(x, base - used, wide, used, COLOURS[slot.status], tip))
        if periods > FULL_PERIODS:
            cut = True
            drawn.append(_marker(x + wide / 2, TOP))
    if cut:
        drawn += [_marker(WIDTH - RIGHT - 126, TOP - 15)]
        drawn += [_text(WIDTH - RIGHT, TOP - 14, f"beyond {FULL_PERIODS:g} periods", anchor="end")]
    return [*drawn, *_axes(simulation, base, full)]


def _marker(x: float, y: float) -> str:
    """A bar that is cut: it would go on above y."""
    return f'<path d="M{x - 3:.2f} {y:.2f}h6l-3 -6z" fill="#222" class="cut"/>'


def _axes(simulation: Simulation, base: float, full: float) -> list[str]:
    """Of the overview: milliseconds after the interrupt, seconds of the recording."""
    period, right = simulation.schedule.period, WIDTH - RIGHT
    drawn = [_line(LEFT, base - full, right, base - full, "#222"), _line(LEFT, base, right, base)]
    for periods in (0.0, 0.5, 1.0, FULL_PERIODS):
        y = base - periods * full
        drawn += [
            _line(LEFT - 4, y, LEFT, y),
            _text(LEFT - 6, y + 4, f"{simulation.ms(periods * period):g} ms", 11, "end"),
        ]
    for quarter in range(5):
        x, cycles = LEFT + (right - LEFT) * quarter / 4, len(simulation.hops) * period * quarter / 4
        drawn += [
            _line(x, base, x, base + 4),
            _text(x, base + 16, f"{simulation.ms(cycles) / 1000:.3g} s", 11, "middle"),
        ]
    return drawn


def _close_up(simulation: Simulation) -> list[TimedHop]:
    """The hops around the first one that was not played, or around the slowest one."""
    hops = simulation.hops
    missed = next((hop for hop in hops if not hop.slot.status.played), simulation.slowest())
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
        drawn += [
            _line(x, top - 8, x, bottom, "#ccc"),
            _text(x, top - 12, f"{simulation.ms(index * period):g} ms", 9, "middle"),
        ]
    for lane, hop in enumerate(hops):
        y = top + lane * LANE
        drawn.append(_text(LEFT - 6, y + 13, f"hop {hop.slot.hop}", 10, "end"))
        drawn += _bar(hop, LEFT + (hop.slot.start - begin) * scale, y, scale)
    drawn += _bursts(simulation.schedule.other, begin, end, top + len(hops) * LANE, scale)
    return drawn


def _bar(hop: TimedHop, x: float, y: float, scale: float) -> list[str]:
    """Stages side by side, stretched where other work went first; the status beside them."""
    slot, work = hop.slot, sum(hop.cycles.values())
    stretch = (slot.finish - slot.start) / work if work else 0.0
    drawn, end = [], x
    for stage, cycles in hop.cycles.items():
        width = cycles * stretch * scale
        tip = f"{_name(stage)}: {cycles:,.0f} cycles"
        drawn.append(_rect(end, y, width, LANE - 10, STAGE_COLOURS[stage], tip))
        end += width
    mark = _rect(x, y + LANE - 10, max(end - x, 3), 4, COLOURS[slot.status])
    name = _name(slot.status.value)
    fits = end + 6 + LETTER * len(name) <= WIDTH - 4
    beside = _text(end + 6, y + 12, name, 10) if fits else _text(x - 6, y + 12, name, 10, "end")
    return [*drawn, mark, beside]


def _bursts(other: OtherLoad | None, begin: int, end: int, y: float, scale: float) -> list[str]:
    if other is None:
        return []
    first = begin - (begin - other.phase) % other.period
    drawn = [_text(LEFT - 6, y + 13, "other load", 10, "end")]
    for start in range(first, end, other.period):
        low, high = max(start, begin), min(start + other.cost, end)
        if low < high:
            drawn.append(_rect(LEFT + (low - begin) * scale, y, (high - low) * scale, LANE - 10, OTHER_COLOUR))
    return drawn


def _legend(y: float, what: str, colours: Mapping[str, str]) -> list[str]:
    """A row of names with their colours."""
    drawn, x = [_text(LEFT - 6, y, what, 10, "end")], float(LEFT)
    for name, colour in colours.items():
        drawn += [_rect(x, y - 9, 9, 9, colour), _text(x + 12, y, name, 10)]
        x += 26 + LETTER * len(name)
    return drawn
