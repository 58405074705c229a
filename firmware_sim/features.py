"""What the network sees: log2 power of the Wiener output and the noise level, normalised over the frame.

The LayerNorm has no affine part here: `export/quantize.py` folds it into the first layer. It makes every
feature independent of the input level. The DC bin carries no speech, so its place tells the noise level.
"""

from __future__ import annotations

import numpy as np

from firmware_sim import contract
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


def features(power: Ints, noise: Ints, gain_q15: Ints) -> Ints:
    """Log2 features before normalisation.

    power     (streams, bins) int64 [0, 2^57]
    noise     (streams, bins) int64 [NOISE_MIN, 2^57]  as it was used for this hop's gains
    gain_q15  (streams, bins) [0, 32768]  Wiener gain
    returns   (streams, bins) int64 q16: bins 1.. log2 of the filtered power; bin 0 the mean log2 noise
    """
    feature_q16 = log2_q16(np.maximum(power, contract.NOISE_MIN))
    feature_q16 += 2 * (log2_q16(np.maximum(gain_q15, 1)) - (15 << 16))
    feature_q16[:, 0] = _mean(log2_q16(noise))
    operations("add", 3 * power.size)
    return feature_q16


def _mean(x: Ints) -> Ints:
    """Mean over the bins, round half up; |sum| < 2^31."""
    bins = x.shape[1]
    return mul_q31(x.sum(axis=1), contract.q(1.0 / bins, 31, bits=32))


def layer_norm(feature_q16: Ints, counter: Counter) -> Ints:
    """(f - mean) / sqrt(variance + 2^-8) over the bins.

    feature_q16  (streams, bins) int64, |f| < 2^22
    counter      values that reach the limit count as saturations
    returns      (streams, bins) x_q11 [-16384, 16383], round half up
    source       Ba, Kiros & Hinton 2016
    """
    bins = feature_q16.shape[1]
    operations("mac64", feature_q16.size)
    operations("mac32", feature_q16.size)
    centred_q12 = shr_round(feature_q16 - _mean(feature_q16)[:, None], 4)
    square_sum_q24 = (centred_q12 * centred_q12).sum(axis=1)
    mean_square_q24 = mix_q31(square_sum_q24, contract.q(1.0 / bins, 31, bits=32), square_sum_q24, 0)
    variance_q24 = mean_square_q24 + contract.LAYER_NORM_EPSILON_Q24
    deviation_q20 = sqrt_round(variance_q24 << 16)
    bits = bit_length(deviation_q20)
    inverse = reciprocal(shift_left(deviation_q20, 31 - bits))
    shift = (11 + bits)[:, None]
    x_q11 = (centred_q12 * inverse[:, None] + (np.int64(1) << (shift - 1))) >> shift
    return clamp(x_q11, -contract.FEATURE_LIMIT_Q11, contract.FEATURE_LIMIT_Q11 - 1, counter)
