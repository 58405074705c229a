"""The result of a run: build/mutation.json, and whether the gate holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from golden_vectors.vector import write
from tests.mutation.plant import KILLED, SURVIVED
from tests.mutation.run import Judged

LEAST_SHARE = 0.98


def result(judged: Sequence[Judged], equivalents: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """What build/mutation.json holds.

    planted      mutants that are programs with another machine code
    equivalents  those of them that compute the same for every input, each with its reason in equivalent.json
    total        faults: all others, killed + survivors
    survivors    faults that the vectors do not find
    share        killed of total
    """
    counted = [row for row in judged if row.verdict.verdict in (KILLED, SURVIVED)]
    killed = [row for row in counted if row.verdict.verdict == KILLED]
    left = [row for row in counted if row.verdict.verdict == SURVIVED]
    left.sort(key=lambda row: (row.mutant.file, row.mutant.line))
    survivors = [row for row in left if row.mutant.id not in equivalents]
    total = len(killed) + len(survivors)
    return {
        "total": total,
        "killed": len(killed),
        "share": round(len(killed) / max(total, 1), 4),
        "planted": len(counted),
        "not_counted": Counter(row.verdict.verdict for row in judged if row not in counted),
        "killed_by": Counter(_how(row) for row in killed),
        "kinds": _kinds([*killed, *survivors]),
        "seconds": round(seconds),
        "stale": sorted(row.mutant.id for row in killed if row.mutant.id in equivalents),
        "survivors": [_facts(row) for row in survivors],
        "equivalents": [
            {**_facts(row), "why": equivalents[row.mutant.id]} for row in left if row.mutant.id in equivalents
        ],
    }


def _facts(row: Judged) -> dict[str, Any]:
    mutant = row.mutant
    return {"id": mutant.id, "kind": mutant.kind, "file": mutant.file, "line": mutant.line, "what": mutant.what}


def _how(row: Judged) -> str:
    """difference, error (the engine or a reader refuses), crash or hang."""
    if row.verdict.case == "process":
        return row.verdict.why.split()[0].rstrip(":")
    return "difference" if row.verdict.why.startswith(f"{row.verdict.case}: ") and (
        "expected" in row.verdict.why
    ) else "error"  # fmt: skip


def _kinds(counted: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """Kind and file -> total and killed."""
    kinds: dict[str, dict[str, int]] = {}
    for row in counted:
        for key in (row.mutant.kind, f"{row.mutant.kind}: {row.mutant.file}"):
            cell = kinds.setdefault(key, {"total": 0, "killed": 0})
            cell["total"] += 1
            cell["killed"] += row.verdict.verdict == KILLED
    return dict(sorted(kinds.items()))


def complaints(found: Mapping[str, Any]) -> list[str]:
    """Why the gate is red, one line each; none when it holds."""
    lines = [f"{name} is explained as equivalent, but the vectors kill it: take it out" for name in found["stale"]]
    if found["share"] < LEAST_SHARE:
        lines.append(f"the vectors kill {found['share']:.1%} of the faults, {LEAST_SHARE:.0%} are needed")
    return lines


def save(found: Mapping[str, Any], path: Path) -> None:
    """Write it whole or not at all."""
    write(path.parent, path.name, (json.dumps(found, indent=1) + "\n").encode())
