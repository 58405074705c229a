"""The firmware builds under strict warnings, has no undefined behaviour, no writable statics and needs no libc.

Each gate is shown to go red on a planted fault.
"""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from export.c_writer import write_c
from firmware_sim.graph import Graph
from golden_vectors import cc
from golden_vectors.cc import FIRMWARE, INCLUDES, ROOT, WARNINGS, build_host, find_compiler, missing_compiler
from golden_vectors.errors import WitnessError
from tests.firmware.c_library import PROFILE, QUICK, model

COMPILERS = {name: command for name, command in cc.COMPILERS.items() if missing_compiler(name) is None}
TRAPS = ("-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
SHF_WRITE = 1


@pytest.mark.parametrize("scheme", ["int16x8", "int8", None])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_warning_at_the_device_optimisation(compiler: str, scheme: str | None) -> None:
    graph = model(scheme) if scheme else None
    for flags in (("-O2",), ("-O2", "-DSTAPES_DSP")):
        assert build_host(graph, PROFILE, flags=flags, compiler=COMPILERS[compiler]).stat().st_size > 10_000


PLANTED = {
    "conversion": "signed char f(int x);\nsigned char f(int x) { return x; }\n",
    "unused": "int f(int x);\nint f(int x) { return 1; }\n",
    "vla|variable length|folded": "int f(int n);\nint f(int n) { int a[n]; a[0] = n; return a[0]; }\n",
    "double": "float f(float x);\nfloat f(float x) { return x * 2.0; }\n",
}


@pytest.mark.parametrize("complaint", PLANTED)
def test_a_planted_warning_stops_the_build(complaint: str, tmp_path: Path) -> None:
    planted = tmp_path / "planted.c"
    planted.write_text(PLANTED[complaint])
    with pytest.raises(WitnessError, match=rf"does not compile: .*({complaint})"):
        build_host(None, PROFILE, flags=QUICK, more_sources=(planted,))


# ---------------------------------------------------------------- undefined behaviour


@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
def test_no_undefined_behaviour_on_signals_that_look_for_trouble(scheme: str) -> None:
    library = build_host(model(scheme), PROFILE, flags=TRAPS)
    command = [sys.executable, "-m", "tests.firmware.sanitized", str(library), scheme]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "without undefined behaviour" in result.stdout


@pytest.mark.parametrize("expression", ["x + 1", "-x - 2 - x", "1 << x", "-x << 3"])
def test_planted_undefined_behaviour_traps(expression: str, tmp_path: Path) -> None:
    planted = tmp_path / "planted.c"
    planted.write_text(f"int planted(int x);\nint planted(int x) {{ return {expression}; }}\n")
    library = build_host(None, PROFILE, flags=TRAPS, more_sources=(planted,))
    call = f"import ctypes; ctypes.CDLL({str(library)!r}).planted({2**31 - 1})"
    assert subprocess.run([sys.executable, "-c", call], check=False).returncode < 0


# ---------------------------------------------------------------- memory and libc


def objects(graph: Graph | None, folder: Path, *more: Path) -> list[Path]:
    """Object files of firmware and generated code, position-dependent as on the device."""
    write_c(graph, PROFILE, folder)
    sources = [*sorted(FIRMWARE.glob("*.c")), folder / "stapes_model.c", *more]
    includes = [f"-I{path}" for path in (*INCLUDES, folder)]
    flags = ("-std=c11", "-O2", *WARNINGS, "-fno-pic", "-fno-stack-protector", *includes, "-c")
    made = []
    for source in sources:
        made.append(folder / f"{source.stem}.o")
        subprocess.run([*(find_compiler() or ()), *flags, str(source), "-o", str(made[-1])], check=True)
    return made


def writable_bytes(path: Path) -> int:
    """Bytes in writable sections of a 64-bit little-endian ELF object."""
    data = path.read_bytes()
    assert data[:6] == b"\x7fELF\x02\x01"
    table, entry_bytes, count = struct.unpack_from("<Q", data, 40)[0], *struct.unpack_from("<HH", data, 58)
    headers = (struct.unpack_from("<IIQQQQ", data, table + i * entry_bytes) for i in range(count))
    return sum(size for _, _, flags, _, _, size in headers if flags & SHF_WRITE)


def links_with_memory_words_only(files: list[Path], folder: Path) -> bool:
    """True if nothing but memcpy and memset is missing."""
    words = folder / "words.c"
    words.write_text("void memcpy(void) {}\nvoid memset(void) {}\n")
    flags = ("-w", "-fno-builtin", "-nostdlib", "-no-pie", "-Wl,--no-undefined", "-Wl,-e,stapes_process_hop")
    command = [*(find_compiler() or ()), *flags, str(words), *map(str, files), "-o", str(folder / "image")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("scheme", ["int16x8", "int8", None])
def test_no_writable_statics_and_no_libc(scheme: str | None, tmp_path: Path) -> None:
    files = objects(model(scheme) if scheme else None, tmp_path)
    assert {path.stem: writable_bytes(path) for path in files if writable_bytes(path)} == {}
    assert links_with_memory_words_only(files, tmp_path)


def test_a_planted_static_and_a_planted_libc_call_are_caught(tmp_path: Path) -> None:
    planted = tmp_path / "planted.c"
    planted.write_text(
        "int missing(int x);\nint f(int x);\nint f(int x) { static int n; n += x; return missing(n); }\n"
    )
    files = objects(None, tmp_path, planted)
    assert writable_bytes(tmp_path / "planted.o") == 4
    assert links_with_memory_words_only(files[:-1], tmp_path)
    assert not links_with_memory_words_only(files, tmp_path)


# ---------------------------------------------------------------- the build itself


def test_equal_inputs_share_a_library_and_other_inputs_do_not() -> None:
    first, again = build_host(None, PROFILE, flags=QUICK), build_host(None, PROFILE, flags=QUICK)
    assert first == again
    assert build_host(None, PROFILE, flags=(*QUICK, "-DSTAPES_OTHER")) != first


def test_builds_that_run_side_by_side_do_not_collide(tmp_path: Path) -> None:
    flags = (*QUICK, f'-DSTAPES_RUN="{tmp_path.name}"')
    with ThreadPoolExecutor(3) as pool:
        libraries = list(pool.map(lambda _: build_host(None, PROFILE, flags=flags), range(3)))
    assert len(set(libraries)) == 1
    assert ctypes.CDLL(str(libraries[0])).stapes_state_bytes() > 0
    shutil.rmtree(libraries[0].parent)


def test_a_compiler_that_cannot_start_is_named() -> None:
    with pytest.raises(WitnessError, match="C compiler no-such-cc cannot be started"):
        build_host(None, PROFILE, compiler=("no-such-cc",))


def test_no_compiler_is_absence_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cc, "find_compiler", lambda: None)
    assert "pip install ziglang" in (cc.missing_compiler() or "")
    with pytest.raises(WitnessError, match="no C compiler"):
        build_host(None, PROFILE)


def test_the_environment_chooses_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "some-cc --target=x")
    find_compiler.cache_clear()
    try:
        assert find_compiler() == ("some-cc", "--target=x")
    finally:
        find_compiler.cache_clear()
