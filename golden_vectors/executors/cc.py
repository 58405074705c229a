"""The host build of the firmware: find a C compiler, make a shared library, keep it by digest.

The library is a function of the sources, the generated files, the compiler and the flags; its folder is named
after all of them, and it appears whole, so that programs which run side by side share it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from export.c_writer import to_c
from firmware_sim.contract import Profile
from firmware_sim.graph import Graph
from golden_vectors.errors import WitnessError

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
BUILD = ROOT / "build" / "host"
LIBRARY = "libstapes.so"
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
    return ("-O3", "-march=native") if _run(probe).returncode == 0 else ("-O3",)


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
    if not folder.exists():
        _fill(folder, generated, [*command, *(f"-I{path}" for path in INCLUDES)], sources)
    return folder / LIBRARY


def _fill(folder: Path, generated: Mapping[str, bytes], command: Sequence[str], sources: Sequence[Path]) -> None:
    """Generate and compile in a private folder, which then becomes `folder`, unless another process was faster."""
    try:
        BUILD.mkdir(parents=True, exist_ok=True)
        private = Path(tempfile.mkdtemp(prefix="making-", dir=BUILD))
    except OSError as error:
        raise WitnessError(f"{BUILD}: cannot be written: {error.strerror or 'input/output error'}") from None
    try:
        for name, data in generated.items():
            (private / name).write_bytes(data)
        _compile([*command, f"-I{private}", *map(str, (*sources, *private.glob("*.c"))), "-o", str(private / LIBRARY)])
        with contextlib.suppress(OSError):
            private.rename(folder)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _digest(command: Sequence[str], generated: Mapping[str, bytes], sources: Sequence[Path]) -> str:
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


def _compile(command: Sequence[str]) -> None:
    result = _run(command)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        reason = next((line for line in lines if "error" in line), lines[0])
        raise WitnessError(f"the firmware does not compile: {reason}")


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        raise WitnessError(f"the C compiler {command[0]} cannot be started: check $CC") from None
