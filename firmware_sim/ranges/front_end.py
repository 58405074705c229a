"""Ranges of the front end: window, FFT, power, Wiener gain, features, LayerNorm; then gain, inverse FFT, overlap-add.

The input is any int16 signal, the parameters are any that the contract allows, the states (noise PSD, prior,
overlap) are bounded by what the stages themselves can put there.
"""

from __future__ import annotations

import numpy as np

from firmware_sim import contract, fft, stft, tables
from firmware_sim.contract import UNITY_GAIN_Q15, Profile
from firmware_sim.fixed import I16_MAX, I16_MIN, Ints, mul_q15, mul_q31, shr_round
from firmware_sim.ranges import features, wiener
from firmware_sim.ranges import fft as fft_ranges
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import I16, I32, I64, U16, U64, Ledger, Limit

GUARD = Limit("the FFT's guard", -fft.GUARD, fft.GUARD - 1)
"""Frames outside are what the overflow counters of rfft and irfft count."""
POWER = Limit("power", 0, 1 << 57)
PCM = Interval.of(I16_MIN, I16_MAX, 1)


def analysis(profile: Profile, ledger: Ledger) -> tuple[Interval, Interval]:
    """Bounds of the spectrum (bins * 2) and of the normalised features x_q11 (bins) of any int16 signal."""
    ledger.stage = "window"
    frame = _window(profile, ledger)
    ledger.stage = "rfft"
    ledger.fits("frame_q30", "input of rfft", frame.low, frame.high, GUARD)
    spectrum, _ = fft_ranges.rfft(frame, ledger)
    ledger.tap("spectrum_q30", spectrum.low, spectrum.high)
    ledger.stage = "wiener"
    power = _power(spectrum, ledger)
    noise = wiener.wiener(power, profile, ledger)
    ledger.stage = "features"
    return spectrum, features.features(power, noise, profile, ledger)


def _window(profile: Profile, ledger: Ledger) -> Interval:
    window = tables.analysis_window_q31(profile)
    ends = [np.full(profile.analysis_samples, end, np.int64) for end in (I16_MIN, I16_MAX)]
    half = 1 << 15
    ledger.fits("frame_q30", "sample times window", ends[0] * window, ends[1] * window + half, I64)
    low, high = (stft.window(end[None], profile)[0] for end in ends)
    ledger.fits("frame_q30", "windowed sample", low, high, I32)
    ledger.tap("frame_q30", low, high)
    return Interval(low, high)


def _power(spectrum: Interval, ledger: Ledger) -> Ints:
    """Largest power of each bin."""
    squares = np.maximum(spectrum.low**2, spectrum.high**2).reshape(-1, 2)
    ledger.fits("power", "square", 0, squares, I64)
    ledger.fits("power", "re^2 + im^2", 0, squares.sum(axis=1), U64)
    power: Ints = squares.sum(axis=1) >> contract.POWER_SHIFT
    ledger.fits("power", "power", 0, power, POWER)
    ledger.tap("power", np.zeros_like(power), power)
    return power


def synthesis(profile: Profile, spectrum: Interval, ledger: Ledger) -> None:
    """Gain, inverse FFT and overlap-add for any gains in [0, 1]."""
    ledger.stage = "gain"
    enhanced = _gained(spectrum, ledger)
    ledger.stage = "irfft"
    ledger.fits("enhanced_q30", "input of irfft", enhanced.low, enhanced.high, GUARD)
    frame, _ = fft_ranges.irfft(enhanced, ledger)
    frame = ledger.limits("frame_out", frame, I32)
    ledger.tap("frame_out", frame.low, frame.high)
    ledger.stage = "overlap_add"
    _overlap_add(frame, profile, ledger)


def _gained(spectrum: Interval, ledger: Ledger) -> Interval:
    """Any Wiener gain, mask, floor and dry share give a gain in [0, 1]: every dry share is tried."""
    dry = np.arange(UNITY_GAIN_Q15 + 1, dtype=np.int64)
    ledger.fits("gain_q15", "gain x gain", 0, UNITY_GAIN_Q15**2 + (1 << 14), I64)
    largest = dry + mul_q15(np.full_like(dry, UNITY_GAIN_Q15), UNITY_GAIN_Q15 - dry)
    ledger.fits("gain_q15", "total gain", 0, int(largest.max()), Limit("a gain of one", 0, UNITY_GAIN_Q15))
    ledger.fits("gain_q15", "total gain", 0, int(largest.max()), U16)
    ledger.tap("gain_q15", 0, int(largest.max()))
    product = spectrum.low * UNITY_GAIN_Q15, spectrum.high * UNITY_GAIN_Q15 + (1 << 14)
    ledger.fits("enhanced_q30", "bin times gain", *product, I64)
    low, high = np.minimum(spectrum.low, 0), np.maximum(spectrum.high, 0)
    ledger.fits("enhanced_q30", "enhanced bin", low, high, I32)
    ledger.tap("enhanced_q30", low, high)
    return Interval(low, high)


def _overlap_add(frame: Interval, profile: Profile, ledger: Ledger) -> None:
    window = tables.synthesis_window_q30(profile) << 1
    tail = Interval(frame.low[-profile.synthesis_samples :], frame.high[-profile.synthesis_samples :])
    ledger.fits("pcm", "sample times window", tail.low * window, tail.high * window + (1 << 30), I64)
    low, high = mul_q31(tail.low, window), mul_q31(tail.high, window)
    ledger.fits("overlap", "windowed sample", low, high, I32)
    hop = profile.hop_samples
    rounding = 1 << (14 - profile.fft_log2)
    low, high = (np.minimum(low[hop:], 0) + low[:hop], np.maximum(high[hop:], 0) + high[:hop])
    ledger.fits("pcm", "overlapped sum", low, high + rounding, I64)
    shift = 15 - profile.fft_log2
    pcm = ledger.limits("pcm", Interval(shr_round(low, shift), shr_round(high, shift)), I16)
    ledger.tap("pcm", pcm.low, pcm.high)
