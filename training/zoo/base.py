"""What every system of the bench is: streams of 16 kHz in, aligned streams of the same length out.

The base converts the rate and takes the constant delay out; a system says its facts and processes one channel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from training.audio import RATE_HZ
from training.files import RunError

Audio = NDArray[np.float32]

PROBE_SECONDS = 1.0
_PROBE_SEED = 11


class System:
    """One system.

    name                  in tables and file names
    latency_ms            algorithmic: what it waits for to fill a frame, and the delay of its output stream
    params                learned parameters, None: nothing is learned
    mmac_per_s            million multiply-accumulates of the network in a second of audio
    instructions_per_hop  estimate for a Cortex-M7 (`firmware_sim.cost`), None: not counted
    package, module       the distribution whose version decides what it computes, and what it imports ("": ours)
    rate_hz               rate of `process`
    delay_samples         constant delay of `process`, at its rate
    needs_clean           an oracle: `process_pair` instead of `process`
    """

    name = ""
    latency_ms = 0.0
    params: int | None = None
    mmac_per_s: float | None = None
    instructions_per_hop: int | None = None
    package = ""
    module = ""
    rate_hz = RATE_HZ
    delay_samples = 0
    needs_clean = False

    def available(self) -> str | None:
        """None when it can run here, else one line: what is missing and the command that installs it."""
        if self.module and find_spec(self.module) is None:
            return f"{self.package} is not installed: make peers"
        return None

    def __call__(self, noisy: Audio, clean: Audio | None = None) -> Audio:
        """Enhance streams, each as a stream of its own from its first sample on.

        noisy     float32 (streams, samples) at 16 kHz, 1.0 = full scale, on the int16 grid
        clean     the same shape; only oracles look at it
        returns   float32 (streams, samples), aligned with the input
        raises    RunError: an oracle without `clean`, or a package that failed
        """
        if self.needs_clean and clean is None:
            raise RunError(f"{self.name} is an oracle: it needs the clean speech")
        clean = noisy if clean is None else clean
        rows = [self._aligned(*pair) for pair in zip(noisy, clean, strict=True)]
        return np.stack(rows) if rows else np.zeros_like(noisy)

    def _aligned(self, noisy: Audio, clean: Audio) -> Audio:
        if self.needs_clean:
            return self.process_pair(noisy, clean)
        audio = noisy if self.rate_hz == RATE_HZ else soxr.resample(noisy, RATE_HZ, self.rate_hz, quality="VHQ")
        padded = np.pad(audio, (0, self.delay_samples)).astype(np.float32)
        output = np.asarray(self.process(padded), np.float32)[self.delay_samples :][: len(audio)]
        if self.rate_hz != RATE_HZ:
            output = soxr.resample(output, self.rate_hz, RATE_HZ, quality="VHQ")
        fitted: Audio = np.pad(output, (0, max(0, len(noisy) - len(output))))[: len(noisy)].astype(np.float32)
        return fitted

    def process(self, audio: Audio) -> Audio:
        """One channel at `rate_hz`, float32 (samples,); the result has its samples, late by `delay_samples`."""
        raise NotImplementedError

    def process_pair(self, noisy: Audio, clean: Audio) -> Audio:
        """One channel of an oracle at 16 kHz, aligned."""
        raise NotImplementedError

    def identity(self) -> str:
        """What it is besides its name: the version of its package, the digest of its weights."""
        try:
            return version(self.package) if self.package else ""
        except PackageNotFoundError:
            return ""


def fingerprint(system: System) -> str:
    """16 hex digits that change with what the system is and with what it computes.

    A second of noise and tones goes through it, so that a changed front end or wrapper is another system, while a
    changed comment is not. Output is compared on the int16 grid: float systems differ in last bits between processors.
    """
    probe = _probe()
    output = system(probe, probe * np.float32(0.5))
    pcm = np.clip(np.rint(output * 32768), -32768, 32767).astype("<i2")
    facts = "\0".join((system.name, system.identity(), f"{system.latency_ms:g}"))
    return hashlib.sha256(facts.encode() + b"\0" + pcm.tobytes()).hexdigest()[:16]


def _probe() -> Audio:
    """float32 (1, 16000) on the int16 grid: noise, and from the middle on tones that come and go as syllables do."""
    samples = int(PROBE_SECONDS * RATE_HZ)
    noise = np.random.default_rng(_PROBE_SEED).normal(0.0, 0.02, samples)
    time_s = np.arange(samples) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * 150 * harmonic * time_s) / harmonic for harmonic in range(1, 20))
    syllables = np.maximum(np.sin(2 * np.pi * 4 * time_s), 0.0) * (time_s > PROBE_SECONDS / 2)
    mixed = np.clip(noise + 0.1 * syllables * voice, -0.99, 0.99)
    return (np.rint(mixed * 32768) / 32768).astype(np.float32)[None]


def to_pcm(audio: Audio) -> NDArray[np.int16]:
    """Float samples, 1.0 = full scale, as int16, saturated."""
    return np.clip(np.rint(audio * 32768), -32768, 32767).astype(np.int16)


def from_pcm(pcm: NDArray[np.int16]) -> Audio:
    """int16 samples as float32, 1.0 = full scale."""
    return pcm.astype(np.float32) / np.float32(32768)


def frames_of(audio: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    """Whole frames of `size` samples, the last one filled up with zeros."""
    padded = np.pad(audio, (0, -len(audio) % size))
    for start in range(0, len(padded), size):
        yield padded[start : start + size]


def package_file(module: str, *parts: str) -> Path:
    """A file inside an installed package, found without importing it; raises RunError: it is not there."""
    spec = find_spec(module)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, *parts)
        if path.is_file():
            return path
    raise RunError(f"{module} is installed without its file {'/'.join(parts)}: make peers")


@cache
def onnx_session(path: Path) -> Any:
    """A session of ONNX Runtime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
