"""RNNoise of 2018: the small network that made the field popular, as WebAssembly in node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

from training.files import RunError
from training.zoo.base import Audio, System

_FRAME = 480
_FOLDER = Path("build/npm/node_modules/@jitsi/rnnoise-wasm")
_SCRIPT = Path(__file__).with_name("rnnoise_2018.mjs")
_SECONDS = 120


class RnNoise2018(System):
    """RNNoise 0.1 at 48 kHz; 10 ms to fill a frame, 10 ms of overlap.

    folder   where `make peers` puts the npm package
    """

    name = "rnnoise-2018"
    latency_ms = 20.0
    params = 87_503
    mmac_per_s = 8.7
    package = "@jitsi/rnnoise-wasm"
    rate_hz = 48_000
    delay_samples = 480

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._folder = folder

    def available(self) -> str | None:
        """See `System.available`."""
        if shutil.which("node") is None:
            return f"{self.package} needs node: apt-get install nodejs npm, then make peers"
        if not (self._folder / "dist" / "rnnoise.wasm").is_file():
            return f"{self.package} is not installed: make peers"
        return None

    def identity(self) -> str:
        """The package's description, version included."""
        return (self._folder / "package.json").read_text("utf-8")

    def process(self, audio: Audio) -> Audio:
        """See `System.process`."""
        scaled = np.pad(audio * 32768, (0, -len(audio) % _FRAME)).astype(np.float32)
        command = ["node", str(_SCRIPT), str(self._folder / "dist")]
        try:
            ended = subprocess.run(command, input=scaled.tobytes(), capture_output=True, check=True, timeout=_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            raise RunError(f"{self.name} failed in node: {type(error).__name__}") from None
        return np.frombuffer(ended.stdout, np.float32) / np.float32(32768)
