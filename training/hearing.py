"""HASPI and HASQI: what a listener with a hearing loss gets from a signal, after a hearing aid's linear gain.

Both compare with the clean speech through a model of the impaired ear. The processed signal is amplified by NAL-R for
the loss first, as a hearing aid would; the clean reference is not (HASQI amplifies its own).
"""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.audio import RATE_HZ, active_rms
from training.files import RunError

AUDIOGRAM_HZ = (250, 375, 500, 750, 1000, 1500, 2000, 3000, 4000, 6000)
AUDIOGRAMS: dict[str, tuple[float, ...]] = {
    "nh": (0,) * 10,
    "n2": (20, 20, 20, 22.5, 25, 30, 35, 40, 45, 50),
    "n3": (35, 35, 35, 35, 40, 45, 50, 55, 60, 65),
    "s2": (20, 20, 20, 22.5, 25, 35, 55, 75, 95, 95),
}
"""Hearing thresholds in dB HL: normal hearing, mild (N2), moderate (N3), and steep in the treble (S2).

source   Bisgaard, Vlaming & Dahlquist 2010, standard audiograms for IEC 60118-15
"""
LEVEL_DB_SPL = 65.0
"""Level of the clean speech at the ear."""

_NALR_ORDER = 220
_SEED = 0

Audio = NDArray[Any]


def missing_hearing() -> str | None:
    """None where the metrics can run, else one line with the command that installs them."""
    absent = [name for name in ("clarity", "numba") if find_spec(name) is None]
    return f"HASPI and HASQI need {' and '.join(absent)}: make peers, or --hearing off" if absent else None


def haspi_hasqi(clean: Audio, processed: Audio, audiogram: str) -> tuple[float, float]:
    """Intelligibility (HASPI v2) and quality (HASQI v2), each in [0, 1]; about 7 s a call for 6 s of speech.

    clean, processed   (samples,) float at 16 kHz, aligned; the active level of `clean` becomes 65 dB SPL
    audiogram          one of AUDIOGRAMS
    returns            NaN twice where `clean` is silent: there is nothing to understand
    raises             RunError: pyclarity is not installed
    source             Kates & Arehart 2021 and 2014; Byrne & Dillon 1986 (NAL-R); package `pyclarity`
    """
    reason = missing_hearing()
    if reason:
        raise RunError(reason)
    from clarity.evaluator.haspi import haspi_v2
    from clarity.evaluator.hasqi import hasqi_v2

    level = active_rms(clean)
    if not level:
        return math.nan, math.nan
    loss, gain = _ear(audiogram)
    reference = np.asarray(clean, np.float64) / level  # an RMS of one is 65 dB SPL
    delay = (len(gain) - 1) // 2
    aided = np.convolve(np.asarray(processed, np.float64) / level, gain)[delay : delay + len(processed)]
    scores = []
    for metric in (haspi_v2, hasqi_v2):
        state = np.random.get_state()
        np.random.seed(_SEED)  # the ear model's internal noise comes from the global generator
        try:
            scores.append(float(metric(reference, RATE_HZ, aided, RATE_HZ, loss, level1=LEVEL_DB_SPL)[0]))
        finally:
            np.random.set_state(state)
    return scores[0], scores[1]


@cache
def _ear(audiogram: str) -> tuple[Any, NDArray[np.float64]]:
    """The audiogram as pyclarity wants it, and the NAL-R filter (221,) for it, of 110 samples delay."""
    from clarity.enhancer.nalr import NALR
    from clarity.utils.audiogram import Audiogram

    loss = Audiogram(levels=np.array(AUDIOGRAMS[audiogram]), frequencies=np.array(AUDIOGRAM_HZ))
    gain, _ = NALR(_NALR_ORDER, RATE_HZ).build(loss)
    return loss, np.asarray(gain, np.float64)
