"""Ranges of the Wiener stage, all scalars: the same for every bin."""

from __future__ import annotations

import numpy as np

from firmware_sim import contract, tables
from firmware_sim.contract import UNITY_GAIN_Q15, Profile
from firmware_sim.fixed import Ints, log2_q16, mul_q31, sqrt_round
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import I32, I64, U16, U32, U64, Ledger, Limit
from firmware_sim.wiener import GAMMA_BITS, ONE_UQ16, speech_absence

MIX = Limit("mix_q31's operand", 0, (1 << 61) - 1)
MIXED = Limit("mix_q31's sum of products", 0, (1 << 92) - 1)
LOG2 = Limit("log2_q16's operand", 1, (1 << 62) - 1)
MUL_Q31 = Limit("mul_q31's operand", -(1 << 31) + 1, (1 << 31) - 1)
UNITY_Q31 = Limit("q31 share", 0, 1 << 31)
NOISE = Limit("noise PSD", contract.NOISE_MIN, 1 << 57)


def wiener(power: Ints, profile: Profile, ledger: Ledger) -> int:
    """Largest noise PSD for the largest power of each bin; power and noise of a bin may be anything below."""
    loudest = int(power.max())
    noise = _noise(loudest, profile, ledger)
    inverse = reciprocal(ledger)
    gamma = _gamma(loudest, noise, inverse, ledger)
    xi = _xi(gamma, ledger)
    ratio = _ratio(xi, inverse, ledger)
    ledger.fits("prior_uq16", "gamma x ratio", 0, gamma * ratio + (1 << 30), I64)
    prior = (gamma * ratio + (1 << 30)) >> 31
    ledger.fits("prior_uq16", "A", 0, prior, UNITY_Q31)
    if profile.noise_tracker == "spp":
        _presence(profile, ledger)
    else:
        _likelihood(prior, xi, profile, ledger)
    gain = int(sqrt_round(np.array([ratio >> 1]))[0])
    ledger.fits("wiener_gain_q15", "gain", 0, gain, Limit("a gain of one", 0, UNITY_GAIN_Q15))
    ledger.tap("raw_gain_q15", 0, gain)
    ledger.tap("wiener_gain_q15", 0, UNITY_GAIN_Q15)
    return noise


def _noise(loudest: int, profile: Profile, ledger: Ledger) -> int:
    """Largest noise PSD: learned as a mean, then mixed; a mix of shares that sum to one is below its larger part."""
    hops = profile.noise_init_hops
    learned = hops * loudest
    ledger.fits("learned", "sum of powers", 0, learned, I64)
    weight_q31 = contract.q(1.0 / hops, 31, bits=32)
    ledger.fits("learned", "sum of powers x share", 0, learned * weight_q31, MIXED)
    mean = (learned * weight_q31 + (1 << 30)) >> 31
    shares = contract.NOISE_MEMORY_Q31 + contract.NOISE_INNOVATION_Q31
    ledger.fits("noise", "shares of the mix", weight_q31, shares, UNITY_Q31)  # spp: `_presence` bounds its share
    mixed_words(shares, ledger)
    noise = max(loudest, mean, contract.NOISE_MIN)
    ledger.fits("noise", "noise PSD", contract.NOISE_MIN, noise, NOISE)
    ledger.fits("noise", "noise PSD", contract.NOISE_MIN, noise, MIX)
    ledger.tap("noise", contract.NOISE_MIN, noise)
    return noise


def mixed_words(shares_q31: int, ledger: Ledger) -> None:
    """Both halves of mix_q31 for operands below 2^61 and shares that sum to at most `shares_q31`."""
    ledger.fits("mix_q31", "high words, doubled", 0, (((1 << 29) - 1) * shares_q31) << 1, I64)
    ledger.fits("mix_q31", "low words and rounding", 0, ((1 << 32) - 1) * shares_q31 + (1 << 30), I64)


def reciprocal(ledger: Ledger) -> tuple[int, int]:
    """Lowest and highest result of the word `reciprocal`, entry by entry of its table, ends of each exact."""
    start = tables.RECIPROCAL_UQ16 << 15
    first = (1 << 30) + (np.arange(256, dtype=np.int64) << 22)
    ends = [(mantissa * start) >> 30 for mantissa in (first, first + (1 << 22) - 1)]
    ledger.fits("reciprocal", "mantissa x start", 0, (first + (1 << 22) - 1) * start, U64)
    defects = [(1 << 32) - end for end in ends]
    ledger.fits("reciprocal", "defect", defects[1], defects[0], U64)
    ledger.fits("reciprocal", "start x defect", start * defects[1], start * defects[0], I64)
    low, high = int(((start * defects[1]) >> 31).min()), int(((start * defects[0]) >> 31).max())
    ledger.fits("reciprocal", "result", low, high, U32)
    return low, high


def _gamma(power: int, noise: int, inverse: tuple[int, int], ledger: Ledger) -> int:
    """Largest a-posteriori SNR: the loudest power over the least noise, limited."""
    quotient = ((1 << 31) - 1) * inverse[1]
    ledger.fits("gamma_uq16", "mantissa x reciprocal", 0, quotient, I64)
    quotient >>= 31
    largest = min(power.bit_length() - contract.NOISE_MIN.bit_length(), 17)
    up, down = max(largest - 13, 0), min(max(14 - largest, 1), 62)
    ledger.fits("gamma_uq16", "shifted quotient and rounding", 0, (quotient << up) + (1 << (down - 1)), I64)
    smallest = 14 + noise.bit_length()  # down, where there is no power at all
    ledger.fits("gamma_uq16", "quotient and rounding", 0, quotient + (1 << (min(smallest, 62) - 1)), I64)
    gamma = Interval.of(0, ((quotient << up) + (1 << (down - 1))) >> down, 1)
    return int(ledger.limits("gamma_uq16", gamma, Limit("GAMMA_MAX", 0, contract.GAMMA_MAX_UQ16)).high[0])


def _xi(gamma: int, ledger: Ledger) -> int:
    """Largest a-priori SNR; the prior is at most gamma, because the ratio is at most one (`_ratio`)."""
    weighted = gamma * (contract.DECISION_DIRECTED_Q31 + contract.DECISION_INNOVATION_Q31)
    home = ONE_UQ16 * contract.DECISION_DIRECTED_Q31
    ledger.fits("xi_uq16", "weighted SNRs and rounding", 0, max(weighted, home) + (1 << 30), I64)
    xi = (max(weighted, home) + (1 << 30)) >> 31
    ledger.fits("xi_uq16", "a-priori SNR", 0, xi, U32)
    ledger.tap("xi_uq16", 0, xi)
    return xi


def _ratio(xi: int, inverse: tuple[int, int], ledger: Ledger) -> int:
    """Largest xi / (1 + xi) in q31.

    A Newton step never overshoots: mantissa x reciprocal <= 2^61 + 2^30 + 1 (t (2^32 + 1 - t) / 2 is largest in
    the middle). The mantissa of xi is 2^(16 + up) below that of 1 + xi; up is least for the largest xi.
    """
    up = 31 - (xi + ONE_UQ16).bit_length()
    ledger.fits("ratio_q31", "shift of 1 + xi", up, up, Limit("a shift of 32 bits", -1, 15))
    product = (1 << 61) + (1 << 30) + 1 - (1 << (16 + up)) * inverse[0]
    ledger.fits("ratio_q31", "mantissa x reciprocal", 0, product, I64)
    ratio = product >> 30
    ledger.fits("ratio_q31", "ratio", 0, ratio, UNITY_Q31)
    return ratio


def _presence(profile: Profile, ledger: Ledger) -> None:
    """Absence of speech by its table, every value of gamma below 16; its mean; the input's share in the noise PSD."""
    gamma = np.arange(1 << (GAMMA_BITS + 8), dtype=np.int64)[None]
    absence, _ = speech_absence(gamma, np.zeros_like(gamma))
    least = min(int(absence.min()), 0)
    ledger.fits("absence_uq16", "1 - p", least, int(absence.max()), Limit("a share of one", 0, ONE_UQ16))
    steps = np.diff(tables.ABSENCE_UQ16) * ((1 << GAMMA_BITS) - 1) + (1 << (GAMMA_BITS - 1))
    ledger.fits("absence_uq16", "step x fraction and rounding", steps, steps, I32)
    ledger.fits("absence_uq16", "entry", tables.ABSENCE_UQ16, tables.ABSENCE_UQ16, U16)
    shares = contract.PRESENCE_MEMORY_Q31 + contract.PRESENCE_INNOVATION_Q31
    mean = (shares * (1 << 31) + (1 << 30)) >> 31
    ledger.fits("presence_q31", "weighted presences and rounding", 0, shares * (1 << 31) + (1 << 30), U64)
    ledger.fits("presence_q31", "mean presence", 0, mean, UNITY_Q31)
    largest = max(int(absence.max()), contract.ABSENCE_MIN_UQ16)
    product = largest * contract.SPP_INNOVATION_Q31 + (1 << 15)
    ledger.fits("share_q31", "absence x innovation and rounding", 0, product, I64)
    ledger.fits("share_q31", "share of the input", 0, product >> 16, UNITY_Q31)
    ledger.fits("share_q31", "share of the noise PSD", (1 << 31) - (product >> 16), 1 << 31, UNITY_Q31)
    high = profile.analysis_samples << 16
    ledger.fits("likelihood_q16", "sum of presences", 0, high, I64)
    ledger.tap("likelihood_q16", 0, high)


def _likelihood(prior: int, xi: int, profile: Profile, ledger: Ledger) -> None:
    """The VAD's sum over the full spectrum."""
    n = profile.analysis_samples
    log_argument = xi + ONE_UQ16
    ledger.fits("likelihood_q16", "1 + xi", ONE_UQ16, log_argument, LOG2)
    log_sum = n * (int(log2_q16(np.array([log_argument]))[0]) - (16 << 16))
    ledger.fits("likelihood_q16", "sum of logarithms", 0, log_sum, MUL_Q31)
    ledger.fits("likelihood_q16", "sum of priors", 0, n * prior, I64)
    low, high = -int(mul_q31(np.array([log_sum]), contract.LN2_Q31)[0]), n * prior
    ledger.fits("likelihood_q16", "likelihood", low, high, I64)
    ledger.fits("likelihood_q16", "threshold", 0, contract.VAD_THRESHOLD_Q16 * n, I32)
    ledger.tap("likelihood_q16", low, high)
