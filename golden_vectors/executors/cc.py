"""The host build of the firmware: find a C compiler, make a shared library, keep it by digest.

The library is a function of the sources, the generated files, the compiler and the flags; its folder is named
after all of them, and it appears whole, so tests that run side by side share it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from export.c_writer import to_c
from export.provenance import write_atomic
from firmware_sim.contract import Profile
from firmware_sim.graph import Graph
from golden_vectors.errors import WitnessError

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
BUILD = ROOT / "build" / "host"
INCLUDES = (FIRMWARE, FIRMWARE / "cmsis_stubs", FIRMWARE / "port" / "host")

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Wvla", "-pedantic", "-Werror")


@cache
def find_compiler() -> tuple[str, ...] | None:
    """Command of a C compiler: $CC, cc, gcc, clang, else the ziglang package; None if there is none."""
    wanted = shlex.split(os.environ.get("CC", ""))
    if wanted:
        return tuple(wanted)
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return (name,)
    return zig() if find_spec("ziglang") else None


def zig() -> tuple[str, ...]:
    """The ziglang package as a C compiler."""
    return (sys.executable, "-m", "ziglang", "cc")


def missing_compiler() -> str | None:
    """None if there is a compiler, else one line that says how to get one."""
    if find_compiler() is None:
        return "no C compiler: install cc, gcc or clang, or pip install ziglang==0.17.1"
    return None


@cache
def optimised(command: tuple[str, ...]) -> tuple[str, ...]:
    """Flags for speed: this machine's vector instructions where the compiler knows how to find them."""
    probe = [*command, "-march=native", "-E", "-x", "c", os.devnull]
    known = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    return ("-O3", "-march=native") if known else ("-O3",)


def build_host(
    graph: Graph | None,
    profile: Profile,
    *,
    flags: Sequence[str] | None = None,
    compiler: Sequence[str] | None = None,
    more_sources: Sequence[Path] = (),
) -> Path:
    """Shared library of the device for a graph and a profile; made once for the same inputs.

    graph         None: no network
    flags         beside -std=c11 and the warnings, which are errors; None: for speed on this machine
    more_sources  C files that are compiled in with the firmware's
    raises        WitnessError when there is no compiler or it refuses the sources
    """
    generated = to_c(graph, profile)
    chosen = tuple(compiler or find_compiler() or ())
    if not chosen:
        raise WitnessError(missing_compiler())
    flags = optimised(chosen) if flags is None else flags
    command = [*chosen, "-std=c11", *flags, *WARNINGS, "-fPIC", "-shared"]
    sources = [*sorted(FIRMWARE.glob("*.c")), *sorted((FIRMWARE / "port" / "host").glob("*.c")), *more_sources]
    folder = BUILD / _digest(command, generated, sources)
    library = folder / "libstapes.so"
    if not library.exists():
        for name, data in generated.items():
            write_atomic(folder / name, data)
        _compile([*command, *(f"-I{path}" for path in (*INCLUDES, folder))], [*sources, *folder.glob("*.c")], library)
    return library


def _digest(command: Sequence[str], generated: dict[str, bytes], sources: Sequence[Path]) -> str:
    """Name of the folder: 16 hex digits over everything that decides the library, this processor included."""
    content = hashlib.sha256(" ".join([*command, *_processor()]).encode())
    headers = [header for folder in INCLUDES for header in sorted(folder.glob("*.h"))]
    for data in (*generated.values(), *(path.read_bytes() for path in (*sources, *headers))):
        content.update(hashlib.sha256(data).digest())
    return content.hexdigest()[:16]


@cache
def _processor() -> tuple[str, ...]:
    """What "native" means here: the architecture and, on Linux, the instruction sets of the first core."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return (platform.machine(), next((line for line in lines if line.lower().startswith(("flags", "features"))), ""))


def _compile(command: Sequence[str], sources: Sequence[Path], library: Path) -> None:
    temporary = library.with_name(f"{library.name}.{os.getpid()}.part")
    try:
        result = subprocess.run(
            [*command, *map(str, sources), "-o", str(temporary)], capture_output=True, text=True, check=False
        )
        if result.returncode:
            lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
            reason = next((line for line in lines if "error" in line), lines[0])
            raise WitnessError(f"the firmware does not compile: {reason}")
        os.replace(temporary, library)
    except FileNotFoundError:
        raise WitnessError(f"the C compiler {command[0]} cannot be started: check $CC") from None
    finally:
        temporary.unlink(missing_ok=True)
