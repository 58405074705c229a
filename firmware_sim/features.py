"""What the network sees, band by band: log2 power and the noise level, normalised over the frame; the Wiener gain.

With the profile's gain channel the power is that of the noisy input and the gain stands beside it, as it is before
its floor; without, the power is that of the Wiener filter's output.

The LayerNorm has no affine part here: `export/quantize.py` folds it into the first layer. It makes every
feature independent of the input level. The DC bin carries no speech, so its place tells the noise level.
"""

from __future__ import annotations

import numpy as np

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
    shr_floor,
    shr_round,
    sqrt_round,
)
from firmware_sim.meter import Counter, operations


def features(power: Ints, noise: Ints, gain_q15: Ints, profile: Profile) -> Ints:
    """Log2 features before normalisation.

    power     (streams, bins) int64 [0, 2^57]
    noise     (streams, bins) int64 [NOISE_MIN, 2^57]  as it was used for this hop's gains
    gain_q15  (streams, bins) [0, 32768]  Wiener gain; not read where it has a channel of its own
    returns   (streams, bands) int64 q16: bands 1.. mean log2 of the power; band 0 the mean log2 noise of all bins
    """
    log_power_q16 = log2_q16(np.maximum(power, contract.NOISE_MIN))
    if not profile.gain_channel:
        log_power_q16 += 2 * (log2_q16(np.maximum(gain_q15, 1)) - (15 << 16))
    feature_q16 = band_mean(log_power_q16, profile)
    feature_q16[:, 0] = _mean(log2_q16(noise))
    operations("add", 3 * power.size)
    return feature_q16


def _mean(x: Ints) -> Ints:
    """Mean over the last axis, round half up; |sum| < 2^31."""
    return mul_q31(x.sum(axis=1), contract.q(1.0 / x.shape[1], 31, bits=32))


def band_mean(x: Ints, profile: Profile) -> Ints:
    """Mean over the bins of each band, round half up: (streams, bins), |sum of a band| < 2^31, to (streams, bands)."""
    sums = np.add.reduceat(x, tables.band_starts(profile), axis=1)
    return mul_q31(sums, tables.band_inverse_q31(profile))


def gain_features(raw_gain_q15: Ints, profile: Profile) -> Ints:
    """The gain channel: 4 (G - 1/2) of each band's mean gain.

    raw_gain_q15  (streams, bins) [0, 32768]  Wiener gain before its floor
    returns       (streams, bands) x_q11 [-4096, 4096], floor of the rounded mean
    """
    return shr_floor(band_mean(raw_gain_q15, profile), 2) - (UNITY_GAIN_Q15 >> 3)


def network_input(feature_q16: Ints, raw_gain_q15: Ints, profile: Profile, counter: Counter) -> Ints:
    """What the network reads, (streams, inputs) x_q11: the normalised features, then the gain channel if any."""
    x_q11 = layer_norm(feature_q16, counter)
    return np.concatenate([x_q11, gain_features(raw_gain_q15, profile)], axis=1) if profile.gain_channel else x_q11


def layer_norm(feature_q16: Ints, counter: Counter) -> Ints:
    """(f - mean) / sqrt(variance + 2^-8) over the bands.

    feature_q16  (streams, bands) int64, |f| < 2^22
    counter      values that reach the limit count as saturations
    returns      (streams, bands) x_q11 [-16384, 16383], round half up
    source       Ba, Kiros & Hinton 2016
    """
    bands = feature_q16.shape[1]
    operations("mac64", feature_q16.size)
    operations("mac32", feature_q16.size)
    centred_q12 = shr_round(feature_q16 - _mean(feature_q16)[:, None], 4)
    square_sum_q24 = (centred_q12 * centred_q12).sum(axis=1)
    mean_square_q24 = mix_q31(square_sum_q24, contract.q(1.0 / bands, 31, bits=32), square_sum_q24, 0)
    variance_q24 = mean_square_q24 + contract.LAYER_NORM_EPSILON_Q24
    deviation_q20 = sqrt_round(variance_q24 << 16)
    bits = bit_length(deviation_q20)
    inverse = reciprocal(shift_left(deviation_q20, 31 - bits))
    shift = (11 + bits)[:, None]
    x_q11 = (centred_q12 * inverse[:, None] + (np.int64(1) << (shift - 1))) >> shift
    return clamp(x_q11, -contract.FEATURE_LIMIT_Q11, contract.FEATURE_LIMIT_Q11 - 1, counter)
