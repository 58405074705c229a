"""The same cases for a board or a bench: every form holds the bits of the vector, and a C program checks the device."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.tflite_writer import to_tflite
from firmware_sim.contract import DEFAULT_PROFILE, PROFILES
from golden_vectors.__main__ import BLESSED, MODEL, main
from golden_vectors.cases import CASES
from golden_vectors.cc import WARNINGS, build_host, find_compiler
from golden_vectors.errors import WitnessError
from golden_vectors.files import DIRECTORY, load_all
from golden_vectors.formats import FORMATS, export, exported, formats, graph_files
from golden_vectors.formats.c_header import LARGEST, _array
from golden_vectors.generate import load_graphs
from golden_vectors.kinds import KINDS
from golden_vectors.vector import Vector

VECTORS = {vector.id: vector for vector in load_all(DIRECTORY, CASES)}
ONE_OF_EACH = list({vector.kind: vector.id for vector in VECTORS.values()}.values())
EDGES = np.array([-(1 << 63), (1 << 63) - 1, -(1 << 31), 0])

GRAPHS = load_graphs(BLESSED)
ROOT = MODEL.parents[1]
PAGE = (ROOT / "golden_vectors" / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code of the page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def on_the_device(folder: Path, vector: str) -> subprocess.CompletedProcess[str]:
    """The page's program for a vector, built by the page's own command beside the device, and run."""
    (text,) = blocks("c")
    lines = "".join(blocks("sh")).replace("\\\n", "").splitlines()
    (command,) = [line for line in lines if line.startswith("cc ")]
    text = text.replace("speech_rain", vector).replace("SPEECH_RAIN", vector.upper())
    (folder / "main.c").write_text(text)
    made = build_host(GRAPHS[VECTORS[vector].scheme], PROFILES[DEFAULT_PROFILE]).parent
    for name, target in (("firmware", ROOT / "firmware"), ("build", made)):
        if not (folder / name).exists():
            (folder / name).symlink_to(target)
    command = command.replace("build/vectors_c", "vectors_c").replace("-O3", "-O0")
    command = command.replace("cc ", f"{shlex.join(find_compiler() or ())} {shlex.join(WARNINGS)} ", 1)
    subprocess.run(command, cwd=folder, shell=True, check=True)
    return subprocess.run(["./check"], cwd=folder, capture_output=True, text=True, check=False)


def test_the_program_of_the_page_checks_the_device_bit_for_bit(tmp_path: Path) -> None:
    export(list(VECTORS.values()), GRAPHS, "c", tmp_path / "vectors_c", ["speech_rain"])
    ran = on_the_device(tmp_path, "speech_rain")
    assert (ran.returncode, ran.stdout) == (0, "equal\n")
    header = tmp_path / "vectors_c" / "stapes_speech_rain.h"
    text = header.read_text()
    row = text.index(",", text.index("{", text.index("stapes_speech_rain_mask_q15[7680]")) + 30_000)
    digit = text[row - 1]
    assert digit.isdigit()
    header.write_text(f"{text[: row - 1]}{(int(digit) + 1) % 10}{text[row:]}")
    ran = on_the_device(tmp_path, "speech_rain")
    assert ran.returncode == 1
    assert "differs" in ran.stdout


@pytest.mark.parametrize("vector", ["reset_in_speech", "restart", "lost_hops"])
def test_the_program_of_the_page_applies_resets_restarts_and_late_hops(vector: str, tmp_path: Path) -> None:
    export(list(VECTORS.values()), GRAPHS, "c", tmp_path / "vectors_c", [vector])
    ran = on_the_device(tmp_path, vector)
    assert (ran.returncode, ran.stdout) == (0, "equal\n")


def test_the_page_recomputes_a_digest_from_the_files_alone(tmp_path: Path) -> None:
    (text,) = blocks("python")
    command = [sys.executable, "-c", text]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [VECTORS["speech_rain"].trace[0].split()[-1]] * 2
    copy = tmp_path / "golden_vectors" / "vectors"
    copy.mkdir(parents=True)
    for suffix in ("json", "out.wav", "trace"):
        shutil.copy(DIRECTORY / f"speech_rain.{suffix}", copy)
    first, second, *_ = VECTORS["speech_rain"].trace
    lines = (copy / "speech_rain.trace").read_text()
    (copy / "speech_rain.trace").write_text(lines.replace(first.split()[-1], second.split()[-1], 1))
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert "AssertionError" in ran.stderr


def test_what_is_played_is_what_the_table_of_statuses_says() -> None:
    for vector in VECTORS.values():
        if "events" in vector.header:
            before = np.vstack([np.zeros((1, 64), "<i2"), vector.arrays["input_pcm"].reshape(-1, 64)[:-1]])
            late = [hop for hop, kind in vector.header["events"] if kind in ("late", "held_late", "lost")]
            restarts = [hop for hop, kind in vector.header["events"] if kind == "restart"]
            assert late
            wanted = vector.arrays["pcm"].copy()
            wanted[late] = before[late]
            np.testing.assert_array_equal(vector.arrays["played"], wanted, f"{vector.id} {restarts}")


@pytest.mark.parametrize("vector", ["op_add_int16x8", "layers_int8", "speech_rain"])
def test_npz_and_raw_bring_the_graph_that_the_header_names(vector: str, tmp_path: Path) -> None:
    header = VECTORS[vector].header
    for name in ("npz", "raw"):
        export([VECTORS[vector]], GRAPHS, name, tmp_path / name)
        (path,) = (tmp_path / name).glob("*.graph.npz")
        assert path.name.startswith("ops_" if "ops_sha256" in header else "model_")
        with np.load(path, allow_pickle=False) as arrays:
            graph = json.loads(arrays["graph"].tobytes())
            assert set(graph["constants"]) == set(arrays.files) - {"graph"}
        assert graph["digest"] == header.get("ops_sha256", header.get("graph_sha256"))
        assert {tensor for tensor, _ in header.get("tensors", ())} <= {tensor["name"] for tensor in graph["tensors"]}
    other = Vector({**header, "ops_sha256" if "ops_sha256" in header else "graph_sha256": "0" * 64}, {}, ())
    with pytest.raises(WitnessError, match=f"vector {vector} is of graph 0000000000000000"):
        graph_files(other, GRAPHS, "npz")


def test_the_onnx_of_a_graph_vector_computes_its_tensors(tmp_path: Path) -> None:
    import onnxruntime

    vector = VECTORS["op_add_int8"]
    assert list(export([vector], GRAPHS, "onnx", tmp_path)) == ["op_add_int8.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "op_add_int8.onnx", providers=["CPUExecutionProvider"])
    names = [tensor for tensor, _ in vector.header["tensors"]]
    assert [output.name for output in session.get_outputs()] == names
    for row in range(vector.header["rows"]):
        inputs = {name: vector.arrays[f"in_{name}"][row : row + 1] for name in vector.header["inputs"]}
        for name, values in zip(names, session.run(names, inputs), strict=True):
            np.testing.assert_array_equal(values[0], vector.arrays[name][row])


def test_a_tflite_of_the_model_is_that_of_the_export(tmp_path: Path) -> None:
    assert list(export([VECTORS["silence"]], GRAPHS, "tflite", tmp_path)) == ["model_int16x8.tflite"]
    assert (tmp_path / "model_int16x8.tflite").read_bytes() == to_tflite(GRAPHS["int16x8"])


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_header_of_every_kind_compiles_and_holds_every_byte_of_its_arrays(name: str, tmp_path: Path) -> None:
    export([VECTORS[name]], GRAPHS, "c", tmp_path)
    arrays = {k: v for k, v in exported(VECTORS[name]).arrays.items() if v.size <= LARGEST}
    header = (tmp_path / f"stapes_{name}.h").read_text()
    macros = re.findall(rf"#define STAPES_{name.upper()}_(\w+)", header)
    assert len(macros) == header.count("#define ")
    assert not [macro for macro in macros if re.search(r"(^|_)(FLAGS|NOTES|\d+|KIND|SCHEMA\w*|NAME)(_|$)", macro)]
    assert ".py" not in header.split("*/")[0]
    writes = "".join(
        f"    fwrite(stapes_{name}_{array}, 1, sizeof stapes_{name}_{array}, stdout);\n" for array in arrays
    )
    text = f'#include <stdio.h>\n#include "stapes_{name}.h"\nint main(void)\n{{\n{writes}    return 0;\n}}\n'
    (tmp_path / "main.c").write_text(text)
    command = [*(find_compiler() or ()), "-std=c11", *WARNINGS, "main.c", "-I.", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    written = subprocess.run(["./main"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert written == b"".join(values.tobytes() for values in arrays.values())


def test_the_ends_of_every_width_are_written_as_c_takes_them(tmp_path: Path) -> None:
    values = {"a": EDGES.astype("<i8"), "b": np.array([-(1 << 31), 5], "<i4"), "c": np.array([(1 << 64) - 1], "<u8")}
    arrays = "\n".join(_array(name, array) for name, array in values.items())
    prints = "".join(f"fwrite({name}, 1, sizeof {name}, stdout);" for name in values)
    text = f"#include <stdint.h>\n#include <stdio.h>\n{arrays}\nint main(void) {{ {prints} return 0; }}\n"
    (tmp_path / "main.c").write_text(text)
    subprocess.run([*(find_compiler() or ()), "-std=c11", *WARNINGS, "main.c", "-o", "main"], cwd=tmp_path, check=True)
    written = subprocess.run(["./main"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert written == b"".join(array.tobytes() for array in values.values())


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_npz_and_raw_hold_the_same_arrays_and_the_trace(name: str, tmp_path: Path) -> None:
    one = exported(VECTORS[name])
    export([VECTORS[name]], GRAPHS, "npz", tmp_path / "npz")
    export([VECTORS[name]], GRAPHS, "raw", tmp_path / "raw")
    described: dict[str, Any] = json.loads((tmp_path / "raw" / f"{name}.json").read_bytes())
    data = (tmp_path / "raw" / described["binary"]["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == described["binary"]["sha256"]
    wanted = {**one.arrays, **({} if one.digests is None else {"digests": one.digests})}
    assert set(described["binary"]["arrays"]) == set(wanted)
    with np.load(tmp_path / "npz" / f"{name}.npz", allow_pickle=False) as arrays:
        assert json.loads(str(arrays["header_json"])) == one.facts
        assert set(arrays.files) == {*wanted, "header_json"}
        for key, place in described["binary"]["arrays"].items():
            piece = data[place["offset"] : place["offset"] + place["bytes"]]
            assert hashlib.sha256(piece).hexdigest() == place["sha256"]
            raw = np.frombuffer(piece, place["dtype"]).reshape(place["shape"])
            np.testing.assert_array_equal(raw, wanted[key])
            np.testing.assert_array_equal(arrays[key], wanted[key])
    if one.digests is not None:
        assert f"{int(one.digests[0, 0]):016x}" == VECTORS[name].trace[0].split()[0]


def test_every_kind_is_exported() -> None:
    assert {VECTORS[name].kind for name in ONE_OF_EACH} == set(KINDS)
    assert set(formats()) == set(FORMATS)


# ---------------------------------------------------------------- the door


def door(*arguments: str) -> int:
    return main(["generate", *arguments])


def test_the_door_exports_twice_and_never_writes_over_a_foreign_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert door("--format", "npz", "--out", str(out), "--only", "silence", "dc") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "dc.npz",
        "manifest.json",
        "model_int16x8.graph.npz",
        "silence.npz",
    ]
    assert "3 files" in capsys.readouterr().out
    assert door("--format", "npz", "--out", str(out), "--only", "silence") == 0
    capsys.readouterr()
    assert door("--format", "c", "--out", str(tmp_path / "c"), "--only", "op_add_int8") == 0
    assert capsys.readouterr().out.startswith("1 file, ")
    (out / "sweep.npz").write_text("mine")
    (out / "dc.npz").write_text("mine too")
    capsys.readouterr()
    for name in ("sweep", "dc"):
        assert door("--format", "npz", "--out", str(out), "--only", name) == 2
        err = capsys.readouterr().err
        assert (err.count("\n"), f"{name}.npz: was not written by an export: remove it" in err) == (1, True)
    assert (out / "sweep.npz").read_text() == "mine"


def test_what_an_older_export_wrote_is_replaced(tmp_path: Path) -> None:
    silence = VECTORS["silence"]
    older = Vector({**silence.header, "tcId": 77}, silence.arrays, silence.trace)
    export([older], GRAPHS, "raw", tmp_path)
    export([silence], GRAPHS, "raw", tmp_path)
    assert json.loads((tmp_path / "silence.json").read_bytes())["tcId"] == silence.header["tcId"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "c"], "an export needs --format and --out, and has no --check"),
        (["--out", "x"], "an export needs --format and --out, and has no --check"),
        (["--only", "silence"], "an export needs --format and --out, and has no --check"),
        (["--format", "c", "--out", "x", "--check"], "an export needs --format and --out, and has no --check"),
        (["--format", "c", "--out", str(DIRECTORY / "x")], "is a folder of vectors: give another one to --out"),
        (["--format", "c", "--out", "x", "--only", "poem"], "--only poem: no vector is called so"),
    ],
)
def test_bad_requests_are_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: Sequence[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert door(*arguments) in (1, 2)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["[]", "{", '{"files": 3}', "[" * 100_000])
def test_a_manifest_of_somebody_else_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(WitnessError, match=r"manifest\.json: is no manifest of an export"):
        export([VECTORS["silence"]], GRAPHS, "raw", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
