"""Thin calls into the field's own metrics; all take one clean and one processed signal of equal length, 16 kHz."""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.files import RunError

RATE_HZ = 16000
DNSMOS_SAMPLES = 144_160
"""9.01 s: the one length that DNSMOS judges."""

_TINY = 1e-20
_DNSMOS_CURVES = {
    "dnsmos_sig": (-0.08397278, 1.22083953, 0.0052439),
    "dnsmos_bak": (-0.13166888, 1.60915514, -0.39604546),
    "dnsmos_ovrl": (-0.06766283, 1.11546468, 0.04602535),
}
"""Quadratics, highest power first, from the network's outputs to the scale of the listeners."""

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


def dnsmos(processed: Audio) -> dict[str, float]:
    """DNSMOS P.835 of one window of 9.01 s: predicted opinions of speech, background and both, MOS in about [1, 5].

    processed   (samples,) float, 1.0 = full scale; shorter signals are repeated, of longer ones the start is judged
    returns     dnsmos_sig, dnsmos_bak, dnsmos_ovrl; it sees no reference, and rewards suppression of speech too
    raises      RunError: `missing_dnsmos`
    source      Reddy et al. 2022; weights of the package `speechmos`, whose own code judges overlapping windows
    """
    window = np.clip(np.resize(np.asarray(processed, np.float32), DNSMOS_SAMPLES), -1.0, 1.0)
    (raw,) = _dnsmos_session().run(None, {"input_1": window[None]})[0]
    return {
        name: float(np.polyval(curve, value)) for (name, curve), value in zip(_DNSMOS_CURVES.items(), raw, strict=True)
    }


def missing_dnsmos() -> str | None:
    """None where it can run, else one line with the command that installs it."""
    return None if find_spec("speechmos") else "speechmos is not installed: pip install speechmos==0.0.1.1"


@cache
def _dnsmos_session() -> Any:
    """One thread: the bench has a process a core."""
    import onnxruntime

    spec = find_spec("speechmos")
    if spec is None or spec.origin is None:
        raise RunError(f"no DNSMOS: {missing_dnsmos()}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = Path(spec.origin).parent / "dnsmos_models" / "sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
