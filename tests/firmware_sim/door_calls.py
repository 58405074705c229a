"""What the tests of the door share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from firmware_sim import __main__ as door
from firmware_sim.contract import PROFILES

SEED = PROFILES["seed"]
WIENER = "--wiener-only"
REPOSITORY = Path(door.__file__).parents[1]


def run(*arguments: str) -> int:
    """Exit code of the door."""
    try:
        return door.main(arguments)
    except SystemExit as usage:
        return int(usage.code or 0)


def pcm_of(path: str) -> npt.NDArray[np.int16]:
    """(channels, samples) of a 16-bit file."""
    return soundfile.read(path, dtype="int16", always_2d=True)[0].T
