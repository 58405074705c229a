"""Parts and the cycle model: its table is whole, its figures follow from its assumptions, strangers are refused."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_sim.__main__ import MODELS
from firmware_sim.contract import STAGES, ContractError
from firmware_sim.graph import Graph
from firmware_sim.parts import (
    ENDS,
    HOP_KINDS,
    LINE_BYTES,
    LOOP,
    PARTS,
    SCHEDULE_CALLS,
    Range,
    assumed,
    drawn,
    instructions_of,
    stage_cycles,
    table,
)


def test_the_table_has_every_scheme_kind_stage_and_call() -> None:
    assert set(table()["hops"]) == set(table()["graphs"]) == set(MODELS)
    for kinds in table()["hops"].values():
        assert set(kinds) == set(HOP_KINDS)
        for stages in kinds.values():
            assert set(stages) == {*STAGES, LOOP}
            assert min(stages.values()) > 0
    assert set(table()["schedule"]) == set(SCHEDULE_CALLS)


def test_the_table_says_that_it_counts_no_cycles() -> None:
    assert "not cycles" in table()["unit"]


@pytest.mark.parametrize("scheme", MODELS)
def test_counts_of_the_blessed_models_are_there(scheme: str) -> None:
    graph = Graph.load(MODELS[scheme])
    counted = instructions_of(graph)
    full, held = counted.stages("speech", held=False), counted.stages("speech", held=True)
    assert held == {**full, "network": 0}
    assert sum(held.values()) < 80_000 < sum(full.values())
    assert 190_000 < counted.weight_bytes < 210_000


def test_without_a_network_there_is_none_to_count() -> None:
    counted = instructions_of(None)
    assert counted.stages("noise", held=False)["network"] == counted.weight_bytes == 0


def test_a_model_that_nobody_counted_is_refused(graphs: dict[str, Graph]) -> None:
    with pytest.raises(ContractError, match=r"this int16x8 model were not counted: .* golden_vectors count --bless"):
        instructions_of(graphs["int16x8"])


def test_the_model_gives_the_range_that_it_states() -> None:
    """1.66 instructions per MAC, a weight byte for each: 1.3 to 2.0 cycles."""
    part, macs = PARTS["stm32h743"], 1_000_000
    cycles = [stage_cycles(part, {"network": 1_660_000}, macs, assumed(part, end))["network"] / macs for end in ENDS]
    assert [round(c, 1) for c in cycles] == [1.3, 1.6, 2.0]


def test_weights_stream_only_where_the_network_runs() -> None:
    part = PARTS["stm32h743"]
    cpi = {"network": 1.0, "front_end": 2.0, "line": 10.0}
    full = stage_cycles(part, {"network": 100, "wiener": 7}, 32 * LINE_BYTES, cpi)
    assert full == {"network": 420.0, "wiener": 14.0}
    assert stage_cycles(part, {"network": 0, "wiener": 7}, 32 * LINE_BYTES, cpi) == {"network": 0.0, "wiener": 14.0}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_draws_stay_in_their_ranges_and_ranges_are_ordered(part: object) -> None:
    random = np.random.default_rng(0)
    draws = [drawn(part, random) for _ in range(300)]
    for name in draws[0]:
        low, typical, high = (assumed(part, end)[name] for end in ENDS)
        assert low <= typical <= high
        assert all(low <= draw[name] <= high for draw in draws)
        assert low == high or max(draw[name] for draw in draws) > min(draw[name] for draw in draws)
    assert Range(0.0, 0.0, 0.0).draw(random) == 0.0
