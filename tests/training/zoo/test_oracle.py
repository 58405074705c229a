"""Oracle masks: perfect reconstruction in our own windows, and better with more resolution."""

from __future__ import annotations

import numpy as np
import pytest

from tests import signals
from training.metrics import si_sdr_db
from training.zoo import ORACLES
from training.zoo.oracle import OracleMask


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("samples", [16_000, 16_001])
def test_clean_speech_passes_unchanged(name: str, samples: int) -> None:
    clean = signals.recording("speech.flac")[:samples].astype(np.float32)[None]
    np.testing.assert_allclose(OracleMask(name, ORACLES[name])(clean, clean), clean, atol=1e-5)


def test_an_oracle_gains_decibels_and_the_longer_window_more() -> None:
    clean = signals.recording("speech.flac")[: 4 * 16_000].astype(np.float32)[None]
    noise = signals.recording("noise.flac")[: 4 * 16_000].astype(np.float32)[None]
    noisy = clean + noise * (clean.std() / noise.std())
    before = si_sdr_db(clean[0], noisy[0])
    short, long = (si_sdr_db(clean[0], OracleMask(n, p)(noisy, clean)[0]) for n, p in ORACLES.items())
    assert before + 6 < short < long
