"""A whole recording through the loop: converters around it, the latency made visible, a trace on demand.

Memory does not grow with the length of the recording, unless a trace is asked for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from firmware_sim.audio import FromDevice, Pcm, Samples, Source, ToDevice, replacing
from firmware_sim.frame_loop import TAP_DTYPES, TAPS, FrameLoop, Hop

Step = Callable[[Pcm], Hop]


def in_hops(chunks: Iterable[Pcm], size: int, extra: int) -> Iterator[tuple[Pcm, int]]:
    """Whole hops of a signal that arrives in chunks, each with the number of its samples that are real.

    chunks  (streams, any) int16
    extra   hops of silence after the end; the last hop of the signal is filled up with silence
    """
    pending: Pcm | None = None
    for chunk in chunks:
        pending = chunk if pending is None else np.concatenate([pending, chunk], axis=1)
        whole = pending.shape[1] // size * size
        for start in range(0, whole, size):
            yield pending[:, start : start + size], size
        pending = pending[:, whole:]
    if pending is None:
        return
    if pending.shape[1]:
        yield np.pad(pending, ((0, 0), (0, size - pending.shape[1]))), pending.shape[1]
    for _ in range(extra):
        yield np.zeros((len(pending), size), np.int16), 0


class Device:
    """FrameLoop between two converters.

    align   remove the latency instead of showing it
    step    what moves the loop on by a hop (default: the loop itself)
    watch   called with every hop
    slot    samples that every hop leaves later still: a schedule's time to process it
    """

    def __init__(
        self,
        loop: FrameLoop,
        source: Source,
        align: bool = False,
        step: Step | None = None,
        watch: Sequence[Callable[[Hop], None]] = (),
        slot: int = 0,
    ) -> None:
        self.loop, self.source, self.align, self.watch = loop, source, align, watch
        self.adc = ToDevice(source.rate_hz, source.channels)
        self.dac = FromDevice(source.rate_hz, source.channels)
        self.busy_seconds = 0.0
        self._slot = slot
        self._advance = step or loop.process_hop

    def run(self, advance: Callable[[int], None] = lambda frames: None) -> Iterator[Samples]:
        """Output samples (frames, channels) at the file's rate; `advance` hears how many frames were read."""
        for pcm in self._answers(self._converted(advance)):
            yield self.dac.push(pcm)
        yield self.dac.push(np.zeros((self.loop.streams, 0), np.int16), last=True)

    def _converted(self, advance: Callable[[int], None]) -> Iterator[Pcm]:
        for block in self.source.blocks():
            yield self.adc.push(block)
            advance(len(block))
        yield self.adc.push(np.zeros((0, self.source.channels)), last=True)

    def _answers(self, chunks: Iterable[Pcm]) -> Iterator[Pcm]:
        """As many samples as came in, late by the latency, or aligned.

        The loop's own delay is `stream_delay_samples`. The rest of the latency is the hop that has to fill
        before the device can answer: on the input's clock everything leaves one hop later.
        """
        profile, hop_samples = self.loop.profile, self.loop.profile.hop_samples
        skip = profile.stream_delay_samples if self.align else 0
        fill = 0 if self.align else profile.latency_samples - profile.stream_delay_samples + self._slot
        ready = np.zeros((self.loop.streams, fill), np.int16)
        owed = 0
        for pcm, real in in_hops(chunks, hop_samples, extra=-(-skip // hop_samples)):
            out = self._step(pcm)
            dropped = min(skip, hop_samples)
            skip -= dropped
            ready = np.concatenate([ready, out[:, dropped:].astype(np.int16)], axis=1)
            owed += real
            answer, ready = ready[:, :owed], ready[:, owed:]
            owed -= answer.shape[1]
            yield answer

    def _step(self, pcm: Pcm) -> npt.NDArray[Any]:
        started = time.perf_counter()
        hop = self._advance(pcm)
        self.busy_seconds += time.perf_counter() - started
        for look in self.watch:
            look(hop)
        return hop.pcm


# ---------------------------------------------------------------- trace


def digest_path(trace: Path) -> Path:
    """The JSON lines beside a trace."""
    return trace.with_suffix(".digests.jsonl")


@dataclass
class Trace:
    """Every tap of every hop in device widths, and one line of digests per hop and stream."""

    lines: IO[str]
    taps: dict[str, list[npt.NDArray[Any]]] = field(default_factory=lambda: {name: [] for name in TAPS})

    def add(self, hop: Hop) -> None:
        """Take the taps of a hop and write its digests."""
        for name, values in hop.taps.items():
            self.taps[name].append(values.astype(TAP_DTYPES.get(name, np.int32)))
        for stream in range(len(hop.pcm)):
            line = {"hop": hop.index, "stream": stream, **hop.digests(stream)}
            self.lines.write(json.dumps(line) + "\n")

    def save(self, path: Path) -> None:
        """npz: tap -> (hops, streams, ...)."""
        arrays: dict[str, Any] = {name: np.stack(hops) for name, hops in self.taps.items()}
        with path.open("wb") as file:
            np.savez(file, **arrays)


@contextmanager
def tracing(path: Path | None) -> Iterator[Trace | None]:
    """A trace that is complete on disk when the block has succeeded, and not there when it has not."""
    if path is None:
        yield None
        return
    with replacing(path) as part, replacing(digest_path(path)) as digest_part:
        with digest_part.open("w", encoding="ascii") as lines:
            trace = Trace(lines)
            yield trace
        trace.save(part)
