"""Analysis and synthesis: window, overlap-add, 16-bit samples in and out.

Periodic sqrt-Hann on both sides (or the asymmetric pair of `tables`) with two overlapping hops gives perfect
reconstruction with no divisor.
"""

from __future__ import annotations

import numpy as np

from firmware_sim import tables
from firmware_sim.contract import UNITY_GAIN_Q15, Parameters, Profile
from firmware_sim.fixed import Ints, mul_q15, mul_q31, sat_i16, shr_floor, shr_round
from firmware_sim.meter import Counter, operations


def window(history: Ints, profile: Profile) -> Ints:
    """Windowed frame.

    history  (streams, N) int16  the last N samples, newest last
    returns  (streams, N) int32  frame_q30, |x| <= 2^30, rounded half up
    """
    operations("mac32", history.size)
    return shr_round(history * tables.analysis_window_q31(profile), 16)


def total_gain(
    wiener_gain_q15: Ints, mask_q15: Ints, profile: Profile, parameters: Parameters, initialising: bool
) -> Ints:
    """Gain of each bin: Wiener gain x mask of its band, floored, mixed with the dry signal.

    wiener_gain_q15  (streams, bins) [0, 32768]
    mask_q15         (streams, bands) [0, 32768]
    initialising     the noise estimate is not there yet: audio passes
    returns          (streams, bins) gain_q15 [0, 32768], round half up
    """
    operations("mac", 2 * wiener_gain_q15.size)
    if initialising or parameters.bypass:
        return np.full_like(wiener_gain_q15, UNITY_GAIN_Q15)
    mask_of_bins_q15 = np.repeat(mask_q15, profile.band_widths, axis=1)
    wet_q15 = np.maximum(mul_q15(wiener_gain_q15, mask_of_bins_q15), parameters.gain_floor_q15)
    return parameters.dry_q15 + mul_q15(wet_q15, UNITY_GAIN_Q15 - parameters.dry_q15)


def apply_gain(spectrum_q30: Ints, gain_q15: Ints) -> Ints:
    """Spectrum (streams, bins, 2) scaled bin by bin, rounded half up."""
    return mul_q15(spectrum_q30, gain_q15[:, :, None])


def overlap_add(frame: Ints, overlap: Ints, profile: Profile, counter: Counter) -> tuple[Ints, Ints]:
    """Windowed tail of a frame added to the overlap that the frame before left.

    frame    (streams, N) int32    output of irfft: q(30 - log2 N)
    overlap  (streams, hop) int32  same format
    returns  pcm (streams, hop) int16, saturations counted; next overlap (streams, hop)
    """
    hop = profile.hop_samples
    tail = frame[:, -profile.synthesis_samples :]
    windowed = mul_q31(tail, tables.synthesis_window_q30(profile) << 1)
    operations("add", overlap.size)
    pcm = shr_round(overlap + windowed[:, :hop], 15 - profile.fft_log2)
    return sat_i16(pcm, counter), windowed[:, hop:]


def power(spectrum_q30: Ints) -> Ints:
    """(re^2 + im^2) >> 4 of each bin: (streams, bins) int64 [0, 2^57]."""
    operations("mac64", spectrum_q30.size)
    re, im = spectrum_q30[:, :, 0], spectrum_q30[:, :, 1]
    return shr_floor(re * re + im * im, 4)
