"""What goes into the cases: recordings, test signals, features. Integers only, so it is the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from firmware_sim.contract import DEFAULT_PROFILE, PROFILES, WIENER_FLOOR_Q15, Parameters
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import FrameLoop
from golden_vectors.errors import WitnessError

Signal: TypeAlias = Callable[[int], Ints]
"""Number of samples -> that many integers, limited to int16 afterwards."""

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
PROFILE = PROFILES[DEFAULT_PROFILE]
HOP = PROFILE.hop_samples
SECOND = 16_000

# ---------------------------------------------------------------- signals


def recording(name: str, start: int, count: int) -> Ints:
    """`count` samples of a committed recording from sample `start`; int64."""
    import soundfile

    try:
        pcm, rate = soundfile.read(DATA / name, frames=count, start=start, dtype="int16")
    except (OSError, RuntimeError) as error:
        raise WitnessError(f"{DATA / name}: cannot be read ({error}): restore it from the repository") from None
    if rate != SECOND or pcm.shape != (count,):
        raise WitnessError(f"{DATA / name}: needs {count} mono samples at 16 kHz from sample {start}")
    samples: Ints = pcm.astype(np.int64)
    return samples


def noisy(start_s: float) -> Signal:
    """The real noisy recording from a second on."""
    return lambda count: recording("noisy.wav", int(start_s * SECOND), count)


def mixture(speech_s: float, noise_s: float, noise_q15: int) -> Signal:
    """Clean speech and noise, each from its own second, the noise with a gain."""

    def mix(count: int) -> Ints:
        noise = recording("noise.flac", int(noise_s * SECOND), count)
        return recording("speech.flac", int(speech_s * SECOND), count) + ((noise * noise_q15 + (1 << 14)) >> 15)

    return mix


def constant(value: int) -> Signal:
    return lambda count: np.full(count, value, np.int64)


def square(period: int) -> Signal:
    """Full-scale square of an even period in samples: 32767, -32768."""
    return lambda count: np.where(np.arange(count) % period < period // 2, 32767, -32768)


def congruential(count: int, seed: int) -> Ints:
    """(count,) states after the seed of a 32-bit linear congruential generator (Numerical Recipes)."""
    x, states = seed, np.empty(count, np.int64)
    for i in range(count):
        x = (1664525 * x + 1013904223) & 0xFFFFFFFF
        states[i] = x
    return states


def uniform(amplitude: int, seed: int) -> Signal:
    """White integers in [-amplitude, amplitude]."""
    return lambda count: ((congruential(count, seed) >> 16) * (2 * amplitude + 1) >> 16) - amplitude


def impulses(count: int) -> Ints:
    """Full-scale single samples: inside a hop, on both edges of a hop, and a negative one."""
    pcm = np.zeros(count, np.int64)
    for hop, sample, value in ((4, 17, 32767), (34, 0, 32767), (40, HOP - 1, -32768), (46, 31, 1)):
        pcm[hop * HOP + sample] = value
    return pcm


def level_jump(count: int) -> Ints:
    """1-LSB noise, up by 90 dB to full scale, back again."""
    pcm = uniform(1, 3)(count)
    pcm[45 * HOP : 75 * HOP] = uniform(32767, 4)(30 * HOP)
    return pcm


# ---------------------------------------------------------------- features


def real_features(steps: int) -> Ints:
    """(steps, bins) x_q11 of the real noisy recording, repeated where it ends: what the device feeds its network."""
    available = min(steps, 12 * SECOND // HOP)
    pcm = recording("noisy.wav", 0, available * HOP).astype(np.int16)
    loop = FrameLoop(PROFILE, None, Parameters(use_network=False, wiener_floor_q15=WIENER_FLOOR_Q15))
    x_q11 = np.stack([hop.taps["x_q11"][0] for hop in loop.hops_of(pcm[None])])
    return x_q11[np.arange(steps) % available]


def extreme_features(steps: int) -> Ints:
    """(steps, bins) x_q11 at the ends of the range: all high, all low, alternating in bins and time, random signs."""
    low, high = -16384, 16383
    random = uniform(1 << 14, 5)(steps * PROFILE.bins).reshape(steps, PROFILE.bins)
    even_bin = np.arange(PROFILE.bins) % 2 == 0
    patterns = (
        lambda t: np.full(PROFILE.bins, high),
        lambda t: np.full(PROFILE.bins, low),
        lambda t: np.where(even_bin == (t % 2 == 0), high, low),
        lambda t: np.where(random[t] >= 0, high, low),
        lambda t: np.clip(random[t], low, high),
    )
    return np.stack([patterns[(t // 8) % len(patterns)](t) for t in range(steps)]).astype(np.int64)
