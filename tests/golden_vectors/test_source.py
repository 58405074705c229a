"""Every tap and every op leads to a function that exists, in Python and in C, at the line that is printed."""

from __future__ import annotations

import pytest

from firmware_sim.contract import STAGES
from firmware_sim.frame_loop import MAKERS, TAPS
from firmware_sim.graph import SCHEMES
from firmware_sim.ops import OPS
from golden_vectors.cc import ROOT
from golden_vectors.compare import COUNTERS, SCHEDULE
from golden_vectors.source import TWINS, Source, c_function, makers, of_op, of_tap
from golden_vectors.units import UNITS
from tests.golden_vectors.models import small_graph


def check(source: Source) -> None:
    """The printed line of the printed file begins the function."""
    line = (ROOT / source.file).read_text("utf-8").splitlines()[source.line - 1]
    name = source.name.rpartition(".")[2]
    assert f"{name}(" in line
    assert line.strip().startswith("def ") if source.language == "Python" else line[0].isalpha() or line[0] == "_"
    assert source.lines[0].strip() == line.strip()


def test_every_tap_has_a_maker_and_no_maker_is_of_a_foreign_tap() -> None:
    assert list(MAKERS) == list(TAPS)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("tap", TAPS)
def test_every_tap_is_found_in_python_and_in_c(tap: str, scheme: str) -> None:
    found = of_tap(TAPS[tap], tap, scheme)
    assert [source.language for source in found] == ["Python", "C"] * len(MAKERS[tap])
    for source in found:
        check(source)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("paired", [False, True])
def test_every_op_is_found_in_python_and_in_c(scheme: str, paired: bool) -> None:
    kinds = {op.kind: of_op(op, paired) for op in small_graph(scheme).ops}
    assert set(OPS) - set(kinds) <= ({"QUANTIZE"} if scheme == "int8" else set())
    for kind, found in kinds.items():
        for source in found:
            check(source)
        assert [source.language for source in found] == ["Python", "Python" if kind == "SPLIT" else "C"]
    assert kinds["SPLIT"][1].name == "Split.to_c", "no arithmetic: the parts are views"
    assert ("paired" in kinds["FULLY_CONNECTED"][1].name) is paired


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_is_found_in_python_and_in_c(unit: str) -> None:
    found = of_tap(unit, "y", "any")
    assert [source.language for source in found] == ["Python", "C"]
    for source in found:
        line = (ROOT / source.file).read_text("utf-8").splitlines()[source.line - 1]
        assert source.lines[0].strip() == line.strip()
        assert f"{unit}(" in line or f'"{unit}"' in line


def test_a_counter_leads_to_the_functions_of_its_whole_stage() -> None:
    for stage in STAGES:
        assert makers(stage, COUNTERS[0]) == makers(stage, "digest") != []
    assert [source.name for source in of_tap(SCHEDULE, "played", "int16x8")] == [
        "PingPong.finish", "stapes_ping_pong_finish"
    ]  # fmt: skip


def test_a_stage_is_not_taken_for_the_unit_of_its_name() -> None:
    names = [source.name for source in of_tap("wiener", "vad", "any")]
    assert names == ["wiener", "stapes_wiener"]
    assert [source.name for source in of_tap("wiener", "xi_uq16", "int8")][:2] == ["a_priori_snr"] * 2


def test_a_tap_that_nobody_knows_leads_nowhere() -> None:
    assert of_tap("nonsense", "y", "any") == []
    assert of_tap("wiener", "nonsense", "int16x8") == []


def test_names_that_differ_between_python_and_c_exist() -> None:
    for name in TWINS.values():
        found = c_function(name)
        assert found is not None
        check(found)


def test_declarations_calls_and_absent_names_are_no_definitions() -> None:
    assert c_function("stapes_no_such_function") is None
    assert c_function("mul_q15") is None, "stapes_mul_q15 ends in it"
    stage = c_function("stapes_apply_gain")
    assert stage is not None
    assert stage.file == "firmware/stft.c", "stages.h only declares it"
    assert stage.lines[-1] == "}"


def test_a_function_of_one_line_is_that_line() -> None:
    found = c_function("sixteenth")
    assert found is not None
    assert len(found.lines) == 1


def test_the_docstring_is_left_out() -> None:
    (python, _) = of_tap("gain", "enhanced_q30", "int16x8")
    assert [line.strip() for line in python.lines][-1] == "return mul_q15(spectrum_q30, gain_q15[:, :, None])"
    assert len(python.lines) == 2
