"""The device as a program of this machine under two sanitizers: the same bits, and any fault ends it by name."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from firmware_sim.frame_loop import TAPS
from golden_vectors import cc
from golden_vectors.cc import build_sanitized
from golden_vectors.errors import WitnessError
from golden_vectors.executors import c_sanitized
from golden_vectors.executors.base import StreamInput
from golden_vectors.executors.c_program import Script, run_script
from golden_vectors.executors.c_sanitized import CSanitized
from golden_vectors.executors.numpy_reference import NumpyReference
from tests import signals
from tests.firmware.c_library import PROFILE, model

HOPS = 60
EVENTS = ((20, "late"), (21, "held"), (40, "lost"), (41, "held"), (50, "restart"))
HERE = [False, True] if CSanitized().available() is None else []
"""Plain and paired; on a machine without sanitizers nothing, but in CI they must be here (tests of the registry)."""


def stream(**changes: object) -> StreamInput:
    return StreamInput(signals.mixture(0.0, 1.0)[: HOPS * PROFILE.hop_samples], **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("paired", HERE)
@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
@pytest.mark.parametrize("changes", [{"resets": (30,)}, {"events": EVENTS}], ids=["resets", "events"])
def test_every_tap_is_that_of_the_reference(scheme: str, paired: bool, changes: dict[str, object]) -> None:
    expected = NumpyReference().run_stream(model(scheme), stream(**changes))
    got = CSanitized(paired).run_stream(model(scheme), stream(**changes))
    for tap in TAPS:
        np.testing.assert_array_equal(got.taps[tap], expected.taps[tap], err_msg=tap)
    assert got.counters == expected.counters
    assert got.schedule == expected.schedule


FAULTS = {
    "runtime error: signed integer overflow": "x + INT32_MAX",
    "runtime error: shift exponent": "1 << x",
    "runtime error: index": "table[x & 63]",
    "AddressSanitizer: global-buffer-overflow": "at[x - 59]",
}


@pytest.mark.parametrize("report", FAULTS if HERE else ())
def test_a_planted_fault_is_an_error_with_the_first_line_of_the_report(report: str, tmp_path: Path) -> None:
    """Runs before main, so that no file of the device need be changed."""
    planted = tmp_path / "planted.c"
    planted.write_text(
        "#include <stdint.h>\nstatic int table[4];\nstatic volatile int x = 63, y;\n"
        "static const int *volatile at = table;\n"
        "__attribute__((constructor)) static void planted(void)\n"
        f"{{\n    table[0] = x;\n    y = {FAULTS[report]};\n}}\n"
    )
    program = build_sanitized(None, PROFILE, more_sources=(planted,))
    with pytest.raises(WitnessError, match=rf"^c_host \(sanitized\): .*{report}") as caught:
        CSanitized().run(program, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("paired", HERE)
def test_a_program_that_refuses_a_command_is_named_with_its_reason(paired: bool) -> None:
    script = Script()
    script.data += bytes([9, 0, 0, 0, 0, 0, 0, 0])
    with pytest.raises(WitnessError, match="stapes ended with status 2: unknown command"):
        run_script(build_sanitized(None, PROFILE, paired=paired), script, CSanitized(paired).run)


def test_a_program_that_cannot_start_or_does_not_end_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 9\n")
    with pytest.raises(WitnessError, match=r"^c_host \(sanitized\) cannot be started: Permission denied$"):
        CSanitized().run(program, {})
    program.chmod(stat.S_IRWXU)
    monkeypatch.setattr(c_sanitized, "TIMEOUT_S", 0.1)
    with pytest.raises(WitnessError, match=r"^c_host \(sanitized\) did not end within 0\.1 s$"):
        CSanitized().run(program, {})


def test_without_a_compiler_that_has_them_it_is_absent_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cc, "find_sanitizer", lambda: None)
    assert CSanitized().available() == "no compiler with AddressSanitizer: apt-get install gcc"
    with pytest.raises(WitnessError, match="apt-get install gcc"):
        build_sanitized(None, PROFILE)
