"""The cases of the units, numbered from 101 on: one vector each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import numpy as np

from firmware_sim.fixed import Ints
from golden_vectors.kinds.unit import UnitCase
from golden_vectors.unit_cases import features, transforms, wiener, words
from golden_vectors.units import TABLES, WORDS

Rows: TypeAlias = Callable[[], Ints]

FIRST = 101

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


def _entries(size: int) -> Ints:
    """Every index of a table."""
    return np.arange(size, dtype=np.int64)[:, None]


def _every() -> Iterator[tuple[str, str, tuple[str, ...], str, Rows]]:
    """Id, group, flags, unit and rows of every case."""
    for unit in WORDS:
        rows, flags = _WORDS[unit.name]
        yield f"word_{unit.name}", "words", flags, unit.name, rows
    for unit in TABLES:
        entries = partial(_entries, unit.inputs[0].limits[1] + 1)
        yield f"table_{unit.name}", "tables", ("TableEntry",), unit.name, entries
    for name, group, unit_name, rows, flags in _STAGES:
        yield name, group, flags, unit_name, rows


UNIT_CASES = tuple(UnitCase(number, *case) for number, case in enumerate(_every(), FIRST))
