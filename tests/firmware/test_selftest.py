"""The self-test image: PASS with the same words and counts in both emulators; when it is wrong, the first place."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from export.c_writer import to_c
from firmware_sim import tables
from firmware_sim.contract import STAGES
from golden_vectors import selftest
from golden_vectors.__main__ import BLESSED, main
from golden_vectors.cases import CASES
from golden_vectors.cc import FIRMWARE
from golden_vectors.errors import WitnessError
from golden_vectors.files import load_all
from golden_vectors.generate import load_graphs
from golden_vectors.m7.build import COMPILERS, DEFAULT_PART, PARTS, missing_compiler
from golden_vectors.m7.elf import Elf
from golden_vectors.m7.emulator import Ended, memory_regions, run_unicorn
from golden_vectors.m7.image import Image
from golden_vectors.m7.qemu import PART, missing_qemu, run_qemu
from golden_vectors.m7.stack import RESET, StackAnalysis
from golden_vectors.selftest import SelfTest, _image, build_selftest, gather, to_source
from golden_vectors.verify import Bench
from tests.firmware.c_library import PROFILE

HERE = [compiler for compiler in COMPILERS if missing_compiler(compiler) is None]
EMULATORS_HERE = [partial(run_unicorn, part=PART), *([run_qemu] if missing_qemu() is None else [])]
COUNTING = [partial(emulator, counting=True) for emulator in EMULATORS_HERE]
FEW = {"int16x8": ("dry_wet", "network_extreme_int16x8")}
"""Vectors that are counted quickly."""


@cache
def bench() -> Bench:
    return Bench(load_all(cases=CASES), load_graphs(BLESSED))


@cache
def made(part: str = DEFAULT_PART, scheme: str = "int16x8", compiler: str = "zig") -> SelfTest:
    return build_selftest(bench(), scheme, PROFILE, part, compiler)


def run(elf: bytes, folder: Path, part: str = DEFAULT_PART) -> Ended:
    (folder / "selftest.elf").write_bytes(elf)
    return run_unicorn(folder / "selftest.elf", {}, part)


def flipped(elf: bytes, at: bytes, byte: int) -> bytes:
    """One bit of the one place where `at` stands in the image is another."""
    assert elf.count(at) == 1
    wrong = bytearray(elf)
    wrong[elf.index(at) + byte] ^= 1
    return bytes(wrong)


def words(values: Iterable[int]) -> bytes:
    return np.array(list(values), "<i8").astype("<u4").tobytes()


# ---------------------------------------------------------------- PASS


@pytest.mark.parametrize("compiler", HERE)
def test_both_emulators_print_the_same_words_and_counts(
    compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "CASES", FEW)
    image = tmp_path / "selftest.elf"
    image.write_bytes(build_selftest(bench(), "int16x8", PROFILE, PART, compiler).elf)
    ended, *others = (run(image, {}) for run in COUNTING)
    assert (ended.status, ended.printed.splitlines()[-1]) == (0, "PASS: 2 vectors, 150 hops and steps")
    assert "dry_wet: 70 equal\n" in ended.printed
    counts = dict(re.findall(r"  (\w+): (\d+, \d+)\n", ended.printed))
    assert list(counts) == list(STAGES)
    assert all(int(number) > 0 for both in counts.values() for number in both.split(", "))
    assert all(other == ended for other in others)


@pytest.mark.parametrize("compiler", HERE)
def test_all_its_vectors_pass_in_both_emulators(compiler: str, tmp_path: Path) -> None:
    image = tmp_path / "selftest.elf"
    image.write_bytes(made(PART, "int16x8", compiler).elf)
    for emulator in EMULATORS_HERE:
        ended = emulator(image, {})
        assert (ended.status, ended.printed.splitlines()[-1]) == (0, "PASS: 5 vectors, 440 hops and steps")


def full_hops_of_the_readme(part: str) -> int:
    """First hops of which every tap is in the image, as the table of the parts says."""
    (hops,) = re.findall(rf"^\| `{part}`.*\| (\d+) hops \|$", (FIRMWARE / "README.md").read_text(), re.MULTILINE)
    return int(hops)


@pytest.mark.parametrize(
    ("part", "scheme"), [*((part, "int16x8") for part in PARTS if part != PART), (DEFAULT_PART, "int8")]
)
def test_it_passes_on_every_part_and_fits_its_flash(part: str, scheme: str, tmp_path: Path) -> None:
    image = made(part, scheme)
    origin, size = memory_regions(part)["FLASH"]
    segments = Image.parse(image.elf).segments
    assert all(origin <= address and address + len(data) <= origin + size for address, data in segments)
    assert image.flash_bytes <= size
    if scheme == "int16x8":
        assert image.full_hops == full_hops_of_the_readme(part)
    if size > 1 << 20:
        assert image.full_hops > 30  # the noise learning and what comes after it
    ended = run(image.elf, tmp_path, part)
    assert (ended.status, ended.printed.splitlines()[-1][:4]) == (0, "PASS")
    assert "the clock stands still" in ended.printed


@pytest.mark.parametrize("compiler", HERE)
def test_its_stack_has_room(compiler: str) -> None:
    elf = Elf.parse(made(PART, "int16x8", compiler).elf)
    room = elf.section(".stack")
    assert room
    assert StackAnalysis(elf).bound(RESET).size <= room.size


def test_a_small_flash_carries_fewer_taps_and_all_digests() -> None:
    small, large = made("stm32f746"), made("stm32h743")
    assert small.full_hops < large.full_hops
    assert [one.digests() for one in small.evidence] == [one.digests() for one in large.evidence]


# ---------------------------------------------------------------- FAIL


def test_a_changed_constant_is_named_by_its_element_with_both_values(tmp_path: Path) -> None:
    window, changed = tables.analysis_window_q31(PROFILE), 110  # its last bit shows in a hop whose taps are carried
    ended = run(flipped(made().elf, words(window), 4 * changed), tmp_path)
    first = re.search(r"^FAIL: speech_rain, hop (\d+), stage window, frame_q30\[110\]: expected (-?\d+), got (-?\d+)$",
                      ended.printed, re.MULTILINE)  # fmt: skip
    assert ended.status == 1
    assert first, ended.printed
    hop, expected, got = map(int, first.groups())
    evidence = made().evidence[0]
    assert expected == evidence.taps["frame_q30"][hop, changed] != got
    assert ended.printed.splitlines()[-1] == first.group()


def test_a_flipped_weight_is_named_in_the_network(tmp_path: Path) -> None:
    source = to_c(bench().graphs["int16x8"], PROFILE, paired=True)["stapes_model.c"].decode()
    text = re.search(r"gru0_x_n_w_pairs_i16\[\d+\] = \{([^}]*)\}", source)
    assert text
    weights = np.array([int(word) for word in re.findall(r"-?\d+", text.group(1))], "<i2").tobytes()
    ended = run(flipped(made().elf, weights, 1001), tmp_path)
    assert ended.status == 1
    assert re.search(r"^FAIL: speech_rain, hop \d+, stage network, h0\[\d+\]: expected -?\d+, got -?\d+$",
                     ended.printed, re.MULTILINE), ended.printed  # fmt: skip


def test_a_hop_without_taps_is_named_by_its_digest(tmp_path: Path) -> None:
    image = made("stm32f746")
    digests = image.evidence[0].digests()
    hop = image.full_hops + 3
    place = 4 * (hop * len(STAGES) + STAGES.index("gain"))
    ended = run(flipped(image.elf, words(digests), place), tmp_path, "stm32f746")
    right = digests[place // 4]
    complaint = f"FAIL: speech_rain, hop {hop}, stage gain, CRC-32: expected {right ^ 1}, got {right}"
    assert (ended.status, ended.printed.splitlines()[-1]) == (1, complaint)


def test_a_counter_is_compared_at_the_end(tmp_path: Path) -> None:
    counters = made().evidence[1].counters
    assert counters
    flat = [number for pair in counters for number in pair]
    ended = run(flipped(made().elf, words(flat), 4 * 2 * STAGES.index("irfft")), tmp_path)
    assert ended.status == 1
    right = counters[STAGES.index("irfft")][0]
    assert ended.printed.splitlines()[-1] == (
        f"FAIL: noise_full_scale, at the end, stage irfft, saturations: expected {right ^ 1}, got {right}"
    )


def test_a_step_of_the_network_alone_is_named(tmp_path: Path) -> None:
    last = made().evidence[-1]
    data = b"".join(last.hop_bytes(step) for step in range(min(made().full_hops, last.hops)))
    step_bytes = len(last.hop_bytes(0))
    wrong = bytearray(made().elf)
    wrong[wrong.index(data) + 7 * step_bytes + 2 * 5] ^= 1  # the taps are carried, but only digests are judged
    assert run(bytes(wrong), tmp_path).status == 0
    wrong = bytearray(flipped(bytes(wrong), words(last.digests()), 4 * 7))
    ended = run(bytes(wrong), tmp_path)
    right = int(last.taps["h0"][7, 5])
    complaint = f"FAIL: network_extreme_int16x8, step 7, stage network, h0[5]: expected {right ^ 1}, got {right}"
    assert (ended.status, ended.printed.splitlines()[-1]) == (1, complaint)


def test_a_tap_that_the_device_has_not_is_named() -> None:
    one = gather(bench(), "int16x8")[0]
    wrong = replace(one, taps={**one.taps, "pcm": one.taps["pcm"][:, :32]})
    image = _image(bench().graphs["int16x8"], PROFILE, DEFAULT_PART, "zig", to_source([wrong], 0), ())
    ended = run_unicorn(image, {})
    assert ended.status == 1
    assert ended.printed.endswith("FAIL: speech_rain, hop 0, stage overlap_add: the device has no such tap: pcm\n")


def test_a_reference_that_disagrees_with_the_vectors_gives_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "reference_taps", lambda *_: None)
    with pytest.raises(WitnessError, match="the reference does not compute speech_rain"):
        gather(bench(), "int16x8")


# ---------------------------------------------------------------- the door

BOARD = """
#include "semihost.h"
#include "selftest.h"
void stapes_board_init(void);
_Noreturn void stapes_exit(uint32_t status);
static const char *mark = "";
void stapes_board_init(void) { mark = "|"; }
void stapes_print(const char *text) { semihost_print(mark); semihost_print(text); }
void stapes_exit(uint32_t status) { semihost_exit(status + 40U); }
"""


def test_the_door_builds_it_with_the_hooks_of_a_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "CASES", FEW)
    (tmp_path / "board.c").write_text(BOARD)
    out = tmp_path / "new" / "selftest.elf"
    assert main(["selftest", "--board", str(tmp_path / "board.c"), "-o", str(out)]) == 0
    assert struct.unpack_from("<4s", out.read_bytes()) == (b"\x7fELF",)
    assert [path.name for path in out.parent.iterdir()] == ["selftest.elf"]
    ended = run_unicorn(out, {}, DEFAULT_PART)
    assert ended.status == 40
    assert "|dry_wet|: |70| equal\n" in ended.printed


def test_the_door_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "CASES", FEW)
    assert main(["selftest", "--run", "-o", str(tmp_path / "selftest.elf")]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == "PASS: 2 vectors, 150 hops and steps"
    assert re.search(r"  network: \d+, \d+\n", printed)


def readme_hooks() -> str:
    readme = (FIRMWARE / "README.md").read_text()
    (hooks,) = (text for text in re.findall(r"```c\n(.*?)```", readme, re.DOTALL) if "stapes_print" in text)
    return str(hooks)


def test_the_hooks_of_the_readme_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "CASES", FEW)
    (tmp_path / "board.c").write_text(readme_hooks())
    out = tmp_path / "selftest.elf"
    assert main(["selftest", "--board", str(tmp_path / "board.c"), "-o", str(out)]) == 0
    image = Elf.parse(out.read_bytes())
    sections = {symbol.name: symbol.section for symbol in image.symbols}
    assert [sections[f"stapes_{hook}"] for hook in ("board_init", "print", "exit")] == [".text"] * 3


@pytest.mark.parametrize("register", ["0xE0000E00", "0xE0000E80"])
def test_the_hooks_of_the_readme_do_not_wait_for_an_itm_that_is_off(
    register: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "CASES", FEW)
    on = f"*(volatile uint32_t *){'0xE0000E80' if register == '0xE0000E00' else '0xE0000E00'}"
    assert readme_hooks().count(on) == readme_hooks().count("(void)status;") == 1
    ends = readme_hooks().replace(on, "1U").replace("(void)status;", "semihost_exit(status + 40U);")
    (tmp_path / "board.c").write_text('#include "semihost.h"\n' + ends)
    out = tmp_path / "selftest.elf"
    assert main(["selftest", "--board", str(tmp_path / "board.c"), "-o", str(out)]) == 0
    ended = run_unicorn(out, {}, DEFAULT_PART)
    assert (ended.status, ended.printed) == (40, "")


def test_the_output_in_the_readme_is_what_the_image_prints(tmp_path: Path) -> None:
    (sample,) = re.findall(r"```text\n(stapes self-test.*?)```", (FIRMWARE / "README.md").read_text(), re.DOTALL)
    image = tmp_path / "selftest.elf"
    image.write_bytes(made().elf)
    assert run_unicorn(image, {}, DEFAULT_PART, counting=True).printed == sample


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--part", "z80"], "golden_vectors: argument --part: invalid choice: 'z80'"),
        (["--run", "--board", "board.c"], "golden_vectors: --run has no board for the hooks of --board: leave one"),
        (["--board", "nowhere.c"], r"golden_vectors: \S*nowhere.c: no such file"),
        (["-o", ""], "golden_vectors: argument -o/--out: '' names no file"),
        (["-o", "/"], "golden_vectors: argument -o/--out: '/' names no file"),
        (["-o", "pyproject.toml/selftest.elf"], r"golden_vectors: pyproject.toml/selftest.elf: cannot be written"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["selftest", *arguments])
    except SystemExit as ended:
        status = int(str(ended.code))
    assert status == 2
    error = capsys.readouterr().err
    assert re.match(complaint, error)
    assert error.count("\n") == 1
