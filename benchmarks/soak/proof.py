"""Python proves C over every hop, by induction over the checkpoints.

Home is home in both. Each segment starts, in Python, from the C's state at the checkpoint before it, and must give
the C's output, its complete state and its counters at the checkpoint after it. So no segment waits for another, and
many run side by side, one a stream.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.soak.device import Checkpoint, Memory, Soak
from benchmarks.soak.stream import Pcm
from firmware_sim.audio import replacing
from firmware_sim.contract import SAMPLE_RATE_HZ, STAGES
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import TAPS, FrameLoop
from golden_vectors.compare import Difference, element
from golden_vectors.errors import WitnessError

STREAMS = 64
"""Segments side by side: more are not faster."""
BLOCK_HOPS = 2500
"""Hops of input that are held at a time."""
HOME, CHECKPOINT = "home", "checkpoint"
"""Stand for a stage: where the device's home is another; where a kept state is not what the device computes."""


@dataclass(frozen=True)
class Failure:
    """A segment that Python does not end as C does.

    what  names of what differs: output, members of the state, taps of the last hop; of the home state as `home ...`
    """

    segment: int
    what: tuple[str, ...]


def batches(segments: Sequence[int]) -> Iterator[list[int]]:
    """Segments that can run side by side: the noise initialisation alone, the others in equal parts."""
    if 0 in segments:
        yield [0]
    others = [segment for segment in segments if segment]
    parts = -(-len(others) // STREAMS) or 1
    yield from (list(map(int, part)) for part in np.array_split(others, parts) if len(part))


def prove(soak: Soak, segments: Sequence[int], done: Callable[[int], None] = lambda hops: None) -> list[Failure]:
    """Segments of one length side by side in Python; `done` hears of the hops of all streams."""
    memory = Memory(soak.device())
    before = _stacked([memory.state(point.memory) for point in soak.checkpoints(segments)])
    loop = FrameLoop(soak.plan.profile, soak.graph, streams=len(segments))
    home = [f"{HOME} {name}" for name in differing(_part(before, loop), loop.state)] if 0 in segments else []
    loop.load_state(before)
    outputs, taps = _run(soak, loop, segments, done)
    reached, failures = taps | loop.state, []
    for row, segment in enumerate(segments):
        point = soak.checkpoint(segment + 1)
        wrong = home + ([] if outputs[row] == point.output else ["output"])
        wrong += differing(memory.state(point.memory), {name: values[row] for name, values in reached.items()})
        failures += [Failure(segment, tuple(wrong))] if wrong else []
    return failures


def _run(
    soak: Soak, loop: FrameLoop, segments: Sequence[int], done: Callable[[int], None]
) -> tuple[list[str], dict[str, Ints]]:
    """Every hop of the segments; SHA-256 of each one's output, and the taps of the last hop."""
    size, hops = soak.plan.profile.hop_samples, soak.plan.hops(segments[0])
    digests, taps = [hashlib.sha256() for _ in segments], {}
    for first in range(0, hops, BLOCK_HOPS):
        block = np.stack([soak.plan.pcm(segment, first, first + BLOCK_HOPS) for segment in segments])
        out = np.empty_like(block)
        for at in range(0, block.shape[1], size):
            taps = loop.process_hop(block[:, at : at + size]).taps
            out[:, at : at + size] = taps["pcm"]
        for digest, row in zip(digests, out, strict=True):
            digest.update(row.astype("<i2").tobytes())
        done(block.size // size)
    return [digest.hexdigest() for digest in digests], taps


def _stacked(states: Sequence[Mapping[str, Ints]]) -> dict[str, Ints]:
    """States of single streams as one of many."""
    return {name: np.stack([state[name] for state in states]) for name in states[0]}


def _part(shown: Mapping[str, Ints], loop: FrameLoop) -> dict[str, Ints]:
    """What of a device's memory is state, without the taps."""
    return {name: shown[name] for name in loop.state}


def differing(expected: Mapping[str, Ints], got: Mapping[str, Ints]) -> list[str]:
    """Names under which two states are not the same; a name that only one of them has is one."""
    absent = sorted(expected.keys() ^ got.keys())
    both = [name for name in got if name in expected]
    return absent + [name for name in both if not np.array_equal(expected[name].ravel(), got[name].ravel())]


# ---------------------------------------------------------------- first difference


def locate(soak: Soak, segment: int) -> Difference:
    """The first element that differs, Python's value expected and C's got: the segment again on both, every tap shown.

    Where both homes are one and C and Python agree hop by hop, a kept checkpoint is not what the device computes.
    """
    plan, memory, loop = soak.plan, Memory(soak.device()), FrameLoop(soak.plan.profile, soak.graph)
    case = f"soak {soak.graph.scheme}, segment {segment}"
    before = soak.checkpoint(segment)
    kept = _stacked([memory.state(before.memory)])
    if segment == 0 and (found := _first_in_state(loop, before, memory, case, 0, HOME)) is not None:
        return found
    loop.load_state(kept)
    memory.image = before.memory
    for first in range(0, plan.hops(segment), BLOCK_HOPS):
        pcm = plan.pcm(segment, first, first + BLOCK_HOPS)
        if (found := _first_in_block(memory, loop, pcm, case, plan.hop(segment) + first)) is not None:
            return found
    end = plan.hop(segment + 1)
    return _first_in_state(loop, soak.checkpoint(segment + 1), memory, case, end, CHECKPOINT) or Difference(
        case, end, CHECKPOINT, "output", (), "the digest of a second run", "another"
    )


def _first_in_block(memory: Memory, loop: FrameLoop, pcm: Pcm, case: str, first: int) -> Difference | None:
    """The first tap of some hops on both; the first of them is hop `first` of the stream."""
    size = loop.profile.hop_samples
    _, kept = memory.device.record(pcm, tuple(TAPS))
    for hop in range(len(pcm) // size):
        taps = loop.process_hop(pcm[None, hop * size : (hop + 1) * size]).taps
        for name, stage in TAPS.items():
            expected = taps[name].reshape(-1)
            found = element(case, first + hop, stage, name, expected, kept[name][hop], _hop_ms(loop))
            if found is not None:
                return found
    return None


def _first_in_state(
    loop: FrameLoop, point: Checkpoint, memory: Memory, case: str, hop: int, stage: str
) -> Difference | None:
    """The first element of Python's state that is not the checkpoint's."""
    kept = memory.state(point.memory)
    pairs = ((name, expected.reshape(-1), kept[name].reshape(-1)) for name, expected in loop.state.items())
    found = (element(case, hop, stage, name, expected, got, _hop_ms(loop)) for name, expected, got in pairs)
    return next((first for first in found if first is not None), None)


def _hop_ms(loop: FrameLoop) -> float:
    return 1000.0 * loop.profile.hop_samples / SAMPLE_RATE_HZ


# ---------------------------------------------------------------- what has been proven


class Proven:
    """The segments that Python has proven, kept in the soak's folder: a proof holds for the checkpoints it saw."""

    def __init__(self, soak: Soak) -> None:
        self.soak, self.path = soak, Path(soak.folder) / "proven.json"
        try:
            self._seen: dict[str, str] = json.loads(self.path.read_text()) if self.path.exists() else {}
        except ValueError:
            raise WitnessError(f"{self.path}: is damaged: remove it, and every segment is proven again") from None

    def _digest(self, segment: int) -> str:
        ends = (self.soak.path(segment + end).read_bytes() for end in (0, 1))
        return hashlib.sha256(b"".join(ends)).hexdigest()

    def add(self, segments: Sequence[int]) -> None:
        """Keep that these segments are proven."""
        self._seen |= {str(segment): self._digest(segment) for segment in segments}
        with replacing(self.path) as part:
            part.write_text(json.dumps(self._seen, indent=0))

    def open(self) -> list[int]:
        """Segments that are still to be proven."""
        segments = range(self.soak.plan.segments)
        return [segment for segment in segments if self._seen.get(str(segment)) != self._digest(segment)]


def counters(soak: Soak, checkpoint: int) -> dict[str, tuple[int, int]]:
    """Stage -> (saturations, overflows) since home."""
    rows = Memory(soak.device()).state(soak.checkpoint(checkpoint).memory)["counters"]
    return {stage: (int(row[0]), int(row[1])) for stage, row in zip(STAGES, rows, strict=True)}
