"""The same cases for a board or a bench: every form holds the bits of the vector, and a C program checks the device."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware_sim.contract import PROFILES
from firmware_sim.graph import Graph
from golden_vectors.__main__ import MODEL, main
from golden_vectors.cases import CASES
from golden_vectors.cc import INCLUDES, WARNINGS, build_host, find_compiler
from golden_vectors.errors import WitnessError
from golden_vectors.files import DIRECTORY, load_all
from golden_vectors.formats import FORMATS, export, exported, formats
from golden_vectors.formats.c_header import _array
from golden_vectors.kinds import KINDS
from golden_vectors.vector import Vector

VECTORS = {vector.id: vector for vector in load_all(DIRECTORY, CASES)}
ONE_OF_EACH = list({vector.kind: vector.id for vector in VECTORS.values()}.values())
EDGES = np.array([-(1 << 63), (1 << 63) - 1, -(1 << 31), 0])

MAIN = """
#include <stdio.h>
#include <string.h>
#include "stapes.h"
#include "stapes_speech_rain.h"

static stapes_state_t state;

static int wrong(const char *name, const void *expected, size_t bytes, int hop)
{
    stapes_tap_t tap;
    for (uint32_t i = 0; stapes_tap(&state, i, &tap) == 0; i++)
        if (strcmp(tap.name, name) == 0)
            return memcmp(tap.data, (const char *)expected + (size_t)hop * bytes, bytes) != 0;
    return 1;
}

#define CHECK(name, n) wrong(#name, stapes_speech_rain_##name, (n) * sizeof stapes_speech_rain_##name[0], hop)

int main(void)
{
    const stapes_parameters_t parameters = {
        .gain_floor_q15 = STAPES_SPEECH_RAIN_PARAMETERS_GAIN_FLOOR_Q15,
        .dry_q15 = STAPES_SPEECH_RAIN_PARAMETERS_DRY_Q15,
        .wiener_floor_q15 = STAPES_SPEECH_RAIN_PARAMETERS_WIENER_FLOOR_Q15,
        .use_network = STAPES_SPEECH_RAIN_PARAMETERS_USE_NETWORK,
        .bypass = STAPES_SPEECH_RAIN_PARAMETERS_BYPASS,
    };
    if (stapes_init(&state, &parameters) != 0)
        return 3;
    for (int hop = 0; hop < STAPES_SPEECH_RAIN_HOPS; hop++) {
        int16_t out[STAPES_HOP_SAMPLES];
        stapes_process_hop(&state, stapes_speech_rain_input_pcm + hop * STAPES_HOP_SAMPLES, out);
        if (memcmp(out, stapes_speech_rain_pcm + hop * STAPES_HOP_SAMPLES, sizeof out) != 0 ||
            CHECK(gain_q15, STAPES_BINS) || CHECK(mask_q15, STAPES_BINS) || CHECK(x_q11, STAPES_BINS) ||
            CHECK(wiener_gain_q15, STAPES_BINS) || CHECK(likelihood_q16, 1)) {
            printf("hop %d differs\\n", hop);
            return 1;
        }
    }
    if (stapes_counters(&state)[STAPES_NETWORK].saturations != STAPES_SPEECH_RAIN_COUNTERS_NETWORK_0)
        return 2;
    puts("equal");
    return 0;
}
"""


def compiled(folder: Path, text: str, extra: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """A program of one page, built without a warning and run."""
    (folder / "main.c").write_text(text)
    command = [*(find_compiler() or ()), "-std=c11", *WARNINGS, "main.c", *extra, "-I.", "-o", "main"]
    subprocess.run(command, cwd=folder, check=True)
    return subprocess.run(["./main"], cwd=folder, capture_output=True, text=True, check=False)


def device() -> list[str]:
    """Options that link the device of the product."""
    library = build_host(Graph.load(MODEL), PROFILES["seed"])
    includes = [f"-I{path}" for path in (library.parent, *INCLUDES)]
    return [*includes, str(library), f"-Wl,-rpath,{library.parent}"]


def test_a_c_program_with_the_header_checks_the_device_bit_for_bit(tmp_path: Path) -> None:
    export(list(VECTORS.values()), "c", tmp_path, ["speech_rain"])
    ran = compiled(tmp_path, MAIN, device())
    assert (ran.returncode, ran.stdout) == (0, "equal\n")
    text = (tmp_path / "stapes_speech_rain.h").read_text()
    start = text.index("{", text.index("stapes_speech_rain_mask_q15[7800]"))
    row = text.index(",", start + 30_000)
    digit = text[row - 1]
    assert digit.isdigit()
    (tmp_path / "stapes_speech_rain.h").write_text(f"{text[: row - 1]}{(int(digit) + 1) % 10}{text[row:]}")
    ran = compiled(tmp_path, MAIN, device())
    assert ran.returncode == 1
    assert "differs" in ran.stdout


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_header_of_every_kind_compiles_and_holds_every_byte_of_its_arrays(name: str, tmp_path: Path) -> None:
    export([VECTORS[name]], "c", tmp_path)
    arrays = {k: v for k, v in exported(VECTORS[name]).arrays.items() if v.size <= 1 << 19}
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
    export([VECTORS[name]], "npz", tmp_path / "npz")
    export([VECTORS[name]], "raw", tmp_path / "raw")
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
    assert sorted(path.name for path in out.iterdir()) == ["dc.npz", "manifest.json", "silence.npz"]
    assert "2 files" in capsys.readouterr().out
    assert door("--format", "npz", "--out", str(out), "--only", "silence") == 0
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
    export([older], "raw", tmp_path)
    export([silence], "raw", tmp_path)
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
        export([VECTORS["silence"]], "raw", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
