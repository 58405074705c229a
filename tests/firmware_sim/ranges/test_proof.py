"""The whole proof: quick, for every shipped model, and never contradicted by the counters of the golden vectors."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from export.__main__ import BLESSED, COMPACT
from firmware_sim.contract import DEFAULT_PROFILE, PROFILES
from firmware_sim.graph import SCHEMES, Graph
from firmware_sim.ranges.ledger import I32, U32, Ledger, RangeError
from firmware_sim.ranges.proof import prove
from firmware_sim.ranges.witness import witnesses
from tests.export.tiny_model import tiny_graph

PROFILE = PROFILES[DEFAULT_PROFILE]
MODELS = {**BLESSED, "compact": COMPACT}
VECTORS = sorted((Path(__file__).resolve().parents[3] / "golden_vectors" / "vectors").glob("*.json"))


def contradictions(counters: dict[str, list[int]], ledger: Ledger) -> list[str]:
    """Stages whose counters show what the proof excludes: an overflow, or a saturation that is impossible."""
    can_saturate = {s.stage for s in ledger.saturations if s.reachable}
    return [
        stage
        for stage, (saturations, overflows) in counters.items()
        if overflows or (saturations and stage not in can_saturate)
    ]


def test_no_golden_vector_counts_what_the_proof_excludes() -> None:
    ledgers = {name: prove(Graph.load(path), PROFILE) for name, path in MODELS.items()}
    counted = 0
    for path in VECTORS:
        vector = json.loads(path.read_text())
        if "counters" in vector:
            assert contradictions(vector["counters"], ledgers[vector["model"]]) == [], path.name
            counted += 1
    assert counted >= 15


def test_a_counter_that_the_proof_excludes_is_a_contradiction() -> None:
    ledger = prove(None, PROFILE)
    assert contradictions({"irfft": [1, 0], "overlap_add": [1, 0], "rfft": [0, 1], "gain": [0, 0]}, ledger) == [
        "irfft", "rfft"
    ]  # fmt: skip


WITNESSED = {
    "int16x8": {"gamma_uq16", "pcm", "gru0_n_in", "gru0_rz_in", "gru0_x_n", "gru0_x_rz", "gru1_n_in"},
    "int8": {"gamma_uq16", "pcm", "gru0_n_in", "gru0_rz_in", "gru0_x_n", "gru0_x_rz", "fc1", "fc2"},
}
"""Saturations of the blessed models that the witness signals cause."""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_witness_stands_where_the_proof_says_reachable(scheme: str) -> None:
    graph = Graph.load(BLESSED[scheme])
    reachable = {s.place for s in prove(graph, PROFILE).saturations if s.reachable}
    found = witnesses(graph, PROFILE)
    assert found.keys() <= reachable
    assert found.keys() == WITNESSED[scheme]
    assert all(", hop " in text for text in found.values())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_shipped_model_is_proven_in_less_than_two_seconds(scheme: str) -> None:
    graph = Graph.load(BLESSED[scheme])
    started = time.perf_counter()
    ledger = prove(graph, PROFILE)
    assert time.perf_counter() - started < 2.0
    assert all(bound.holds and bound.margin >= 0.0 for bound in ledger.bounds)
    assert ledger.rows > 15_000


def test_a_graph_of_other_bins_is_refused() -> None:
    graph = tiny_graph("int8")
    with pytest.raises(RangeError, match="x has not the 129 inputs of profile wide"):
        prove(graph, type(PROFILE)("wide", 256, 64, 128))


def test_margins_count_the_bits_by_which_both_ends_may_grow() -> None:
    ledger = Ledger("stage")
    for low, high, limit in ((-(1 << 29), 5, I32), (0, (1 << 30) - 1, I32), (-(1 << 31), 0, I32), (0, 255, U32)):
        ledger.fits("place", "value", low, high, limit)
    assert [bound.margin for bound in ledger.bounds] == [2.0, 1.0, 0.0, 24.0]
    for low, high, limit in ((0, 1 << 31, I32), (-(1 << 31) - 1, 0, I32), (-1, 0, U32)):
        with pytest.raises(RangeError, match="stage: place: value reaches"):
            ledger.fits("place", "value", low, high, limit)
