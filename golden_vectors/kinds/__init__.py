"""The kinds of vectors, one page each."""

from __future__ import annotations

from golden_vectors.kinds.base import Case, Kind
from golden_vectors.kinds.closed_loop import ClosedLoopKind
from golden_vectors.kinds.drift import DriftKind
from golden_vectors.kinds.graph import GraphKind
from golden_vectors.kinds.network import NetworkKind
from golden_vectors.kinds.stream import StreamKind
from golden_vectors.kinds.unit import UnitKind

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (StreamKind(), NetworkKind(), DriftKind(), ClosedLoopKind(), UnitKind(), GraphKind())
}
"""Name -> page."""


def kind_of(case: Case) -> Kind:
    """The page of a case."""
    return KINDS[case.kind]
