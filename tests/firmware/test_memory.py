"""The memory of the linked image: buffers as the exporter maps them, no writable static, and the door's table."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from export.c_writer import memory_map, write_c
from firmware_sim.graph import Graph
from golden_vectors import __main__ as door
from golden_vectors.cc import FIRMWARE
from golden_vectors.m7.build import COMPILERS, DSP, PARTS, PORT, build_m7, missing_compiler
from golden_vectors.m7.elf import ALLOCATED, OBJECT, WRITE, Elf
from golden_vectors.m7.emulator import memory_regions
from golden_vectors.m7.image import Image
from golden_vectors.memory import STATE, buffers, regions
from tests.firmware.c_library import PROFILE, model

HERE = [compiler for compiler in COMPILERS if missing_compiler(compiler) is None]
builds = pytest.mark.parametrize(
    ("compiler", "scheme"), [(compiler, scheme) for compiler in HERE for scheme in ("int16x8", "int8")]
)


@builds
def test_every_buffer_of_the_map_is_in_the_image_with_its_bytes(compiler: str, scheme: str) -> None:
    graph = model(scheme)
    elf = Elf.load(build_m7(graph, PROFILE, compiler=compiler))
    memory = memory_map(graph, PROFILE, paired=True)
    objects = {symbol.name: symbol.size for symbol in elf.symbols if symbol.kind == OBJECT}
    unread = {"stapes_sigmoid_uq16"} - set(objects) if scheme == "int8" else set()  # linkers may leave it out
    assert {name: objects.get(name) for name in memory.flash if name not in unread} == {
        name: size for name, size in memory.flash.items() if name not in unread
    }
    assert objects[STATE] == sum(size for _, size in memory.state)
    others = {"VECTORS", "LOOP_TAPS", "stapes_network_tensors", "stapes_network_tensor_count", STATE, "room"}
    others |= {"device", "in", "out", "scratch", "interrupts", "played"}  # of schedule.c
    statics = re.compile(r"^(stapes_main|schedule_serve|start)\.|\.\d+$")
    unknown = {statics.sub("", name) for name in objects if name not in memory.flash} - others
    assert unknown == {"INPUT", "OUTPUT", "PLAYED"}


@pytest.mark.parametrize("part", PARTS)
@builds
def test_regions_hold_every_section_once_and_flash_the_copies(compiler: str, scheme: str, part: str) -> None:
    image = build_m7(model(scheme), PROFILE, compiler=compiler, part=part)
    elf, found = Elf.load(image), regions(Elf.load(image), part)
    assert [region.name for region in found] == list(memory_regions(part))
    held = [name for region in found for name in region.holds if not name.startswith("copy of ")]
    assert sorted(held) == sorted(s.name for s in elf.sections if s.flags & ALLOCATED and s.size)
    flash = next(region for region in found if region.name == "FLASH")
    assert flash.used == sum(len(data) for _, data in Image.load(image).segments)
    assert sum(size for section, _, size in buffers(elf) if section == ".weights") == flash.holds["copy of .weights"]


# ---------------------------------------------------------------- writable statics


def writable(compiler: str, folder: Path, graph: Graph | None, *more: Path) -> dict[str, int]:
    """Bytes in writable sections of the object files of firmware and generated code, where there are any."""
    write_c(graph, PROFILE, folder)
    includes = [f"-I{path}" for path in (folder, PORT, PORT / "cmsis", FIRMWARE)]
    command = [*COMPILERS[compiler], "-std=c11", "-O2", "-ffreestanding", "-fdata-sections", "-fno-common", *DSP]
    found = {}
    for source in (*sorted(FIRMWARE.glob("*.c")), folder / "stapes_model.c", *more):
        made = folder / f"{source.stem}.o"
        subprocess.run([*command, *includes, "-c", str(source), "-o", str(made)], check=True, capture_output=True)
        size = sum(s.size for s in Elf.load(made).sections if s.flags & WRITE and s.flags & ALLOCATED)
        found |= {source.stem: size} if size else {}
    return found


@builds
def test_no_object_file_of_the_device_has_a_writable_byte(compiler: str, scheme: str, tmp_path: Path) -> None:
    assert writable(compiler, tmp_path, model(scheme)) == {}


@pytest.mark.parametrize("static", ["static int n", "static int n = 3", "extern int n; int n"])
@pytest.mark.parametrize("compiler", HERE)
def test_a_planted_static_is_seen(compiler: str, static: str, tmp_path: Path) -> None:
    planted = tmp_path / "planted.c"
    planted.write_text(f"{static};\nint f(int x);\nint f(int x) {{ n += x; return n; }}\n")
    assert writable(compiler, tmp_path, None, planted) == {"planted": 4}


# ---------------------------------------------------------------- door


@builds
def test_the_door_prints_regions_buffers_code_and_stack(
    compiler: str, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert door.main(["memory", "--compiler", compiler, "--scheme", scheme]) == 0
    printed = capsys.readouterr().out
    for wanted in ("DTCM", "copy of .weights", "gru0_h_rz_w", "overlap", "stapes_wiener"):
        assert wanted in printed, wanted
    assert re.search(r"stapes_process_hop \d+ >", printed)


def test_a_model_of_the_other_scheme_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["memory", "--scheme", "int8", "--model", str(door.MODEL)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "is a model of scheme int16x8, int8 is needed here" in error
