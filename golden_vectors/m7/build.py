"""The Cortex-M7 build of the firmware: the same sources as on the host, start-up code and a link script of the part."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from export.c_writer import to_c
from firmware_sim.contract import Profile
from firmware_sim.graph import Graph
from golden_vectors import cc
from golden_vectors.cc import FIRMWARE, ROOT, WARNINGS, build
from golden_vectors.errors import WitnessError

PORT = FIRMWARE / "port" / "m7"
PARTS = tuple(sorted(path.stem for path in PORT.glob("*.ld") if path.stem != "sections"))
DEFAULT_PART = "stm32h743"
IMAGE = "stapes.elf"
BUILD = ROOT / "build" / "m7"

COMPILERS: Mapping[str, tuple[str, ...]] = {
    "zig": (sys.executable, "-m", "ziglang", "cc", "-target", "thumb-freestanding-eabi", "-mcpu=cortex_m7"),
    "gcc": ("arm-none-eabi-gcc", "-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=soft"),
}
_OWN_FLAGS = {"zig": ("-fno-sanitize=all",), "gcc": ("-nostartfiles", "-static-libgcc")}
_FLAGS = (
    "-std=c11", "-O2", "-ffreestanding", "-nostdlib", "-fdata-sections", "-g0", "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables", "-fno-jump-tables", "-Wl,-e,Reset_Handler", "-Wl,-z,max-page-size=4096",
)  # fmt: skip
DSP = ("-DSTAPES_DSP",)
"""Dual multiply-accumulates of the core; without it the build is plain C and has no intrinsic at all."""
MARKS = ("-DSTAPES_MARK=stapes_mark",)
"""Beside other flags: an image that reads a clock at the end of each stage (firmware/port/m7/marks.h)."""
_PART_FLAGS: Mapping[str, tuple[str, ...]] = {"mps2_an500": ("-DSTAPES_CLOCK_MPS2",)}
_RUNTIME = ("startup.c", "memory.c", "stack.c")
PROGRAMS: Mapping[str, tuple[Path, ...]] = {**cc.PROGRAMS, "selftest": (PORT / "selftest.c",)}
"""What an image does; each has its stapes_main."""


def missing_compiler(compiler: str) -> str | None:
    """None if the compiler is here, else one line with the command that installs it."""
    if compiler == "zig":
        return None if find_spec("ziglang") else "no compiler for the M7: pip install ziglang==0.17.1"
    return None if shutil.which("arm-none-eabi-gcc") else "no compiler for the M7: apt-get install gcc-arm-none-eabi"


def m7_command(compiler: str, part: str) -> list[str]:
    """Compiler and flags of an image for a part of `PARTS`; to be run in PORT."""
    own = (*_OWN_FLAGS[compiler], *_PART_FLAGS.get(part, ()))
    return [*COMPILERS[compiler], *own, *_FLAGS, *WARNINGS, "-T", f"{part}.ld"]


def build_m7(
    graph: Graph | None,
    profile: Profile,
    *,
    compiler: str = "zig",
    part: str = DEFAULT_PART,
    flags: tuple[str, ...] = DSP,
    program: str = "main",
    more_sources: tuple[Path, ...] = (),
    more_generated: Mapping[str, bytes] = MappingProxyType({}),
) -> Path:
    """ELF image of the device for a part of `PARTS`; made once for the same inputs.

    flags           DSP, or () for plain C; MARKS
    program         what the image does, one of `PROGRAMS`
    more_generated  name -> content of files that are compiled in with the generated ones
    raises  WitnessError when the compiler is missing or refuses the sources, or the image does not fit the part
    """
    reason = missing_compiler(compiler)
    if reason is not None:
        raise WitnessError(reason)
    command = [*m7_command(compiler, part), *flags]
    dsp = "-DSTAPES_DSP" in flags
    intrinsics = PORT / "cmsis" if dsp else FIRMWARE / "cmsis_stubs"
    own = (*_RUNTIME, *(("marks.c",) if MARKS[0] in flags else ()))
    sources = [*sorted(FIRMWARE.glob("*.c")), *(PORT / name for name in own), *PROGRAMS[program], *more_sources]
    generated = {**to_c(graph, profile, paired=dsp), **more_generated}
    return build(BUILD, IMAGE, command, generated, sources, (PORT, PORT.parent, intrinsics, FIRMWARE), PORT)
