"""The device's C over the whole stream, and what it was at every checkpoint, kept on disk."""

from __future__ import annotations

import ctypes
import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.soak import stream
from export.c_memory import state_layout
from firmware_sim.audio import replacing
from firmware_sim.contract import SAMPLE_RATE_HZ, STAGES, Profile
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from golden_vectors.cc import build_host
from golden_vectors.errors import WitnessError
from golden_vectors.executors.c_host import HostDevice

FIRMWARE_SIM = Path(__file__).parents[2] / "firmware_sim"
SEGMENT_SECONDS = 120
IDENTITY_SCENES = 15
"""Scenes whose samples stand for the whole stream."""


@dataclass(frozen=True)
class Plan:
    """Where the checkpoints lie: at home, after the noise initialisation, then after every segment.

    segment_hops  hops between two checkpoints
    segments      number of segments, the one of the noise initialisation included
    """

    profile: Profile
    segment_hops: int
    segments: int

    @classmethod
    def of(cls, profile: Profile, hours: float, segment_seconds: float = SEGMENT_SECONDS) -> Plan:
        """At least so many hours in whole segments."""
        hop_rate = SAMPLE_RATE_HZ / profile.hop_samples
        size = round(segment_seconds * hop_rate)
        return cls(profile, size, 1 + ceil(round(hours * 3600 * hop_rate) / size))

    def hop(self, checkpoint: int) -> int:
        """Hops before a checkpoint."""
        return 0 if checkpoint == 0 else self.profile.noise_init_hops + (checkpoint - 1) * self.segment_hops

    def hops(self, segment: int) -> int:
        """Hops between checkpoints `segment` and `segment` + 1."""
        return self.hop(segment + 1) - self.hop(segment)

    def pcm(self, segment: int, first: int = 0, last: int | None = None) -> stream.Pcm:
        """Input of hops [first, last) of a segment, as far as it goes; (samples,) int16."""
        size, start, stop = self.profile.hop_samples, self.hop(segment), self.hop(segment + 1)
        end = stop if last is None else min(start + last, stop)
        return stream.read((start + first) * size, end * size)


def load_arrays(path: Path, *names: str) -> dict[str, npt.NDArray[Any]]:
    """Arrays of an .npz that an earlier run has kept.

    raises  WitnessError when the file does not hold them
    """
    try:
        with path.open("rb") as raw, np.load(raw) as file:
            return {name: file[name] for name in names}
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile):
        raise WitnessError(f"{path}: is damaged: remove it, and the next run makes it again") from None


@dataclass(frozen=True)
class Checkpoint:
    """What the device was, and what it had put out.

    memory  the whole stapes_state_t
    output  SHA-256 of the samples of the segment before, little-endian int16; of nothing at home
    """

    memory: bytes
    output: str

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, memory=np.frombuffer(self.memory, np.uint8), output=np.array(self.output))
        return buffer.getvalue()

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """See `load_arrays`."""
        arrays = load_arrays(path, "memory", "output")
        return cls(arrays["memory"].tobytes(), str(arrays["output"]))


class Memory:
    """The names of a device's memory: how its state reads in Python."""

    def __init__(self, device: HostDevice) -> None:
        self.device = device

    @property
    def image(self) -> bytes:
        """The whole state."""
        return ctypes.string_at(self.device.state, self.device.state_bytes)

    @image.setter
    def image(self, memory: bytes) -> None:
        assert self.device.state.value is not None
        ctypes.memmove(self.device.state.value, memory, self.device.state_bytes)

    @cached_property
    def _members(self) -> dict[str, tuple[int, np.dtype[np.generic], int]]:
        """What no tap shows: offset, dtype and elements; the compiler has checked the layout of the outer struct."""
        profile, at, offsets = self.device.profile, 0, {}
        for name, size in state_layout(profile, 0):
            offsets[name] = at
            at += size
        bins, wiener = profile.bins, offsets["wiener"]
        return {
            "history": (offsets["history"], np.dtype("<i2"), profile.analysis_samples),
            "overlap": (offsets["overlap"], np.dtype("<i4"), profile.hop_samples),
            "wiener.noise": (wiener, np.dtype("<i8"), bins),
            "wiener.learned": (wiener + 8 * bins, np.dtype("<i8"), bins),
            "wiener.prior_uq16": (wiener + 16 * bins, np.dtype("<u4"), bins),
            "wiener.presence_q31": (wiener + 20 * bins, np.dtype("<u4"), bins),
            "wiener.hops": (wiener + 24 * bins, np.dtype("<i4"), 1),
        }

    def state(self, memory: bytes) -> dict[str, Ints]:
        """`FrameLoop.state` of one stream, and every tap of the last hop, from the memory of a checkpoint; int64.

        Taps whose names are those of a state are the state.
        """
        self.image = memory
        taps = [name for name in self.device.taps if not name.startswith("network.")]
        shown = {name: self.device.view(name).astype(np.int64) for name in taps}
        for name, (offset, dtype, count) in self._members.items():
            shown[name] = np.frombuffer(memory, dtype, count, offset).astype(np.int64)
        shown["wiener.hops"] = shown["wiener.hops"][0]
        counters = self.device.counters
        return shown | {"counters": np.array([counters[stage] for stage in STAGES], np.int64)}


@dataclass
class Soak:
    """One scheme's soak in a folder of its own.

    parent   where the folder lies; its name says what was run, so that other code or another stream is another soak
    library  another build of the device; None: the optimised one of the graph
    """

    graph: Graph
    plan: Plan
    parent: Path
    library: Path | None = None
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.library = self.library or build_host(self.graph, self.plan.profile)
        self.folder = self.parent / f"{self.graph.scheme}_{self._identity()}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def _identity(self) -> str:
        """Digest of all that decides the bits: the device, the model, the definition in Python, the stream."""
        assert self.library is not None
        content = hashlib.sha256(self.library.read_bytes())
        content.update(f"{self.graph.digest} {self.plan.profile} {self.plan.segment_hops} {stream.SEED}".encode())
        for source in sorted(FIRMWARE_SIM.rglob("*.py")):
            content.update(source.read_bytes())
        content.update(stream.read(0, IDENTITY_SCENES * stream.SCENE_SAMPLES).tobytes())
        return content.hexdigest()[:12]

    def device(self) -> HostDevice:
        """A fresh instance, at home."""
        return HostDevice(self.graph, self.plan.profile, library=self.library)

    def path(self, checkpoint: int) -> Path:
        return self.folder / f"checkpoint_{checkpoint:05d}.npz"

    def checkpoint(self, number: int) -> Checkpoint:
        return Checkpoint.load(self.path(number))

    def checkpoints(self, numbers: Sequence[int]) -> list[Checkpoint]:
        return [self.checkpoint(number) for number in numbers]

    def run(self, done: Callable[[int], None] = lambda segments: None) -> None:
        """The whole stream through the device, from the last checkpoint that is there; `done` counts segments."""
        memory = Memory(self.device())
        first = next((k for k in range(self.plan.segments + 1) if not self.path(k).exists()), self.plan.segments + 1)
        if first == 0:
            self.keep(0, Checkpoint(memory.image, output_digest(np.zeros(0, np.int16))))
            first = 1
        memory.image = self.checkpoint(first - 1).memory
        done(first - 1)
        for number in range(first, self.plan.segments + 1):
            out = memory.device.process(self.plan.pcm(number - 1))
            self.keep(number, Checkpoint(memory.image, output_digest(out)))
            done(1)

    def keep(self, number: int, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, whole or not at all."""
        with replacing(self.path(number)) as part:
            part.write_bytes(checkpoint.to_bytes())


def output_digest(pcm: npt.NDArray[np.int16]) -> str:
    """SHA-256 of little-endian samples."""
    return hashlib.sha256(np.ascontiguousarray(pcm, "<i2").tobytes()).hexdigest()
