"""The tables of the front end and its stages; what a stage remembers comes with its row and is given back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from export.c_tables import bit_reversal_pairs
from firmware_sim import features, fft, stft, tables
from firmware_sim.activations import SIGMOID_UQ16
from firmware_sim.contract import GAMMA_MAX_UQ16, NOISE_MIN, POWER_MAX, UNITY_GAIN_Q15, Parameters
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter
from firmware_sim.network import I8_MAX, I8_MIN, encode_features
from firmware_sim.wiener import WienerState, wiener
from golden_vectors.signals import PROFILE
from golden_vectors.units.base import GAIN, I16, I32, U16, Column, Columns, Unit

N, HOP, BINS, LEARNING = PROFILE.analysis_samples, PROFILE.hop_samples, PROFILE.bins, PROFILE.noise_init_hops
POWER, NOISE, SNR = (0, POWER_MAX), (NOISE_MIN, POWER_MAX), (0, GAMMA_MAX_UQ16)
FLAG = (0, 1)
X_Q11 = (-(1 << 14), (1 << 14) - 1)
"""Normalised features: layer_norm limits them to 15 bits."""
LEARNED = (0, (1 << 63) - 1)
_SPLIT_A, _SPLIT_B = tables.split_q31(N)

# ---------------------------------------------------------------- tables


def _table(name: str, entries: Ints, limits: tuple[int, int]) -> Unit:
    """Entry by index; a table of more columns gives a row."""
    width = entries.shape[1] if entries.ndim == 2 else 1
    columns = (Column("index", (0, len(entries) - 1)),), (Column("entry", limits, width),)
    return Unit(name, *columns, lambda given: {"entry": entries[given["index"][:, 0]]})


TABLES = (
    _table("analysis_window_q31", tables.analysis_window_q31(PROFILE), I32),
    _table("synthesis_window_q30", tables.synthesis_window_q30(PROFILE), I32),
    _table("twiddle_q31", tables.twiddle_q31(N // 2), I32),
    _table("split_q31", np.concatenate([_SPLIT_A, _SPLIT_B[:, :1]], axis=1), I32),
    _table("bit_reversal", np.array(bit_reversal_pairs(N // 2), np.int64), U16),
    _table("reciprocal_uq16", tables.RECIPROCAL_UQ16, U16),
    _table("log2_q24", tables.LOG2_Q24, I32),
    _table("sqrt_uq16", tables.SQRT_UQ16, U16),
    _table("sigmoid_uq16", SIGMOID_UQ16, U16),
)

# ---------------------------------------------------------------- window, transforms, gain


def _bins(flat: Ints) -> Ints:
    """Half spectra (rows, 2 * bins), re and im in turn, as (rows, bins, 2)."""
    return flat.reshape(len(flat), -1, 2)


def _rfft(given: Columns) -> Columns:
    counter = Counter(len(given["frame"]))
    return {"spectrum": fft.rfft(given["frame"], counter), "overflows": counter.overflows}


def _irfft(given: Columns) -> Columns:
    counter = Counter(len(given["spectrum"]))
    frame = fft.irfft(_bins(given["spectrum"]), counter)
    return {"frame": frame, "overflows": counter.overflows, "saturations": counter.saturations}


def _total_gain(given: Columns) -> Columns:
    settings = ("gain_floor_q15", "dry_q15", "bypass", "initialising", "has_mask")
    rows = []
    for i, (floor_q15, dry_q15, bypass, initialising, has_mask) in enumerate(_scalars(given, settings)):
        mask_q15 = given["mask_q15"][i : i + 1] if has_mask else np.full((1, BINS), UNITY_GAIN_Q15, np.int64)
        parameters = Parameters(floor_q15, dry_q15, bypass=bool(bypass))
        rows.append(stft.total_gain(given["wiener_gain_q15"][i : i + 1], mask_q15, parameters, bool(initialising)))
    return {"gain_q15": np.concatenate(rows)}


def _overlap_add(given: Columns) -> Columns:
    counter = Counter(len(given["frame"]))
    pcm, overlap = stft.overlap_add(given["frame"], given["overlap"], PROFILE, counter)
    return {"pcm": pcm, "overlap": overlap, "saturations": counter.saturations}


def _scalars(given: Columns, names: Iterable[str]) -> Iterable[tuple[int, ...]]:
    """Columns of width one, row by row, as Python's integers."""
    return zip(*(given[name][:, 0].tolist() for name in names), strict=True)


_SPECTRUM = Column("spectrum", I32, 2 * BINS)
_FLOOR_AND_SHARE = Column("gain_floor_q15", GAIN), Column("dry_q15", GAIN)
_SWITCHES = Column("bypass", FLAG), Column("initialising", FLAG), Column("has_mask", FLAG)

TRANSFORMS = (
    Unit(
        "window",
        (Column("history", I16, N),),
        (Column("frame_q30", I32, N),),
        lambda given: {"frame_q30": stft.window(given["history"], PROFILE)},
    ),
    Unit("rfft", (Column("frame", I32, N),), (_SPECTRUM, Column("overflows", FLAG)), _rfft),
    Unit(
        "irfft",
        (_SPECTRUM,),
        (Column("frame", I32, N), Column("overflows", FLAG), Column("saturations", (0, N))),
        _irfft,
    ),
    Unit(
        "total_gain",
        (Column("wiener_gain_q15", GAIN, BINS), Column("mask_q15", GAIN, BINS), *_FLOOR_AND_SHARE, *_SWITCHES),
        (Column("gain_q15", GAIN, BINS),),
        _total_gain,
    ),
    Unit(
        "apply_gain",
        (_SPECTRUM, Column("gain_q15", GAIN, BINS)),
        (Column("enhanced", I32, 2 * BINS),),
        lambda given: {"enhanced": stft.apply_gain(_bins(given["spectrum"]), given["gain_q15"])},
    ),
    Unit(
        "overlap_add",
        (Column("frame", I32, N), Column("overlap", I32, HOP)),
        (Column("pcm", I16, HOP), Column("overlap", I32, HOP), Column("saturations", (0, HOP))),
        _overlap_add,
    ),
)

# ---------------------------------------------------------------- Wiener stage, features


def _state(given: Columns, row: int, hops: int) -> WienerState:
    """What the stage remembers, of one row; what the row has not is at home."""
    state = WienerState(PROFILE, 1)
    for name in ("noise", "learned", "prior_uq16"):
        if name in given:
            setattr(state, name, given[name][row : row + 1])
    state.hops = hops
    return state


def _wiener(given: Columns) -> Columns:
    rows = [_hop(given, i, LEARNING, floor_q15) for i, (floor_q15,) in enumerate(_scalars(given, ("floor_q15",)))]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _wiener_learn(given: Columns) -> Columns:
    rows = [_hop(given, i, hops, 0) for i, (hops,) in enumerate(_scalars(given, ("hops",)))]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _hop(given: Columns, i: int, hops: int, floor_q15: int) -> dict[str, Any]:
    """Everything that a hop of row i gives."""
    state, counter = _state(given, i, hops), Counter(1)
    taps = wiener(given["power"][i : i + 1], state, floor_q15, counter)
    return {
        "initialising": taps.initialising,
        "wiener_gain_q15": taps.gain_q15[0],
        "xi_uq16": taps.xi_uq16[0],
        "noise": state.noise[0],
        "learned": state.learned[0],
        "prior_uq16": state.prior_uq16[0],
        "hops": state.hops,
        "likelihood_q16": taps.likelihood_q16[0],
        "vad": taps.vad[0],
        "saturations": counter.saturations[0],
    }


def _plausible(given: Columns) -> Columns:
    rows = [_state(given, i, hops).plausible() for i, (hops,) in enumerate(_scalars(given, ("hops",)))]
    return {"plausible": np.array(rows)}


def _layer_norm(given: Columns) -> Columns:
    counter = Counter(len(given["feature_q16"]))
    return {"x_q11": features.layer_norm(given["feature_q16"], counter), "saturations": counter.saturations}


def _encode_features_i8(given: Columns) -> Columns:
    counter = Counter(len(given["x_q11"]))
    return {"x": encode_features(given["x_q11"], "int8", counter), "saturations": counter.saturations}


def _by_bin(function: Callable[[Columns], Ints], name: str) -> Callable[[Columns], Columns]:
    return lambda given: {name: function(given)}


_POWER, _GAIN = Column("power", POWER, BINS), Column("wiener_gain_q15", GAIN, BINS)
_NOISE, _LEARNED, _PRIOR = (
    Column("noise", NOISE, BINS),
    Column("learned", LEARNED, BINS),
    Column("prior_uq16", SNR, BINS),
)
_INITIALISING, _HOPS = Column("initialising", FLAG), Column("hops", (0, LEARNING))

STAGES = (
    Unit(
        "power",
        (Column("spectrum", (-I32[1], I32[1]), 2 * BINS),),
        (Column("power", (0, 1 << 59), BINS),),
        _by_bin(lambda given: stft.power(_bins(given["spectrum"])), "power"),
    ),
    Unit(
        "wiener",
        (_POWER, _NOISE, _PRIOR, Column("floor_q15", GAIN)),
        (
            _INITIALISING,
            _GAIN,
            Column("xi_uq16", SNR, BINS),
            _NOISE,
            _PRIOR,
            _HOPS,
            Column("likelihood_q16", (-(1 << 62), 1 << 62)),
            Column("vad", FLAG),
            Column("saturations", (0, BINS)),
        ),
        _wiener,
    ),
    Unit(
        "wiener_learn",
        (_POWER, _LEARNED, Column("hops", (0, LEARNING - 1))),
        (_INITIALISING, _GAIN, _NOISE, _LEARNED, _HOPS),
        _wiener_learn,
    ),
    Unit(
        "wiener_plausible",
        (Column("noise", (-(1 << 63), (1 << 63) - 1), BINS), Column("hops", I32)),
        (Column("plausible", FLAG),),
        _plausible,
    ),
    Unit(
        "features",
        (_POWER, _NOISE, _GAIN),
        (Column("feature_q16", I32, BINS),),
        _by_bin(
            lambda given: features.features(given["power"], given["noise"], given["wiener_gain_q15"]), "feature_q16"
        ),
    ),
    Unit(
        "layer_norm",
        (Column("feature_q16", (-(1 << 22) + 1, (1 << 22) - 1), BINS),),
        (Column("x_q11", I16, BINS), Column("saturations", (0, BINS))),
        _layer_norm,
    ),
    Unit(
        "encode_features_i8",
        (Column("x_q11", X_Q11),),
        (Column("x", (I8_MIN, I8_MAX)), Column("saturations", FLAG)),
        _encode_features_i8,
    ),
)
