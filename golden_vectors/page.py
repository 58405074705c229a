"""The picture page: one self-contained HTML file, nothing is loaded from anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template

from firmware_sim.contract import CONTRACT_VERSION, SAMPLE_RATE_HZ, Profile
from firmware_sim.graph import Graph
from golden_vectors.pictures import INKS, Image, data_uri, gains, png, spectrogram, wav
from golden_vectors.report import Report
from golden_vectors.tables import agreement, decibels, rows
from golden_vectors.vector import write

TEMPLATE, STYLE = Path(__file__).with_name("page.html"), Path(__file__).with_name("page.css")
SHOWN_SECONDS = 30
"""The page shows and plays so much of a long recording."""
HALF, WIDE = 7.2, 14.6
"""Widths of a picture with a player beside another one, and of one alone, in inches."""
BARS = 8
"""Entries of each memory that have a line of their own."""


def write_page(report: Report, path: Path, build: Path) -> None:
    """Write the page; `build` may hold the agreement matrix and the generated headers."""
    seconds = report.noisy.shape[1] / SAMPLE_RATE_HZ
    text = Template(TEMPLATE.read_text("utf-8")).substitute(
        style=STYLE.read_text("utf-8"),
        headline="Noise in, speech out: "
        + ("the engines differ" if report.differences else "the same bits everywhere"),
        hop=report.profile.hop_samples,
        recording=escape(report.recording.name),
        verdict=escape(agreement(report)),
        verdict_class="differs" if report.differences else "equal",
        cards=_cards(report),
        pictures=_pictures(report),
        picture_note=_picture_note(report, seconds),
        facts=table(rows(report)),
        agreement=_agreement(build / "agreement.json"),
        signal_path=signal_path(report.profile, report.graph),
        memory=_memory(build / "stapes_model.h"),
        identity=table(_identity(report, build / "stapes_tables.h")),
        command=escape(f"python -m golden_vectors report {report.recording.name} --enhanced OUT.wav --page OUT.html"),
    )
    write(path.parent, path.name, text.encode("utf-8"))


def _cards(report: Report) -> str:
    reduction, engine = report.pause_reduction_db, report.engines[-1]
    compared = "compared, not equal" if report.differences else "compared, every tap equal"
    cards = [
        (f"{report.profile.latency_ms:g} ms", "latency of the algorithm"),
        ("–" if reduction is None else decibels(-reduction), "noise in the pauses of speech"),
        (f"{report.hops * len(report.noisy):,} hops", compared if len(report.engines) > 1 else "on one engine"),
        (f"{engine.x_realtime:.3g} ×", f"real time on one core ({engine.name})"),
    ]
    return "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(text)}</span></div>' for value, text in cards
    )


# ---------------------------------------------------------------- pictures


def _pictures(report: Report) -> str:
    """Before, after, and the gain between them."""
    samples = SHOWN_SECONDS * SAMPLE_RATE_HZ
    before, after = report.noisy[0, :samples], report.aligned[0, :samples]
    hops = len(before) // report.profile.hop_samples + 1
    gain = gains(report.gain_q15[:hops], len(before) / SAMPLE_RATE_HZ)
    figures = (
        ("Before: what the microphone hears", spectrogram(before), "Spectrogram of the noisy recording", wav(before)),
        ("After: what the device gives", spectrogram(after), "Spectrogram of the enhanced recording", wav(after)),
        ("Gain that the device applied", gain, "Gain of every frequency bin over time, 0 dB = unchanged", None),
    )
    return "".join(_figure(*figure) for figure in figures)


def _figure(title: str, image: Image, alt: str, sound: bytes | None) -> str:
    width, kind, player = WIDE, ' class="wide"', ""
    if sound is not None:
        uri = data_uri(sound, "audio/wav")
        width, kind = HALF, ""
        player = f'<audio controls preload="metadata" aria-label="{escape(title)}" src="{uri}"></audio>'
    light, dark = (data_uri(png(image, mode, width), "image/png") for mode in INKS)
    return (
        f'<figure{kind}><h3>{escape(title)}</h3><picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
        f'<img src="{light}" alt="{escape(alt)}"></picture>{player}</figure>'
    )


def _picture_note(report: Report, seconds: float) -> str:
    parts = ["Both spectrograms have one colour scale; the device's delay is taken out of the second player."]
    if seconds > SHOWN_SECONDS:
        parts.append(f"The first {SHOWN_SECONDS} s are shown.")
    if len(report.noisy) > 1:
        parts.append(f"Channel 1 of {len(report.noisy)} is shown; every channel was compared.")
    init_ms = report.profile.noise_init_hops * report.profile.hop_samples * 1000 // SAMPLE_RATE_HZ
    parts.append(f"In the first {init_ms} ms the device learns the noise and passes the sound.")
    return escape(" ".join(parts))


# ---------------------------------------------------------------- tables


def table(facts: Mapping[str, str]) -> str:
    """Rows of a table of names and values."""
    return "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())


def _agreement(path: Path) -> str:
    """The matrix that `verify` wrote."""
    try:
        schemes: dict[str, dict[str, str | float]] = json.loads(path.read_bytes())["schemes"]
    except (OSError, ValueError, KeyError):
        return "<p class='note'>No matrix yet: <code>python -m golden_vectors verify</code> writes it.</p>"
    head = "".join(f"<th>{escape(scheme)}</th>" for scheme in schemes)
    engines = dict.fromkeys(name for row in schemes.values() for name in row)
    body = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(_cell(row.get(name, 'absent')) for row in schemes.values())}</tr>"
        for name in engines
    )
    return (
        "<p>Every engine ran the golden vectors: streams through the whole loop, networks in closed loop over real "
        "features. A percentage is the share of mask values that differ.</p>"
        f'<div class="scroll"><table><thead><tr><th>engine</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        '<p class="note">int8 on LiteRT: its kernels round some ops in another way (README.md names them), which the '
        "contract does not claim to match.</p>"
    )


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        mark = {"equal": "✓ "}.get(value, "")
        return f'<td class="{escape(value)}">{mark}{escape(value)}</td>'
    return f'<td class="distance">{100 * value:.2g} %</td>'


def memory_map(header: str) -> dict[str, tuple[int, list[tuple[str, int]]]]:
    """The comment of stapes_model.h: "flash" and "RAM" -> (total bytes, entries in order)."""
    found: dict[str, tuple[int, list[tuple[str, int]]]] = {}
    entries: list[tuple[str, int]] = []
    for line in header.partition("/* Static memory map")[2].partition("*/")[0].splitlines():
        if total := re.match(r" \* (flash|RAM) (\d+)", line):
            entries = []
            found[total[1]] = int(total[2]), entries
        elif entry := re.match(r" \*\s+(\d+)  (\w+)", line):
            entries.append((entry[2], int(entry[1])))
    return found


def _memory(path: Path) -> str:
    """The static memory map, where the headers have been generated."""
    try:
        maps = memory_map(path.read_text("ascii"))
    except (OSError, ValueError):
        return ""
    blocks = "".join(_memory_table(kind, total, entries) for kind, (total, entries) in maps.items())
    return f"<h2>Memory on the device</h2><div class='pair'>{blocks}</div>" if blocks else ""


def _memory_table(kind: str, total: int, entries: Iterable[tuple[str, int]]) -> str:
    largest = sorted(entries, key=lambda entry: -entry[1])
    shown = largest[:BARS]
    if len(largest) > BARS:
        shown.append((f"{len(largest) - BARS} others", sum(size for _, size in largest[BARS:])))
    widest = max((size for _, size in shown), default=1)
    lines = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{size:,}</td>'
        f'<td class="chart"><span class="bar" style="width:{100 * size / widest:.1f}%"></span></td></tr>'
        for name, size in shown
    )
    what = {"flash": "flash: weights and tables, code apart", "RAM": "RAM of one ear, stack apart"}[kind]
    return (
        f'<div class="scroll"><table><thead><tr><th>{what}</th><th>{total:,} bytes</th><th></th></tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _identity(report: Report, tables: Path) -> dict[str, str]:
    """Digests that name what was computed."""
    config = report.config_digest
    if config is None and tables.is_file():
        match = re.search(r'STAPES_CONFIG_DIGEST "([0-9a-f]{64})"', tables.read_text("ascii"))
        config = match[1] if match else None
    profile, graph = report.profile, report.graph
    sizes = f"window {profile.analysis_samples}, hop {profile.hop_samples}, {profile.bins} bins, {SAMPLE_RATE_HZ} Hz"
    return {
        "configuration": config or "known after python -m export --to c",
        "graph": f"{graph.digest} ({graph.scheme})",
        "profile": f"{profile.name}: {sizes}",
        "contract": f"version {CONTRACT_VERSION}",
    }


# ---------------------------------------------------------------- signal path

BOX, GAP, LEFT, UPPER, LOWER, HEIGHT = 112, 62, 84, 58, 176, 56
"""Measures of the drawing in its own units."""


def stages(profile: Profile, graph: Graph) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Upper and lower row of the drawing: stage, what it works on, format of what it gives."""
    state = graph.inputs[1]
    layers = f"GRU {len(graph.inputs) - 1} × {state.shape[0]}"
    upper = [
        ("window", f"{profile.analysis_samples} samples", "q30"),
        ("FFT", f"q31, {profile.bins} bins", "q30"),
        ("Wiener", "noise PSD, VAD", "uq15"),
        ("gain", "× mask, floor", "q30"),
        ("IFFT", "q31", f"q{30 - profile.fft_log2}"),
        ("overlap-add", f"{profile.hop_samples} samples", "int16"),
    ]
    lower = [("features", "log2 power", "q11"), (layers, "INT8 weights", state.dtype), ("head", "fc, sigmoid", "q15")]
    return upper, lower


def signal_path(profile: Profile, graph: Graph) -> str:
    """The loop as an SVG drawing: stages as boxes, formats on the arrows."""
    upper, lower = stages(profile, graph)
    wiener, gain = _column(2), _column(3)
    parts = [f'<svg viewBox="0 0 {_left(len(upper)) + 24} 245" role="img" aria-label="Signal path of one hop">']
    parts += [_label(LEFT - 52, UPPER + 24, "int16"), _arrow(LEFT - 78, UPPER + 28, LEFT)]
    for i, (name, what, form) in enumerate(upper):
        parts += [_box(_left(i), UPPER, name, what), _arrow(_left(i) + BOX, UPPER + 28, _left(i + 1))]
        parts.append(_label(_left(i) + BOX + GAP / 2 - 3, UPPER + 20, form))
    for i, (name, what, form) in enumerate(lower, start=1):
        parts += [_box(_left(i), LOWER, name, what), _label(_left(i) + BOX + GAP / 2 - 3, LOWER + 20, form)]
        if i < len(lower):
            parts.append(_arrow(_left(i) + BOX, LOWER + 28, _left(i + 1)))
    middle = (UPPER + HEIGHT + LOWER) / 2
    down = f"M{wiener} {UPPER + HEIGHT} V{middle} H{_column(1)} V{LOWER - 2} m-4 -6 l4 6 l4 -6"
    up = f"M{_left(3) + BOX} {LOWER + 28} H{_left(4) - 12} V{middle} H{gain} V{UPPER + HEIGHT + 2} m-4 6 l4 -6 l4 6"
    over = f"M{_column(1)} {UPPER} V24 H{gain} V{UPPER - 2} m-4 -6 l4 6 l4 -6"
    parts += [f'<path d="{line}"/>' for line in (down, up, over)]
    return "".join([*parts, _label(wiener, 17, "spectrum q30"), "</svg>"])


def _left(column: int) -> int:
    return LEFT + column * (BOX + GAP)


def _column(column: int) -> float:
    return _left(column) + BOX / 2


def _box(x: float, y: float, name: str, what: str) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="7"/>'
        f'<text x="{x + BOX / 2}" y="{y + 24}">{escape(name)}</text>{_label(x + BOX / 2, y + 43, what)}'
    )


def _label(x: float, y: float, text: str) -> str:
    return f'<text class="format" x="{x}" y="{y}">{escape(text)}</text>'


def _arrow(x: float, y: float, end: float) -> str:
    return f'<path d="M{x} {y} H{end - 2} m-6 -4 l6 4 l-6 4"/>'
