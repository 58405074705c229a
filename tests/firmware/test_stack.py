"""The most stack of a call of the library: bounded from the linked image, confirmed by emulator and compiler."""

from __future__ import annotations

import re
import struct
from functools import cache
from pathlib import Path

import pytest

from export.c_memory import STACK_BYTES
from firmware_sim.contract import PROFILES, Profile
from golden_vectors.errors import WitnessError
from golden_vectors.executors.base import StreamInput
from golden_vectors.executors.c_program import INPUT, Script
from golden_vectors.m7.build import COMPILERS, DSP, PARTS, build_m7, missing_compiler
from golden_vectors.m7.elf import Elf, plain_name
from golden_vectors.m7.emulator import Emulator
from golden_vectors.m7.image import Image
from golden_vectors.m7.stack import API, HOP, RESET, RUN, StackAnalysis, check_stack
from golden_vectors.m7.thumb import Flow, Instruction, decode
from tests import signals
from tests.export.tiny_model import tiny_graph
from tests.firmware.c_library import PROFILE, model

HERE = [compiler for compiler in COMPILERS if missing_compiler(compiler) is None]
PLANTED = Path(__file__).with_name("planted_stack.c")
builds = pytest.mark.parametrize(
    ("compiler", "scheme"), [(compiler, scheme) for compiler in HERE for scheme in ("int16x8", "int8")]
)


def image_of(compiler: str, scheme: str | None, flags: tuple[str, ...] = DSP) -> Path:
    return build_m7(model(scheme) if scheme else None, PROFILE, compiler=compiler, flags=flags)


@cache
def planted(compiler: str) -> Elf:
    flags = (*DSP, "-Wl,--no-gc-sections")
    return Elf.load(build_m7(None, PROFILE, compiler=compiler, flags=flags, more_sources=(PLANTED,)))


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize("flags", [DSP, ()], ids=["dsp", "plain"])
@builds
def test_no_call_exceeds_what_the_header_declares(compiler: str, scheme: str, flags: tuple[str, ...]) -> None:
    image = image_of(compiler, scheme, flags)
    bounds = check_stack(Elf.load(image))
    assert set(bounds) == set(API)
    assert max(bound.size for bound in bounds.values()) == bounds[RUN].size
    assert f"#define STAPES_STACK_BYTES {STACK_BYTES}U" in (image.parent / "stapes_model.h").read_text()


def test_the_functions_that_are_bounded_are_those_of_the_public_interface() -> None:
    firmware = Path(__file__).parents[2] / "firmware"
    headers = "".join((firmware / name).read_text() for name in ("stapes.h", "ping_pong.h"))
    assert set(API) == set(re.findall(r"^[\w ]+[ *](stapes_\w+)\(", headers, re.MULTILINE))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@builds
def test_a_measured_high_water_mark_is_the_bound_to_the_byte(compiler: str, scheme: str, profile: Profile) -> None:
    """On networks that run every call: the deepest takes the rows that four leave, of 65 bands or 9 units.

    The product's rows (120, 48, 64) are all of four: there the call is in the image, in the bound, and never made.
    """
    graph = model(scheme, profile) if profile.name == "seed" else tiny_graph(scheme, 9, profile)
    image = build_m7(graph, profile, compiler=compiler)
    analysis, measured = StackAnalysis(Elf.load(image)), high_water_marks(image, profile)
    assert "stapes_fully_connected_last" in dict(analysis.bound(HOP).path)
    schedule = {name for name in API if name.startswith("stapes_ping_pong_")}
    assert {HOP, "stapes_init", "stapes_reset", "stapes_tap", "stapes_hold_hop", RESET} | schedule <= set(measured)
    assert measured == {name: analysis.bound(name).size for name in measured}


def high_water_marks(image: Path, profile: Profile) -> dict[str, int]:
    """Most stack of each public function, and of the image from reset on, in one run: SP at every instruction."""
    from unicorn import UC_HOOK_CODE
    from unicorn.arm_const import UC_ARM_REG_LR, UC_ARM_REG_SP

    script, elf = Script(), Elf.load(image)
    pcm = signals.mixture(0.0, 0.1)[: 2 * profile.hop_samples]
    script.hops(pcm[: profile.hop_samples], profile)
    script.reset()
    script.run(pcm[: profile.hop_samples])
    script.schedule(StreamInput(pcm, events=((0, "late"), (1, "held")), profile=profile))
    emulator = Emulator(Image.load(image), {INPUT: bytes(script.data)})
    starts = {elf.function(name).address: name for name in API}
    deepest: dict[str, int] = {}
    running: list[tuple[str, int, int]] = [(RESET, *struct.unpack("<II", emulator.image.segments[0][1][:8]))]

    def instruction(core: object, address: int, _size: int, _data: object) -> None:
        sp = core.reg_read(UC_ARM_REG_SP)  # type: ignore[attr-defined]
        while running and (sp, address) == running[-1][1:]:
            running.pop()
        if address in starts:
            running.append((starts[address], sp, core.reg_read(UC_ARM_REG_LR) & ~1))  # type: ignore[attr-defined]
        for name, entry, _ in running:
            deepest[name] = max(deepest.get(name, 0), entry - sp)

    text = elf.section(".text")
    assert text is not None
    emulator.core.hook_add(UC_HOOK_CODE, instruction, begin=text.address, end=text.address + text.size - 1)
    emulator.run()
    return deepest


PASSED_BY_VALUE = {f"stapes_fully_connected_{kernel}i8": 8 for kernel in ("", "paired_", "paired_relu_")}
"""Functions that store the registers with a struct passed by value: -fstack-usage of GCC leaves these bytes out, and
the emulator confirms them, for the int8 hop is deepest in one of them."""


@pytest.mark.parametrize("scheme", ["int16x8", "int8"])
@pytest.mark.parametrize("compiler", [compiler for compiler in HERE if compiler == "gcc"] or ["none"])
def test_frames_are_those_that_gcc_reports(compiler: str, scheme: str) -> None:
    if compiler == "none":
        assert missing_compiler("gcc") is not None
        return
    image = image_of(compiler, scheme, (*DSP, "-fstack-usage"))
    lines = [line.split("\t") for path in image.parent.glob("*.su") for line in path.read_text().splitlines()]
    reported = {plain_name(place.rpartition(":")[2]): int(size) for place, size, _ in lines}
    assert {kind for *_, kind in lines} == {"static"}
    analysis = StackAnalysis(Elf.load(image))
    assert set(analysis.reached(HOP)) <= set(reported)
    functions = {symbol.name for symbol in analysis.elf.functions.values()} & set(reported)
    differences = {name: analysis.frame(name).own - reported[name] for name in functions}
    assert {name: bytes_ for name, bytes_ in differences.items() if bytes_} == PASSED_BY_VALUE


@builds
def test_the_path_adds_up_and_its_functions_call_each_other(compiler: str, scheme: str) -> None:
    analysis = StackAnalysis(Elf.load(image_of(compiler, scheme)))
    bound = analysis.bound(HOP)
    assert sum(size for _, size in bound.path) == bound.size
    assert bound.path[0][0] == HOP
    for (caller, depth), (callee, _) in zip(bound.path, bound.path[1:], strict=False):
        assert (analysis.elf.function(callee).address, depth) in analysis.frame(caller).calls


# ---------------------------------------------------------------- room


@pytest.mark.parametrize("part", PARTS)
@builds
def test_the_room_that_the_link_script_keeps_is_enough_from_reset_on(compiler: str, scheme: str, part: str) -> None:
    elf = Elf.load(build_m7(model(scheme), PROFILE, compiler=compiler, part=part))
    room = elf.section(".stack")
    assert room is not None
    assert StackAnalysis(elf).bound(RESET).size + 36 <= room.size, "an exception takes 36 bytes of a core without FPU"


@pytest.mark.parametrize("compiler", HERE)
def test_an_image_without_room_for_its_stack_does_not_link(compiler: str) -> None:
    with pytest.raises(WitnessError, match=r"stack.* will not fit in region"):
        build_m7(None, PROFILE, compiler=compiler, flags=(*DSP, "-DSTAPES_MAIN_STACK_BYTES=131072"))


# ---------------------------------------------------------------- gates that go red


@pytest.mark.parametrize("compiler", HERE)
def test_a_tail_call_is_a_call(compiler: str) -> None:
    analysis = StackAnalysis(planted(compiler))
    assert analysis.bound("planted_leaf").size >= 64
    assert 0 <= analysis.bound("planted_tail").size - analysis.bound("planted_leaf").size <= 8
    assert "planted_leaf" in analysis.reached("planted_tail")


REFUSED = {
    "planted_array": r"planted_array needs 4\d\d\d bytes of stack, above STAPES_STACK_BYTES",
    "planted_recursion": r"recursion planted_\w+ > planted_\w+ > planted_\w+",
    "planted_indirect": r"planted_indirect: a jump through a register",
    "planted_pointer_tail": r"planted_pointer_tail: a jump through a register",
    "planted_variable": r"planted_variable: instruction .* its use of SP or PC is not known",
}


@pytest.mark.parametrize("function", REFUSED)
@pytest.mark.parametrize("compiler", HERE)
def test_what_breaks_the_bound_is_named(compiler: str, function: str) -> None:
    with pytest.raises(WitnessError, match=REFUSED[function]):
        check_stack(planted(compiler), [function])


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(WitnessError, match="the image has no function stapes_missing"):
        check_stack(planted(HERE[0]), ["stapes_missing"])


# ---------------------------------------------------------------- instructions

KNOWN = {
    "2de9f04f": Instruction(4, 36),  # stmdb sp!, {r4-r11, lr}
    "bde8f08f": Instruction(4, -36, Flow.RETURN),  # ldmia sp!, {r4-r11, pc}
    "f0b5": Instruction(2, 20),  # push {r4-r7, lr}
    "f0bd": Instruction(2, -20, Flow.RETURN),  # pop {r4-r7, pc}
    "83b0": Instruction(2, 12),  # sub sp, #12
    "03b0": Instruction(2, -12),  # add sp, #12
    "adf5806d": Instruction(4, 1024),  # sub.w sp, sp, #1024
    "0df5806d": Instruction(4, -1024),  # add.w sp, sp, #1024
    "adf6a47d": Instruction(4, 0xFA4),  # subw sp, sp, #4004
    "4df8048d": Instruction(4, 4),  # str r8, [sp, #-4]!
    "5df8048b": Instruction(4, -4),  # ldr r8, [sp], #4
    "5df804fb": Instruction(4, -4, Flow.RETURN),  # ldr pc, [sp], #4
    "6de90201": Instruction(4, 8),  # strd r0, r1, [sp, #-8]!
    "2ded108b": Instruction(4, 64),  # vpush {d8-d15}
    "bdec108b": Instruction(4, -64),  # vpop {d8-d15}
    "7047": Instruction(2, flow=Flow.RETURN),  # bx lr
    "1847": Instruction(2, flow=Flow.INDIRECT),  # bx r3
    "9847": Instruction(2, flow=Flow.INDIRECT),  # blx r3
    "9f46": Instruction(2, flow=Flow.INDIRECT),  # mov pc, r3
    "dfe800f0": Instruction(4, flow=Flow.INDIRECT),  # tbb [pc, r0]
    "dff804f0": Instruction(4, flow=Flow.INDIRECT),  # ldr pc, [pc, #4]
    "fff7feff": Instruction(4, flow=Flow.CALL, target=0x1000),  # bl to itself
    "00f000b8": Instruction(4, flow=Flow.JUMP, target=0x1004),  # b.w
    "3ff4fcaf": Instruction(4, flow=Flow.BRANCH, target=0xFFC),  # beq.w
    "fee7": Instruction(2, flow=Flow.JUMP, target=0x1000),  # b to itself
    "fdd1": Instruction(2, flow=Flow.BRANCH, target=0xFFE),  # bne
    "08b1": Instruction(2, flow=Flow.BRANCH, target=0x1006),  # cbz r0
    "14bf": Instruction(2, condition=2),  # ite
    "03a9": Instruction(2),  # add r1, sp, #12
    "6846": Instruction(2),  # mov r0, sp
    "0292": Instruction(2),  # str r2, [sp, #8]
    "cdf81cd0": Instruction(4),  # str sp, [sp, #28]
    "c5fb0236": Instruction(4),  # smlald-like: a long multiplication to r3, r6
    "bff34f8f": Instruction(4),  # dsb
    "52e8000f": Instruction(4),  # ldrex r0, [r2]
    "41e80023": Instruction(4),  # strex r3, r2, [r1]
}


@pytest.mark.parametrize("code", KNOWN)
def test_an_instruction_is_decoded(code: str) -> None:
    assert decode(bytes.fromhex(code), 0x1000) == KNOWN[code]


UNKNOWN = {
    "8546": "mov sp, r0",
    "9d44": "add sp, r3",
    "a7f10c0d": "sub sp, r7, #12",
    "07f1000d": "add sp, r7, #0",
    "adeb030d": "sub sp, sp, r3",
    "80f30888": "msr msp, r0",
    "d0f800d0": "ldr sp, [r0]",
    "2de80f00": "stmia sp!, backwards",
    "90e80080": "ldm r0, {pc}",
    "00df": "svc 0",
    "d2e84f0f": "ldrexb",
    "52e800df": "ldrex sp",
    "41e8002d": "strex sp, r2, [r1]",
    "10ee100a": "vmov r0, s0",
}


@pytest.mark.parametrize("code", UNKNOWN)
def test_an_instruction_that_may_move_sp_in_another_way_is_refused(code: str) -> None:
    with pytest.raises(WitnessError, match="its use of SP or PC is not known"):
        decode(bytes.fromhex(code), 0x1000)
