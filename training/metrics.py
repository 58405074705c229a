"""Thin calls into the field's own metrics; all take one clean and one processed signal of equal length, 16 kHz."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16000

Audio = NDArray[np.floating]


def pesq_wb(clean: Audio, processed: Audio) -> float:
    """Wideband PESQ, MOS-LQO in [1.04, 4.64]; NaN where PESQ finds no utterance.

    source   ITU-T P.862.2, package `pesq`
    """
    import pesq

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
    target = reference * (reference @ estimate / max(reference @ reference, 1e-20))
    error = estimate - target
    return float(10 * np.log10(max(target @ target, 1e-20) / max(error @ error, 1e-20)))
