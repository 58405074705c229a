"""Thin calls into the field's own metrics; all take one clean and one processed signal of equal length, 16 kHz."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16000

_TINY = 1e-20

Audio = NDArray[Any]


def pesq_wb(clean: Audio, processed: Audio) -> float:
    """Wideband PESQ, MOS-LQO in [1.04, 4.64]; NaN where PESQ finds no utterance.

    source   ITU-T P.862.2, package `pesq`
    """
    import pesq

    if not np.any(clean) or not np.any(processed):
        return math.nan  # PESQ would divide by the power of its input
    try:
        return float(pesq.pesq(RATE_HZ, clean, processed, "wb"))
    except pesq.NoUtterancesError:
        return math.nan


def stoi(clean: Audio, processed: Audio, extended: bool = False) -> float:
    """Short-time objective intelligibility, about [0, 1]; `extended` for ESTOI.

    source   Taal et al. 2011; Jensen & Taal 2016; package `pystoi`
    """
    import pystoi

    return float(pystoi.stoi(clean, processed, RATE_HZ, extended=extended))


def si_sdr_db(clean: Audio, processed: Audio) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, means removed.

    source   Le Roux et al. 2019
    """
    reference = np.asarray(clean, np.float64) - np.mean(clean, dtype=np.float64)
    estimate = np.asarray(processed, np.float64) - np.mean(processed, dtype=np.float64)
    target = reference * (float(reference @ estimate) / max(float(reference @ reference), _TINY))
    error = estimate - target
    return 10 * math.log10(max(float(target @ target), _TINY) / max(float(error @ error), _TINY))
