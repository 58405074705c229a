"""The generated C: reproducible, self-describing, asserted, and equal to the committed tiny model."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from export.c_tables import bit_reversal_pairs
from export.c_text import array, wrapped
from export.c_writer import FILES, CWriter, Network, to_c, write_c
from export.provenance import ExportError
from firmware_sim import tables
from firmware_sim.contract import CONTRACT_VERSION, PROFILES, STAGES, ContractError, Profile
from firmware_sim.graph import GraphError
from firmware_sim.ops import Rescale
from golden_vectors.cc import FIRMWARE, find_compiler
from golden_vectors.executors.c_host import HostDevice
from golden_vectors.m7.build import build_m7
from tests.export.tiny_model import COMMITTED, DIRECTORY, generated, tiny_graph

SEED = PROFILES["seed"]
SCHEMES = tuple(COMMITTED)


def texts(scheme: str | None, profile: Profile = SEED) -> dict[str, str]:
    files = to_c(tiny_graph(scheme) if scheme else None, profile)
    return {name: data.decode("ascii") for name, data in files.items()}


@pytest.mark.parametrize("path", generated(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_committed_tiny_model_is_what_code_generation_gives(path: Path) -> None:
    assert path.read_bytes() == generated()[path], "accept the change by `python -m tests.export.tiny_model`"


def test_nothing_else_is_committed_beside_the_tiny_model() -> None:
    assert {path for path in DIRECTORY.rglob("*") if path.is_file()} == set(generated())


@pytest.mark.parametrize("scheme", [*SCHEMES, None])
def test_two_runs_give_the_same_bytes(scheme: str | None) -> None:
    assert texts(scheme) == texts(scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_file_says_where_it_comes_from_and_has_no_date(scheme: str) -> None:
    graph = tiny_graph(scheme)
    for name, text in texts(scheme).items():
        head = text[: text.index("*/")]
        for wanted in ("do not edit", "python -m export", "student sha256", graph.digest):
            assert wanted in head, name
        assert f"contract version {CONTRACT_VERSION}" in head
        assert not re.search(r"\b20\d\d\b|\d\d:\d\d", head)


@pytest.mark.parametrize("scheme", [*SCHEMES, None])
def test_lines_fit_and_are_ascii(scheme: str | None) -> None:
    for name, text in texts(scheme).items():
        assert text.isascii(), name
        assert text.endswith("\n"), name
        assert max(map(len, text.splitlines())) <= 112, name
        assert not re.search(r"\t| \n", text), name


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_tensor_is_an_array_or_a_part_of_one(scheme: str) -> None:
    graph, files = tiny_graph(scheme), texts(scheme)
    members = set(re.findall(r"^    int\d+_t (\w+)\[\d+\];", files["stapes_model.h"], re.MULTILINE))
    computed = {name for name, tensor in graph.tensors.items() if tensor.data is None}
    assert computed - members == {f"gru{i}_{gate}" for i in (0, 1) for gate in "rz"}
    assert set(re.findall(r'\{"network\.(\w+)"', files["stapes_model.c"])) == computed
    constants = set(re.findall(r"static const \w+ (\w+)\[", files["stapes_model.c"]))
    weights = {name for name in graph.tensors if name.endswith("_w_i8")}
    assert weights <= constants
    assert {name.removesuffix("_w_i8") + "_b_i32" for name in weights} <= constants


@pytest.mark.parametrize("scheme", [*SCHEMES, None])
def test_the_memory_map_is_what_the_compiler_says(scheme: str | None) -> None:
    graph, files = tiny_graph(scheme) if scheme else None, texts(scheme)
    header = files["stapes_model.h"]
    ram = dict(re.findall(r"^ \*   +(\d+)  (\w+)$", header, re.MULTILINE))
    assert ram
    total = sum(size for _, size in Network(graph, SEED).memory.state)
    assert f"RAM {total} for each instance" in header
    assert f"#define STAPES_STATE_BYTES {total}U" in header
    assert HostDevice(graph, SEED).library.stapes_state_bytes() == total


def test_the_memory_map_of_paired_weights_is_what_the_compiler_says() -> None:
    """Tensors begin at words; the asserts of the generated headers hold the compiler to the map."""
    graph = tiny_graph("int16x8")
    header = to_c(graph, SEED, paired=True)["stapes_model.h"].decode()
    rows = to_c(graph, SEED)["stapes_model.h"].decode()
    assert "_Alignas(4) int16_t x[65];" in header
    assert "_w_pairs_i16" in header
    assert "_w_pairs_i16" not in rows
    total = sum(size for _, size in Network(graph, SEED, paired=True).memory.state)
    assert f"#define STAPES_STATE_BYTES {total}U" in header
    assert build_m7(graph, SEED).exists()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_flash_of_the_map_is_the_arrays_of_the_files(scheme: str) -> None:
    files = texts(scheme)
    width = {"int8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "uint32_t": 4, "uint8_t": 1}
    found = 0
    for text in (files["stapes_model.c"], files["stapes_tables.h"].split("STAPES_TABLES_DEFINE")[1]):
        for ctype, shape in re.findall(r"^(?:static )?const (\w+) \w+((?:\[\d+\])+) =", text, re.MULTILINE):
            found += width.get(ctype, 0) * int(np.prod([int(n) for n in re.findall(r"\d+", shape)]))
        found += 28 * len(re.findall(r"^static const stapes_add_i8_t ", text, re.MULTILINE))
    assert f"flash {found} for weights and tables" in files["stapes_model.h"]


def test_digest_of_the_configuration_is_in_the_device_and_names_what_decides_a_bit() -> None:
    digests = {}
    for name, graph in (("none", None), *((scheme, tiny_graph(scheme)) for scheme in SCHEMES)):
        header = to_c(graph, SEED)["stapes_tables.h"].decode()
        digests[name] = re.findall(r'STAPES_CONFIG_DIGEST "([0-9a-f]{64})"', header)[0]
        assert HostDevice(graph, SEED).config_digest == digests[name]
    wide = to_c(None, Profile("wide", 256, 64, 128))["stapes_tables.h"].decode()
    digests["wide"] = re.findall(r'STAPES_CONFIG_DIGEST "([0-9a-f]{64})"', wide)[0]
    assert len(set(digests.values())) == 4


def test_tables_are_those_of_the_simulation() -> None:
    text = texts(None)["stapes_tables.h"].split("STAPES_TABLES_DEFINE")[1]

    def numbers(name: str) -> list[int]:
        body = re.findall(rf"stapes_{name}[^=]*= \{{(.*?)\n\}};", text, re.DOTALL)[0]
        return [int(x) for x in re.findall(r"-?\d+", body.replace("INT32_MIN", str(-(1 << 31))))]

    assert numbers("analysis_window_q31") == tables.analysis_window_q31(SEED).tolist()
    assert numbers("twiddle_q31") == tables.twiddle_q31(64).reshape(-1).tolist()
    assert numbers("log2_q24") == tables.LOG2_Q24.tolist()


def test_stages_of_the_header_are_the_contracts() -> None:
    header = (Path(__file__).parents[2] / "firmware" / "stapes.h").read_text()
    body = header[header.index("typedef enum {") : header.index("STAPES_STAGES\n")]
    assert re.findall(r"STAPES_(\w+),", body) == [stage.upper() for stage in STAGES]


@pytest.mark.parametrize("length", [16, 32, 64, 512])
def test_bit_reversal_pairs_reverse_the_bits(length: int) -> None:
    order = list(range(length))
    for i, j in bit_reversal_pairs(length):
        order[i], order[j] = order[j], order[i]
    bits = length.bit_length() - 1
    assert order == [int(f"{i:0{bits}b}"[::-1], 2) for i in range(length)]


# ---------------------------------------------------------------- bad input


def test_a_graph_for_another_profile_is_refused() -> None:
    with pytest.raises(ContractError, match="made for profile seed, not wide"):
        to_c(tiny_graph("int16x8"), Profile("wide", 256, 64, 128))


def test_a_graph_without_the_interface_of_the_loop_is_refused() -> None:
    with pytest.raises(GraphError, match=r"must map x \(33\) to mask \(33\)"):
        to_c(tiny_graph("int16x8"), Profile("seed", 64, 32, 64))


def test_a_folder_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(ExportError, match="cannot be written"):
        write_c(None, SEED, blocked / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_are_written_whole(tmp_path: Path) -> None:
    assert [path.name for path in write_c(None, SEED, tmp_path / "out")] == list(FILES)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)


def test_a_constant_may_not_be_written_twice() -> None:
    writer = CWriter()
    writer.constant("w_i8", "int8", [1, 2])
    with pytest.raises(ExportError, match="w_i8 is written twice"):
        writer.constant("w_i8", "int8", [1, 2])


def test_equal_tables_are_written_once() -> None:
    writer = CWriter()
    assert [writer.shared(name, "int8", [1, last]) for name, last in (("a", 2), ("b", 2), ("c", 3))] == ["a", "a", "c"]
    assert writer.flash == {"a": 2, "c": 2}


# ---------------------------------------------------------------- words of C


def test_an_array_carries_its_shape_and_the_lowest_integer_has_a_name() -> None:
    assert array("const int32_t x", [[1]]) == "const int32_t x[1] = {\n    [1],\n};\n"
    lowest = array("const int32_t x", np.array([-(1 << 31), 0, (1 << 31) - 1]))
    assert lowest == "const int32_t x[3] = {\n    INT32_MIN, 0, 2147483647,\n};\n"
    pairs = array("const int32_t y", np.array([[1, 2], [3, 4]]))
    assert pairs == "const int32_t y[2][2] = {\n    {1, 2}, {3, 4},\n};\n"


def test_a_struct_constant_names_its_members_in_the_call() -> None:
    writer = CWriter()
    writer.call("f", "x", *writer.literal("k_t", a=Rescale([0.25]), b=3), counted=False)
    assert writer.calls == ["    stapes_f(x, &(k_t){.a = {1073741824, -1}, .b = 3});\n"]
    assert writer.flash == {}


def test_a_long_call_continues_below_its_bracket() -> None:
    text = wrapped("    f(", ["argument_number_one", "two", "argument_number_three"], ");", width=36)
    assert text == "    f(argument_number_one, two,\n      argument_number_three);\n"


def test_the_files_of_two_exports_neither_compile_nor_link_together(tmp_path: Path) -> None:
    for scheme in ("int16x8", "int8"):
        write_c(tiny_graph(scheme), SEED, tmp_path / scheme)
    compiler = find_compiler()
    assert compiler is not None
    firmware = [f"-I{FIRMWARE}", f"-I{FIRMWARE / 'cmsis_stubs'}"]
    (tmp_path / "main.c").write_text(
        '#include "stapes.h"\nstapes_state_t ear;\nint main(void) { return stapes_init(&ear, NULL); }\n'
    )
    sources = [str(path) for path in sorted(FIRMWARE.glob("*.c"))]

    def cc(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*compiler, *firmware, *words], cwd=tmp_path, capture_output=True, text=True, check=False)

    def build(headers: str, model: str) -> subprocess.CompletedProcess[str]:
        return cc(f"-I{headers}", "main.c", *sources, model, "-o", "ear")

    assert build("int16x8", "int16x8/stapes_model.c").returncode == 0
    assert "stapes_model.h is of another export" in build("int8", "int16x8/stapes_model.c").stderr
    assert cc("-Iint16x8", "-c", "int16x8/stapes_model.c", "-o", "model.o").returncode == 0
    linked = build("int8", "model.o")
    assert linked.returncode != 0
    assert "undefined" in linked.stderr
    assert "stapes_network" in linked.stderr
    (tmp_path / "int16x8" / "stapes_tables.h").write_bytes((tmp_path / "int8" / "stapes_tables.h").read_bytes())
    assert "stapes_tables.h is of another export" in build("int16x8", "int16x8/stapes_model.c").stderr
