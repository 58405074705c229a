"""Every number that Python, C and the golden vectors share.

Sizes are data: a `Profile` carries them, so a longer analysis window is another
profile and not another code path. Floats become integers in one function, `q`,
which raises when the value does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import floor, isfinite

CONTRACT_VERSION = 1
SAMPLE_RATE_HZ = 16_000

STAGES = ("window", "rfft", "wiener", "features", "network", "gain", "irfft", "overlap_add")
"""The stages of one hop, in order: the same names in Python, C, counters and vectors."""


UNITY_GAIN_Q15 = 1 << 15
"""Gains are unsigned q15 in [0, 32768], so that a gain of one is exact."""


class ContractError(ValueError):
    """A value or a size that the integer contract does not allow."""


def q(value: float, fraction_bits: int, *, bits: int, signed: bool = True) -> int:
    """The one way from float to integer: round half away from zero, refuse what does not fit.

    value          real number
    fraction_bits  fraction bits of the result
    bits           width of the result, sign included
    returns        int, value * 2^fraction_bits rounded
    raises         ContractError when the result does not fit, or the value is not finite
    """
    if not isfinite(value):
        raise ContractError(f"{value} in q{fraction_bits} has no integer")
    scaled = value * 2.0**fraction_bits
    result = floor(abs(scaled) + 0.5) * (1 if scaled >= 0 else -1)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if not low <= result <= high:
        kind = "signed" if signed else "unsigned"
        raise ContractError(f"{value} in q{fraction_bits} is {result}: it does not fit {kind} {bits} bits")
    return result


WIENER_FLOOR_Q15 = q(10.0 ** (-10 / 20), 15, bits=17)
"""Floor of the Wiener gain under the seed's network (-10 dB): no mask can return what the filter removes wrongly."""

NOISE_TRACKERS = ("vad", "spp")
"""How the noise PSD follows: gated by a voice activity decision, or weighted by each bin's speech presence."""
WIDEST_BAND_BINS = 64


@dataclass(frozen=True)
class Profile:
    """Sizes and methods of one frame loop.

    analysis_samples   length of the analysis window and of the FFT, a power of two in [32, 1024]
    hop_samples        samples in and out per call
    synthesis_samples  non-zero tail of the synthesis window: 2 * hop_samples
    bands              runs (count, width): the bins in order, in bands of so many bins; the first band is bin 0
                       alone; none: every bin is a band
    noise_tracker      one of NOISE_TRACKERS
    gain_channel       True: the network also reads the Wiener gain of each band, and the plain log power
    wiener_floor_q15   [0, 32768]  lowest Wiener gain under the network, where training is not told another one
    """

    name: str
    analysis_samples: int
    hop_samples: int
    synthesis_samples: int
    bands: tuple[tuple[int, int], ...] = ()
    noise_tracker: str = "vad"
    gain_channel: bool = False
    wiener_floor_q15: int = WIENER_FLOOR_Q15

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", tuple((count, width) for count, width in self.bands))  # JSON has lists
        n = self.analysis_samples
        if n < 32 or n > 1024 or n & (n - 1):
            raise ContractError(f"profile {self.name}: analysis {n} is not a power of two in [32, 1024]")
        if self.synthesis_samples != 2 * self.hop_samples:
            raise ContractError(f"profile {self.name}: synthesis must be two hops ({2 * self.hop_samples})")
        if self.synthesis_samples > n:
            raise ContractError(f"profile {self.name}: synthesis is longer than analysis")
        if any(count < 1 or not 1 <= width <= WIDEST_BAND_BINS for count, width in self.bands):
            raise ContractError(f"profile {self.name}: a band has no bins, or more than {WIDEST_BAND_BINS}")
        if sum(self.band_widths) != self.bins:
            raise ContractError(f"profile {self.name}: the bands hold {sum(self.band_widths)} of {self.bins} bins")
        if self.band_widths[0] != 1:
            raise ContractError(f"profile {self.name}: the first band must be bin 0 alone: it tells the noise level")
        if self.noise_tracker not in NOISE_TRACKERS:
            raise ContractError(f"profile {self.name}: the noise tracker {self.noise_tracker!r} is not known")
        if not 0 <= self.wiener_floor_q15 <= UNITY_GAIN_Q15:
            raise ContractError(f"profile {self.name}: wiener_floor_q15 is outside [0, {UNITY_GAIN_Q15}]")

    @cached_property
    def band_widths(self) -> tuple[int, ...]:
        """Bins of each band."""
        return tuple(width for count, width in self.bands or ((self.bins, 1),) for _ in range(count))

    @cached_property
    def band_of_bin(self) -> tuple[int, ...]:
        """Band of each bin."""
        return tuple(band for band, width in enumerate(self.band_widths) for _ in range(width))

    @property
    def band_count(self) -> int:
        """Bands: what the features and the mask have one value for."""
        return len(self.band_widths)

    @property
    def inputs(self) -> int:
        """What the network reads: one value a band, two with the gain channel."""
        return self.band_count * (2 if self.gain_channel else 1)

    @property
    def bins(self) -> int:
        """Bins of the half spectrum, DC and Nyquist included."""
        return self.analysis_samples // 2 + 1

    @property
    def fft_log2(self) -> int:
        """log2 of the FFT length: the spectrum carries a scale of 2^-fft_log2."""
        return self.analysis_samples.bit_length() - 1

    @property
    def latency_samples(self) -> int:
        """Algorithmic latency: one hop to fill, one hop of overlap."""
        return self.synthesis_samples

    @property
    def latency_ms(self) -> float:
        return 1000.0 * self.latency_samples / SAMPLE_RATE_HZ

    @property
    def stream_delay_samples(self) -> int:
        """Delay of the output stream against the input stream, sample index to sample index.

        The rest of the latency is the time that a hop takes to fill.
        """
        return self.synthesis_samples - self.hop_samples

    @property
    def noise_init_hops(self) -> int:
        """Hops of the causal noise initialisation: 120 ms."""
        return (NOISE_INIT_MS * SAMPLE_RATE_HZ) // (1000 * self.hop_samples)


# Fixed-point formats of the front end.
FRAME_FRACTION_BITS = 30
POWER_SHIFT = 4
"""power = (re^2 + im^2) >> 4 of a q30 spectrum, so 30 summed frames stay below 2^63."""
POWER_MAX = 1 << 57
"""Largest power of a bin."""

# Wiener stage (Loizou's wiener_as after Scalart & Vieira Filho 1996).
NOISE_INIT_MS = 120
NOISE_MEMORY_Q31 = q(0.98, 31, bits=32)
"""mu: memory of the noise PSD while the VAD reports no speech."""
NOISE_INNOVATION_Q31 = (1 << 31) - NOISE_MEMORY_Q31
DECISION_DIRECTED_Q31 = q(0.98, 31, bits=32)
"""a_dd: weight of the previous frame in the a-priori SNR."""
DECISION_INNOVATION_Q31 = (1 << 31) - DECISION_DIRECTED_Q31
VAD_THRESHOLD_Q16 = q(0.15, 16, bits=32)
"""eta: the noise PSD follows the input only below this mean log-likelihood ratio."""
LN2_Q31 = q(0.6931471805599453, 31, bits=32)

# Speech presence of a bin (Gerkmann & Hendriks 2012, unbiased MMSE with a fixed a-priori SNR).
SPEECH_SNR = 10.0**1.5
"""xi_opt: the a-priori SNR that speech is taken to have where it is present, 15 dB."""
GAMMA_SPEECH_LOG2 = 4
"""log2 of the a-posteriori SNR above which speech counts as present: there the rest is below 2^-17."""
PRESENCE_MEMORY_Q31 = q(0.975, 31, bits=32)
"""Memory of the mean presence, 160 ms."""
PRESENCE_INNOVATION_Q31 = (1 << 31) - PRESENCE_MEMORY_Q31
PRESENCE_LIMIT_Q31 = q(0.99, 31, bits=32)
"""A mean presence above it is not speech: the noise has risen, and the noise PSD has to follow."""
ABSENCE_MIN_UQ16 = q(0.01, 16, bits=17)
"""Least absence of speech in such a bin: 1 - 0.99."""
SPP_INNOVATION_Q31 = q(0.03, 31, bits=32)
"""1 - a: share of the input in the noise PSD where speech is surely absent; a = 0.97."""

NOISE_MIN = 1 << 14
"""Floor of the noise PSD: the power that int16 rounding noise has in the spectrum."""
GAMMA_MAX_UQ16 = 1 << 31
"""Ceiling of the a-posteriori SNR: 2^15 (45 dB). Digital silence has none of its own."""
GAIN_FLOOR_Q15 = q(10.0 ** (-20 / 20), 15, bits=17)
"""Floor of the total gain with the network (-20 dB): more attenuation of noise costs speech quality."""

# Features and LayerNorm.
LAYER_NORM_EPSILON = 2.0**-8
LAYER_NORM_EPSILON_Q24 = q(LAYER_NORM_EPSILON, 24, bits=32)
FEATURE_FRACTION_BITS = 11
FEATURE_LIMIT_Q11 = 1 << 14
"""Normalised features live in [-8, 8): sqrt(64) is the largest value that 65 of them can reach.

The gain channel lives in [-2, 2]."""


PROFILES = {
    "seed": Profile(
        "seed",
        analysis_samples=128,
        hop_samples=64,
        synthesis_samples=128,
        bands=((65, 1),),
        noise_tracker="vad",
        gain_channel=False,
        wiener_floor_q15=WIENER_FLOOR_Q15,
    ),
    "default": Profile(
        "default",
        analysis_samples=256,
        hop_samples=64,
        synthesis_samples=128,
        bands=((30, 1), (14, 2), (9, 3), (11, 4)),
        noise_tracker="spp",
        gain_channel=True,
        wiener_floor_q15=UNITY_GAIN_Q15,
    ),
}
"""`default`: bins of 62.5 Hz, one a band up to 1.9 kHz, then wider as the ear's filters are; 8 ms as `seed`."""
DEFAULT_PROFILE = "default"


@dataclass(frozen=True)
class Parameters:
    """What a fitting software may set while the device runs; all integers.

    gain_floor_q15    [0, 32768]  lowest total gain, 0 = no floor
    dry_q15           [0, 32768]  share of the unprocessed signal in the output
    wiener_floor_q15  [0, 32768]  lowest Wiener gain
    use_network       False: the mask is one (Wiener stage alone)
    bypass            True: total gain one; every state keeps running, so leaving it is seamless
    """

    gain_floor_q15: int = GAIN_FLOOR_Q15
    dry_q15: int = 0
    wiener_floor_q15: int = WIENER_FLOOR_Q15
    use_network: bool = True
    bypass: bool = False

    def __post_init__(self) -> None:
        for name in ("gain_floor_q15", "dry_q15", "wiener_floor_q15"):
            value = getattr(self, name)
            if not 0 <= value <= UNITY_GAIN_Q15:
                raise ContractError(f"{name} = {value} is outside [0, {UNITY_GAIN_Q15}]")


WIENER_ALONE = Parameters(gain_floor_q15=0, wiener_floor_q15=0, use_network=False)
"""The classical filter: no network and no floors."""
