"""Wiener gains by decision-directed a-priori SNR over a noise PSD that follows the input, in fixed point.

Loizou's `wiener_as` after Scalart & Vieira Filho 1996, made causal: a stream cannot look ahead, so the
first 120 ms pass with a gain of one while the noise PSD is learned from them.

    gamma = P / N                                    a-posteriori SNR, at most 2^15
    xi    = a_dd * A + (1 - a_dd) * max(gamma - 1, 0)  a-priori SNR
    r     = xi / (1 + xi)
    A     = gamma * r                                (G^2 gamma of this frame, for the next one)
    G     = max(sqrt(r), floor)

The noise PSD of the next frame, at least NOISE_MIN, by the profile's tracker:

    vad   v = 1/N sum over the full spectrum [A - ln(1 + xi)];  N = mu * N + (1 - mu) * P  when v < eta
    spp   p = 1 / (1 + (1 + xi_opt) exp(-gamma xi_opt / (1 + xi_opt)))   presence of speech, bin by bin
          m = .975 m + .025 p;  where m > .99: p = min(p, .99)           else a risen noise would be speech for ever
          N = N + (1 - a) (1 - p) (P - N)

Since G^2 = r, the decision-directed term G^2 gamma and the first term of the log-likelihood ratio are one
number. The VAD sum is exact in integers: one flipped decision would change everything after it. The tracker `spp`
(Gerkmann & Hendriks 2012) needs no decision; there vad only tells that half of the spectrum is taken for speech.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from firmware_sim import contract, tables
from firmware_sim.contract import UNITY_GAIN_Q15, Profile
from firmware_sim.fixed import (
    Ints,
    bit_length,
    clamp,
    log2_q16,
    mix_q31,
    mul_q31,
    reciprocal,
    shift_left,
    shr_round,
    sqrt_round,
)
from firmware_sim.meter import Counter, operations

ONE_UQ16 = 1 << 16
_MEAN_FRACTION_BITS = 31
GAMMA_BITS = 16 + contract.GAMMA_SPEECH_LOG2 - 8
"""gamma_uq16 >> GAMMA_BITS is the interval of tables.ABSENCE_UQ16."""


@dataclass
class WienerState:
    """What the stage remembers, all (streams, bins) int64.

    noise         noise PSD, same unit as power, [NOISE_MIN, 2^57]
    learned       sum of the powers of the initialisation
    prior_uq16    A of the frame before, [0, 2^31]
    presence_q31  mean presence of speech, [0, 2^31]; stays 0 with the tracker vad
    hops          hops since home, saturating at the end of the initialisation
    """

    profile: Profile
    streams: int
    noise: Ints = field(init=False)
    learned: Ints = field(init=False)
    prior_uq16: Ints = field(init=False)
    presence_q31: Ints = field(init=False)
    hops: int = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Home state."""
        shape = (self.streams, self.profile.bins)
        self.noise = np.full(shape, contract.NOISE_MIN, np.int64)
        self.learned = np.zeros(shape, np.int64)
        self.prior_uq16 = np.full(shape, ONE_UQ16, np.int64)
        self.presence_q31 = np.zeros(shape, np.int64)
        self.hops = 0

    def plausible(self) -> bool:
        """True if hops and noise PSD are in their ranges, in every stream."""
        in_range = (self.noise >= contract.NOISE_MIN) & (self.noise <= contract.POWER_MAX)
        return bool(in_range.all()) and 0 <= self.hops <= self.profile.noise_init_hops


@dataclass(frozen=True)
class WienerTaps:
    """Results of one hop.

    gain_q15       (streams, bins) [0, 32768]
    raw_gain_q15   (streams, bins) [0, 32768]    before its floor
    xi_uq16        (streams, bins) [0, 2^31]     a-priori SNR (0 while initialising)
    likelihood_q16 (streams,)      int64         v * N, the VAD's sum; with spp the sum of p (0 while initialising)
    vad            (streams,)      0 or 1
    initialising   bool            the gain is one because the noise is being learned
    """

    gain_q15: Ints
    raw_gain_q15: Ints
    xi_uq16: Ints
    likelihood_q16: Ints
    vad: Ints
    initialising: bool


def wiener(power: Ints, state: WienerState, floor_q15: int, counter: Counter) -> WienerTaps:
    """One hop: gains from the noise PSD as the hop before left it; the state moves on.

    power      (streams, bins) int64 [0, 2^57]
    floor_q15  [0, 32768]  lowest gain
    counter    a-posteriori SNRs that reach the ceiling count as saturations
    """
    if state.hops < state.profile.noise_init_hops:
        return _learn(power, state)
    gamma_uq16 = a_posteriori_snr(power, state.noise, counter)
    xi_uq16 = a_priori_snr(gamma_uq16, state.prior_uq16)
    ratio_q31 = wiener_ratio(xi_uq16)
    state.prior_uq16 = mul_q31(gamma_uq16, ratio_q31)
    if state.profile.noise_tracker == "spp":
        likelihood_q16, vad = track_by_presence(power, gamma_uq16, state)
    else:
        likelihood_q16, vad = track_by_vad(power, xi_uq16, state)
    raw_gain_q15 = sqrt_round(ratio_q31 >> 1)
    gain_q15 = np.maximum(raw_gain_q15, floor_q15)
    return WienerTaps(gain_q15, raw_gain_q15, xi_uq16, likelihood_q16, vad.astype(np.int64), False)


def _learn(power: Ints, state: WienerState) -> WienerTaps:
    """Initialisation hop: the powers add up, the last hop turns them into their mean."""
    state.learned = state.learned + power
    state.hops += 1
    if state.hops == state.profile.noise_init_hops:
        weight_q31 = contract.q(1.0 / state.profile.noise_init_hops, _MEAN_FRACTION_BITS, bits=32)
        mean = mix_q31(state.learned, weight_q31, power, 0)
        state.noise = np.maximum(mean, contract.NOISE_MIN)
    streams = len(power)
    zeros = np.zeros(streams, np.int64)
    unity_q15 = np.full_like(power, UNITY_GAIN_Q15)
    return WienerTaps(unity_q15, unity_q15, np.zeros_like(power), zeros, zeros, True)


def a_posteriori_snr(power: Ints, noise: Ints, counter: Counter) -> Ints:
    """gamma_uq16 = min(power / noise, 2^15) of normalised mantissas: relative error < 2^-16, then one rounding."""
    power_bits, noise_bits = bit_length(power), bit_length(noise)
    power_mantissa = shift_left(power, 31 - power_bits)
    inverse = reciprocal(shift_left(noise, 31 - noise_bits))
    operations("mac32", power.size)
    quotient = (power_mantissa * inverse) >> 31
    exponent = np.minimum(power_bits - noise_bits, 17)
    down = np.minimum(np.maximum(14 - exponent, 1), 62)
    up = np.maximum(exponent - 13, 0)
    gamma_uq16 = ((quotient << up) + (np.int64(1) << (down - 1))) >> down
    return clamp(gamma_uq16, 0, contract.GAMMA_MAX_UQ16, counter)


def a_priori_snr(gamma_uq16: Ints, prior_uq16: Ints) -> Ints:
    """xi_uq16 by the decision-directed rule, [0, 2^31], round half up."""
    operations("mac32", 2 * gamma_uq16.size)
    instant_uq16 = np.maximum(gamma_uq16 - ONE_UQ16, 0)
    weighted = prior_uq16 * contract.DECISION_DIRECTED_Q31 + instant_uq16 * contract.DECISION_INNOVATION_Q31
    return shr_round(weighted, 31)


def wiener_ratio(xi_uq16: Ints) -> Ints:
    """r_q31 = xi / (1 + xi), [0, 2^31], relative error < 2^-16."""
    one_plus = xi_uq16 + ONE_UQ16
    up = 31 - bit_length(one_plus)
    inverse = reciprocal(shift_left(one_plus, up))
    operations("mac32", xi_uq16.size)
    return (shift_left(xi_uq16, up) * inverse) >> 30


# ---------------------------------------------------------------- the tracker vad


def track_by_vad(power: Ints, xi_uq16: Ints, state: WienerState) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """The noise PSD follows in frames without speech; returns (likelihood_q16, vad), both (streams,)."""
    likelihood_q16 = log_likelihood(state.prior_uq16, xi_uq16)
    vad = likelihood_q16 >= contract.VAD_THRESHOLD_Q16 * state.profile.analysis_samples
    state.noise = np.where(vad[:, None], state.noise, followed_noise(state.noise, power))
    return likelihood_q16, vad


def log_likelihood(prior_uq16: Ints, xi_uq16: Ints) -> Ints:
    """N * v in q16, (streams,): the sum of A - ln(1 + xi) over the full spectrum."""
    operations("add", 4 * prior_uq16.size)
    log2_one_plus_q16 = log2_q16(xi_uq16 + ONE_UQ16) - (16 << 16)
    return full_spectrum_sum(prior_uq16) - mul_q31(full_spectrum_sum(log2_one_plus_q16), contract.LN2_Q31)


def full_spectrum_sum(half: Ints) -> Ints:
    """Sum over N bins of a half spectrum: inner bins count twice, DC and Nyquist once."""
    total: Ints = 2 * half.sum(axis=1) - half[:, 0] - half[:, -1]
    return total


def followed_noise(noise: Ints, power: Ints) -> Ints:
    """Noise PSD one hop later, at least NOISE_MIN."""
    mixed = mix_q31(noise, contract.NOISE_MEMORY_Q31, power, contract.NOISE_INNOVATION_Q31)
    return np.maximum(mixed, contract.NOISE_MIN)


# ---------------------------------------------------------------- the tracker spp


def track_by_presence(power: Ints, gamma_uq16: Ints, state: WienerState) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Each bin's noise PSD follows by the absence of speech in it; returns (likelihood_q16, vad), both (streams,)."""
    absence_uq16, state.presence_q31 = speech_absence(gamma_uq16, state.presence_q31)
    state.noise = weighted_noise(state.noise, power, absence_uq16)
    likelihood_q16 = full_spectrum_sum(ONE_UQ16 - absence_uq16)
    return likelihood_q16, likelihood_q16 >= state.profile.analysis_samples << 15


def speech_absence(gamma_uq16: Ints, presence_q31: Ints) -> tuple[Ints, Ints]:
    """1 - p of each bin and the mean presence as it is now.

    gamma_uq16    (streams, bins) [0, 2^31]
    presence_q31  (streams, bins) [0, 2^31]   mean presence of the hop before
    returns       absence_uq16 [0, 63587], table and interpolation off by less than 2^-14; presence_q31 [0, 2^31]
    """
    operations("mac32", 3 * gamma_uq16.size)
    place = np.minimum(gamma_uq16, (1 << (GAMMA_BITS + 8)) - 1)
    index, fraction = place >> GAMMA_BITS, place & ((1 << GAMMA_BITS) - 1)
    left = tables.ABSENCE_UQ16[index]
    step = tables.ABSENCE_UQ16[index + 1] - left
    absence_uq16 = left + shr_round(step * fraction, GAMMA_BITS)
    present_q31 = (ONE_UQ16 - absence_uq16) << 15
    weighted = presence_q31 * contract.PRESENCE_MEMORY_Q31 + present_q31 * contract.PRESENCE_INNOVATION_Q31
    mean_q31 = shr_round(weighted, 31)
    stuck = mean_q31 > contract.PRESENCE_LIMIT_Q31
    return np.where(stuck, np.maximum(absence_uq16, contract.ABSENCE_MIN_UQ16), absence_uq16), mean_q31


def weighted_noise(noise: Ints, power: Ints, absence_uq16: Ints) -> Ints:
    """Noise PSD one hop later: (1 - a) (1 - p) of it are the input, round half up; at least NOISE_MIN."""
    share_q31 = shr_round(absence_uq16 * contract.SPP_INNOVATION_Q31, 16)
    mixed = mix_q31(noise, (1 << 31) - share_q31, power, share_q31)
    return np.maximum(mixed, contract.NOISE_MIN)
