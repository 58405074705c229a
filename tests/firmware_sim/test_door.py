"""The door: every kind of sound file goes through and keeps its shape; bad input ends in one clear line."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from firmware_sim import __main__ as door
from firmware_sim.arguments import parser
from firmware_sim.audio import Source, ToDevice
from firmware_sim.contract import PROFILES, STAGES, WIENER_ALONE, Parameters
from firmware_sim.frame_loop import TAP_DTYPES, TAPS, FrameLoop
from firmware_sim.graph import Graph
from firmware_sim.offline import Device, in_hops
from tests import signals

SEED = PROFILES["seed"]
WIENER = "--wiener-only"
REPOSITORY = Path(door.__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Current folder of the test: noisy.wav is there, 0.5 s of real noisy speech."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("noisy.wav", signals.mixture(5.0, 0.5), 16_000)
    return tmp_path


@pytest.fixture
def model(folder: Path, graphs: dict[str, Graph]) -> str:
    graphs["int16x8"].save("model.npz")
    return "model.npz"


def run(*arguments: str) -> int:
    """Exit code of the door."""
    try:
        return door.main(arguments)
    except SystemExit as usage:
        return int(usage.code or 0)


def pcm_of(path: str) -> npt.NDArray[np.int16]:
    """(channels, samples) of a 16-bit file."""
    return soundfile.read(path, dtype="int16", always_2d=True)[0].T


# ---------------------------------------------------------------- what comes out


def test_the_output_is_the_loop_one_hop_later(model: str) -> None:
    """The loop delays by 64 samples, the hop that fills by another 64: 8 ms on the input's clock."""
    assert run("noisy.wav", "-o", "clean.wav", "--model", model) == 0
    pcm = pcm_of("noisy.wav")
    expected = FrameLoop(SEED, Graph.load(model)).process(pcm)
    out = pcm_of("clean.wav")
    assert out.shape == pcm.shape
    assert not out[:, :64].any()
    np.testing.assert_array_equal(out[:, 64:], expected[:, :-64])


def test_align_takes_the_latency_out_and_flushes_the_tail(model: str) -> None:
    assert run("noisy.wav", "-o", "clean.flac", "--model", model, "--align") == 0
    pcm = pcm_of("noisy.wav")
    padded = np.pad(pcm, ((0, 0), (0, 64)))
    expected = FrameLoop(SEED, Graph.load(model)).process(padded)[:, 64:]
    np.testing.assert_array_equal(pcm_of("clean.flac"), expected)


@pytest.mark.parametrize("frames", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("align", [True, False])
def test_bypass_returns_the_input_for_every_length(frames: int, align: bool, folder: Path) -> None:
    soundfile.write("in.wav", signals.white(frames), 16_000)
    assert run("in.wav", "-o", "out.wav", WIENER, "--bypass", *(["--align"] if align else [])) == 0
    pcm, out = pcm_of("in.wav").astype(int), pcm_of("out.wav").astype(int)
    delay = 0 if align else SEED.latency_samples
    assert out.shape == pcm.shape
    assert np.abs(out[:, delay:] - pcm[:, : frames - delay if frames > delay else 0]).max(initial=0) <= 1
    assert np.abs(out[:, :delay]).max(initial=0) <= 1


@pytest.mark.parametrize("rate", [3000, 8000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_keeps_its_length_and_the_stated_delay(rate: int, folder: Path) -> None:
    t = np.arange(rate) / rate
    tone = 0.3 * np.sin(2 * np.pi * 440.0 * t) * np.sin(np.pi * t) ** 2
    soundfile.write("in.wav", tone, rate, subtype="FLOAT")
    assert run("in.wav", "-o", "out.wav", WIENER, "--bypass") == 0
    out, out_rate = soundfile.read("out.wav")
    assert (len(out), out_rate) == (rate, rate)
    late = t - 0.008
    expected = np.where(late > 0, 0.3 * np.sin(2 * np.pi * 440.0 * late) * np.sin(np.pi * late) ** 2, 0.0)
    assert np.abs(out - expected).max() < 2e-4


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_any_width_is_kept(subtype: str, folder: Path) -> None:
    soundfile.write("in.wav", signals.mixture(5.0, 0.2) / 32768.0, 16_000, subtype=subtype)
    assert run("in.wav", "-o", "out.wav", WIENER, "--bypass", "--align") == 0
    assert soundfile.info("out.wav").subtype == subtype
    before, after = soundfile.read("in.wav")[0], soundfile.read("out.wav")[0]
    worst = {"PCM_U8": 2.0**-7, "ULAW": 2.0**-5}.get(subtype, 2.0**-14)
    assert np.abs(before - after).max() <= worst


def test_seven_channels_are_seven_streams(model: str) -> None:
    pcm = np.stack([signals.mixture(snr, 0.3, start=int(snr) * 1000) for snr in range(0, 14, 2)])
    soundfile.write("seven.wav", pcm.T, 16_000)
    assert run("seven.wav", "-o", "out.wav", "--model", model) == 0
    out = pcm_of("out.wav")
    assert out.shape == pcm.shape
    for i in (0, 6):
        soundfile.write("one.wav", pcm[i], 16_000)
        assert run("one.wav", "-o", "one_out.wav", "--model", model) == 0
        np.testing.assert_array_equal(pcm_of("one_out.wav")[0], out[i])


def test_a_float_file_in_flac_becomes_24_bits_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("in.wav", signals.mixture(5.0, 0.2) / 32768.0, 16_000, subtype="FLOAT")
    assert run("in.wav", "-o", "out.flac", WIENER) == 0
    assert soundfile.info("out.flac").subtype == "PCM_24"
    assert "FLOAT does not fit the output file: it is PCM_24" in capsys.readouterr().err


def test_blocks_of_a_long_file_leave_no_seam(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write("in.wav", signals.mixture(5.0, 1.0), 44_100)
    assert run("in.wav", "-o", "whole.wav", WIENER) == 0
    monkeypatch.setattr("firmware_sim.audio.BLOCK_FRAMES", 777)
    assert run("in.wav", "-o", "blocks.wav", WIENER) == 0
    np.testing.assert_array_equal(pcm_of("whole.wav"), pcm_of("blocks.wav"))


def test_hops_are_cut_from_any_chunks() -> None:
    pcm = signals.white(500)[None]
    hops = list(in_hops(np.split(pcm, [0, 3, 130, 131, 499], axis=1), size=64, extra=2))
    assert [real for _, real in hops] == [64] * 7 + [52, 0, 0]
    np.testing.assert_array_equal(np.concatenate([hop for hop, _ in hops], axis=1)[:, :500], pcm)


# ---------------------------------------------------------------- settings and report


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], WIENER_ALONE),
        (["--gain-floor-db", "-20"], Parameters(3277, 0, 0, use_network=False)),
        (["--gain-floor-db", "0"], Parameters(32768, 0, 0, use_network=False)),
        (["--gain-floor-db=-inf"], Parameters(0, 0, 0, use_network=False)),
        (["--gain-floor-db", "-inf"], Parameters(0, 0, 0, use_network=False)),
        (["--gain-floor-db", "off"], Parameters(0, 0, 0, use_network=False)),
        (["--dry-wet", "75", "--bypass"], Parameters(0, 8192, 0, use_network=False, bypass=True)),
    ],
)
def test_options_become_integer_parameters(options: list[str], expected: Parameters) -> None:
    arguments = parser().parse_args(["in.wav", "-o", "out.wav", WIENER, *options])
    assert door.parameters_of(arguments, None) == expected


def test_the_model_decides_the_wiener_floor_and_the_profile(graphs: dict[str, Graph]) -> None:
    arguments = parser().parse_args(["in.wav", "-o", "out.wav"])
    assert door.parameters_of(arguments, graphs["int8"]) == Parameters()


def test_the_report_states_latency_model_counters_and_speed(
    model: str, graphs: dict[str, Graph], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("noisy.wav", "-o", "clean.wav", "--model", model) == 0
    out = capsys.readouterr().out
    for part in (
        "latency 8 ms (128 samples at 16 kHz)",
        graphs["int16x8"].digest[:16],
        "hops     125, speed",
        "x real time",
        "counters ",
        "input    -26.0 dBFS RMS",
        "no resampling",
        "wrote clean.wav",
    ):
        assert part in out


def test_cost_prints_every_stage_and_the_memory(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("noisy.wav", "-o", "clean.wav", "--model", model, "--cost") == 0
    out = capsys.readouterr().out
    for part in (*STAGES, "worst sum", "estimate", "RAM", "flash"):
        assert part in out


def test_clipped_input_is_counted_in_a_note(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loud = np.full(1600, 0.25)
    loud[100:107] = 1.5
    loud[200:203] = -2.0
    soundfile.write("in.wav", loud, 16_000, subtype="FLOAT")
    assert run("in.wav", "-o", "out.wav", WIENER, "--bypass", "--align") == 0
    assert "10 samples above full scale were clipped" in capsys.readouterr().err
    assert soundfile.read("out.wav")[0].max() <= 1.0


def test_exactly_full_scale_is_not_called_clipped() -> None:
    converter = ToDevice(16_000, 1)
    pcm = converter.push(np.array([[1.0], [-1.0], [0.5]]))
    np.testing.assert_array_equal(pcm, [[32767, -32768, 16384]])
    assert converter.limited == 0


def test_a_low_rate_is_processed_with_a_note(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("in.wav", signals.mixture(5.0, 0.2), 3000)
    assert run("in.wav", "-o", "out.wav", WIENER) == 0
    captured = capsys.readouterr()
    assert "3000 Hz holds nothing above 1500 Hz" in captured.err
    assert "3000 Hz -> 16 kHz -> 3000 Hz" in captured.out


# ---------------------------------------------------------------- trace


def test_a_trace_holds_every_tap_in_its_device_width_and_the_digests(model: str) -> None:
    stereo = np.stack([signals.mixture(5.0, 0.2), signals.white(3200)])
    soundfile.write("stereo.wav", stereo.T, 16_000)
    assert run("stereo.wav", "-o", "clean.wav", "--model", model, "--trace", "trace.npz") == 0
    loop = FrameLoop(SEED, Graph.load(model), streams=2)
    hops = list(loop.hops_of(stereo))
    with np.load("trace.npz") as trace:
        assert set(trace.files) == set(TAPS)
        for name in TAPS:
            assert trace[name].dtype == np.dtype(TAP_DTYPES.get(name, np.int32))
            np.testing.assert_array_equal(trace[name], np.stack([hop.taps[name] for hop in hops]))
    lines = [json.loads(line) for line in Path("trace.digests.jsonl").read_text().splitlines()]
    assert lines == [{"hop": h.index, "stream": s, **h.digests(s)} for h in hops for s in (0, 1)]


def test_without_a_trace_memory_does_not_grow_with_the_file(folder: Path) -> None:
    """The device keeps at most a block: everything else has left before the next one is read."""
    soundfile.write("in.wav", signals.mixture(5.0, 4.0)[:-7], 16_000)
    source = Source(Path("in.wav"))
    read, written = 0, 0

    def advance(frames: int) -> None:
        nonlocal read
        read += frames

    for samples in Device(FrameLoop(SEED), source).run(advance):
        written += len(samples)
        assert written <= read + 16_384
        assert read - written <= 16_384 + 64
    assert written == source.frames


# ---------------------------------------------------------------- bad input


def write_truncated(name: str, container: str, **settings: str) -> None:
    soundfile.write(name, signals.mixture(5.0, 0.5), 16_000, format=container, **settings)
    whole = Path(name).read_bytes()
    Path(name).write_bytes(whole[: len(whole) // 2])


def write_with_data_size(name: str, size: int) -> None:
    """noisy.wav with another size in the header of its samples."""
    raw = bytearray(Path("noisy.wav").read_bytes())
    at = raw.index(b"data") + 4
    raw[at : at + 4] = size.to_bytes(4, "little")
    Path(name).write_bytes(raw)


def write_flac_of_unknown_length(name: str) -> None:
    soundfile.write(name, signals.mixture(5.0, 0.5), 16_000)
    raw = bytearray(Path(name).read_bytes())
    raw[21] &= 0xF0
    raw[22:26] = bytes(4)
    Path(name).write_bytes(raw)


def write_float(name: str, value: float) -> None:
    samples = np.zeros(2000)
    samples[1234] = value
    soundfile.write(name, samples, 16_000, subtype="FLOAT")


BAD_FILES: dict[str, tuple[Callable[[], object], str]] = {
    "missing.wav": (lambda: None, "no such file"),
    "empty.wav": (lambda: Path("empty.wav").touch(), "the file is empty"),
    "cut.wav": (lambda: write_truncated("cut.wav", "WAV"), "promises 16000 bytes of samples, 7978 are there"),
    "cut_big_endian.wav": (lambda: write_truncated("cut_big_endian.wav", "WAV", endian="BIG"), "truncated"),
    "cut_wavex.wav": (lambda: write_truncated("cut_wavex.wav", "WAVEX"), "truncated"),
    "cut.rf64": (lambda: write_truncated("cut.rf64", "RF64"), "promises 16000 bytes of samples, 7948 are there"),
    "cut.flac": (lambda: write_truncated("cut.flac", "FLAC"), "damaged: its 8000 samples cannot all be read"),
    "cut.w64": (lambda: write_truncated("cut.w64", "W64"), "W64 is not read here: convert it to WAV or FLAC"),
    "cut.aiff": (lambda: write_truncated("cut.aiff", "AIFF"), "AIFF is not read here"),
    "cut.au": (lambda: write_truncated("cut.au", "AU"), "AU is not read here"),
    "whole.mp3": (lambda: soundfile.write("whole.mp3", np.zeros(16_000), 16_000), "MP3 is not read here"),
    "text.mp3": (lambda: Path("text.mp3").write_text("not a sound " * 500), "not a sound file"),
    "no_header.raw": (lambda: Path("no_header.raw").write_bytes(bytes(999)), "not a sound file"),
    "zero.wav": (lambda: write_with_data_size("zero.wav", 0), "no samples by its header, but 16000 bytes follow"),
    "open.flac": (lambda: write_flac_of_unknown_length("open.flac"), "does not state the length"),
    "header.wav": (lambda: Path("header.wav").write_bytes(Path("noisy.wav").read_bytes()[:30]), "damaged"),
    "nan.wav": (lambda: write_float("nan.wav", float("nan")), "sample 1234 is NaN or infinite"),
    "inf.wav": (lambda: write_float("inf.wav", float("-inf")), "sample 1234 is NaN or infinite"),
    "text.wav": (lambda: Path("text.wav").write_text("not a sound " * 500), "not a sound file"),
    "nothing.wav": (lambda: soundfile.write("nothing.wav", np.zeros(0), 16_000), "holds no samples"),
    "folder.wav": (lambda: Path("folder.wav").mkdir(), "is a folder, not a sound file"),
    "fifo.wav": (lambda: os.mkfifo("fifo.wav"), "is a pipe or a device"),
    "noisy.wav/x.wav": (lambda: None, "cannot be read: Not a directory"),
    "x" * 300 + ".wav": (lambda: None, "File name too long"),
    "loop.wav": (lambda: os.symlink("loop.wav", "loop.wav"), "cannot be read: Too many levels of symbolic links"),
    os.fsdecode(b"\xff.wav"): (lambda: Path(os.fsdecode(b"\xff.wav")).touch(), "the file is empty"),
    "two\nlines.wav": (lambda: None, "no such file"),
}


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """Run the door, expect the exit code, one line on stderr, nothing on stdout, no new file; the line."""
    capsys.readouterr()
    before = {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}
    assert run(*arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("stapes: ")
    assert {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")} == before
    return lines[0]


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_input_is_one_line_and_leaves_an_existing_output_alone(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = BAD_FILES[name]
    make()
    Path("old.wav").write_bytes(b"what was there before")
    line = refused(capsys, 1, name, "-o", "old.wav", WIENER, "--trace", "trace.npz")
    assert name.replace("\n", "\\n").encode("utf-8", "backslashreplace").decode() in line
    assert message in line


def test_a_file_that_must_not_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is planted: root may read everything."""

    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr("firmware_sim.audio.os.open", refuse)
    line = refused(capsys, 1, "noisy.wav", "-o", "out.wav", WIENER)
    assert line == "stapes: noisy.wav: cannot be read: Permission denied"


def test_a_wav_whose_writer_could_not_seek_back_is_whole(folder: Path) -> None:
    write_with_data_size("piped.wav", 0xFFFF_FFFF)
    assert run("piped.wav", "-o", "out.wav", WIENER) == 0
    assert len(pcm_of("out.wav")[0]) == 8000


def test_rf64_stays_rf64(folder: Path) -> None:
    soundfile.write("in.rf64", signals.mixture(5.0, 0.2), 16_000, format="RF64")
    assert run("in.rf64", "-o", "out.wav", WIENER) == 0
    assert (soundfile.info("out.wav").format, soundfile.info("out.wav").frames) == ("RF64", 3200)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "no_such_folder/out.wav"], "no_such_folder/out.wav: cannot be written: No such file or directory"),
        (["-o", "taken.wav"], "taken.wav: is a folder"),
        (["-o", "noisy.wav"], "noisy.wav: is also the input"),
        (["-o", "link.wav"], "link.wav: is also the input"),
        (["-o", "out.wav", "--trace", "noisy.wav"], "noisy.wav: is also the input"),
        (["-o", "out.wav", "--trace", "no_such_folder/t.npz"], "no_such_folder/t.digests.jsonl: cannot be written"),
        (["-o", "noisy.wav/x.wav"], "noisy.wav/x.wav: cannot be written: Not a directory"),
        (["-o", "x" * 300 + ".wav"], "File name too long"),
        (["-o", "fifo.wav"], "fifo.wav: is not a regular file"),
        (["-o", "to_fifo.wav"], "to_fifo.wav: is not a regular file"),
        (["-o", "to_noisy.wav"], "to_noisy.wav: is also the input"),
        (["-o", "out.wav", "--trace", ".."], "..: is a folder"),
    ],
)
def test_outputs_that_cannot_be_written(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken.wav").mkdir()
    os.link("noisy.wav", "link.wav")
    os.mkfifo("fifo.wav")
    for name, leads_to in (("to_fifo.wav", "fifo.wav"), ("to_noisy.wav", "noisy.wav")):
        os.symlink(leads_to, name)
    assert message in refused(capsys, 1, "noisy.wav", *arguments, WIENER)


def test_a_link_as_output_is_followed(folder: Path) -> None:
    Path("there").mkdir()
    Path("there/old.wav").write_bytes(b"what was there before")
    os.symlink("there/old.wav", "old.wav")
    os.symlink("there/new.wav", "new.wav")
    for name in ("old.wav", "new.wav"):
        assert run("noisy.wav", "-o", name, WIENER) == 0
        assert Path(name).is_symlink()
        assert soundfile.info(f"there/{name}").frames == 8000
    assert sorted(os.listdir("there")) == ["new.wav", "old.wav"]


NAMES = {
    "longest": "x" * 251 + ".wav",
    "not UTF-8": os.fsdecode(b"bad\xff.wav"),
    "not ASCII": "größe.wav",
    "markup": "[bold].wav",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_every_name_that_the_file_system_takes_works(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.rename("noisy.wav", name)
    Path("out").mkdir()
    assert run(name, "-o", f"out/{name}", WIENER, "--trace", f"out/{name[:200]}.npz") == 0
    assert len(os.listdir("out")) == 3
    assert os.stat(f"out/{name}").st_size == os.stat(name).st_size
    assert name.encode("utf-8", "backslashreplace").decode() in capsys.readouterr().out


def test_flac_takes_no_nine_channels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("nine.wav", np.zeros((100, 9)), 16_000)
    assert "FLAC holds 8 channels, the input has 9" in refused(capsys, 1, "nine.wav", "-o", "out.flac", WIENER)


@pytest.mark.parametrize(
    "options",
    [
        ["--gain-floor-db", "3"],
        ["--gain-floor-db", "nan"],
        ["--gain-floor-db", "loud"],
        ["--dry-wet", "101"],
        ["--dry-wet", "nan"],
        ["--profile", "unheard-of"],
        ["--scheme", "int4"],
        ["--no-such-option"],
        ["-o", "out.mp3"],
        ["--trace", ""],
        ["--model", "nothere.npz"],
        ["--scheme", "int8"],
    ],
)
def test_wrong_usage_is_exit_code_2(options: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert options[0] in refused(capsys, 2, "noisy.wav", "-o", "out.wav", WIENER, *options)


def test_an_output_must_be_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "-o/--output" in refused(capsys, 2, "noisy.wav")


def write_models(graph: Graph) -> None:
    """Files that are no model, in several ways."""
    graph.save("good.npz")
    good = Path("good.npz").read_bytes()
    Path("empty.npz").touch()
    Path("cut.npz").write_bytes(good[: len(good) // 2])
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 4
    Path("flipped.npz").write_bytes(flipped)
    np.savez("foreign.npz", weights=np.zeros(3))
    np.savez("pickled.npz", graph=np.array([{"a": 1}], dtype=object))
    Path("text.npz").write_text("no model")


@pytest.mark.parametrize("floor", ["abc", None, [1], True, 10362.0, -1, 32769])
def test_a_model_whose_floor_is_none(floor: object, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything else about the file is right, its digest too."""
    graph = Graph.load(model)
    Graph(graph.scheme, graph.ops, graph.inputs, graph.outputs, {**graph.meta, "wiener_floor_q15": floor}).save(model)
    line = refused(capsys, 1, "noisy.wav", "-o", "out.wav", "--model", model)
    assert f"model.npz: not a Stapes graph: its wiener_floor_q15 is {floor!r}, not a whole number" in line


@pytest.mark.parametrize(
    "name", ["missing.npz", "empty.npz", "cut.npz", "flipped.npz", "foreign.npz", "pickled.npz", "text.npz"]
)
def test_a_model_that_is_none(
    name: str, folder: Path, graphs: dict[str, Graph], capsys: pytest.CaptureFixture[str]
) -> None:
    write_models(graphs["int16x8"])
    assert name in refused(capsys, 1, "noisy.wav", "-o", "out.wav", "--model", name)


def test_a_model_of_the_other_scheme(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, 1, "noisy.wav", "-o", "out.wav", "--model", model, "--scheme", "int8")
    assert "the graph is int16x8, not int8" in line


# ---------------------------------------------------------------- as a command


def in_a_process(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The door as a shell starts it; what runs in a shell's background inherits that it ignores SIGINT."""
    return subprocess.Popen(
        [sys.executable, "-m", "firmware_sim", *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_locale_of_ascii_takes_every_name(folder: Path) -> None:
    os.rename("noisy.wav", "größe.wav")
    process = in_a_process("größe.wav", "-o", "né.flac", WIENER, LC_ALL="C", PYTHONUTF8="0")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1].startswith("wrote n")
    assert soundfile.info("né.flac").frames == 8000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(number: signal.Signals, folder: Path) -> None:
    """Two minutes of sound: the signal meets the loop at work."""
    soundfile.write("long.wav", signals.noisy_speech(30.0).reshape(-1), 16_000)
    process = in_a_process("long.wav", "-o", "out.wav", WIENER, "--trace", "t.npz")
    deadline = time.monotonic() + 30.0
    while not list(folder.glob(".*.part")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "stapes: interrupted, nothing was written\n")
    assert sorted(path.name for path in folder.iterdir()) == ["long.wav", "noisy.wav"]
