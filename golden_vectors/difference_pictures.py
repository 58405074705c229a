"""Pictures of a difference as SVG: the tap where it parts, and where it differs over the whole case.

Colours are the page's own (page.css), so that they follow light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from golden_vectors.compare import Difference

WIDTH, LEFT, RIGHT = 560, 64, 8
"""Measures of a drawing in its own units; LEFT is for the numbers of the axis."""
TOP, VALUES, GAP, BARS, BOTTOM = 12, 120, 14, 44, 34
CELLS = (240, 128)
"""Most columns and rows of the map; more steps or elements share one."""
LEVELS = ((1, "1 LSB"), (2, "2 to 15 LSB"), (16, "16 LSB and more"))
"""Least distance of each shade of the map."""
Values = npt.NDArray[np.float64]


def curves(place: Difference, unit: str) -> str:
    """Expected and got over the elements of one step (of a scalar: over the steps), and got - expected below."""
    assert place.rows is not None
    assert place.step is not None
    if place.index:
        expected, got = (_component(row, place.index) for row in place.rows.at(place.step))
        first, at, axis = 0, place.index[0], f"element of {place.tap} in {unit} {place.step}"
    else:
        expected, got = place.rows.expected, place.rows.got
        first, at, axis = place.rows.start, place.step - place.rows.start, unit
    a, b = expected.astype(np.float64), got.astype(np.float64)
    wrong = np.flatnonzero(expected != got)
    x = _along(len(a))
    y = _scaled(np.stack([a, b]), TOP, VALUES)
    zero = TOP + VALUES + GAP + BARS / 2
    most = max(int(np.abs(got.astype(object) - expected.astype(object)).max()), 1)
    height = (b - a) / most * (BARS / 2 - 2)
    low, high = int(min(expected.min(), got.min())), int(max(expected.max(), got.max()))
    parts = [
        *_frame(TOP, VALUES, str(high), str(low)),
        f'<path class="expected" d="{_line(x, y[0])}"/><path class="got" d="{_line(x, y[1])}"/>',
        "".join(f'<circle class="dot" cx="{x[i]:.1f}" cy="{y[1][i]:.1f}" r="2"/>' for i in wrong),
        f'<circle class="ring" cx="{x[at]:.1f}" cy="{y[1][at]:.1f}" r="6"/>',
        *_frame(TOP + VALUES + GAP, BARS, f"+{most}", f"-{most}"),
        f'<path class="zero" d="M{LEFT} {zero}H{WIDTH - RIGHT}"/>',
        f'<path class="bars" d="{"".join(f"M{x[i]:.1f} {zero} v{-height[i]:.1f}" for i in wrong)}"/>',
        *_axis(TOP + VALUES + GAP + BARS, first, first + len(a) - 1, axis),
    ]
    return _svg(TOP + VALUES + GAP + BARS + BOTTOM, f"Expected and got: {place.tap}", parts)


def difference_map(first: Difference, unit: str) -> str:
    """Steps x elements of a tap: where it differs, darker where it differs by more. Scalars have no map: ""."""
    assert first.rows is not None
    assert first.step is not None
    if not first.index:
        return ""
    apart = np.abs(first.rows.got.astype(object) - first.rows.expected.astype(object)).astype(np.float64)
    apart = apart.reshape(*apart.shape[:2], -1).max(axis=2)
    cells, (steps, elements) = _reduced(apart), apart.shape
    height = 150
    width, tall = (WIDTH - LEFT - RIGHT) / cells.shape[0], height / cells.shape[1]
    shades = zip(("some", "more", "most"), LEVELS, (*LEVELS[1:], (float("inf"), "")), strict=True)
    parts = _frame(TOP, height, "[0]", f"[{elements - 1}]")
    for shade, (least, _), (above, _) in shades:
        spots = np.argwhere((cells >= least) & (cells < above))
        path = "".join(
            f"M{LEFT + i * width:.1f} {TOP + j * tall:.1f}h{width:.2f}v{tall:.2f}h-{width:.2f}z" for i, j in spots
        )
        parts.append(f'<path class="cell {shade}" d="{path}"/>')
    column = (first.step - first.rows.start + 0.5) / steps * (WIDTH - LEFT - RIGHT)
    row = (first.index[0] + 0.5) / elements * height
    parts.append(f'<circle class="ring" cx="{LEFT + column:.1f}" cy="{TOP + row:.1f}" r="6"/>')
    parts += _axis(TOP + height, first.rows.start, first.rows.start + steps - 1, unit)
    return _svg(TOP + height + BOTTOM, f"Where {first.tap} differs", parts)


def _component(row: npt.NDArray[Any], index: Sequence[int]) -> npt.NDArray[Any]:
    """(elements,) of a row whose elements may have parts, real and imaginary: the part that the index names."""
    return row if len(index) == 1 else row[:, index[1]]


def _reduced(apart: Values) -> Values:
    """The largest value of each cell where there are more steps or elements than `CELLS`."""
    for axis, most in enumerate(CELLS):
        if apart.shape[axis] > most:
            edges = np.unique(np.linspace(0, apart.shape[axis], most, endpoint=False).astype(np.int64))
            apart = np.maximum.reduceat(apart, edges, axis=axis)
    return apart


def _along(n: int) -> Values:
    return LEFT + (np.arange(n) + 0.5) * (WIDTH - LEFT - RIGHT) / n


def _scaled(values: Values, top: float, height: float) -> Values:
    low, high = values.min(), values.max()
    scaled: Values = top + height - 4 - (values - low) / max(float(high - low), 1.0) * (height - 8)
    return scaled


def _line(x: Values, y: Values) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _frame(top: float, height: float, upper: str, lower: str) -> list[str]:
    """Box with the numbers of its vertical axis."""
    return [
        f'<rect class="box" x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{height}"/>',
        f'<text class="tick end" x="{LEFT - 6}" y="{top + 10}">{escape(upper)}</text>',
        f'<text class="tick end" x="{LEFT - 6}" y="{top + height - 1}">{escape(lower)}</text>',
    ]


def _axis(top: float, first: int, last: int, name: str) -> list[str]:
    """Ends and name of a horizontal axis."""
    return [
        f'<text class="tick start" x="{LEFT}" y="{top + 16}">{first}</text>',
        f'<text class="tick" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{top + 16}">{escape(name)}</text>',
        f'<text class="tick end" x="{WIDTH - RIGHT}" y="{top + 16}">{last}</text>',
    ]


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
