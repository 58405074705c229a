"""The door: every kind of sound file goes through and keeps its shape; bad input ends in one clear line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from firmware_sim import __main__ as door
from firmware_sim.arguments import parser
from firmware_sim.audio import Source, ToDevice
from firmware_sim.contract import STAGES, WIENER_ALONE, Parameters
from firmware_sim.frame_loop import TAP_DTYPES, TAPS, FrameLoop
from firmware_sim.graph import Graph
from firmware_sim.offline import Device, in_hops
from tests import signals
from tests.firmware_sim.door_calls import REPOSITORY, SEED, WIENER, pcm_of, run

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


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_floats_of_any_level_are_limited_without_a_word_from_numpy(rate_hz: int) -> None:
    converter = ToDevice(rate_hz, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pcm = converter.push(np.full((2048, 1), 1e308), last=True)
    assert pcm.dtype == np.int16
    assert int(pcm[0, pcm.shape[1] // 2]) == 32767
    assert converter.limited > 0


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
