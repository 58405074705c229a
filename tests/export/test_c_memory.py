"""The memory map: laid out as C does it, held by the compiler member by member, and printed at export."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export import __main__ as door
from export import c_memory
from export.c_memory import KINDS, PADDING, STACK_BYTES, flash_kind, laid_out, layout_asserts, total
from export.c_writer import memory_map, to_c
from firmware_sim.contract import PROFILES, Profile
from firmware_sim.graph import Graph
from golden_vectors.cc import build_host
from golden_vectors.errors import WitnessError
from tests.export.tiny_model import tiny_graph

SEED = PROFILES["seed"]
TYPES = {1: ctypes.c_int8, 2: ctypes.c_int16, 4: ctypes.c_int32, 8: ctypes.c_int64}


@given(st.lists(st.tuples(st.sampled_from(sorted(TYPES)), st.integers(1, 9)), min_size=1, max_size=12))
def test_against_ctypes_every_member_lies_where_c_has_it(shapes: list[tuple[int, int]]) -> None:
    fields = [(f"m{i}", TYPES[width] * count) for i, (width, count) in enumerate(shapes)]
    struct = type("struct", (ctypes.Structure,), {"_fields_": fields})
    members = [(f"m{i}", width * count, width) for i, (width, count) in enumerate(shapes)]
    rows, at = laid_out(members, max(width for width, _ in shapes)), 0
    for name, size in rows:
        if name != PADDING:
            assert (getattr(struct, name).offset, getattr(struct, name).size) == (at, size)
        at += size
    assert total(rows) == at == ctypes.sizeof(struct)


def test_padding_takes_room_but_is_no_member() -> None:
    rows = laid_out([("a", 3, 1), ("b", 4, 4)], 4)
    assert rows == [("a", 3), (PADDING, 1), ("b", 4)]
    assert layout_asserts("t", rows) == "LIES_AT(t, a, 0, 3);\nLIES_AT(t, b, 4, 4);\n"


@pytest.mark.parametrize("scheme", ["int16x8", "int8", None])
@pytest.mark.parametrize("profile", [SEED, Profile("wide", 256, 64, 128)], ids=["seed", "wide"])
def test_a_true_map_compiles(scheme: str | None, profile: Profile) -> None:
    graph = tiny_graph(scheme) if scheme and profile is SEED else None
    assert build_host(graph, profile, flags=("-O0",)).exists()


def swapped(members: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """`power` and `noise` have one size: only their places are wrong."""
    names = list(members)
    i = names.index("power")
    names[i : i + 2] = names[i + 1], names[i]
    return {name: members[name] for name in names}


def moved(members: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """`history` takes a byte pair from `pcm`: sums stay."""
    return {**members, "pcm": (members["pcm"][0] - 2, 2), "history": (members["history"][0] + 2, 2)}


@pytest.mark.parametrize(("wrong", "member"), [(swapped, "noise|power"), (moved, "pcm|history")])
def test_a_wrong_map_of_the_state_does_not_compile(wrong: object, member: str, monkeypatch: pytest.MonkeyPatch) -> None:
    true = c_memory.state_buffers
    monkeypatch.setattr(c_memory, "state_buffers", lambda profile: wrong(true(profile)))  # type: ignore[operator]
    with pytest.raises(WitnessError, match=f"({member}) is not as in its memory map"):
        build_host(None, SEED, flags=("-O0",))


def test_a_wrong_map_of_the_network_does_not_compile(tmp_path: Path) -> None:
    graph = tiny_graph("int16x8")
    source = to_c(graph, SEED)["stapes_model.c"].decode()
    line = "LIES_AT(stapes_network_t, h1, 146, 16);"
    assert line in source
    planted = tmp_path / "planted.c"
    define = source[source.index("#define LIES_AT") : source.index("LIES_AT(stapes_state_t")]
    planted.write_text(f'#include "stapes.h"\n{define}{line.replace("146", "148")}\n')
    with pytest.raises(WitnessError, match="h1 is not as in its memory map"):
        build_host(graph, SEED, flags=("-O0",), more_sources=(planted,))


@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
def test_every_constant_has_a_kind_and_every_tensor_a_row(scheme: str) -> None:
    graph = tiny_graph(scheme)
    memory = memory_map(graph, SEED)
    kinds = {kind: memory.flash_of(kind) for kind in KINDS}
    assert sum(sum(rows.values()) for rows in kinds.values()) == memory.flash_bytes
    assert {name for name in graph.tensors if name.endswith("_w_i8")} == set(kinds["weights"])
    assert len(kinds["biases"]) == len(kinds["weights"])
    assert not kinds["scales"]  # one for all rows: arguments of the calls
    assert flash_kind("stapes_log2_q24") == "tables"
    assert dict(memory.state)["network"] == total(memory.network)


@pytest.mark.parametrize("paired", [False, True])
def test_the_export_prints_the_map_of_what_it_writes(
    paired: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    graph = Graph.load(door.BLESSED["int16x8"])
    assert door.main(["--to", "c", "--out", str(tmp_path / "out"), *["--paired"] * paired]) == 0
    memory, printed = memory_map(graph, PROFILES[graph.meta["profile"]], paired), capsys.readouterr().out
    words = " ".join(printed.split())
    for name, size in (*memory.flash.items(), *memory.state):
        assert f"{name} {size:,} " in f"{words} ", name
    header = (tmp_path / "out" / "stapes_model.h").read_text()
    assert memory.comment() in header
    assert f"stack {STACK_BYTES}" in printed
    assert f"#define STAPES_STACK_BYTES {STACK_BYTES}U" in header


def test_an_export_without_c_prints_no_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["--to", "graph", "--out", str(tmp_path)]) == 0
    assert "RAM of one ear" not in capsys.readouterr().out
