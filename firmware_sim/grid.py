"""The grid that weights and biases lie on in the tie-free scheme: one rule for export and for training that rounds.

Scales are powers of two, biases odd integers in units of input scale x weight scale; see `blocks.INT16X8`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WEIGHT_LIMIT = 127
"""Weights are symmetric: -128 is never used."""
SMALLEST_LARGEST = 2.0**-10
"""A tensor's largest value counts as at least this: rows of zeros still leave room for their biases."""


def weight_scale(largest: Any) -> Any:
    """Smallest power of two at which no weight is clipped; `largest` magnitude, a float or an array of them."""
    return 2.0 ** np.ceil(np.log2(np.maximum(largest, SMALLEST_LARGEST) / WEIGHT_LIMIT))


def odd_nearest(units: Floats) -> Floats:
    """The odd integers nearest to real values: with even inputs every accumulator is odd and cannot be a tie."""
    return np.asarray(2.0 * np.floor(units / 2.0) + 1.0, np.float64)


def safe_fc1_scale(
    weights: npt.NDArray[np.int64], bias: npt.NDArray[np.int64], scale: Any, state_scale: float
) -> float:
    """Smallest power of two at which the doubled fc1 output cannot leave int16 for any state.

    weights  integers (outputs, inputs); bias integers (outputs); scale of the weights, one or one per output

    |output| <= (sum |w| * 2^15 + |b|) * input scale * weight scale, row by row; half the range stays
    unused because the doubling needs an even result, which a saturation at 32767 would not be (export proves it).
    """
    bound = np.abs(weights).sum(axis=1) * (1 << 15) + np.abs(bias)
    real = float((bound * state_scale * np.asarray(scale)).max())
    finest = state_scale * max(1.0, float(np.max(scale)))  # requantisation must shift to the right
    return float(2.0 ** np.ceil(np.log2(max(real / 32766.0, finest))))
