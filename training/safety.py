"""Does the device do harm? The integer loop on clean speech, own voice, music, sudden noise and minutes of noise.

Cases of one length run side by side as streams of one loop. Every measure compares what comes out, its delay taken
out, with the clean signal, and what goes in with the same, so that a loss stands beside what the input had.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware_sim.contract import PROFILES, ContractError
from firmware_sim.frame_loop import FrameLoop, default_parameters
from firmware_sim.graph import Graph
from training import metrics
from training.audio import RATE_HZ, AudioCache
from training.frontend import to_int16_grid
from training.hearing import haspi_hasqi, missing_hearing
from training.recipes import MixRecipe, Step
from training.rendering import render
from training.safety_recipes import ALONE_S, EVENT_S
from training.zoo.float_student import FloatStudent

Audio = NDArray[np.float32]

WITHIN_DB = 3.0
"""Recovered: the attenuation of the noise lies this near to that of noise that was always there."""

_MINUTE = 60 * RATE_HZ
_PIECE_S = (5.0, 17.0)  # of every minute: PESQ knows no signal of minutes
_BLOCK, _HOLD = RATE_HZ // 10, 5  # 100 ms; recovered means for half a second
_SETTLED_S = 1.0
_TINY = 1e-12


@dataclass(frozen=True)
class DeviceRun:
    """What the loop made of streams of one length.

    output    float32 (streams, samples), aligned with the input
    peaks     state name -> (streams,) largest |h|, real units
    levels    state name -> (minutes, streams) RMS of h
    """

    output: Audio
    peaks: dict[str, NDArray[np.float64]]
    levels: dict[str, NDArray[np.float64]]


@dataclass
class CaseResult:
    """One case: measures by name (absent where they mean nothing), and for long cases by minute."""

    name: str
    measures: dict[str, float] = field(default_factory=dict)
    minutes: dict[str, list[float]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.name.split()[0]


def run_device(graph: Graph, noisy: Audio) -> DeviceRun:
    """Streams on the int16 grid through the integer loop; raises ContractError: a graph of an unknown profile."""
    if graph.meta["profile"] not in PROFILES:
        raise ContractError(f"the graph is for profile {graph.meta['profile']!r}: export the student again")
    profile = PROFILES[graph.meta["profile"]]
    loop = FrameLoop(profile, graph, default_parameters(graph), streams=len(noisy))
    delay = profile.stream_delay_samples
    pcm = np.pad(np.rint(noisy * 32768).astype(np.int16), ((0, 0), (0, delay)))
    inputs = {tensor.name: tensor for tensor in graph.inputs if tensor.name != "x"}
    minutes = -(-noisy.shape[1] // _MINUTE)
    peaks = {name: np.zeros(len(noisy)) for name in inputs}
    squares = {name: np.zeros((minutes, len(noisy))) for name in inputs}
    counts = np.zeros((minutes, 1))
    pieces = []
    for hop in loop.hops_of(pcm):
        pieces.append(hop.pcm)
        minute = min(hop.index * profile.hop_samples // _MINUTE, minutes - 1)
        counts[minute] += 1
        for name, tensor in inputs.items():
            assert loop.network is not None, "there is a graph"
            h = (loop.network.state[name] - tensor.zero_point) * tensor.scale
            peaks[name] = np.maximum(peaks[name], np.abs(h).max(axis=1))
            squares[name][minute] += np.square(h).mean(axis=1)
    output = np.concatenate(pieces, axis=1)[:, delay : delay + noisy.shape[1]] / np.float32(32768)
    levels = {name: np.sqrt(total / np.maximum(counts, 1)) for name, total in squares.items()}
    return DeviceRun(output.astype(np.float32), peaks, levels)


def measure_safety(
    recipes: Sequence[MixRecipe],
    graph: Graph,
    student: Path | None = None,
    report: Callable[[str, float], None] = lambda name, share: None,
) -> list[CaseResult]:
    """Every case through the device, in the order of the recipes.

    student   float student to compare with in long cases
    report    told the name of what was done, and the share of all
    raises    CorpusError, ContractError, HandoffError
    """
    audio = AudioCache()
    found: dict[int, CaseResult] = {}
    by_length = sorted(range(len(recipes)), key=lambda place: recipes[place].length)
    for _, group in groupby(by_length, key=lambda place: recipes[place].length):
        places = list(group)
        results = _side_by_side([recipes[place] for place in places], graph, student, audio)
        for place, result in zip(places, results, strict=True):
            found[place] = result
            report(result.name, len(found) / len(recipes))
    return [found[place] for place in range(len(recipes))]


def _side_by_side(
    cases: Sequence[MixRecipe], graph: Graph, student: Path | None, audio: AudioCache
) -> Iterator[CaseResult]:
    """Cases of one length, and the controls of those with an event, as streams of one loop."""
    controls = [_control(recipe) for recipe in cases if recipe.steps]
    pairs = [render(recipe, audio) for recipe in (*cases, *controls)]
    noisy = to_int16_grid(np.stack([pair[1] for pair in pairs]))
    run = run_device(graph, noisy)
    floats = None
    if student is not None and noisy.shape[1] > _MINUTE:
        floats = FloatStudent("student", student)(noisy)
    steady = iter(range(len(cases), len(pairs)))
    for index, recipe in enumerate(cases):
        result = _measured(recipe, pairs[index][0], noisy[index], run.output[index])
        if recipe.steps:
            control = next(steady)
            _recovery(result, (noisy[index], run.output[index]), (noisy[control], run.output[control]))
        _states(result, run, index)
        if floats is not None:
            result.minutes["drift_db"] = _by_minute(_ratio_db, floats[index], run.output[index])
        yield result


def _control(recipe: MixRecipe) -> MixRecipe:
    """The same case, had its noise always been as loud as it is at the end."""
    return replace(recipe, steps=(Step(0, recipe.steps[-1].level_db),))


def _measured(recipe: MixRecipe, clean: Audio, noisy: Audio, output: Audio) -> CaseResult:
    result = CaseResult(recipe.name)
    if recipe.length > _MINUTE:
        for metric, measure in (("pesq_wb", metrics.pesq_wb), ("stoi", metrics.stoi), ("si_sdr_db", metrics.si_sdr_db)):
            for side, signal in (("in", noisy), ("out", output)):
                values = _by_minute(measure, clean, signal, _PIECE_S)
                result.minutes[f"{metric}_{side}"] = values
                result.measures[f"{metric}_{side}"] = _mean(values)
        return result
    first = int((EVENT_S + ALONE_S) * RATE_HZ) if recipe.steps else recipe.lead_in
    for side, signal in (("in", noisy), ("out", output)):
        result.measures[f"si_sdr_db_{side}"] = metrics.si_sdr_db(clean[first:], signal[first:])
        if result.kind != "music":
            result.measures[f"pesq_wb_{side}"] = metrics.pesq_wb(clean[first:], signal[first:])
            result.measures[f"stoi_{side}"] = metrics.stoi(clean[first:], signal[first:])
            if result.kind == "clean" and missing_hearing() is None:  # the limited case: HASPI takes seconds
                result.measures[f"haspi_{side}"] = haspi_hasqi(clean[first:], signal[first:], "nh")[0]
    if result.kind in ("music", "own"):
        since = recipe.own_voice[0].at if recipe.own_voice else RATE_HZ
        result.measures["level_db"] = _level_db(output[since:]) - _level_db(noisy[since:])
    return result


def _recovery(result: CaseResult, case: tuple[Audio, Audio], control: tuple[Audio, Audio]) -> None:
    """Seconds from the event on until the noise is attenuated as if it had always been there; inf: not while alone."""
    first, last = int(EVENT_S * RATE_HZ), int((EVENT_S + ALONE_S) * RATE_HZ)
    steady = attenuation_db(*(signal[first:last] for signal in control))
    settled = float(np.median(steady[int(_SETTLED_S * RATE_HZ / _BLOCK) :]))
    course = attenuation_db(*(signal[first:last] for signal in case))
    result.measures["steady_attenuation_db"] = settled
    result.measures["recovery_s"] = recovery_s(course, settled)


def attenuation_db(before: Audio, after: Audio) -> NDArray[np.float64]:
    """Level of the input over that of the output, of every 100 ms; (samples // 1600,)."""
    blocks = [signal[: len(signal) // _BLOCK * _BLOCK].reshape(-1, _BLOCK) for signal in (before, after)]
    powers = [np.square(block, dtype=np.float64).mean(axis=1) + _TINY for block in blocks]
    return np.asarray(10 * np.log10(powers[0] / powers[1]))


def recovery_s(course_db: NDArray[np.float64], settled_db: float) -> float:
    """Time until attenuations of 100 ms reach `settled_db` less 3 dB for half a second; inf if they never do."""
    reached = course_db >= settled_db - WITHIN_DB
    for block in range(len(reached) - _HOLD + 1):
        if reached[block : block + _HOLD].all():
            return block * _BLOCK / RATE_HZ
    return math.inf


def _states(result: CaseResult, run: DeviceRun, index: int) -> None:
    """Largest |h|, and of long cases the RMS of every minute and how it grew from the first to the last."""
    for name in run.peaks:
        result.measures[f"peak_{name}"] = float(run.peaks[name][index])
        levels = run.levels[name][:, index]
        if len(levels) > 1:
            result.minutes[f"rms_{name}"] = [float(level) for level in levels]
            result.measures[f"trend_{name}_db"] = float(20 * np.log10((levels[-1] + _TINY) / (levels[0] + _TINY)))


def _by_minute(
    measure: Callable[[Audio, Audio], float], one: Audio, other: Audio, piece_s: tuple[float, float] = (0.0, 60.0)
) -> list[float]:
    first, last = (int(seconds * RATE_HZ) for seconds in piece_s)
    starts = range(0, len(one) - first, _MINUTE)
    return [float(measure(one[at + first : at + last], other[at + first : at + last])) for at in starts]


def _ratio_db(wanted: Audio, got: Audio) -> float:
    """Level of the float student's output over that of the device's error."""
    return _level_db(wanted) - _level_db(wanted - got)


def _level_db(signal: Audio) -> float:
    return float(10 * np.log10(np.mean(np.square(signal, dtype=np.float64)) + _TINY))


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan
