"""The proof of ranges at export: a model that can overflow is refused, the others get a table of evidence."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from export.provenance import ExportError, facts
from firmware_sim.contract import PROFILES, Profile
from firmware_sim.graph import Graph
from firmware_sim.ranges.ledger import Bound, Ledger, RangeError, Saturation
from firmware_sim.ranges.proof import prove
from firmware_sim.ranges.witness import witnesses


def proven(graph: Graph | None, profile: Profile) -> Ledger:
    """The proof for a device that is about to be written.

    raises  ExportError, one line with layer, row, bound and advice, where a register can overflow
    """
    try:
        return prove(graph, profile)
    except RangeError as error:
        raise ExportError(f"cannot be proven: {error}") from None


def accumulators(ledger: Ledger) -> list[Bound]:
    """The sums of FULLY_CONNECTED: what the weights decide."""
    return [bound for bound in ledger.bounds if bound.stage == "network" and bound.what == "accumulator"]


def summary(graph: Graph, ledger: Ledger) -> str:
    """One line: how much is proven, where it is tightest, what can saturate."""
    tightest = min(accumulators(ledger), key=lambda bound: bound.margin)
    possible = [s.place for s in ledger.saturations if s.reachable]
    return (
        f"ranges {graph.scheme}: {ledger.rows:,} values cannot overflow for any input; tightest of "
        f"{sum(len(b.low) for b in accumulators(ledger)):,} network accumulators: {tightest.place} row "
        f"{tightest.worst}, {tightest.margin:.1f} bits of room; saturations impossible in "
        f"{len(ledger.saturations) - len(possible)} of {len(ledger.saturations)} places"
    )


def to_files(graph: Graph, ledger: Ledger) -> dict[str, bytes]:
    """The evidence as a table to read and as JSON, by file name; saturations with a signal that causes them."""
    found = witnesses(graph, PROFILES[graph.meta["profile"]])
    document = {
        **facts(graph),
        "bounds": [_bound_entry(bound) for bound in ledger.bounds],
        "saturations": [_saturation_entry(s, found.get(s.place, "")) for s in ledger.saturations],
        "taps": {name: _ends(low, high) for name, (low, high) in ledger.taps.items()},
    }
    return {
        "stapes_ranges.txt": _text(graph, ledger, found).encode("ascii"),
        "stapes_ranges.json": (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii"),
    }


def _ends(low: Iterable[Any], high: Iterable[Any]) -> dict[str, int]:
    return {"low": int(min(low)), "high": int(max(high))}


def _bound_entry(bound: Bound) -> dict[str, Any]:
    row = bound.worst
    return {
        "stage": bound.stage,
        "place": bound.place,
        "what": bound.what,
        "held_by": {"name": bound.limit.name, "low": bound.limit.low, "high": bound.limit.high},
        "rows": len(bound.low),
        "worst_row": row,
        "low": int(bound.low[row]),
        "high": int(bound.high[row]),
        "margin_bits": round(bound.margin, 3),
    }


def _verdict(saturation: Saturation, witness: str) -> str:
    """Impossible is proven, reachable is shown by a signal; the interval may also just not exclude it."""
    return saturation.verdict if witness or not saturation.reachable else "not excluded"


def _saturation_entry(saturation: Saturation, witness: str) -> dict[str, Any]:
    return {
        "stage": saturation.stage,
        "place": saturation.place,
        "verdict": _verdict(saturation, witness),
        "witness": witness,
        "elements": len(saturation.low),
        "reachable_elements": saturation.reachable,
        "limit": {"name": saturation.limit.name, "low": saturation.limit.low, "high": saturation.limit.high},
        **_ends(saturation.low, saturation.high),
    }


def _text(graph: Graph, ledger: Ledger, found: dict[str, str]) -> str:
    """The table; margins are bits by which the worst row could still grow."""
    lines = [summary(graph, ledger), f"graph {graph.digest}", "", "bits    register      row  range"]
    for bound in ledger.bounds:
        row = bound.worst
        lines.append(
            f"{bound.margin:6.2f}  {bound.limit.name:12s} {row:4d}  [{bound.low[row]}, {bound.high[row]}]  "
            f"{bound.stage}: {bound.place}: {bound.what}"
        )
    lines += ["", "saturation    elements  range before the limit"]
    for s in ledger.saturations:
        seen = f": {found[s.place]}" if s.place in found else ""
        span = f"[{min(s.low)}, {max(s.high)}] to [{s.limit.low}, {s.limit.high}]"
        lines.append(f"{_verdict(s, seen):12s} {s.reachable:4d} of {len(s.low):3d}  {span}  {s.stage}: {s.place}{seen}")
    return "\n".join(lines) + "\n"
