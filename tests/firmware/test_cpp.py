"""The public interface from C++: no warning, and the symbols are those of C."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from golden_vectors.cc import COMPILERS as C_COMPILERS
from golden_vectors.cc import FIRMWARE, WARNINGS
from tests.export.tiny_model import DIRECTORY

COMPILERS = {"zig": (*C_COMPILERS["zig"][:-1], "c++"), **({"system": ("c++",)} if shutil.which("c++") else {})}
PROGRAM = """#include "stapes.h"
#include "ping_pong.h"
static stapes_ping_pong_t device;
void served(void);
void served(void) { stapes_ping_pong_interrupt(&device); }
static stapes_state_t ear;
int hear(int16_t *samples);
int hear(int16_t *samples) { stapes_process_hop(&ear, samples, samples); return stapes_init(&ear, nullptr); }
"""


def compiled(compiler: str, header: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The program as C++ with a text for stapes.h; its object is `folder`/ear.o."""
    (folder / "stapes.h").write_text(header)
    (folder / "ear.cpp").write_text(PROGRAM)
    includes = [f"-I{path}" for path in (FIRMWARE, FIRMWARE / "cmsis_stubs", DIRECTORY / "int16x8")]
    command = [*COMPILERS[compiler], "-std=c++11", *WARNINGS, *includes, "-c", "ear.cpp", "-o", "ear.o"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_cpp_program_uses_the_device_without_a_warning(compiler: str, tmp_path: Path) -> None:
    result = compiled(compiler, (FIRMWARE / "stapes.h").read_text(), tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    symbols = (tmp_path / "ear.o").read_bytes()
    assert b"\0stapes_process_hop\0" in symbols
    assert b"\0stapes_ping_pong_interrupt\0" in symbols


@pytest.mark.parametrize("compiler", COMPILERS)
def test_without_the_guards_the_symbols_are_others_or_nothing_compiles(compiler: str, tmp_path: Path) -> None:
    header = (FIRMWARE / "stapes.h").read_text()
    assert header.count("#ifdef __cplusplus") == 2
    result = compiled(compiler, header.replace("#ifdef __cplusplus", "#if 0"), tmp_path)
    assert result.returncode != 0 or b"\0stapes_process_hop\0" not in (tmp_path / "ear.o").read_bytes()
