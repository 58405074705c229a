"""firmware/README.md tells the truth: its program compiles with its build line and does what the loop does."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from export.__main__ import main as export
from export.c_writer import write_c
from firmware_sim.contract import DEFAULT_PROFILE, PROFILES
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.graph import Graph
from golden_vectors.cc import FIRMWARE, ROOT, WARNINGS, find_compiler
from golden_vectors.m7.build import COMPILERS, missing_compiler

HERE = [compiler for compiler in COMPILERS if missing_compiler(compiler) is None]

BOARD = """
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

bool microphone_read(int16_t *samples);
void receiver_write(const int16_t *samples);
bool microphone_read(int16_t *samples) { return fread(samples, 2, 64, stdin) == 64; }
void receiver_write(const int16_t *samples) { fwrite(samples, 2, 64, stdout); }
"""


def block(language: str, index: int = 0) -> str:
    text = (FIRMWARE / "README.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)[index]


def words_of(line: str) -> list[str]:
    """A command of the README as a shell sees it; its one pattern is that of the firmware's sources."""
    sources = [f"firmware/{path.name}" for path in sorted(FIRMWARE.glob("*.c"))]
    return [w for word in shlex.split(line.replace("\\\n", "")) for w in (sources if "*" in word else [word])]


def build(folder: Path, graph: Graph) -> Path:
    """The README's program, with a file for microphone and receiver, by the README's build line."""
    write_c(graph, PROFILES[graph.meta["profile"]], folder / "build")
    (folder / "firmware").symlink_to(FIRMWARE)
    (folder / "main.c").write_text(block("c"))
    (folder / "board.c").write_text(BOARD)
    _, *words = words_of(block("sh"))
    compiler = find_compiler()
    assert compiler is not None
    subprocess.run([*compiler, *WARNINGS, *words, "board.c"], cwd=folder, check=True)
    return folder / "ear"


def test_the_program_of_the_readme_is_the_frame_loop(tmp_path: Path) -> None:
    graph = Graph.load(ROOT / "firmware_sim" / "model.npz")
    pcm, _ = soundfile.read(ROOT / "tests" / "data" / "noisy.wav", frames=64 * 100, dtype="int16")
    program = build(tmp_path, graph)
    heard = subprocess.run([program], input=pcm.tobytes(), capture_output=True, check=True).stdout
    expected = FrameLoop(PROFILES[graph.meta["profile"]], graph).process(pcm[None])[0]
    np.testing.assert_array_equal(np.frombuffer(heard, np.int16), expected)


def test_the_program_with_two_ears_and_a_schedule_compiles(tmp_path: Path) -> None:
    write_c(None, PROFILES[DEFAULT_PROFILE], tmp_path)
    (tmp_path / "main.c").write_text(block("c", 1))
    includes = [f"-I{path}" for path in (tmp_path, FIRMWARE, FIRMWARE / "cmsis_stubs")]
    command = [*(find_compiler() or ()), "-std=c11", *WARNINGS, *includes, "-c", "main.c", "-o", "main.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    for call in (b"stapes_restart", b"stapes_ping_pong_init", b"stapes_ping_pong_interrupt", b"stapes_ping_pong_run"):
        assert call in (tmp_path / "main.o").read_bytes()


@pytest.mark.parametrize("compiler", HERE)
def test_the_lines_for_a_project_of_a_cortex_m7_build_its_paired_kernels(
    compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "firmware").symlink_to(FIRMWARE)
    translate, compile_ = block("sh", 1).split("\n", maxsplit=1)
    assert translate.startswith("python -m export ")
    assert export(shlex.split(translate)[3:]) == 0
    name, core, state, *words = words_of(compile_)
    assert [name, core, state] == list(COMPILERS["gcc"][:3])
    sources = [word for word in words if word.endswith(".c")]
    options = [word for word in words if word not in sources]
    for part in [sources] if compiler == "gcc" else [[source] for source in sources]:  # zig cc -c takes one
        subprocess.run([*COMPILERS[compiler], *WARNINGS, *options, *part], check=True)
    objects = {path.stem: path.read_bytes() for path in tmp_path.glob("*.o")}
    assert set(objects) == {"stapes_model", *(path.stem for path in FIRMWARE.glob("*.c"))}
    assert b".rodata.gru0_x_n_w_pairs_i16" in objects["stapes_model"]
