"""How far the integers are from the floats, minute by minute over the whole stream, and whether that grows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.soak import floats
from benchmarks.soak.device import Memory, Soak, load_arrays, output_digest
from benchmarks.soak.floats import FloatLoop, Floats, Result
from firmware_sim.audio import replacing
from firmware_sim.contract import SAMPLE_RATE_HZ, UNITY_GAIN_Q15
from firmware_sim.frame_loop import default_parameters
from firmware_sim.graph import Graph
from golden_vectors.errors import WitnessError

PIECE_SECONDS = 60
SHOWN = ("vad", "noise", "mask_q15", "h0", "h1")
COLUMNS = ("hours", "snr_db", "max_lsb", "mask_rms", "h0_rms", "h1_rms", "noise_psd_db", "vad_differs")
"""Of a minute: its begin; SNR of the output, floats being the signal; largest difference of a sample; RMS differences
of mask and GRU states; RMS of the noise PSDs' ratio in dB; share of the hops whose VAD is another."""
DRIFT_SIGMAS = 4.0
DRIFT_MINUTES = 30
"""A fall of the SNR by more than so many standard errors, over at least so many minutes, is a drift."""


def distances(graph: Graph, real: Result, pcm: npt.NDArray[np.int16], taps: dict[str, npt.NDArray[Any]]) -> list[float]:
    """COLUMNS but for the hours. pcm (samples,) and taps (hops, n) of the device for the same input as `real`."""
    error, energy = pcm - real.pcm, float(np.sum(real.pcm**2))
    noise = 10.0 * np.log10(taps["noise"] / real.noise)
    states = (graph.states[name].real(taps[name].astype(np.int64)) - getattr(real, name) for name in ("h0", "h1"))
    wrong = float(np.sum(error**2))
    return [
        10.0 * np.log10(energy / wrong) if energy and wrong else np.nan,
        float(np.abs(error).max()),
        rms(taps["mask_q15"] / UNITY_GAIN_Q15 - real.mask),
        *(rms(difference) for difference in states),
        rms(noise),
        float(np.mean(taps["vad"][:, 0] != real.vad)),
    ]


def rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


@dataclass
class Kept:
    """How far the float loop has come: its state, and what has been measured; one file, whole or not at all."""

    path: Path
    loop: FloatLoop
    segment: int
    rows: list[list[float]]

    @classmethod
    def of(cls, soak: Soak) -> Kept:
        """What the soak's folder has from these very sources, else the begin of the stream."""
        sources = hashlib.sha256(Path(floats.__file__).read_bytes() + Path(__file__).read_bytes())
        path = soak.folder / f"floats_{sources.hexdigest()[:12]}.npz"
        loop = FloatLoop(soak.plan.profile, soak.graph, default_parameters(soak.graph))
        if not path.exists():
            return cls(path, loop, 0, [])
        file = load_arrays(path, "segment", "rows", *(f"state.{name}" for name in loop.state))
        loop.load({name: file[f"state.{name}"] for name in loop.state})
        return cls(path, loop, int(file["segment"]), file["rows"].tolist())

    def save(self) -> None:
        arrays: dict[str, Any] = {f"state.{name}": values for name, values in self.loop.state.items()}
        rows = np.reshape(np.array(self.rows, np.float64), (-1, len(COLUMNS)))
        with replacing(self.path) as part, part.open("wb") as file:
            np.savez(file, segment=np.array(self.segment), rows=rows, **arrays)


def measure(soak: Soak, hours: float, done: Callable[[int], None] = lambda segments: None) -> dict[str, list[float]]:
    """Distances of the first `hours`, in whole segments: name of COLUMNS -> one value a minute.

    raises  WitnessError when the device does not give the output of the checkpoints
    """
    kept, plan = Kept.of(soak), soak.plan
    hop_hours = plan.profile.hop_samples / SAMPLE_RATE_HZ / 3600
    memory = Memory(soak.device())
    done(kept.segment)
    while kept.segment < plan.segments and plan.hop(kept.segment) * hop_hours < hours:
        kept.rows += _segment(soak, kept, memory, hop_hours)
        kept.segment += 1
        kept.save()
        done(1)
    end = min(hours, plan.hop(plan.segments) * hop_hours)
    rows = [row for row in kept.rows if row[0] < end]  # an earlier run may have come further
    return {name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)}


def _segment(soak: Soak, kept: Kept, memory: Memory, hop_hours: float) -> list[list[float]]:
    """Both loops over one segment; a row a minute. The noise initialisation has none: audio passes in both."""
    plan, segment = soak.plan, kept.segment
    memory.image = soak.checkpoint(segment).memory
    step, outputs, rows = round(PIECE_SECONDS * SAMPLE_RATE_HZ / plan.profile.hop_samples), [], []
    for first in range(0, plan.hops(segment), step):
        pcm = plan.pcm(segment, first, first + step)
        out, taps = memory.device.record(pcm, SHOWN)
        outputs.append(out)
        found = distances(soak.graph, kept.loop.process(pcm), out, taps)
        rows += [[(plan.hop(segment) + first) * hop_hours, *found]] if segment else []
    if output_digest(np.concatenate(outputs)) != soak.checkpoint(segment + 1).output:
        raise WitnessError(f"{soak.path(segment + 1)}: the device gives another output than before: remove the folder")
    return rows


# ---------------------------------------------------------------- trend


@dataclass(frozen=True)
class Trend:
    """Straight line through values over hours: its slope per hour, the slope's standard error, its value at hour 0,
    and how many minutes have a value."""

    per_hour: float
    standard_error: float
    start: float
    minutes: int

    @classmethod
    def of(cls, hours: Sequence[float], values: Sequence[float]) -> Trend | None:
        """Least squares, errors taken as independent; None for fewer than three minutes with a value."""
        x, y = np.array(hours, np.float64), np.array(values, np.float64)
        x, y = x[np.isfinite(y)], y[np.isfinite(y)]
        if len(x) < 3:
            return None
        centred = x - x.mean()
        slope = float(centred @ y / (centred @ centred))
        rest = y - y.mean() - slope * centred
        error = float(np.sqrt(rest @ rest / (len(x) - 2) / (centred @ centred)))
        return cls(slope, error, float(y.mean() - slope * x.mean()), len(x))

    @property
    def falls(self) -> bool:
        """Whether the line falls by more than chance."""
        return self.minutes >= DRIFT_MINUTES and self.per_hour < -DRIFT_SIGMAS * self.standard_error
