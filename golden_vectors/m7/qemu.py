"""A Cortex-M7 in QEMU: the second emulator, which shares no line with the first; runs an image of the MPS2 board.

With `counting` its virtual clock advances by the same time with each instruction, so that the board's timer counts
instructions (firmware/port/m7/clock.h); never cycles.

source   QEMU 7.2: machine mps2-an500, semihosting, -icount
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from golden_vectors.errors import WitnessError
from golden_vectors.m7.emulator import Ended

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
    with tempfile.TemporaryDirectory(prefix="stapes-") as name:
        folder = Path(name)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        try:
            ended = subprocess.run(
                command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout_s
            )
        except subprocess.TimeoutExpired:
            raise WitnessError(f"{QEMU}: {image.name} did not end within {timeout_s:g} s") from None
        except OSError as error:
            raise WitnessError(f"{QEMU}: cannot be started: {error.strerror or 'input/output error'}") from None
        complaint = ended.stderr.decode(errors="replace").strip().splitlines()
        if ended.returncode < 0 or complaint:
            raise WitnessError(f"{QEMU}: {complaint[0] if complaint else f'ended by signal {-ended.returncode}'}")
        written = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in files}
    return Ended(ended.returncode, written, ended.stdout.decode("ascii"))
