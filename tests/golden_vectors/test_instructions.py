"""The blessed instruction counts are those of the emulator, to the instruction."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware_sim import parts
from firmware_sim.parts import TABLE
from golden_vectors import instructions
from golden_vectors.__main__ import BLESSED, main
from golden_vectors.generate import load_graphs
from tests.golden_vectors.models import small_graphs


def test_the_blessed_counts_are_the_emulators() -> None:
    """When this is red and the change is wanted: python -m golden_vectors count --bless."""
    counted = instructions.count(load_graphs(BLESSED))
    assert counted == json.loads(TABLE.read_text())


def test_counts_of_another_model_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Count, print and bless small models beside the blessed table."""
    table = tmp_path / "table.json"
    monkeypatch.setattr(instructions, "TABLE", table)
    models = []
    for scheme, graph in small_graphs().items():
        graph.save(tmp_path / f"{scheme}.npz")
        models.append(str(tmp_path / f"{scheme}.npz"))
    assert (
        main(["count", "--bless", "--model", models[0], "--model-int8", models[1], "--model-compact", models[2]]) == 0
    )
    written, blessed = json.loads(table.read_text()), parts.table()
    assert written["graphs"] != blessed["graphs"]
    assert written["schedule"].keys() == blessed["schedule"].keys()
    for scheme, kinds in written["hops"].items():
        for kind, stages in kinds.items():
            assert stages["network"] < blessed["hops"][scheme][kind]["network"]
            assert stages["window"] == blessed["hops"][scheme][kind]["window"]
    out = capsys.readouterr().out
    assert "not cycles" in out
    assert f"{written['hops']['int8']['noise']['network']:,}" in out
