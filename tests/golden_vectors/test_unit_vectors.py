"""Unit vectors: every word, table and stage has rows, every engine of the front end gives their bits, faults show."""

from __future__ import annotations

import inspect
import re
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from export.c_writer import to_c
from firmware_sim import fixed
from firmware_sim.contract import PROFILES
from firmware_sim.fixed import I32_MIN, Ints
from golden_vectors import cc
from golden_vectors.cc import FIRMWARE, INCLUDES, find_compiler
from golden_vectors.compare import Difference
from golden_vectors.errors import WitnessError
from golden_vectors.executors import registry
from golden_vectors.executors.base import Executor, UnitExecutor
from golden_vectors.executors.c_host import CHost
from golden_vectors.executors.c_m7 import CM7
from golden_vectors.executors.c_program import run_unit as run_in_program
from golden_vectors.executors.host_units import load_units, run_unit
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.files import DIRECTORY, load
from golden_vectors.kinds.unit import UnitKind
from golden_vectors.unit_cases import TABLES, TABLES_OF_DEFAULT, UNIT_CASES
from golden_vectors.units import FIRST_PROFILE, UNITS, UNITS_OF, unit
from golden_vectors.units.base import Column, Unit
from golden_vectors.units.sizes import PROFILE
from golden_vectors.vector import Vector
from golden_vectors.verify import Bench, Outcome

COVERED = {
    "shr_floor": "power",
    "shift_left": "normalise",
    "clamp": "sat_i15",
    "sat_i32": "double_sat_i32",
    "quantize_multiplier": "",  # of the export: no arithmetic of the device
}
"""Words of fixed.py alone -> the unit that runs them."""
ENGINES = [e for e in registry() if isinstance(e, UnitExecutor) and e.available() is None]


@cache
def vectors() -> dict[str, Vector]:
    """The committed vectors of units, by id."""
    return {case.id: load(DIRECTORY / f"{case.id}.json", case) for case in UNIT_CASES}


def column(case: str, name: str) -> Ints:
    values: Ints = vectors()[case].arrays[name].astype(np.int64)
    return values


def first_difference(engine: Executor, case: str) -> Difference | None:
    return UnitKind().compare(engine, vectors()[case], Bench([], {}))[0]  # type: ignore[arg-type]


# ---------------------------------------------------------------- completeness


def test_every_word_of_the_firmware_and_of_its_twin_is_a_unit() -> None:
    in_c = set(re.findall(r"^static inline \w+ stapes_(\w+)\(", (FIRMWARE / "fixed.h").read_text(), re.MULTILINE))
    assert in_c - {"limited"} <= set(UNITS)  # the step inside every sat_
    in_python = {name for name, _ in inspect.getmembers(fixed, inspect.isfunction) if _.__module__ == fixed.__name__}
    assert in_python - set(COVERED) - {"sat_i16"} <= set(UNITS)
    assert {covering for covering in COVERED.values() if covering} <= set(UNITS)


def test_every_unit_has_a_case_and_every_table_all_its_entries() -> None:
    assert {case.unit for case in UNIT_CASES} == set(UNITS)
    for profile, names, end in (("seed", TABLES, ""), ("default", TABLES_OF_DEFAULT, "_of_default")):
        for name in names:
            index = column(f"table_{name}{end}", "in_index")
            np.testing.assert_array_equal(index, np.arange(unit(name, profile).inputs[0].limits[1] + 1))


def test_the_firmware_has_the_same_units_with_the_same_columns() -> None:
    text = (FIRMWARE / "port" / "units.c").read_text()
    assert set(re.findall(r"UNIT\((\w+), \w", text)) - {"name"} == set(UNITS)
    for profile, own in UNITS_OF.items():
        for one in own.values():
            rows = np.stack([[max(0, low) for c in one.inputs for low in [c.limits[0]] * c.width]])
            assert CHost().run_unit(one.name, rows, profile).shape == (1, one.out_width)


def test_all_unit_vectors_together_are_below_1400_kb() -> None:
    files = [DIRECTORY / f"{case.id}{end}" for case in UNIT_CASES for end in (".json", ".npz")]
    assert sum(path.stat().st_size for path in files) < 1_400_000


# ---------------------------------------------------------------- content


def test_shifts_tie_at_every_amount_in_both_signs_between_their_neighbours() -> None:
    x, n = column("word_shr_round", "in_x"), column("word_shr_round", "in_n")
    for amount in range(1, 63):
        at = x[n == amount]
        half = 1 << (amount - 1)
        found = at[at % (1 << amount) == half]
        assert found.min() < 0 < found.max(), amount
        assert np.isin([half - 1, half, half + 1], at).all()


@pytest.mark.parametrize(
    ("word", "a", "b", "bits"),
    [
        ("mul_q15", "x", "gain_q15", 15),
        ("mul_q31", "x", "y_q31", 31),
        ("mulhi_round", "x", "y", 32),
        ("srdhm", "a", "b", 31),
    ],
)
def test_products_are_at_their_ties_and_one_off_in_both_signs(word: str, a: str, b: str, bits: int) -> None:
    product = column(f"word_{word}", f"in_{a}") * column(f"word_{word}", f"in_{b}")
    for d in (-1, 0, 1):
        found = product[product % (1 << bits) == (1 << (bits - 1)) + d]
        assert found.min() < 0 < found.max()


@pytest.mark.parametrize(("word", "names"), [("srdhm", "ab"), ("mulhi_round", "xy"), ("mulhi_i32", "xy")])
def test_int_min_meets_int_min(word: str, names: str) -> None:
    assert np.all([column(f"word_{word}", f"in_{name}") == I32_MIN for name in names], axis=0).any()


def test_the_stages_reach_what_their_flags_say() -> None:
    assert set(column("wiener_threshold", "out_vad")) == {0, 1}
    edge = column("wiener_threshold", "out_likelihood_q16")[:3]
    assert (np.diff(edge) == 1).all()
    assert column("wiener_threshold", "out_vad")[:3].tolist() == [0, 1, 1]
    assert {0, PROFILE.bins} <= set(column("wiener_ceiling", "out_saturations").tolist())
    for case, name in (("rfft_overflows", "overflows"), ("irfft_extremes", "overflows")):
        assert set(column(case, f"out_{name}")) == {0, 1}
    for case in ("irfft_extremes", "overlap_add", "layer_norm"):
        assert column(case, "out_saturations").min() == 0 < column(case, "out_saturations").max(), case
    frame = column("irfft_extremes", "out_frame")
    assert (frame.min(), frame.max()) == (I32_MIN, fixed.I32_MAX)
    assert (column("wiener_following", "out_noise") == 1 << 14).any()


# ---------------------------------------------------------------- engines


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_every_engine_with_the_front_end_gives_the_bits_of_every_group(engine: Executor) -> None:
    """One vector of each unit here, all of them in `verify`; the slow emulator and builds a few."""
    few = ("word_mix_q31", "table_split_q31", "irfft_extremes", "wiener_ceiling", "layer_norm", "spp_guard")
    quick = isinstance(engine, NumpyReference) or engine.name in ("c_host", "c_m7 (zig)")
    assert [found for case in (vectors() if quick else few) if (found := first_difference(engine, case))] == []


def test_numpy_host_and_m7_are_here() -> None:
    names = {engine.name for engine in ENGINES}
    assert {"numpy", "c_host", "c_m7 (zig)"} <= names


FAULTS = {
    "word_mulhi_round_add": ("fixed.h", "(uint32_t)total << 32) | (UINT64_C(1) << 31)", "(uint32_t)total << 32)"),
    "word_rdbpot": ("fixed.h", "(mask >> 1) + (uint32_t)(x < 0)", "(mask >> 1)"),
    "word_shr_round": ("fixed.h", "(x + (INT64_C(1) << (n - 1))) >> n", "(x + (INT64_C(1) << (n - 1)) - (x < 0)) >> n"),
    "table_twiddle_q31": ("stapes_tables.h", "-1984016189", "-1984016190"),
    "rfft_impulses": ("fft.c", "2 * j * step", "j * step"),
    "irfft_extremes": ("fft.c", "stapes_double_sat_i32(z.im, &hits)", "stapes_double_i32(z.im)"),
    "rfft_overflows": ("fft.c", "((uint32_t)x.im + (UINT32_C(1) << 30))", "((uint32_t)x.im + (1U << 30) - 1U)"),
    "overlap_add": ("stft.c", "(INT64_C(1) << 29) + (INT64_C(1)", "(INT64_C(1)"),
    "wiener_threshold": ("wiener.c", "state->likelihood_q16 >= ", "state->likelihood_q16 > "),
    "wiener_ceiling": ("wiener.c", "quotient > STAPES_GAMMA_MAX_UQ16 >> up", "quotient >= STAPES_GAMMA_MAX_UQ16 >> up"),
    "wiener_following": ("wiener.c", "STAPES_NOISE_MIN_LOG2)) == 0U", "STAPES_NOISE_MIN_LOG2)) <= 1U"),
    "features": ("features.c", "power_q16 > LOG2_NOISE_MIN_Q16 ? power_q16 : LOG2_NOISE_MIN_Q16", "power_q16"),
    "layer_norm": ("features.c", " + STAPES_LAYER_NORM_EPSILON_Q24", ""),
    "spp_absence": ("wiener.c", "(place >> STAPES_GAMMA_BITS)", "(place + 1 >> STAPES_GAMMA_BITS)"),
    "spp_guard": ("wiener.c", "> STAPES_PRESENCE_LIMIT_Q31", ">= STAPES_PRESENCE_LIMIT_Q31"),
    "spp_weighted": ("wiener.c", "(UINT32_C(1) << 31) - share_q31", "(UINT32_C(1) << 31) - share_q31 - 1"),
    "spp_half": ("wiener.c", "k != 0 && k != STAPES_BINS - 1", "k != 0"),
    "total_gain_bands": ("stft.c", "k + stapes_band_width[band]", "k + stapes_band_width[band ^ (band == 53)]"),
    "band_features": ("features.c", "STAPES_GAIN_CHANNEL ? floored_q16", "STAPES_GAIN_CHANNEL ? power_q16"),
    "gain_features": ("features.c", "mean_q15 >> 2", "(mean_q15 + 2) >> 2"),
    "rfft_256": ("fft.c", "stapes_mulhi_round(diff.re, c), diff.im, s)", "stapes_mulhi_round(diff.re, c), diff.im, c)"),
    "encode_features_i8": ("nn.c", "stapes_limit_i8((x_q11[i] + (1 << 6)) >> 7, &hits)", "(int8_t)(x_q11[i] / 128)"),
}  # fmt: skip
"""Case that turns red -> file, right text, planted text."""


@pytest.mark.parametrize("case", FAULTS)
def test_a_planted_fault_is_found_by_the_case_of_its_piece(case: str, tmp_path: Path) -> None:
    file, right, planted = FAULTS[case]
    sources = tmp_path / "firmware"
    shutil.copytree(FIRMWARE, sources)
    profile = vectors()[case].header["profile"]["name"]
    generated = to_c(None, PROFILES[profile])
    text = generated[file].decode() if file in generated else (sources / file).read_text()
    assert right in text, "the fault is planted nowhere"
    if file in generated:
        generated[file] = text.replace(right, planted).encode()
    else:
        (sources / file).write_text(text.replace(right, planted))
    command = [*(find_compiler() or ()), "-std=c11", "-O0", "-fPIC", "-shared"]
    includes = [sources / path.relative_to(FIRMWARE) for path in INCLUDES]
    files = [*sorted(sources.glob("*.c")), sources / "port" / "units.c"]
    library = load_units(cc.build(tmp_path / "build", cc.LIBRARY, command, generated, files, includes, tmp_path))

    class Faulty(NumpyReference):
        def run_unit(self, name: str, rows: Ints, profile: str = FIRST_PROFILE) -> Ints:
            return run_unit(library, name, rows)

    difference = first_difference(Faulty(), case)
    assert difference is not None
    assert difference.stage == vectors()[case].header["unit"]


def test_the_reference_itself_is_held_by_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    def half_down(x: Ints, n: Ints | int) -> Ints:
        return (x + (np.int64(1) << (n - 1)) - 1) >> n

    broken = replace(UNITS["shr_round"], function=lambda given: {"y": half_down(given["x"], given["n"])})
    monkeypatch.setitem(UNITS, "shr_round", broken)
    bench, outcome = Bench(list(vectors().values()), {}), Outcome(["numpy"])
    bench.run(NumpyReference(), outcome)
    ((_, scheme, group),) = outcome.failures
    assert (scheme, group) == ("any", "words")
    first = outcome.cells["numpy", "any", "words"].first
    assert str(first).startswith("word_shr_round: step ")
    assert ", stage shr_round, y: expected " in str(first)


# ---------------------------------------------------------------- bad input


def test_a_value_outside_its_limits_is_one_clear_line() -> None:
    with pytest.raises(WitnessError, match=r"^shr_round: n of row 1 is 63, outside \[1, 62\]$"):
        unit("shr_round").run(np.array([[5, 1], [5, 63]]))


def test_a_result_outside_its_column_is_never_stored() -> None:
    narrow = replace(UNITS["add_i32"], outputs=(Column("y", (0, 255)),))
    case = replace(UNIT_CASES[0], unit="add_i32", rows=lambda: np.array([[200, 100]]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(UNITS, "add_i32", narrow)
        with pytest.raises(OverflowError, match="y does not fit uint8"):
            UnitKind().build(case, {})


def test_an_unknown_unit_is_named_by_every_engine() -> None:
    rows = np.zeros((1, 2), np.int64)
    with pytest.raises(WitnessError, match="no unit is called absent: count, shr_round"):
        NumpyReference().run_unit("absent", rows)
    with pytest.raises(WitnessError, match="the device has no unit absent of 2 values"):
        CHost().run_unit("absent", rows)
    for name in ("absent", "a" * 40):
        with pytest.raises(WitnessError, match="ended with status 2: unknown command or unit"):
            CM7().run_unit(name, rows)


def test_rows_that_end_early_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = CM7()
    image = engine.build(None, PROFILE, "units")
    cut = lambda program, files: engine.run(program, {name: data[:-8] for name, data in files.items()})  # noqa: E731
    with pytest.raises(WitnessError, match="status 4: the input ends in mid command"):
        run_in_program(image, "add_i32", np.zeros((3, 2), np.int64), cut)


@pytest.mark.parametrize(("key", "value"), [("unit", "absent"), ("rows", 0), ("rows", True)])
def test_a_header_with_a_wrong_key_is_refused(key: str, value: object) -> None:
    header = {**vectors()["word_count"].header, key: value}
    with pytest.raises(ValueError, match=f"^{key} must be "):
        UnitKind().check(header)


def test_columns_are_stored_in_the_narrowest_type_that_holds_their_limits() -> None:
    limits = {
        (0, 255): "u1",
        (-1, 127): "i1",
        (0, 65535): "<u2",
        (-32768, 0): "<i2",
        (0, 1 << 31): "<u4",
        (-1, 1 << 31): "<i8",
    }
    assert {key: Column("c", key).dtype for key in limits} == {key: np.dtype(name) for key, name in limits.items()}
    assert isinstance(UNITS["wiener"], Unit)
