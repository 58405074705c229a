"""The page of `verify --html`: the matrix, and every first difference with its neighbours, pictures and source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from golden_vectors.difference_pictures import LEVELS, curves, difference_map
from golden_vectors.explain import HEADS, Explanation, Key
from golden_vectors.page import STYLE, table
from golden_vectors.source import Source
from golden_vectors.tables import columns_of
from golden_vectors.vector import Vector, write
from golden_vectors.verify import Bench, Cell, Outcome

TEMPLATE = Path(__file__).with_name("difference.html")


def write_differences(outcome: Outcome, found: Mapping[Key, Explanation], bench: Bench, path: Path) -> None:
    """One self-contained file; nothing is loaded from anywhere.

    raises  WitnessError when it cannot be written
    """
    columns = columns_of(outcome)
    text = Template(TEMPLATE.read_text("utf-8")).substitute(
        style=STYLE.read_text("utf-8"),
        headline=_headline(outcome),
        lead=escape(_lead(outcome, bench)),
        heads="".join(f"<th>{escape(group.replace('_', ' '))}<br>{escape(scheme)}</th>" for group, scheme in columns),
        matrix="".join(_row(outcome, engine, columns) for engine in outcome.engines),
        absent=_absent(outcome),
        differences=_differences(outcome, found, {vector.id: vector for vector in bench.vectors}),
        command=escape(f"python -m golden_vectors verify --html {path.name}"),
    )
    write(path.parent, path.name, text.encode("utf-8"))


def _headline(outcome: Outcome) -> str:
    failures = outcome.failures
    if not failures:
        return "The same bits on every engine"
    engines = len({engine for engine, _, _ in failures})
    return f"{_many(engines, 'engine')} {'differs' if engines == 1 else 'differ'}, in {_many(len(failures), 'group')}"


def _lead(outcome: Outcome, bench: Bench) -> str:
    ran = len(outcome.engines) - len(outcome.absent)
    cases = f"{len(bench.vectors)} vectors and {bench.steps} steps of the network in closed loop"
    return f"{_many(ran, 'engine')} ran {cases}. Every bit is compared with the reference, numpy."


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


# ---------------------------------------------------------------- matrix


def _row(outcome: Outcome, engine: str, columns: Sequence[tuple[str, str]]) -> str:
    if engine in outcome.absent:
        return f'<tr><th>{escape(engine)}</th><td class="absent" colspan="{len(columns)}">absent</td></tr>'
    cells = "".join(_cell(outcome.cells.get((engine, scheme, group))) for group, scheme in columns)
    return f"<tr><th>{escape(engine)}</th>{cells}</tr>"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return '<td class="absent">·</td>'
    if cell.first is None:
        return f'<td class="equal">= {cell.equal}</td>'
    return f'<td class="{"distance" if cell.tolerated else "differs"}">{100 * cell.distance:.2g} %</td>'


def _absent(outcome: Outcome) -> str:
    return "".join(
        f'<p class="note">absent: {escape(engine)}: {escape(reason)}</p>' for engine, reason in outcome.absent.items()
    )


# ---------------------------------------------------------------- differences


def _differences(outcome: Outcome, found: Mapping[Key, Explanation], vectors: Mapping[str, Vector]) -> str:
    """Every failure as a block that opens; the first one is open."""
    blocks = []
    for number, (key, cell) in enumerate(outcome.failures.items()):
        engine, scheme, group = key
        explained = found.get(key)
        inside = "" if explained is None else _explained(explained, vectors.get(explained.first.case))
        blocks.append(
            f"<details{'' if number else ' open'}><summary>{escape(f'{engine}, {group} ({scheme})')}"
            f"<span>{escape(str(cell.first))}</span></summary>{inside}</details>"
        )
    return f"<h2>First differences</h2>{''.join(blocks)}" if blocks else ""


def _explained(found: Explanation, vector: Vector | None) -> str:
    facts = {"first op": found.what, "note": found.note, "then": found.later}
    if vector is not None:
        facts["the case"] = "; ".join(vector.header["notes"].values())
    rows = table({name: fact for name, fact in facts.items() if fact})
    return (
        f'<div class="scroll"><table><tbody>{rows}</tbody></table></div>'
        f"{_neighbours(found)}{_pictures(found)}<h3>Where it is computed</h3>{''.join(map(_source, found.sources))}"
    )


def _neighbours(found: Explanation) -> str:
    rows = "".join(
        f"<tr{' class=first' if row.first else ''}>{''.join(f'<td>{escape(cell)}</td>' for cell in row.cells)}</tr>"
        for row in found.neighbours
    )
    if not rows:
        return ""
    heads = "".join(f"<th>{escape(head)}</th>" for head in (f"{found.unit} {HEADS[0]}", *HEADS[1:]))
    return (
        f"<h3>Neighbours of {escape(found.place.tap)}</h3>"
        f'<div class="scroll"><table class="near"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _pictures(found: Explanation) -> str:
    """Curves of the deepest place, and the map of the tap over the whole case."""
    place, first = found.place, found.first.later or found.first
    if not found.neighbours or first.rows is None:
        return ""
    shades = "".join(
        f'<span class="key" style="background:var(--bad);opacity:{opacity}"></span>{what}'
        for (_, what), opacity in zip(LEVELS, (0.35, 0.65, 1), strict=True)
    )
    lines = "".join(
        f'<span class="key line" style="background:var(--{colour})"></span>{what}'
        for what, colour in (("expected", "soft"), ("got", "accent"), ("below: got - expected", "bad"))
    )
    figures = [(f"{place.tap}, {found.unit} {place.step}", curves(place, found.unit), lines)]
    if drawn := difference_map(first, found.unit):
        figures.append((f"{first.tap} over the whole case", drawn, shades))
    return f"<h3>Pictures</h3><div class='pair'>{''.join(_figure(*figure) for figure in figures)}</div>"


def _figure(title: str, drawing: str, key: str) -> str:
    return f"<figure><h3>{escape(title)}</h3>{drawing}<figcaption>{key}</figcaption></figure>"


def _source(source: Source) -> str:
    code = escape("\n".join(source.lines))
    return (
        f'<div class="scroll code"><p>{source.language}: <code>{escape(str(source))}</code></p><pre>{code}</pre></div>'
    )
