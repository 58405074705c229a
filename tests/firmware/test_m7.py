"""The device on an emulated Cortex-M7 against Python: every tap of real speech; and exact instruction counts."""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from unicorn import UcError
from unicorn.arm_const import UC_ARM_REG_R0

from firmware_sim.contract import PROFILES, STAGES, WIENER_ALONE, ContractError, Parameters, Profile
from firmware_sim.frame_loop import TAPS
from golden_vectors.errors import WitnessError
from golden_vectors.executors.base import StreamExecutor, StreamInput
from golden_vectors.executors.c_m7 import CM7, LOOP, HopInstructions, count_hops
from golden_vectors.executors.c_program import INPUT, Script, run_script
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.m7 import build, emulator
from golden_vectors.m7.build import COMPILERS, DSP, PARTS, build_m7, missing_compiler
from golden_vectors.m7.emulator import Emulator, instructions_in, memory_regions, memory_roles, run_unicorn
from golden_vectors.m7.image import Image
from tests import signals
from tests.firmware.c_library import PROFILE, model

HERE = [compiler for compiler in COMPILERS if missing_compiler(compiler) is None]
HOP = PROFILE.hop_samples


def assert_equal_streams(engine: CM7, scheme: str | None, stream: StreamInput) -> None:
    graph = model(scheme) if scheme else None
    expected, got = NumpyReference().run_stream(graph, stream), engine.run_stream(graph, stream)
    assert set(got.taps) == set(TAPS)
    for tap in TAPS:
        np.testing.assert_array_equal(got.taps[tap], expected.taps[tap], err_msg=tap)
    assert got.counters == expected.counters


# ---------------------------------------------------------------- equality


def test_the_pinned_compiler_and_the_emulator_are_here() -> None:
    assert CM7().available() is None
    assert isinstance(CM7(), StreamExecutor)


@pytest.mark.parametrize("flags", [DSP, ()], ids=["dsp", "plain"])
@pytest.mark.parametrize("compiler", HERE)
@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
def test_every_tap_of_real_noisy_speech(scheme: str, compiler: str, flags: tuple[str, ...]) -> None:
    pcm = signals.mixture(0.0, 2.0)
    assert_equal_streams(CM7(compiler, flags), scheme, StreamInput(pcm[: len(pcm) // HOP * HOP], resets=(200,)))


@pytest.mark.parametrize("name", signals.adversarial())
def test_signals_that_look_for_trouble(name: str) -> None:
    assert_equal_streams(CM7(), "int16x8", StreamInput(signals.adversarial(80 * HOP)[name][: 80 * HOP]))


def test_settings_and_a_device_without_a_network() -> None:
    pcm = signals.mixture(5.0, 0.4)[: 100 * HOP]
    assert_equal_streams(CM7(), "int16x8", StreamInput(pcm, Parameters(gain_floor_q15=9000, dry_q15=3)))
    assert_equal_streams(CM7(), None, StreamInput(pcm, WIENER_ALONE))
    with pytest.raises(ContractError, match="no graph was given"):
        CM7().run_stream(None, StreamInput(pcm))


@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
def test_the_network_on_the_ends_of_its_input_range(scheme: str) -> None:
    graph = model(scheme)
    limits = np.iinfo(graph.inputs[0].dtype)
    codes = np.random.default_rng(1).choice([limits.min, limits.max], (60, PROFILE.inputs)) & ~1
    expected, got = NumpyReference().run_network(graph, codes), CM7().run_network(graph, codes)
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)


# ---------------------------------------------------------------- instructions


@cache
def counted(flags: tuple[str, ...] = DSP, profile: Profile = PROFILE) -> HopInstructions:
    graph = model("int16x8", profile)
    return count_hops(build_m7(graph, profile, flags=flags), graph, signals.mixture(0.0, 0.2)[: 45 * HOP], skip=30)


def test_every_stage_of_a_hop_is_counted() -> None:
    count = counted()
    assert list(count.stages) == [*STAGES, LOOP]
    assert all(len(values) == 15 and values.min() > 0 for values in count.stages.values())
    assert np.all(count.kernels < count.stages["network"])
    np.testing.assert_array_equal(count.total, sum(count.stages.values()))


def test_the_dual_multiply_accumulate_is_worth_its_build() -> None:
    assert counted().kernels.max() < counted(()).kernels.min()
    np.testing.assert_array_equal(counted().stages["rfft"], counted(()).stages["rfft"])


FRONT_END = ("window", "rfft", "wiener", "features")


@pytest.mark.parametrize(("profile", "most"), [("seed", 30_000), ("default", 62_000)])
@pytest.mark.parametrize("compiler", HERE)
def test_the_front_end_takes_at_most_so_many_instructions_of_any_signal(compiler: str, profile: str, most: int) -> None:
    graph = model("int16x8", PROFILES[profile])
    image = build_m7(graph, PROFILES[profile], compiler=compiler)
    for name in ("digital silence", "white noise at full scale", "speech after digital silence"):
        count = count_hops(image, graph, signals.adversarial(45 * HOP)[name][: 45 * HOP], skip=30)
        assert np.sum([count.stages[stage] for stage in FRONT_END], axis=0).max() <= most


@pytest.mark.parametrize(("name_of_profile", "counts"), [("seed", 2), ("default", 1)])
def test_no_stage_but_the_wiener_filter_takes_more_instructions_of_one_signal_than_of_another(
    name_of_profile: str, counts: int
) -> None:
    """And that one has two counts with the tracker by voice activity: with speech, and without, when the noise is
    followed. The tracker by speech presence follows it in every hop, and has one."""
    profile = PROFILES[name_of_profile]
    graph, usual = model("int16x8", profile), counted(profile=profile)
    image, wiener = build_m7(graph, profile), set(usual.stages["wiener"])
    for name in ("digital silence", "white noise at full scale", "speech after digital silence"):
        count = count_hops(image, graph, signals.adversarial(45 * HOP)[name][: 45 * HOP], skip=30)
        wiener |= set(count.stages["wiener"])
        for stage in {*STAGES} - {"wiener", "network"}:
            assert set(count.stages[stage]) == set(usual.stages[stage]), stage
    assert len(wiener) == counts


def test_thumb_instructions_are_counted_by_their_length() -> None:
    assert instructions_in(bytes.fromhex("00bfaff300807047")) == 3
    assert instructions_in(b"") == 0


def test_counts_of_blocks_are_those_of_single_instructions() -> None:
    """The hook on code sees every instruction but those that an IT block skips."""
    graph, script, steps = model("int16x8"), Script(), []
    script.hops(signals.mixture(0.0, 0.1)[: 2 * HOP], PROFILE)
    image = Image.load(build_m7(graph, PROFILE))
    core = Emulator(image, {INPUT: bytes(script.data)})
    start, end = next((f.start, f.end) for f in image.functions if f.name == "stapes_window")
    core.core.hook_add(core._uc.UC_HOOK_CODE, lambda *_: steps.append(1), begin=start, end=end - 1)
    core.run()
    count = count_hops(build_m7(graph, PROFILE), graph, signals.mixture(0.0, 0.1)[: 2 * HOP])
    assert len(steps) == count.stages["window"].sum()


# ---------------------------------------------------------------- image and emulator


@pytest.mark.parametrize("compiler", HERE)
@pytest.mark.parametrize("part", PARTS)
def test_an_image_stays_in_the_memories_of_its_part_and_runs_there(part: str, compiler: str) -> None:
    """The emulator maps the part's memories and nothing else, and no write into flash."""
    regions, roles = memory_regions(part), memory_roles(part)
    assert set(regions) == {"FLASH", "ITCM", "DTCM", "SRAM"}
    assert set(roles) == {"CODE", "WEIGHTS", "DATA"}
    image = Image.load(build_m7(model("int16x8"), PROFILE, part=part, compiler=compiler))
    origin, size = regions["FLASH"]
    assert all(origin <= address and address + len(data) <= origin + size for address, data in image.segments)
    origin, size = regions[roles["CODE"]]
    assert all(origin <= image.address(name) < origin + size for name in ("stapes_process_hop", "stapes_rfft"))
    pcm = signals.mixture(0.0, 0.2)[: 45 * HOP]
    assert_equal_streams(CM7(compiler, part=part), "int16x8", StreamInput(pcm))


@pytest.mark.parametrize("part", PARTS)
def test_the_memories_of_a_part_do_not_overlap(part: str) -> None:
    spans = sorted((origin, origin + size) for origin, size in memory_regions(part).values())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_an_image_that_writes_into_flash_is_stopped() -> None:
    """The rule that keeps start-up code from copying a section onto itself."""
    core = Emulator(Image.load(build_m7(None, PROFILE, part="stm32f746")), {INPUT: b""}, part="stm32f746").core
    store_to_flash = bytes.fromhex("0060")  # str r0, [r0]
    core.mem_write(0x20000000, store_to_flash)
    core.reg_write(UC_ARM_REG_R0, memory_regions("stm32f746")["FLASH"][0])
    with pytest.raises(UcError, match="UC_ERR_WRITE_PROT"):
        core.emu_start(0x20000001, 0x20000002)


def test_a_planted_difference_is_seen(tmp_path: Path) -> None:
    """The image of another model is not equal: the comparison can go red."""
    pcm = StreamInput(signals.mixture(0.0, 0.3)[: 60 * HOP])
    expected = NumpyReference().run_stream(model("int16x8"), pcm)
    other = CM7().run_stream(model("int16x8"), replace(pcm, parameters=Parameters(gain_floor_q15=0)))
    assert not np.array_equal(expected.taps["pcm"], other.taps["pcm"])


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (struct.pack("<II", 9, 0), "unknown command"),
        (struct.pack("<II", 6, 1_000_000), "unknown command"),  # no such tensor
        (struct.pack("<II", 3, 2) + bytes(128), "ends in mid command"),
        (struct.pack("<IIHHHH", 1, 1, 40000, 0, 0, 0), "refuses the parameters"),
    ],
)
def test_an_image_ends_with_a_status_that_is_named(data: bytes, complaint: str) -> None:
    script = Script()
    script.data += data
    with pytest.raises(WitnessError, match=complaint):
        run_script(build_m7(None, PROFILE), script, run_unicorn)


def test_a_fault_is_named_with_its_place(tmp_path: Path) -> None:
    image = Image.load(build_m7(None, PROFILE))
    core = Emulator(image, {INPUT: b""})
    core.core.mem_write(image.segments[0][0] + 4, struct.pack("<I", 0x30000001))
    with pytest.raises(WitnessError, match=r"the M7 stopped at 0x30000000 in no function"):
        core.run()


def test_an_exit_block_at_the_top_of_the_memory_is_read() -> None:
    """Two words and no more: built for size, start-up leaves its block at the very end of the stack."""
    assert_equal_streams(CM7("zig", (*DSP, "-Os")), None, StreamInput(signals.white(2 * HOP), WIENER_ALONE))


def test_an_image_that_never_ends_is_stopped_and_its_place_named() -> None:
    image = Image.load(build_m7(None, PROFILE))
    core = Emulator(image, {INPUT: b""})
    core.core.mem_write(image.address("Reset_Handler"), bytes.fromhex("fee7"))  # b .
    with pytest.raises(WitnessError, match=r"no exit within 0\.2 s: it was in Reset_Handler"):
        core.run(timeout_s=0.2)


def test_no_elf_and_no_function_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.elf").write_bytes(b"\x7fELF\x02\x01")
    with pytest.raises(WitnessError, match=r"x\.elf: not a 32-bit"):
        Image.load(tmp_path / "x.elf")
    with pytest.raises(WitnessError, match="no function stapes_missing"):
        Image.load(build_m7(None, PROFILE)).address("stapes_missing")


def test_what_is_missing_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    monkeypatch.setattr(emulator, "find_spec", lambda _: None)
    monkeypatch.setattr(build.shutil, "which", lambda _: None)
    assert CM7().available() == "no emulator of the M7: pip install unicorn==2.1.4"
    assert missing_compiler("zig") == "no compiler for the M7: pip install ziglang==0.17.1"
    assert "apt-get install gcc-arm-none-eabi" in str(missing_compiler("gcc"))
    with pytest.raises(WitnessError, match="no compiler for the M7"):
        build_m7(None, PROFILE)


@pytest.mark.parametrize("compiler", HERE)
def test_the_image_is_built_for_a_core_without_fpu(compiler: str) -> None:
    """EF_ARM_ABI_FLOAT_SOFT: no floating-point register carries anything."""
    flags = struct.unpack_from("<I", build_m7(None, PROFILE, compiler=compiler).read_bytes(), 36)[0]
    assert flags & 0x600 == 0x200
