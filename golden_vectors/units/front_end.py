"""The tables and stages of a profile's front end; what a stage remembers comes with its row and is given back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from export.c_tables import bit_reversal_pairs
from firmware_sim import features, fft, stft, tables
from firmware_sim.activations import SIGMOID_UQ16
from firmware_sim.contract import GAMMA_MAX_UQ16, NOISE_MIN, POWER_MAX, UNITY_GAIN_Q15, Parameters, Profile
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter
from firmware_sim.network import I8_MAX, I8_MIN, encode_features
from firmware_sim.wiener import WienerState, wiener
from golden_vectors.units.base import GAIN, I16, I32, U8, U16, U31, Column, Columns, Unit

POWER, NOISE, SNR = (0, POWER_MAX), (NOISE_MIN, POWER_MAX), (0, GAMMA_MAX_UQ16)
FLAG = (0, 1)
X_Q11 = (-(1 << 14), (1 << 14) - 1)
"""Normalised features: layer_norm limits them to 15 bits."""
LEARNED = (0, (1 << 63) - 1)
U1_31 = (1, 1 << 31)

# ---------------------------------------------------------------- tables


def _table(name: str, entries: Ints, limits: tuple[int, int]) -> Unit:
    """Entry by index; a table of more columns gives a row."""
    width = entries.shape[1] if entries.ndim == 2 else 1
    columns = (Column("index", (0, len(entries) - 1)),), (Column("entry", limits, width),)
    return Unit(name, *columns, lambda given: {"entry": entries[given["index"][:, 0]]})


def tables_of(profile: Profile) -> tuple[Unit, ...]:
    """The tables of a profile's device; those after the bands are the same in all."""
    n = profile.analysis_samples
    split_a, split_b = tables.split_q31(n)
    return (
        _table("analysis_window_q31", tables.analysis_window_q31(profile), I32),
        _table("synthesis_window_q30", tables.synthesis_window_q30(profile), I32),
        _table("twiddle_q31", tables.twiddle_q31(n // 2), I32),
        _table("split_q31", np.concatenate([split_a, split_b[:, :1]], axis=1), I32),
        _table("bit_reversal", np.array(bit_reversal_pairs(n // 2), np.int64), U16),
        _table("band_width", np.array(profile.band_widths, np.int64), U8),
        _table("band_inverse_q31", tables.band_inverse_q31(profile), U1_31),
        _table("absence_uq16", tables.ABSENCE_UQ16, U16),
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


def _total_gain(profile: Profile, given: Columns) -> Columns:
    settings = ("gain_floor_q15", "dry_q15", "bypass", "initialising", "has_mask")
    unity_q15, rows = np.full((1, profile.band_count), UNITY_GAIN_Q15, np.int64), []
    for i, (floor_q15, dry_q15, bypass, initialising, has_mask) in enumerate(_scalars(given, settings)):
        mask_q15 = given["mask_q15"][i : i + 1] if has_mask else unity_q15
        parameters = Parameters(floor_q15, dry_q15, bypass=bool(bypass))
        gain_q15 = given["wiener_gain_q15"][i : i + 1]
        rows.append(stft.total_gain(gain_q15, mask_q15, profile, parameters, bool(initialising)))
    return {"gain_q15": np.concatenate(rows)}


def _overlap_add(profile: Profile, given: Columns) -> Columns:
    counter = Counter(len(given["frame"]))
    pcm, overlap = stft.overlap_add(given["frame"], given["overlap"], profile, counter)
    return {"pcm": pcm, "overlap": overlap, "saturations": counter.saturations}


def _scalars(given: Columns, names: Iterable[str]) -> Iterable[tuple[int, ...]]:
    """Columns of width one, row by row, as Python's integers."""
    return zip(*(given[name][:, 0].tolist() for name in names), strict=True)


def transforms_of(profile: Profile) -> tuple[Unit, ...]:
    """Window, transforms and gains of a profile."""
    n, hop, bins = profile.analysis_samples, profile.hop_samples, profile.bins
    spectrum, gain = Column("spectrum", I32, 2 * bins), Column("gain_q15", GAIN, bins)
    frame, overlap = Column("frame", I32, n), Column("overlap", I32, hop)
    floor_and_share = Column("gain_floor_q15", GAIN), Column("dry_q15", GAIN)
    switches = Column("bypass", FLAG), Column("initialising", FLAG), Column("has_mask", FLAG)
    gains = Column("wiener_gain_q15", GAIN, bins), Column("mask_q15", GAIN, profile.band_count)
    windowed = _alone("frame_q30", lambda given: stft.window(given["history"], profile))
    enhanced = _alone("enhanced", lambda given: stft.apply_gain(_bins(given["spectrum"]), given["gain_q15"]))
    overflows = Column("overflows", FLAG)
    added = Column("pcm", I16, hop), overlap, Column("saturations", (0, hop))
    return (
        Unit("window", (Column("history", I16, n),), (Column("frame_q30", I32, n),), windowed),
        Unit("rfft", (frame,), (spectrum, overflows), _rfft),
        Unit("irfft", (spectrum,), (frame, overflows, Column("saturations", (0, n))), _irfft),
        Unit("total_gain", (*gains, *floor_and_share, *switches), (gain,), partial(_total_gain, profile)),
        Unit("apply_gain", (spectrum, gain), (Column("enhanced", I32, 2 * bins),), enhanced),
        Unit("overlap_add", (frame, overlap), added, partial(_overlap_add, profile)),
    )


def _alone(name: str, function: Callable[[Columns], Ints]) -> Callable[[Columns], Columns]:
    """A function whose result is the only column."""
    return lambda given: {name: function(given)}


# ---------------------------------------------------------------- Wiener stage, features


def _state(profile: Profile, given: Columns, row: int, hops: int) -> WienerState:
    """What the stage remembers, of one row; what the row has not is at home."""
    state = WienerState(profile, 1)
    for name in ("noise", "learned", "prior_uq16", "presence_q31"):
        if name in given:
            setattr(state, name, given[name][row : row + 1])
    state.hops = hops
    return state


def _wiener(profile: Profile, given: Columns) -> Columns:
    floors = enumerate(_scalars(given, ("floor_q15",)))
    return _joined([_hop(profile, given, i, profile.noise_init_hops, floor_q15) for i, (floor_q15,) in floors])


def _wiener_learn(profile: Profile, given: Columns) -> Columns:
    return _joined([_hop(profile, given, i, hops, 0) for i, (hops,) in enumerate(_scalars(given, ("hops",)))])


def _joined(rows: Sequence[dict[str, Any]]) -> Columns:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _hop(profile: Profile, given: Columns, i: int, hops: int, floor_q15: int) -> dict[str, Any]:
    """Everything that a hop of row i gives."""
    state, counter = _state(profile, given, i, hops), Counter(1)
    taps = wiener(given["power"][i : i + 1], state, floor_q15, counter)
    return {
        "initialising": taps.initialising,
        "wiener_gain_q15": taps.gain_q15[0],
        "raw_gain_q15": taps.raw_gain_q15[0],
        "xi_uq16": taps.xi_uq16[0],
        "noise": state.noise[0],
        "learned": state.learned[0],
        "prior_uq16": state.prior_uq16[0],
        "presence_q31": state.presence_q31[0],
        "hops": state.hops,
        "likelihood_q16": taps.likelihood_q16[0],
        "vad": taps.vad[0],
        "saturations": counter.saturations[0],
    }


def _plausible(profile: Profile, given: Columns) -> Columns:
    rows = [_state(profile, given, i, hops).plausible() for i, (hops,) in enumerate(_scalars(given, ("hops",)))]
    return {"plausible": np.array(rows)}


def _layer_norm(given: Columns) -> Columns:
    counter = Counter(len(given["feature_q16"]))
    return {"x_q11": features.layer_norm(given["feature_q16"], counter), "saturations": counter.saturations}


def _encode_features_i8(given: Columns) -> Columns:
    counter = Counter(len(given["x_q11"]))
    return {"x": encode_features(given["x_q11"], "int8", counter), "saturations": counter.saturations}


def stages_of(profile: Profile) -> tuple[Unit, ...]:
    """Power, Wiener stage and features of a profile."""
    return (*_wiener_units(profile), *_feature_units(profile))


def _wiener_units(profile: Profile) -> tuple[Unit, ...]:
    """What only the tracker spp remembers, and the gain before its floor, are columns where the profile has them."""
    bins, learning = profile.bins, profile.noise_init_hops
    power, noise, prior = Column("power", POWER, bins), Column("noise", NOISE, bins), Column("prior_uq16", SNR, bins)
    gains = [Column("wiener_gain_q15", GAIN, bins)]
    gains += [Column("raw_gain_q15", GAIN, bins)] if profile.gain_channel else []
    presence = [Column("presence_q31", U31, bins)] if profile.noise_tracker == "spp" else []
    initialising, hops = Column("initialising", FLAG), Column("hops", (0, learning))
    learned, xi = Column("learned", LEARNED, bins), Column("xi_uq16", SNR, bins)
    decision = Column("likelihood_q16", (-(1 << 62), 1 << 62)), Column("vad", FLAG), Column("saturations", (0, bins))
    spectrum = Column("spectrum", (-I32[1], I32[1]), 2 * bins)
    any_noise = Column("noise", (-(1 << 63), (1 << 63) - 1), bins)
    squares = _alone("power", lambda given: stft.power(_bins(given["spectrum"])))
    return (
        Unit("power", (spectrum,), (Column("power", (0, 1 << 59), bins),), squares),
        Unit(
            "wiener",
            (power, noise, prior, *presence, Column("floor_q15", GAIN)),
            (initialising, *gains, xi, noise, prior, *presence, hops, *decision),
            partial(_wiener, profile),
        ),
        Unit(
            "wiener_learn",
            (power, learned, Column("hops", (0, learning - 1))),
            (initialising, *gains, noise, learned, hops),
            partial(_wiener_learn, profile),
        ),
        Unit(
            "wiener_plausible",
            (any_noise, Column("hops", I32)),
            (Column("plausible", FLAG),),
            partial(_plausible, profile),
        ),
    )


def _feature_units(profile: Profile) -> tuple[Unit, ...]:
    bins, bands = profile.bins, profile.band_count
    power, noise = Column("power", POWER, bins), Column("noise", NOISE, bins)
    gain, raw_gain = Column("wiener_gain_q15", GAIN, bins), Column("raw_gain_q15", GAIN, bins)
    raw = Column("feature_q16", (-(1 << 22) + 1, (1 << 22) - 1), bands)
    x_q11, saturations = Column("x_q11", I16, bands), Column("saturations", (0, bands))

    def log_features(given: Columns) -> Ints:
        return features.features(given["power"], given["noise"], given["wiener_gain_q15"], profile)

    return (
        Unit(
            "features",
            (power, noise, gain),
            (Column("feature_q16", I32, bands),),
            _alone("feature_q16", log_features),
        ),
        Unit(
            "gain_features",
            (raw_gain,),
            (Column("x_q11", (-4096, 4096), bands),),
            _alone("x_q11", lambda given: features.gain_features(given["raw_gain_q15"], profile)),
        ),
        Unit("layer_norm", (raw,), (x_q11, saturations), _layer_norm),
        Unit(
            "encode_features_i8",
            (Column("x_q11", X_Q11),),
            (Column("x", (I8_MIN, I8_MAX)), Column("saturations", FLAG)),
            _encode_features_i8,
        ),
    )
