"""Parts and the cycle model: its table is whole, its figures follow from its assumptions, strangers are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware_sim import parts
from firmware_sim.__main__ import MODELS, main
from firmware_sim.contract import STAGES, ContractError
from firmware_sim.graph import Graph
from firmware_sim.parts import (
    CPI,
    ENDS,
    HOP_KINDS,
    LINE_BYTES,
    LOOP,
    PARTS,
    SCHEDULE_CALLS,
    Part,
    assumed,
    instructions_of,
    stage_cycles,
    table,
)

BLESSED = {**MODELS, "compact": parts.TABLE.with_name("model_compact.npz")}
SCRIPTS = Path(__file__).resolve().parents[2] / "firmware" / "port" / "m7"


def test_the_table_has_every_scheme_kind_stage_and_call() -> None:
    assert set(table()["hops"]) == set(table()["graphs"]) == set(BLESSED)
    for kinds in table()["hops"].values():
        assert set(kinds) == set(HOP_KINDS)
        for stages in kinds.values():
            assert set(stages) == {*STAGES, LOOP}
            assert min(stages.values()) > 0
    assert set(table()["weight_bytes"]) == set(BLESSED)
    assert set(table()["schedule"]) == set(SCHEDULE_CALLS)


def test_the_table_says_that_it_counts_no_cycles() -> None:
    assert "not cycles" in table()["unit"]


@pytest.mark.parametrize(("name", "weight_bytes"), [("int16x8", 207_504), ("int8", 207_504), ("compact", 48_672)])
def test_counts_of_the_blessed_models_are_there(name: str, weight_bytes: int) -> None:
    counted = instructions_of(Graph.load(BLESSED[name]))
    assert counted.hops == table()["hops"][name]
    full, held = counted.stages("speech", held=False), counted.stages("speech", held=True)
    assert held == {**full, "network": 0}
    assert sum(held.values()) < 90_000 < sum(full.values())
    assert counted.weight_bytes == table()["weight_bytes"][name] == weight_bytes


def test_without_a_network_there_is_none_to_count() -> None:
    counted = instructions_of(None)
    assert counted.stages("noise", held=False)["network"] == counted.weight_bytes == 0


def test_a_model_that_nobody_counted_is_refused(graphs: dict[str, Graph]) -> None:
    with pytest.raises(ContractError, match=r"this int16x8 model were not counted: .* golden_vectors count --bless"):
        instructions_of(graphs["int16x8"])


@pytest.fixture
def damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | None], None]]:
    """Puts a text in the place of the table; None: there is none."""

    def place(text: str | None) -> None:
        monkeypatch.setattr(parts, "TABLE", tmp_path / "m7_instructions.json")
        if text is not None:
            parts.TABLE.write_text(text, "utf-8")
        table.cache_clear()

    yield place
    table.cache_clear()


def changed(*keys: str, value: object) -> str:
    """The blessed table with another value at the end of some keys."""
    loaded = inner = json.loads(parts.TABLE.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return json.dumps(loaded)


DAMAGED = {
    "missing": (None, "No such file"),
    "cut": ("{", "Expecting property name"),
    "empty": ("", "Expecting value"),
    "not ASCII": ("\u00e9", "can't decode"),
    "too deep": ("[" * 100_000, "recursion"),
    "a list": ("[]", "list indices"),
    "a number": ("1", "not subscriptable"),
    "without schemes": ('{"hops": {}}', "it has no 'int16x8'"),
    "without a stage": (changed("hops", "int8", "noise", value={}), "it has no"),
    "without calls": (changed("schedule", value={}), "it has no 'interrupt'"),
    "without the bytes of weights": (changed("weight_bytes", value={}), "it has no 'int16x8'"),
    "without graphs": (changed("graphs", value={}), "it has no 'int16x8'"),
    "a digest of nothing": (changed("graphs", "int8", value=None), "a digest is not text"),
    "a count of text": (changed("schedule", "begin", value="9"), "a count is not a whole number"),
    "a negative count": (changed("hops", "int8", "noise", "loop", value=-1), "a count is not a whole number"),
    "an endless count": (changed("hops", "int8", "noise", "loop", value=float("inf")), "a count is not a whole"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_table_is_named_in_one_line_with_its_remedy(
    name: str, damage: Callable[[str | None], None], capsys: pytest.CaptureFixture[str]
) -> None:
    text, reason = DAMAGED[name]
    damage(text)
    sound = Path(__file__).parents[1] / "data" / "noisy.wav"
    assert (
        main([str(sound), "--part", "stm32h743", "--wiener-only", "--timeline", str(parts.TABLE.parent / "t.svg")]) == 1
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"stapes: {parts.TABLE}: not the instruction counts (")
    assert reason in line
    assert line.endswith("): restore it, or count again (python -m golden_vectors count --bless)")


def test_the_model_gives_the_range_that_it_states() -> None:
    """1.66 instructions per MAC, a weight byte for each: 1.3 to 2.0 cycles."""
    part, macs = PARTS["stm32h743"], 1_000_000
    cycles = [stage_cycles({"network": 1_660_000}, macs, assumed(part, end))["network"] / macs for end in ENDS]
    assert [round(c, 1) for c in cycles] == [1.3, 1.6, 2.0]


def test_weights_stream_only_where_the_network_runs() -> None:
    cpi = {"network": 1.0, "front_end": 2.0, "line": 10.0}
    full = stage_cycles({"network": 100, "wiener": 7}, 32 * LINE_BYTES, cpi)
    assert full == {"network": 420.0, "wiener": 14.0}
    assert stage_cycles({"network": 0, "wiener": 7}, 32 * LINE_BYTES, cpi) == {"network": 0.0, "wiener": 14.0}


def test_flash_widens_the_range_of_the_code_that_runs_from_it() -> None:
    for stage, near in CPI["ITCM"].items():
        far = CPI["FLASH"][stage]
        assert far.low == near.low
        assert far.typical > near.typical
        assert far.high > near.high


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_ranges_are_ordered_and_each_end_is_its_own(part: Part) -> None:
    for name, values in part.ranges.items():
        assert [assumed(part, end)[name] for end in ENDS] == [values.low, values.typical, values.high]
        assert 0 < values.low < values.typical < values.high


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_code_and_weights_are_where_the_link_script_puts_them(part: Part) -> None:
    script = (SCRIPTS / f"{part.name}.ld").read_text()
    places = dict(re.findall(r'REGION_ALIAS\("(\w+)", (\w+)\)', script))
    assert (part.code, part.weights, "DTCM") == (places["CODE"], places["WEIGHTS"], places["DATA"])


@pytest.mark.parametrize("name", BLESSED)
def test_stages_come_in_the_order_of_the_contract_whatever_the_order_of_the_table(name: str) -> None:
    for stages in instructions_of(Graph.load(BLESSED[name])).hops.values():
        assert list(stages) == [*STAGES, LOOP]
    assert list(instructions_of(None).hops["noise"]) == [*STAGES, LOOP]
