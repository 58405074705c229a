"""Signals that really cause a saturation: what the intervals allow, seen to happen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import Profile
from firmware_sim.fixed import I16_MAX, I16_MIN, Ints
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.graph import Graph
from firmware_sim.meter import Counter
from firmware_sim.network import encode_features

HOPS = 128
STAGE_PLACES = {"wiener": "gamma_uq16", "features": "x_q11", "irfft": "frame_out", "overlap_add": "pcm"}
"""The one place that a stage of the front end limits."""


def signals(samples: int) -> dict[str, npt.NDArray[np.int16]]:
    """Full scale in several ways, and jumps of 90 dB; each (samples,), always the same."""
    rng = np.random.default_rng(0)
    t = np.arange(samples)
    noise = rng.integers(I16_MIN, I16_MAX + 1, samples)
    loud = t // 2000 % 2 == 1
    made = {
        "white noise at full scale": noise,
        "alternating full scale": np.where(t % 2 == 0, I16_MAX, I16_MIN),
        "full-scale square wave": np.where(t % 100 < 50, I16_MAX, I16_MIN),
        "noise that jumps by 90 dB": np.where(loud, noise, rng.integers(-1, 2, samples)),
        "bursts of a full-scale sine in silence": np.where(loud, np.rint(I16_MAX * np.sin(0.3 * t)), 0),
    }
    return {name: signal.astype(np.int16) for name, signal in made.items()}


def witnesses(graph: Graph, profile: Profile) -> dict[str, str]:
    """Place of a saturation -> the first of `signals` and the hop at which it happens, with default parameters."""
    named = signals(HOPS * profile.hop_samples)
    loop = FrameLoop(profile, graph, streams=len(named))
    places = ["x", *(op.results[0] for op in graph.ops)]
    counters = {name: Counter(len(named)) for name in places}
    counters |= {place: loop.counters[stage] for stage, place in STAGE_PLACES.items()}
    states = graph.home_state(len(named))
    found: dict[str, str] = {}
    for hop in loop.hops_of(np.stack(list(named.values()))):
        states = _step(graph, hop.taps["x_q11"], states, counters)
        for place, counter in counters.items():
            if place not in found and counter.saturations.any():
                found[place] = f"{list(named)[int(np.argmax(counter.saturations > 0))]}, hop {hop.index}"
    return found


def _step(graph: Graph, x_q11: Ints, states: dict[str, Ints], counters: dict[str, Counter]) -> dict[str, Ints]:
    """One step of the network with a counter for each op; returns the next states."""
    values = {"x": encode_features(x_q11, graph.scheme, counters["x"]), **states}
    for op in graph.ops:
        results = op.run([values[name] for name in op.operands], counters[op.results[0]])
        values.update(zip(op.results, results, strict=True))
    return {name: values[after.name] for name, after in graph.states.items()}
