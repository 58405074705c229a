"""The cases of the units, numbered from 101 on: one vector each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import numpy as np

from firmware_sim.fixed import Ints
from golden_vectors.kinds.unit import UnitCase
from golden_vectors.unit_cases import default, features, transforms, wiener, words
from golden_vectors.units import FIRST_PROFILE, UNITS_OF, WORDS

Rows: TypeAlias = Callable[[], Ints]

FIRST = 101
TABLES = ("analysis_window_q31", "synthesis_window_q30", "twiddle_q31", "split_q31", "bit_reversal",
          "reciprocal_uq16", "log2_q24", "sqrt_uq16", "sigmoid_uq16")  # fmt: skip
TABLES_OF_DEFAULT = (*TABLES[:5], "band_width", "band_inverse_q31", "absence_uq16")
"""Tables of the first profile, and those in which the default differs."""

_WORDS: dict[str, tuple[Rows, tuple[str, ...]]] = {
    "count": (words.count, ("CounterEnd",)),
    "shr_round": (words.shr_round, ("Tie", "ShiftEdge")),
    "sat_i15": (partial(words.limit, 15), ("SaturationEdge",)),
    "sat_i16": (partial(words.limit, 16), ("SaturationEdge",)),
    "double_sat_i32": (partial(words.limit, 31), ("SaturationEdge",)),
    "wrap_i32": (words.wrap_i32, ("Wrap",)),
    "add_i32": (words.add_i32, ("Wrap",)),
    "sub_i32": (words.add_i32, ("Wrap",)),
    "double_i32": (words.double_i32, ("Wrap",)),
    "mul_q15": (words.mul_q15, ("Tie",)),
    "mul_q31": (words.mul_q31, ("Tie", "Carry")),
    "mulhi_u32": (words.mulhi_u32, ("HighWord", "Carry")),
    "mulhi_i32": (words.mulhi_i32, ("HighWord", "MinTimesMin")),
    "mulhi_round": (words.mulhi_round, ("Tie", "MinTimesMin")),
    "mulhi_round_add": (words.mulhi_round_add, ("Tie", "Wrap", "MinTimesMin")),
    "mulhi_round_u32": (words.mulhi_round_u32, ("Tie", "Carry")),
    "mix_q31": (words.mix_q31, ("Tie", "Carry")),
    "bit_length": (partial(words.positive, 63), ("Norm",)),
    "normalise": (partial(words.positive, 63), ("Norm",)),
    "reciprocal": (words.reciprocal, ("TableInterval",)),
    "log2_q16": (words.log2_q16, ("TableInterval", "Tie")),
    "sqrt_round_u30": (words.sqrt_round_u30, ("RootEdge", "TableInterval")),
    "sqrt_round": (words.sqrt_round, ("RootEdge",)),
    "srdhm": (words.srdhm, ("Tie", "MinTimesMin")),
    "rdbpot": (words.rdbpot, ("Tie", "ShiftEdge")),
    "mbqm32": (words.mbqm32, ("Tie", "DoubleRounding", "ShiftEdge")),
    "mbqm64": (words.mbqm64, ("Tie", "ReducedMultiplier", "ShiftEdge")),
}


_STAGES: tuple[tuple[str, str, str, Rows, tuple[str, ...]], ...] = (
    ("window", "fft", "window", transforms.window, ("Tie", "TableEntry")),
    ("rfft_impulses", "fft", "rfft", transforms.rfft_impulses, ("Twiddle",)),
    ("rfft_tones", "fft", "rfft", transforms.rfft_tones, ("Twiddle", "DcBin", "NyquistBin")),
    ("rfft_extremes", "fft", "rfft", transforms.rfft_extremes, ("FftWrap", "ScaleOfStage")),
    ("rfft_overflows", "fft", "rfft", transforms.rfft_overflows, ("OverflowGuard", "Wrap")),
    ("irfft_impulses", "fft", "irfft", transforms.irfft_impulses, ("Twiddle", "DcBin", "NyquistBin")),
    ("irfft_spectra", "fft", "irfft", transforms.irfft_spectra, ("Twiddle", "ScaleOfStage")),
    ("irfft_extremes", "fft", "irfft", transforms.irfft_extremes, ("SaturationEdge", "OverflowGuard", "Wrap")),
    ("total_gain", "fft", "total_gain", transforms.total_gain, ("Tie", "GainFloor", "DryWet", "Bypass")),
    ("apply_gain", "fft", "apply_gain", transforms.apply_gain, ("Tie",)),
    ("overlap_add", "fft", "overlap_add", transforms.overlap_add, ("Tie", "SaturationEdge", "OverlapLost")),
    ("power", "wiener", "power", wiener.power, ("SquareSum",)),
    ("wiener_speech", "wiener", "wiener", wiener.of_speech, ("Adaptation", "VadSum")),
    ("wiener_learning", "wiener", "wiener_learn", wiener.learning, ("NoiseFloor", "FirstHops")),
    ("wiener_ceiling", "wiener", "wiener", wiener.ceiling, ("SnrCeiling",)),
    ("wiener_bins", "wiener", "wiener", wiener.bins, ("Tie", "Norm")),
    ("wiener_following", "wiener", "wiener", wiener.following, ("NoiseFloor", "Tie")),
    ("wiener_threshold", "wiener", "wiener", wiener.threshold, ("VadThreshold", "NoiseFloor")),
    ("wiener_plausible", "wiener", "wiener_plausible", wiener.plausible, ("Plausible",)),
    ("features", "features", "features", features.features, ("NoiseFloor", "GainOfZero")),
    ("layer_norm", "features", "layer_norm", features.layer_norm, ("ZeroVariance", "SaturationEdge")),
    ("encode_features_i8", "features", "encode_features_i8", features.encode_features_i8, ("Tie", "SaturationEdge")),
)
"""Id, group, unit, rows, flags."""
_OF_DEFAULT: tuple[tuple[str, str, str, Rows, tuple[str, ...]], ...] = (
    ("window_256", "fft", "window", default.window, ("Tie", "TableEntry")),
    ("rfft_256", "fft", "rfft", default.rfft, ("Twiddle", "FftWrap", "OverflowGuard")),
    ("irfft_256", "fft", "irfft", default.irfft, ("Twiddle", "SaturationEdge", "OverflowGuard")),
    ("total_gain_bands", "fft", "total_gain", default.total_gain, ("BandEdge", "Tie", "GainFloor", "Bypass")),
    ("overlap_add_256", "fft", "overlap_add", default.overlap_add, ("Tie", "SaturationEdge")),
    ("spp_speech", "wiener", "wiener", default.of_speech, ("Adaptation", "Presence")),
    ("spp_learning", "wiener", "wiener_learn", default.learning, ("NoiseFloor", "FirstHops")),
    ("spp_absence", "wiener", "wiener", default.absence, ("TableInterval", "Presence")),
    ("spp_guard", "wiener", "wiener", default.guard, ("Stagnation",)),
    ("spp_weighted", "wiener", "wiener", default.weighted, ("NoiseFloor", "Tie")),
    ("spp_half", "wiener", "wiener", default.half, ("VadThreshold", "DcBin", "NyquistBin")),
    ("band_features", "features", "features", default.features, ("BandEdge", "NoiseFloor", "GainChannel")),
    ("gain_features", "features", "gain_features", default.gain_features, ("GainChannel", "BandEdge")),
    ("layer_norm_64", "features", "layer_norm", default.layer_norm, ("ZeroVariance", "SaturationEdge")),
)
"""The same of the profile `default`: what it has of its own."""


def _entries(size: int) -> Ints:
    """Every index of a table."""
    return np.arange(size, dtype=np.int64)[:, None]


def _every() -> Iterator[tuple[str, str, tuple[str, ...], str, Rows, str]]:
    """Id, group, flags, unit, rows and profile of every case; those of the default profile behind the others."""
    for unit in WORDS:
        rows, flags = _WORDS[unit.name]
        yield f"word_{unit.name}", "words", flags, unit.name, rows, FIRST_PROFILE
    yield from ((f"table_{name}", *_table(name, FIRST_PROFILE)) for name in TABLES)
    for name, group, unit_name, rows, flags in _STAGES:
        yield name, group, flags, unit_name, rows, FIRST_PROFILE
    yield from ((f"table_{name}_of_default", *_table(name, "default")) for name in TABLES_OF_DEFAULT)
    for name, group, unit_name, rows, flags in _OF_DEFAULT:
        yield name, group, flags, unit_name, rows, "default"


def _table(name: str, profile: str) -> tuple[str, tuple[str, ...], str, Rows, str]:
    """Every entry of a table; all but its id."""
    last = UNITS_OF[profile][name].inputs[0].limits[1]
    return "tables", ("TableEntry",), name, partial(_entries, last + 1), profile


UNIT_CASES = tuple(UnitCase(number, *case) for number, case in enumerate(_every(), FIRST))
