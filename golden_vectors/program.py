"""Programs that run to their end in a folder of their own, and what they leave there."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from golden_vectors.errors import WitnessError


@dataclass(frozen=True)
class Ended:
    """What a program, or an image in an emulator, left behind.

    status   its exit status
    files    what it wrote, by name
    printed  what it printed
    """

    status: int
    files: Mapping[str, bytes]
    printed: str


def run_program(
    command: Sequence[str],
    files: Mapping[str, bytes],
    *,
    name: str,
    timeout_s: float,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Ended:
    """Run a program from its start to its exit, in a folder of its own.

    files        what it may read, by name
    name         how an error calls it
    environment  variables beside those of this process
    raises       WitnessError when it cannot be started, does not end, or complains: with its first line on stderr
    """
    with tempfile.TemporaryDirectory(prefix="stapes-") as folder_name:
        folder = Path(folder_name)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        try:
            ended = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=timeout_s,
                env={**os.environ, **environment},
            )
        except subprocess.TimeoutExpired:
            raise WitnessError(f"{name} did not end within {timeout_s:g} s") from None
        except OSError as error:
            raise WitnessError(f"{name} cannot be started: {error.strerror or 'input/output error'}") from None
        lines = ended.stderr.decode(errors="replace").splitlines()
        complaint = next((line.strip() for line in lines if any(map(str.isalpha, line))), None)
        if complaint is not None:
            raise WitnessError(f"{name}: {complaint}")
        if ended.returncode < 0:
            raise WitnessError(f"{name} ended by signal {-ended.returncode}")
        written = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in files}
    return Ended(ended.returncode, written, ended.stdout.decode("ascii"))
