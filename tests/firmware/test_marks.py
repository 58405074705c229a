"""Stage marks: exact instructions of every stage of every hop, the same in two emulators; and no trace without them."""

from __future__ import annotations

import re
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from export.c_writer import to_c
from firmware_sim.contract import STAGES
from golden_vectors.cc import FIRMWARE
from golden_vectors.errors import WitnessError
from golden_vectors.executors.c_m7 import LOOP, count_hops, marked_hops
from golden_vectors.m7.build import COMPILERS, DEFAULT_PART, DSP, MARKS, PORT, build_m7, missing_compiler
from golden_vectors.m7.emulator import run_unicorn
from golden_vectors.m7.qemu import PART, missing_qemu, run_qemu
from tests import signals
from tests.firmware.c_library import PROFILE, model

HERE = [compiler for compiler in COMPILERS if missing_compiler(compiler) is None]
HOPS = 60
SPEECH = signals.mixture(0.0, 0.3)[: HOPS * PROFILE.hop_samples]
UNICORN = {part: partial(run_unicorn, part=part, counting=True) for part in (PART, DEFAULT_PART)}
EMULATORS_HERE = [UNICORN[PART], *([partial(run_qemu, counting=True)] if missing_qemu() is None else [])]


@pytest.mark.parametrize("compiler", HERE)
@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
def test_every_stage_of_every_hop_takes_as_many_instructions_in_both_emulators(scheme: str, compiler: str) -> None:
    image = build_m7(model(scheme), PROFILE, compiler=compiler, part=PART, flags=(*DSP, *MARKS))
    unicorn, *others = (marked_hops(image, SPEECH, PROFILE, run) for run in EMULATORS_HERE)
    assert list(unicorn) == list(STAGES)
    assert all(values.shape == (HOPS,) and values.min() > 0 for values in unicorn.values())
    for other in others:
        for stage in STAGES:
            np.testing.assert_array_equal(unicorn[stage], other[stage], err_msg=stage)


@pytest.mark.parametrize("part", UNICORN)
@pytest.mark.parametrize("compiler", HERE)
def test_marks_count_what_calls_count_and_the_same_few_more_in_every_hop(compiler: str, part: str) -> None:
    """The two clocks of clock.h against the count by function of an image without marks."""
    image = build_m7(model("int16x8"), PROFILE, compiler=compiler, part=part, flags=(*DSP, *MARKS))
    marked = marked_hops(image, SPEECH, PROFILE, UNICORN[part])
    calls = count_hops(build_m7(model("int16x8"), PROFILE, compiler=compiler), model("int16x8"), SPEECH)
    more = {stage: marked[stage] - calls.stages[stage] for stage in STAGES}
    assert all(len(set(values.tolist())) == 1 for values in more.values())
    assert all(0 < values[0] < 40 for stage, values in more.items() if stage not in ("window", "overlap_add"))
    assert 0 < sum(values[0] for values in more.values()) - calls.stages[LOOP][0] < 100


def test_the_noise_learning_is_seen_in_the_counts() -> None:
    """What is equal in the emulators is no constant."""
    image = build_m7(model("int16x8"), PROFILE, part=PART, flags=(*DSP, *MARKS))
    marked = marked_hops(image, SPEECH, PROFILE, UNICORN[PART])
    learning = PROFILE.noise_init_hops - 1
    assert marked["wiener"][:learning].max() < 2 * marked["wiener"][:learning].min()
    assert marked["wiener"][learning + 1 :].min() > 2 * marked["wiener"][:learning].max()


def test_an_image_without_marks_and_a_clock_that_stands_still_are_told() -> None:
    with pytest.raises(WitnessError, match="has no marks: build it with -DSTAPES_MARK=stapes_mark"):
        marked_hops(build_m7(None, PROFILE), SPEECH, PROFILE, UNICORN[DEFAULT_PART])
    image = build_m7(model("int16x8"), PROFILE, flags=(*DSP, *MARKS))
    assert not any(values.any() for values in marked_hops(image, SPEECH, PROFILE, run_unicorn).values())


@pytest.mark.parametrize("compiler", HERE)
def test_without_the_macro_the_marks_leave_no_byte(compiler: str, tmp_path: Path) -> None:
    """frame_loop.c and the same without its marks: one object file; with the macro another one."""
    text = (FIRMWARE / "frame_loop.c").read_text()
    bare, marks = re.subn(r" *STAPES_MARK\(\w+\);\n", "", text)
    assert marks == len(STAGES) + 1
    for name, data in to_c(model("int16x8"), PROFILE).items():
        (tmp_path / name).write_bytes(data)

    def compiled(source: str, *flags: str) -> bytes:
        (tmp_path / "loop.c").write_text(source)
        folders = [f"-I{path}" for path in (tmp_path, PORT, FIRMWARE, FIRMWARE / "cmsis_stubs")]
        command = [*COMPILERS[compiler], "-std=c11", "-O2", "-ffreestanding", "-g0", *flags, *folders]
        subprocess.run([*command, "-c", "loop.c", "-o", "loop.o"], check=True, cwd=tmp_path)
        return (tmp_path / "loop.o").read_bytes()

    assert compiled(text) == compiled(bare)
    assert compiled(text, *MARKS) != compiled(bare, *MARKS)
