"""Builds of the firmware, kept by digest; here those for the host: find a C compiler, make a library or a program.

A product is a function of the sources, the generated files, the compiler and the flags; its folder is named
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
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from export.c_writer import to_c
from firmware_sim.contract import Profile
from firmware_sim.graph import Graph
from golden_vectors.errors import WitnessError

ROOT = Path(__file__).resolve().parents[1]
FIRMWARE = ROOT / "firmware"
BUILD = ROOT / "build" / "host"
LIBRARY, PROGRAM = "libstapes.so", "stapes"
PORT = FIRMWARE / "port" / "host"
INCLUDES = (FIRMWARE, FIRMWARE / "cmsis_stubs", PORT)
UNITS = (PORT.parent / "units.c",)
"""Beside other sources: the units of the front end one by one."""
PROGRAMS: Mapping[str, tuple[Path, ...]] = {
    "main": tuple(PORT.parent / name for name in ("main.c", "schedule.c")),
    "units": (*UNITS, PORT.parent / "units_main.c"),
}
"""Programs that are the same on this machine and on a Cortex-M7: one that serves commands, one that runs units."""

COMPILERS: Mapping[str, tuple[str, ...]] = {
    "gcc": ("gcc",),
    "clang": ("clang",),
    "zig": (sys.executable, "-m", "ziglang", "cc"),
}
_INSTALLS = {"gcc": "apt-get install gcc", "clang": "apt-get install clang", "zig": "pip install ziglang==0.17.1"}
PAIRED = ("-DSTAPES_DSP",)
"""Beside other flags: the kernels and weights of the Cortex-M's dual multiply-accumulate, its intrinsics in plain C."""
SANITIZED = (
    "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
    *(("-no-pie",) if sys.platform == "linux" else ()),
)  # fmt: skip
"""Any bad address or undefined behaviour ends the program. Its code stays at a fixed address: where Linux moves it
by 32 bits of pages, it may come to lie where these versions of AddressSanitizer want their heap."""

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
    return COMPILERS["zig"] if find_spec("ziglang") else None


def missing_compiler(name: str | None = None) -> str | None:
    """None if this one of `COMPILERS`, or for None any, is here; else one line that says how to get it."""
    if name is None:
        here, install = find_compiler() is not None, "install cc, gcc or clang, or pip install ziglang==0.17.1"
    else:
        here, install = bool(find_spec("ziglang") if name == "zig" else shutil.which(name)), _INSTALLS[name]
    return None if here else f"no C compiler{f' {name}' if name else ''}: {install}"


@cache
def find_sanitizer() -> tuple[str, ...] | None:
    """Command of a compiler that links both sanitizers, gcc or clang; None if there is none."""
    for name in ("gcc", "clang"):
        if shutil.which(name) and _links((name, *SANITIZED)):
            return (name,)
    return None


def missing_sanitizer() -> str | None:
    """None if `find_sanitizer` finds one, else one line that says how to get one."""
    return None if find_sanitizer() else "no compiler with AddressSanitizer: apt-get install gcc"


def _links(command: Sequence[str]) -> bool:
    """Whether a compiler makes a program with these flags."""
    with tempfile.TemporaryDirectory(prefix="stapes-") as folder:
        source = Path(folder) / "empty.c"
        source.write_text("int main(void) { return 0; }\n")
        return _run([*command, str(source), "-o", f"{folder}/empty"]).returncode == 0


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
    paired: bool = False,
    more_sources: Sequence[Path] = (),
) -> Path:
    """Shared library of the device for a graph and a profile; made once for the same inputs.

    graph         None: no network
    flags         beside -std=c11 and the warnings, which are errors; None: for speed on this machine
    paired        weights in the order of the paired kernels, as `to_c` writes them
    more_sources  C files that are compiled in with the firmware's
    raises        WitnessError when there is no compiler or it refuses the sources
    """
    chosen = tuple(compiler or find_compiler() or ())
    if not chosen:
        raise WitnessError(missing_compiler())
    flags = optimised(chosen) if flags is None else flags
    command = [*chosen, "-std=c11", *flags, *WARNINGS, "-fPIC", "-shared"]
    sources = [*sorted(FIRMWARE.glob("*.c")), PORT / "host.c", *more_sources]
    return build(BUILD, LIBRARY, command, to_c(graph, profile, paired), sources, (*INCLUDES, PORT.parent))


def build_sanitized(
    graph: Graph | None,
    profile: Profile,
    *,
    paired: bool = False,
    program: str = "main",
    more_sources: Sequence[Path] = (),
) -> Path:
    """Program of the device that ends at any bad address and undefined behaviour.

    paired        with the paired kernels and `PAIRED`
    program       what it does, one of `PROGRAMS`
    more_sources  C files that are compiled in with the firmware's
    raises        WitnessError when no compiler has the sanitizers or it refuses the sources
    """
    compiler = find_sanitizer()
    if compiler is None:
        raise WitnessError(missing_sanitizer())
    command = [*compiler, "-std=c11", *SANITIZED, *(PAIRED if paired else ()), *WARNINGS]
    sources = [*sorted(FIRMWARE.glob("*.c")), *PROGRAMS[program], PORT / "program.c", *more_sources]
    return build(BUILD, PROGRAM, command, to_c(graph, profile, paired), sources, (*INCLUDES, PORT.parent))


def build(
    parent: Path,
    product: str,
    command: Sequence[str],
    generated: Mapping[str, bytes],
    sources: Sequence[Path],
    includes: Sequence[Path],
    directory: Path = ROOT,
) -> Path:
    """Compile generated and given files into `parent`/digest/`product`; made once for the same inputs.

    command    compiler and flags
    includes   folders of headers and link scripts, which count as inputs
    directory  where the compiler runs: zig's linker finds included link scripts nowhere else
    raises     WitnessError when the compiler refuses the sources, or nothing can be written
    """
    folder = parent / _digest(command, generated, sources, includes)
    if not folder.exists():
        command = [*command, *(f"-I{path}" for path in includes)]
        _fill(folder, product, generated, lambda rest: _compile([*command, *rest], directory), sources)
    return folder / product


def _fill(
    folder: Path,
    product: str,
    generated: Mapping[str, bytes],
    compile_into: Callable[[Sequence[str]], None],
    sources: Sequence[Path],
) -> None:
    """Generate and compile in a private folder, which then becomes `folder`, unless another process was faster."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        private = Path(tempfile.mkdtemp(prefix="making-", dir=folder.parent))
    except OSError as error:
        raise WitnessError(f"{folder.parent}: cannot be written: {error.strerror or 'input/output error'}") from None
    try:
        for name, data in generated.items():
            (private / name).write_bytes(data)
        compile_into([f"-I{private}", *map(str, (*sources, *private.glob("*.c"))), "-o", str(private / product)])
        with contextlib.suppress(OSError):
            private.rename(folder)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _digest(
    command: Sequence[str], generated: Mapping[str, bytes], sources: Sequence[Path], includes: Sequence[Path]
) -> str:
    """Name of the folder: 16 hex digits over everything that decides the product, this processor included."""
    content = hashlib.sha256(" ".join([*command, *_processor()]).encode())
    read = [path for folder in includes for kind in ("*.h", "*.ld") for path in sorted(folder.glob(kind))]
    for data in (*generated.values(), *(path.read_bytes() for path in (*sources, *read))):
        content.update(hashlib.sha256(data).digest())
    return content.hexdigest()[:16]


@cache
def _processor() -> tuple[str, ...]:
    """What "native" means here: the architecture and, on Linux, the instruction sets of the first core."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return (platform.machine(), next((line for line in lines if line.lower().startswith(("flags", "features"))), ""))


def _compile(command: Sequence[str], directory: Path) -> None:
    result = _run(command, directory)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        reason = next((line for line in lines if "error" in line and "ld returned" not in line), lines[0])
        raise WitnessError(f"the firmware does not compile: {reason}")


def _run(command: Sequence[str], directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)
    except OSError:
        raise WitnessError(f"the C compiler {command[0]} cannot be started: check $CC") from None
