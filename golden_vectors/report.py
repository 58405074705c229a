"""One recording through the device twice, numpy and C, compared over every tap of every hop."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.audio import CONTAINERS, AudioError, Sink, Source, ToDevice, output_format, replacing
from firmware_sim.contract import PROFILES, SAMPLE_RATE_HZ, STAGES, Parameters, Profile
from firmware_sim.frame_loop import TAPS, FrameLoop, Hop, default_parameters, tap_bytes
from firmware_sim.graph import Graph
from firmware_sim.offline import Device
from golden_vectors.compare import Difference, element
from golden_vectors.errors import WitnessError
from golden_vectors.executors.c_host import CHost, HostDevice

Pcm = npt.NDArray[np.int16]
Taps = Mapping[str, npt.NDArray[Any]]

CHUNK_HOPS = 500
"""Hops that are compared at a time, so that memory does not grow with the recording."""
TIMED_SECONDS = 0.2
"""The C loop runs at least so long when its speed is measured."""
SPEECH_SHARE = 0.15
"""Mean presence of speech from which on a hop is no pause: half the hops of noise stay below 0.13."""
PAUSE_HOPS = 12
"""From so many hops without speech on (48 ms) a stretch counts as a pause."""


@dataclass
class EngineRun:
    """What one engine made of the recording.

    x_realtime  seconds of audio (of one channel) computed in a second
    digest      SHA-256 over every tap of every hop and channel
    """

    name: str
    x_realtime: float
    digest: str
    counters: dict[str, tuple[int, int]]


@dataclass
class Report:
    """Everything that the table and the page tell.

    noisy, enhanced  (channels, samples) int16 at 16 kHz, as the device took and gave them, same length
    gain_q15, vad    of channel 0: (hops, bins) and (hops,)
    """

    recording: Path
    description: str
    profile: Profile
    parameters: Parameters
    graph: Graph
    noisy: Pcm
    enhanced: Pcm
    gain_q15: npt.NDArray[np.uint16]
    vad: npt.NDArray[np.bool_]
    engines: list[EngineRun] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    differences: list[Difference | str] = field(default_factory=list)
    config_digest: str | None = None

    @property
    def hops(self) -> int:
        """Hops of each channel."""
        return len(self.vad)

    @property
    def counted(self) -> dict[str, tuple[int, int]]:
        """Stages whose counters of the reference are not zero."""
        return {stage: pair for stage, pair in self.engines[0].counters.items() if any(pair)}

    @property
    def aligned(self) -> Pcm:
        """Enhanced signal with the loop's delay taken out, (channels, samples)."""
        delay = self.profile.stream_delay_samples
        return np.pad(self.enhanced[:, delay:], ((0, 0), (0, min(delay, self.enhanced.shape[1]))))

    @property
    def pauses(self) -> npt.NDArray[np.bool_]:
        """Samples of channel 0 in stretches of at least PAUSE_HOPS hops without speech."""
        quiet = ~self.vad
        quiet[: self.profile.noise_init_hops] = False
        edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(int), [0]])))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            if end - start < PAUSE_HOPS:
                quiet[start:end] = False
        # Frame t covers the hop before it and its own: only samples whose both frames are quiet count.
        both = quiet & np.append(quiet[1:], False)
        return np.repeat(both, self.profile.hop_samples)[: self.noisy.shape[1]]

    @property
    def pause_reduction_db(self) -> float | None:
        """Level of the input's pauses over that of the same samples of the output, None without pauses."""
        before, after = (energy(signal[0][self.pauses]) for signal in (self.noisy, self.aligned))
        return 10.0 * float(np.log10(before / max(after, 1.0))) if before > 0 else None


def energy(pcm: npt.NDArray[Any]) -> float:
    """Sum of squares."""
    wide = pcm.astype(np.int64)
    return float((wide * wide).sum())


def level_dbfs(pcm: npt.NDArray[Any]) -> float:
    """RMS level against full scale, -inf for silence."""
    mean = energy(pcm) / max(pcm.size, 1)
    return 10.0 * float(np.log10(mean)) - 20.0 * float(np.log10(32768.0)) if mean else -np.inf


class _Witness:
    """Watches the numpy loop hop by hop and sends the same hops through the C loops.

    pcm    (channels, whole hops) int16
    hosts  one C loop for each channel, or none
    """

    def __init__(self, loop: FrameLoop, pcm: Pcm, hosts: list[HostDevice]) -> None:
        self.loop, self.pcm, self.hosts = loop, pcm, hosts
        self.digests = {name: hashlib.sha256() for name in ("numpy", "c_host")}
        self.difference: Difference | None = None
        self.out: list[Pcm] = []
        self.gain_q15: list[npt.NDArray[np.uint16]] = []
        self.presence: list[float] = []
        self._waiting: list[Hop] = []
        self._done = 0

    def _presence(self, hop: Hop) -> float:
        """How likely the hop holds speech: the VAD's word, or with spp the mean presence over the spectrum."""
        profile = self.loop.profile
        if profile.noise_tracker != "spp":
            return float(hop.taps["vad"][0])
        return int(hop.taps["likelihood_q16"][0]) / (profile.analysis_samples * 65536)

    def speech(self) -> npt.NDArray[np.bool_]:
        """(hops,) whether a hop is no pause; the presence of noise alone flickers, so spp is averaged over a pause."""
        presence = np.array(self.presence)
        if self.loop.profile.noise_tracker != "spp":
            return presence > 0
        return np.convolve(presence, np.full(PAUSE_HOPS + 1, 1 / (PAUSE_HOPS + 1)), "same") >= SPEECH_SHARE

    def add(self, hop: Hop) -> None:
        """One more hop of the numpy loop."""
        self.out.append(hop.pcm.astype(np.int16))
        self.gain_q15.append(hop.taps["gain_q15"][0].astype(np.uint16))
        self.presence.append(self._presence(hop))
        self._waiting.append(hop)
        if len(self._waiting) == CHUNK_HOPS:
            self.flush()

    def flush(self) -> None:
        """Digest and compare what was collected."""
        hops, self._waiting = self._waiting, []
        size = self.loop.profile.hop_samples
        for channel in range(self.loop.streams if hops else 0):
            expected = {name: np.stack([hop.taps[name][channel] for hop in hops]) for name in TAPS}
            _digest(self.digests["numpy"], expected)
            if not self.hosts:
                continue
            piece = self.pcm[channel, self._done * size : (self._done + len(hops)) * size]
            _, kept = self.hosts[channel].record(piece, tuple(TAPS))
            got = {name: kept[name].astype(np.int64).reshape(expected[name].shape) for name in TAPS}
            _digest(self.digests["c_host"], got)
            self.difference = self.difference or self._first_difference(expected, got, channel)
        self._done += len(hops)

    def _first_difference(self, expected: Taps, got: Taps, channel: int) -> Difference | None:
        rows = [np.flatnonzero((expected[n] != got[n]).reshape(len(expected[n]), -1).any(axis=1)) for n in TAPS]
        hop = min((int(row[0]) for row in rows if len(row)), default=None)
        if hop is None:
            return None
        hop_ms = 1000.0 * self.loop.profile.hop_samples / SAMPLE_RATE_HZ
        where = f"channel {channel + 1}"
        found = (
            element(where, self._done + hop, stage, name, expected[name][hop], got[name][hop], hop_ms)
            for name, stage in TAPS.items()
        )
        return next(difference for difference in found if difference is not None)


def _digest(total: Any, taps: Taps) -> None:
    for name in TAPS:
        total.update(tap_bytes(name, taps[name]))


def measure(recording: Path, graph: Graph, enhanced: Path) -> Report:
    """Run the recording on every engine; `enhanced` must hold what the door makes of it, or is written.

    raises  WitnessError when a file cannot be read or written
    """
    profile = PROFILES[graph.meta["profile"]]
    parameters = default_parameters(graph)
    try:
        source = Source(recording)
        pcm = device_input(source)
        padded = np.pad(pcm, ((0, 0), (0, -pcm.shape[1] % profile.hop_samples)))
        absent = CHost().available()
        hosts = [] if absent else [HostDevice(graph, profile, parameters) for _ in pcm]
        witness = _Witness(FrameLoop(profile, graph, parameters, source.channels), padded, hosts)
        stale, busy_seconds = _enhance(recording, enhanced, witness)
    except AudioError as error:
        raise WitnessError(str(error)) from None
    audio_seconds = pcm.size / SAMPLE_RATE_HZ
    engines = [
        EngineRun("numpy", audio_seconds / busy_seconds, witness.digests["numpy"].hexdigest(), _counters(witness.loop))
    ]
    differences: list[Difference | str] = [stale] if stale else []
    if hosts:
        engines.append(_c_run(witness, graph, parameters))
        differences += [witness.difference] if witness.difference else []
        if engines[0].counters != engines[1].counters:
            differences.append(f"counters: numpy {engines[0].counters}, c_host {engines[1].counters}")
    return Report(
        recording, str(source), profile, parameters, graph,
        noisy=pcm,
        enhanced=np.concatenate(witness.out, axis=1)[:, : pcm.shape[1]],
        gain_q15=np.stack(witness.gain_q15),
        vad=witness.speech(),
        engines=engines,
        absent={"c_host": absent} if absent else {},
        differences=differences,
        config_digest=hosts[0].config_digest if hosts else None,
    )  # fmt: skip


def device_input(source: Source) -> Pcm:
    """(channels, samples) int16 at 16 kHz: the recording behind the device's converter."""
    adc = ToDevice(source.rate_hz, source.channels)
    parts = [adc.push(block) for block in source.blocks()]
    source.close()
    return np.concatenate([*parts, adc.push(np.zeros((0, source.channels)), last=True)], axis=1)


def _enhance(recording: Path, enhanced: Path, witness: _Witness) -> tuple[str | None, float]:
    """The door's file once more, with the witness watching; writes it where there is none.

    returns  None, or how the file that is there differs; seconds that the numpy loop worked
    """
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / enhanced.name
        busy_seconds = _write_enhanced(recording, fresh, witness)
        witness.flush()
        if not enhanced.exists():
            try:
                enhanced.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise AudioError(f"{enhanced.parent}: cannot be made: {error.strerror}") from None
            with replacing(enhanced) as part:
                part.write_bytes(fresh.read_bytes())
        there, made = Source(enhanced), Source(fresh)
        same = there.frames == made.frames and all(map(np.array_equal, there.blocks(), made.blocks()))
        there.close()
        made.close()
    if same:
        return None, busy_seconds
    return f"{enhanced}: is not what this model makes of {recording}: run `python -m firmware_sim` again", busy_seconds


def _write_enhanced(recording: Path, path: Path, witness: _Witness) -> float:
    source = Source(recording)
    if path.suffix.lower() not in CONTAINERS:
        raise AudioError(f"{path.name}: must end in {' or '.join(CONTAINERS)}")
    container, subtype = output_format(source, path)
    device = Device(witness.loop, source, watch=[witness.add])
    sink = Sink(path, source, container, subtype)
    for samples in device.run():
        sink.write(samples)
    sink.close()
    source.close()
    return device.busy_seconds


def _counters(loop: FrameLoop) -> dict[str, tuple[int, int]]:
    """Stage -> (saturations, overflows) over all channels."""
    return {
        stage: (int(loop.counters[stage].saturations.sum()), int(loop.counters[stage].overflows.sum()))
        for stage in STAGES
    }


def _c_run(witness: _Witness, graph: Graph, parameters: Parameters) -> EngineRun:
    """Digest and counters of the C loops that ran along, and the speed of one without observation."""
    rows = [host.counters for host in witness.hosts]
    counters = {stage: (sum(r[stage][0] for r in rows), sum(r[stage][1] for r in rows)) for stage in STAGES}
    device = HostDevice(graph, witness.loop.profile, parameters)
    runs, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < TIMED_SECONDS:
        device.process(witness.pcm[0])
        runs += 1
    x_realtime = runs * witness.pcm.shape[1] / SAMPLE_RATE_HZ / spent
    return EngineRun("c_host", x_realtime, witness.digests["c_host"].hexdigest(), counters)
