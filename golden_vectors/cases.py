"""The cases: what goes in, and which bug each of them catches. Everything is integer, so it is the same everywhere.

A case is data: `generate` runs it through the reference and writes a vector, nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import DEFAULT_PROFILE, PROFILES, UNITY_GAIN_Q15, WIENER_ALONE, WIENER_FLOOR_Q15, Parameters
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.network import encode_features
from golden_vectors.errors import WitnessError

Pcm: TypeAlias = npt.NDArray[np.int16]
Signal: TypeAlias = Callable[[int], Ints]
"""Number of samples -> that many integers, limited to int16 afterwards."""

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
PROFILE = PROFILES[DEFAULT_PROFILE]
HOP = PROFILE.hop_samples
SECOND = 16_000

DEFAULTS = Parameters()

NOTES = {
    "WholeLoop": "any stage that computes another bit than the reference on real noisy speech",
    "Scheme8": "an int8 build that keeps int16 codes: state, mask offset 128 or the input's rounding lost",
    "NoiseFloor": "a noise PSD that falls below NOISE_MIN, a division by zero or the logarithm of zero",
    "VadSum": "a VAD sum that is not exact: one flipped decision changes every later hop",
    "DcBin": "the DC bin counted twice, treated as speech, or wrapped by a full-scale mean",
    "NyquistBin": "the Nyquist bin lost, counted twice, or wrapped by the real-FFT split",
    "FftWrap": "an FFT butterfly or the inverse's x2 that wraps instead of staying in range or saturating",
    "OutputSaturation": "an output that wraps at full scale, or a saturation that nobody counts",
    "SnrCeiling": "an a-posteriori SNR that is not limited to 2^15, or whose limit is not counted",
    "Adaptation": "a noise PSD updated one hop early or late, or with mu and 1 - mu swapped",
    "Impulse": "a window that is symmetric, reversed or off by one sample; an overlap that is lost",
    "Rounding": "a half that is rounded down, to even or away from zero: the last bit of quiet signals",
    "StateLost": "a state (history, overlap, noise, GRU) that survives a reset, or is lost without one",
    "ResetWhileLearning": "a noise initialisation that does not start again when reset before its end",
    "Bypass": "a bypass that is not transparent, or that stops the states which must keep running",
    "GainFloor": "a gain floor applied to the mask alone, before the product, or never",
    "DryWet": "a dry/wet mix with the shares swapped, or rounded more than once",
    "WienerOnly": "a mask that still acts when the network is switched off",
    "ParameterEdge": "a parameter at 1, 32767 or 32768 that is read as signed 16 bit",
    "ClosedLoop": "a GRU whose gates are swapped, whose reset gate acts on W h alone, or whose state lags",
    "Overrun": "an overrun that plays a torn, stale or late hop instead of the dry one, or that nobody counts",
    "HeldHop": "a held hop that runs the network, moves the GRU's state or forgets the mask in force",
    "LostHop": "a lost hop that enters the state, or a hop after it that is not held",
    "WarmRestart": "a restart that forgets noise PSD, parameters or counters, or keeps history, overlap or GRU state",
    "NetworkSaturation": "an accumulator, an ADD or a table index that wraps at the ends of its range",
}
"""Flag -> the bug that a case with this flag catches."""


@dataclass(frozen=True)
class StreamCase:
    """Pcm through the whole loop, from home."""

    tc_id: int
    id: str
    group: str
    flags: tuple[str, ...]
    hops: int
    signal: Signal
    parameters: Parameters = DEFAULTS
    resets: tuple[int, ...] = ()
    scheme: str = "int16x8"
    events: tuple[tuple[int, str], ...] = ()

    def pcm(self) -> Pcm:
        """(hops * hop_samples,) int16."""
        samples = self.signal(self.hops * HOP)
        return np.clip(samples, -32768, 32767).astype(np.int16)


@dataclass(frozen=True)
class NetworkCase:
    """Normalised features through the network alone, in closed loop from home."""

    tc_id: int
    id: str
    group: str
    flags: tuple[str, ...]
    steps: int
    features: Signal
    scheme: str

    def codes(self) -> Ints:
        """(steps, bins) int64: values of the graph's input x."""
        return encode_features(self.features(self.steps), self.scheme)


Case: TypeAlias = StreamCase | NetworkCase

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


def uniform(amplitude: int, seed: int) -> Signal:
    """White integers in [-amplitude, amplitude]: a 32-bit linear congruential generator (Numerical Recipes)."""

    def draw(count: int) -> Ints:
        x, values = seed, np.empty(count, np.int64)
        for i in range(count):
            x = (1664525 * x + 1013904223) & 0xFFFFFFFF
            values[i] = ((x >> 16) * (2 * amplitude + 1) >> 16) - amplitude
        return values

    return draw


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


# ---------------------------------------------------------------- the set

ONE = UNITY_GAIN_Q15
NO_FLOOR = Parameters(gain_floor_q15=0)
LOW_EDGES = Parameters(gain_floor_q15=ONE - 1, dry_q15=1, wiener_floor_q15=1)
HIGH_EDGES = Parameters(gain_floor_q15=1, dry_q15=ONE, wiener_floor_q15=ONE)
OVERRUNS = (
    (2, "late"), (3, "held"),  # while the noise is learned and before the network has a say
    (36, "late"), (37, "held"),
    (44, "late"), (45, "held_late"), (46, "held_late"), (47, "held"),
    (52, "late"), (53, "held"), (54, "late"), (55, "held"), (56, "late"), (57, "held"),
)  # fmt: skip
LOSSES = ((1, "lost"), (2, "held"), (40, "lost"), (41, "held"), (50, "late"), (51, "lost"), (52, "lost"),
          (53, "held_late"), (54, "held"), (58, "late"), (59, "lost"))  # fmt: skip
RESTARTS = ((12, "restart"), (60, "restart"), (61, "restart"), (75, "late"), (76, "restart"), (76, "held"))

CASES: tuple[Case, ...] = (
    StreamCase(1, "speech_rain", "speech", ("WholeLoop", "VadSum"), 120, noisy(0.3)),
    StreamCase(2, "speech_river", "speech", ("WholeLoop", "Adaptation"), 100, mixture(4.5, 7.0, 24000), NO_FLOOR),
    StreamCase(3, "speech_pause", "speech", ("NoiseFloor", "SnrCeiling"), 100, mixture(7.3, 0.0, 0)),
    StreamCase(4, "speech_int8", "speech", ("WholeLoop", "Scheme8"), 100, noisy(0.3), NO_FLOOR, scheme="int8"),
    StreamCase(5, "silence", "levels", ("NoiseFloor",), 60, constant(0)),
    StreamCase(6, "dither_1lsb", "levels", ("NoiseFloor", "Rounding"), 60, uniform(1, 1)),
    StreamCase(7, "dc", "levels", ("DcBin",), 60, constant(-32768)),
    StreamCase(8, "level_jump_90db", "levels", ("SnrCeiling", "Adaptation"), 90, level_jump, NO_FLOOR),
    StreamCase(9, "square_full_scale", "full_scale", ("FftWrap", "OutputSaturation"), 70, square(50)),
    StreamCase(10, "alternating_full_scale", "full_scale", ("NyquistBin", "FftWrap"), 60, square(2)),
    StreamCase(11, "noise_full_scale", "full_scale", ("OutputSaturation",), 60, uniform(32767, 2)),
    StreamCase(12, "impulse", "full_scale", ("Impulse", "SnrCeiling"), 60, impulses),
    StreamCase(13, "reset_in_speech", "reset", ("StateLost", "ResetWhileLearning"), 110, noisy(0.6), resets=(45, 60)),
    StreamCase(14, "bypass", "settings", ("Bypass",), 60, noisy(0.9), Parameters(bypass=True)),
    StreamCase(15, "gain_floor", "settings", ("GainFloor",), 70, noisy(1.2), Parameters(gain_floor_q15=10362)),
    StreamCase(16, "dry_wet", "settings", ("DryWet",), 70, noisy(1.5), Parameters(dry_q15=9830)),
    StreamCase(17, "wiener_only", "settings", ("WienerOnly",), 90, noisy(0.3), WIENER_ALONE),
    StreamCase(18, "gain_floor_edge", "settings", ("ParameterEdge",), 50, noisy(1.8), LOW_EDGES),
    StreamCase(19, "dry_edge", "settings", ("ParameterEdge",), 50, noisy(1.8), HIGH_EDGES),
    NetworkCase(20, "network_speech_int16x8", "network", ("ClosedLoop",), 200, real_features, "int16x8"),
    NetworkCase(21, "network_speech_int8", "network", ("ClosedLoop",), 200, real_features, "int8"),
    NetworkCase(22, "network_extreme_int16x8", "network", ("NetworkSaturation",), 80, extreme_features, "int16x8"),
    NetworkCase(23, "network_extreme_int8", "network", ("NetworkSaturation",), 80, extreme_features, "int8"),
    StreamCase(24, "overrun", "timing", ("Overrun", "HeldHop"), 70, noisy(0.3), events=OVERRUNS),
    StreamCase(25, "overrun_int8", "timing", ("HeldHop", "Scheme8"), 60, noisy(0.5), scheme="int8", events=OVERRUNS),
    StreamCase(26, "lost_hops", "timing", ("LostHop", "HeldHop"), 60, mixture(4.5, 7.0, 24000), events=LOSSES),
    StreamCase(27, "restart", "timing", ("WarmRestart", "StateLost"), 90, level_jump, NO_FLOOR, events=RESTARTS),
)
