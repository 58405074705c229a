"""A Cortex-M7 in QEMU: the second emulator, which shares no line with the first; runs an image of the MPS2 board.

With `counting` its virtual clock advances by the same time with each instruction, so that the board's timer counts
instructions (firmware/port/m7/clock.h); never cycles.

source   QEMU 7.2: machine mps2-an500, semihosting, -icount
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from golden_vectors.errors import WitnessError
from golden_vectors.program import Ended, run_program

QEMU = "qemu-system-arm"
PART = "mps2_an500"
TIMEOUT_S = 120.0
_MACHINE = ("-M", "mps2-an500", "-nographic", "-monitor", "none", "-serial", "none")
_SEMIHOSTING = ("-chardev", "stdio,id=host", "-semihosting-config", "enable=on,target=native,chardev=host")
_COUNTING = ("-icount", "shift=10")
"""1024 ns an instruction: 25.6 ticks of the timer, so that every count has ticks of its own."""


def missing_qemu() -> str | None:
    """None if the emulator is here, else one line with the command that installs it."""
    return None if shutil.which(QEMU) else "no second emulator of the M7: apt-get install qemu-system-arm"


def run_qemu(image: Path, files: Mapping[str, bytes], *, counting: bool = False, timeout_s: float = TIMEOUT_S) -> Ended:
    """Run an image of `PART` from reset to its exit, in a folder of its own for its semihosting files.

    files    what the image may read, by name
    raises   WitnessError when QEMU is missing, or the image does not come to an end
    """
    reason = missing_qemu()
    if reason is not None:
        raise WitnessError(reason)
    command = [QEMU, *_MACHINE, *_SEMIHOSTING, *(_COUNTING if counting else ()), "-kernel", str(image)]
    return run_program(command, files, name=f"{QEMU} {image.name}", timeout_s=timeout_s)
