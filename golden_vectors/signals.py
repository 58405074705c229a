"""What goes into the cases: recordings, test signals, features. Integers only, so it is the same everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import DEFAULT_PROFILE, PROFILES, Parameters, Profile
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import FrameLoop
from golden_vectors.errors import WitnessError

Signal: TypeAlias = Callable[[int], Ints]
"""Number of samples -> that many integers, limited to int16 afterwards."""

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
PROFILE = PROFILES[DEFAULT_PROFILE]
HOP = PROFILE.hop_samples
SHIPPED = Parameters(wiener_floor_q15=PROFILE.wiener_floor_q15)
"""Parameters of a case that names none: those of the device as it is shipped."""
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


def sweep(count: int) -> Ints:
    """1-LSB noise while the noise is learned, then a sine near full scale from 33 Hz to 7.9 kHz, again and again.

    Integers alone: the phase is a 32-bit accumulator whose step grows by 1/1024 every sample, and a half wave of x
    in [0, 1] is 16 x (1 - x) / (5 - 4 x (1 - x)) (Bhaskara I, error below 0.2 %).
    """
    first, last = (1 << 32) // 480, (1 << 32) * 79 // 160
    phase, step, values = 0, first, uniform(1, 6)(count)
    for i in range(32 * HOP, count):
        x = (phase >> 15) & 0xFFFF  # position in the half wave, uq16
        arc = x * (0x10000 - x)  # x (1 - x), uq32
        wave = (32000 * 16 * arc) // ((5 << 32) - 4 * arc)
        values[i] = -wave if phase >> 31 else wave
        phase = (phase + step) & 0xFFFFFFFF
        step = step + (step >> 10) if step < last else first
    return values


def clipped(start_s: float, gain: int) -> Signal:
    """The real noisy recording, amplified until the converter clips."""
    return lambda count: np.clip(gain * recording("noisy.wav", int(start_s * SECOND), count), -32768, 32767)


def risen_noise(count: int) -> Ints:
    """Speech in noise for a second, digital silence for a second, then white noise far above the noise before."""
    pcm = mixture(4.5, 7.0, 8000)(count)
    pcm[SECOND : 2 * SECOND] = 0
    pcm[2 * SECOND :] = uniform(6000, 8)(count - 2 * SECOND)
    return pcm


LEVELS_Q12 = (4096, 1024, 16384, 4096, 128, 0, 8192, 2048, 32768, 512, 4096)
"""Levels of a long stream, one after the other, a second and a half each: fading, silence, clipping."""


def recordings_with_levels(count: int) -> Ints:
    """All recordings one after the other, again and again, with `LEVELS_Q12`: no two minutes of it are alike."""
    lengths = {"noisy.wav": 192_000, "speech.flac": 352_000, "noise.flac": 280_000}
    pcm = np.concatenate([recording(name, 0, length) for name, length in lengths.items()])
    time = np.arange(count)
    level_q12 = np.array(LEVELS_Q12)[time // (SECOND * 3 // 2) % len(LEVELS_Q12)]
    levelled: Ints = (pcm[time % len(pcm)] * level_q12 + (1 << 11)) >> 12
    return levelled


# ---------------------------------------------------------------- features


def real_features(steps: int, profile: Profile = PROFILE) -> Ints:
    """(steps, inputs) x_q11 of the real noisy recording, repeated where it ends: what the device feeds its network."""
    available = min(steps, 12 * SECOND // profile.hop_samples)
    pcm = recording("noisy.wav", 0, available * profile.hop_samples).astype(np.int16)
    loop = FrameLoop(profile, None, Parameters(use_network=False, wiener_floor_q15=profile.wiener_floor_q15))
    x_q11 = np.stack([hop.taps["x_q11"][0] for hop in loop.hops_of(pcm[None])])
    return x_q11[np.arange(steps) % available]


def extreme_features(steps: int, profile: Profile = PROFILE) -> Ints:
    """(steps, inputs) x_q11 at the ends of the range: all high, all low, alternating, random signs."""
    low, high, size = -16384, 16383, profile.inputs
    random = uniform(1 << 14, 5)(steps * size).reshape(steps, size)
    even = np.arange(size) % 2 == 0
    patterns = (
        lambda t: np.full(size, high),
        lambda t: np.full(size, low),
        lambda t: np.where(even == (t % 2 == 0), high, low),
        lambda t: np.where(random[t] >= 0, high, low),
        lambda t: np.clip(random[t], low, high),
    )
    return np.stack([patterns[(t // 8) % len(patterns)](t) for t in range(steps)]).astype(np.int64)


# ---------------------------------------------------------------- recipes

RECIPES: dict[str, Signal] = {
    "recordings_with_levels": recordings_with_levels,
    "real_features": real_features,
    "risen_noise": risen_noise,
}
"""Inputs that are too long for a file: name -> what makes them."""


@cache
def made(recipe: str, count: int) -> Ints:
    """What a recipe makes: made once, not to be written to."""
    values = RECIPES[recipe](count)
    values.setflags(write=False)
    return values


def check_made(header: Mapping[str, Any], values: npt.NDArray[Any]) -> None:
    """The recipe of a header made the input that the vector was generated for; raises WitnessError."""
    if hashlib.sha256(values.tobytes()).hexdigest() != header["input_sha256"]:
        raise WitnessError(
            f"vector {header['id']}: the recipe {header['recipe']} makes another input here: restore {DATA.name} of "
            "the repository, or run `python -m golden_vectors generate`"
        )
