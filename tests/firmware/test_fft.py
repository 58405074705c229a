"""fft.c against fft.py and against CMSIS-DSP, in every length that a profile may have."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from firmware_sim import fft
from firmware_sim.contract import Profile
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter as StreamCounter
from tests.firmware.c_library import Counter, address, library
from tests.firmware_sim.test_fft import LENGTHS, cmsis_rfft, frames

GUARD = 1 << 30


def profile(n: int) -> Profile:
    return Profile(f"fft{n}", n, n // 2, n)


def c_rfft(x: Ints) -> tuple[Ints, int]:
    """Spectra (frames, bins, 2) of frames (frames, N), and the overflows counted."""
    n = x.shape[1]
    device, counter, work = library(profile(n)), Counter(), np.empty(n, np.int32)
    rows = x.astype(np.int32)
    spectra = np.empty((len(x), n // 2 + 1, 2), np.int32)
    for row, spectrum in zip(rows, spectra, strict=True):
        device.stapes_rfft(address(row), address(work), address(spectrum), ctypes.byref(counter))
    return spectra.astype(np.int64), counter.overflows


def c_irfft(spectra: Ints) -> tuple[Ints, Counter]:
    """Frames (frames, N) of spectra (frames, bins, 2), and the counter."""
    n = 2 * (spectra.shape[1] - 1)
    device, counter = library(profile(n)), Counter()
    rows = spectra.astype(np.int32)
    out = np.empty((len(rows), n), np.int32)
    for row, frame in zip(rows, out, strict=True):
        device.stapes_irfft(address(row), address(frame), ctypes.byref(counter))
    return out.astype(np.int64), counter


def some_frames(n: int, full_scale: int = 1 << 31) -> Ints:
    """The frames of fft.py's test, thinned for the long lengths."""
    return frames(n, 200, full_scale)[:: max(1, n // 64)]


@pytest.mark.parametrize("n", LENGTHS)
def test_both_directions_against_python(n: int) -> None:
    x = np.concatenate([some_frames(n), some_frames(n, GUARD)])
    counters = StreamCounter(len(x)), StreamCounter(len(x))
    spectra = fft.rfft(x, counters[0])
    got, overflows = c_rfft(x)
    np.testing.assert_array_equal(got, spectra)
    assert overflows == counters[0].overflows.sum() > 0

    loud = np.concatenate([spectra, x[:, : 2 * (n // 2)].reshape(len(x), -1, 2)[:, np.arange(n // 2 + 1) % (n // 2)]])
    counters = StreamCounter(len(loud)), StreamCounter(len(loud))
    expected = fft.irfft(loud, counters[0])
    back, counter = c_irfft(loud)
    np.testing.assert_array_equal(back, expected)
    assert counter.overflows == counters[0].overflows.sum() > 0
    assert counter.saturations == counters[0].saturations.sum() > 0


@pytest.mark.parametrize("n", LENGTHS)
def test_both_directions_against_cmsisdsp(n: int) -> None:
    x = some_frames(n)
    spectra, _ = c_rfft(x)
    np.testing.assert_array_equal(spectra.reshape(len(x), -1), cmsis_rfft(n, inverse=False)(x)[:, : n + 2])
    padded = np.zeros((len(x), 2 * n), np.int64)
    padded[:, : n + 2] = spectra.reshape(len(x), -1)
    np.testing.assert_array_equal(c_irfft(spectra)[0], cmsis_rfft(n, inverse=True)(padded)[:, :n])


def test_the_guard_counts_one_overflow_a_frame_and_none_at_its_edge() -> None:
    inside = np.full((1, 128), -GUARD)
    inside[0, ::2] = GUARD - 1
    assert c_rfft(inside)[1] == 0
    outside = inside.copy()
    outside[0, 5:8] = GUARD
    assert c_rfft(outside)[1] == 1
    spectrum = np.zeros((1, 65, 2), np.int64)
    spectrum[0, 64] = -GUARD
    assert c_irfft(spectrum)[1].overflows == 0
    spectrum[0, :64, 1] = -GUARD - 1
    assert c_irfft(spectrum)[1].overflows == 1
