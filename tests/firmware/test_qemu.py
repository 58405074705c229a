"""Two emulators that share no line, two compilers, both schemes: ten seconds of real speech, every tap as in Python.

What apt installs is tested where it is present; in CI it must be (test_executors.py).
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from firmware_sim.frame_loop import TAPS
from firmware_sim.graph import Graph
from golden_vectors.__main__ import MODEL, MODEL_INT8
from golden_vectors.errors import WitnessError
from golden_vectors.executors.base import StreamExecutor, StreamInput, StreamRun
from golden_vectors.executors.c_m7 import CM7, CM7Qemu
from golden_vectors.executors.c_program import Script, run_script
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.m7 import build, qemu
from golden_vectors.m7.build import COMPILERS, build_m7, missing_compiler
from golden_vectors.m7.qemu import PART, missing_qemu, run_qemu
from tests import signals
from tests.firmware.c_library import PROFILE

COMPILERS_HERE = [compiler for compiler in COMPILERS if missing_compiler(compiler) is None]
EMULATORS_HERE = [CM7, CM7Qemu] if missing_qemu() is None else [CM7]
MODELS = {"int16x8": MODEL, "int8": MODEL_INT8}
SECONDS = 10


@cache
def speech() -> StreamInput:
    """The first ten seconds of the real noisy recording."""
    pcm, _ = soundfile.read(signals.DATA / "noisy.wav", dtype="int16", frames=SECONDS * 16_000)
    return StreamInput(pcm)


@cache
def reference(scheme: str) -> StreamRun:
    return NumpyReference().run_stream(Graph.load(MODELS[scheme]), speech())


@pytest.mark.parametrize("compiler", COMPILERS_HERE)
@pytest.mark.parametrize("emulator", EMULATORS_HERE)
@pytest.mark.parametrize("scheme", MODELS)
def test_ten_seconds_of_real_speech_are_equal_in_every_tap(scheme: str, emulator: type[CM7], compiler: str) -> None:
    engine = emulator(compiler)
    assert isinstance(engine, StreamExecutor)
    expected, got = reference(scheme), engine.run_stream(Graph.load(MODELS[scheme]), speech())
    assert expected.taps["pcm"].shape == (SECONDS * 250, PROFILE.hop_samples)
    assert set(got.taps) == set(TAPS)
    for tap in TAPS:
        np.testing.assert_array_equal(got.taps[tap], expected.taps[tap], err_msg=tap)
    assert got.counters == expected.counters


@pytest.mark.parametrize("emulator", EMULATORS_HERE)
def test_a_run_of_the_other_scheme_is_not_equal(emulator: type[CM7]) -> None:
    short = StreamInput(speech().pcm[: 60 * PROFILE.hop_samples])
    got = emulator().run_stream(Graph.load(MODEL_INT8), short)
    assert not np.array_equal(got.taps["h0"], reference("int16x8").taps["h0"][:60])
    np.testing.assert_array_equal(got.taps["power"], reference("int16x8").taps["power"][:60])


# ---------------------------------------------------------------- QEMU as an executor


def test_what_is_missing_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu.shutil, "which", lambda _: None)
    assert CM7Qemu().available() == "no second emulator of the M7: apt-get install qemu-system-arm"
    with pytest.raises(WitnessError, match="apt-get install qemu-system-arm"):
        run_qemu(Path("stapes.elf"), {})


def test_an_emulator_that_ends_without_a_word_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stands in for QEMU with other programs: a signal, a complaint, no end."""
    for program, timeout_s, complaint in (
        ("kill -9 $$", 9.0, "ended by signal 9"),
        ("echo no such machine >&2; exit 1", 9.0, "no such machine"),
        ("exec sleep 9", 0.1, r"stapes.elf did not end within 0\.1 s"),
    ):
        stand_in = tmp_path / "qemu"
        stand_in.write_text(f"#!/bin/sh\n{program}\n")
        stand_in.chmod(0o755)
        monkeypatch.setattr(qemu, "QEMU", str(stand_in))
        with pytest.raises(WitnessError, match=complaint):
            run_qemu(Path("stapes.elf"), {}, timeout_s=timeout_s)


@pytest.mark.parametrize("emulator", EMULATORS_HERE)
def test_an_image_ends_with_a_status_that_is_named(emulator: type[CM7]) -> None:
    engine, script = emulator(), Script()
    script.data += struct.pack("<II", 9, 0)
    with pytest.raises(WitnessError, match="unknown command"):
        run_script(build_m7(None, PROFILE, part=engine.part), script, engine.run)


def test_the_image_for_the_board_is_one_of_the_parts() -> None:
    assert PART in build.PARTS
