"""The door's options of a device in time: what they print and write, and one line for what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from firmware_sim import __main__ as door
from firmware_sim.arguments import arguments_of, setting_of
from firmware_sim.contract import PROFILES, WIENER_ALONE
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.simulation import Setting, Simulation
from tests import signals
from tests.firmware_sim.clocks import need_mhz

SEED = PROFILES["seed"]
TOO_SLOW = f"{0.9 * need_mhz():.3f}"
H7 = ("noisy.wav", "--part", "stm32h743", "--wiener-only")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Current folder of the test: noisy.wav is there, 0.5 s of real noisy speech."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("noisy.wav", signals.mixture(5.0, 0.5), 16_000)
    return tmp_path


def run(*arguments: str) -> int:
    """Exit code of the door."""
    try:
        return door.main(arguments)
    except SystemExit as usage:
        return int(usage.code or 0)


def test_a_part_alone_prints_its_load_and_writes_a_timeline_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*H7) == 0
    out = capsys.readouterr().out
    for line in ("part     stm32h743 at 480 MHz", "load ", "headroom ", "slowest ", "schedule 125 hops: 125 on time"):
        assert f"\n{line}" in out
    assert out.splitlines()[-1] == "wrote noisy.timeline.svg"
    assert Path("noisy.timeline.svg").read_text().startswith("<svg ")
    assert sorted(p.name for p in Path().iterdir()) == ["noisy.timeline.svg", "noisy.wav"]


def test_the_blessed_network_is_on_time_on_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("stm32h743", "stm32f746", "imxrt1062"):
        assert run("noisy.wav", "--part", part, "--timeline", "t.svg") == 0
        assert "schedule 125 hops: 125 on time" in capsys.readouterr().out


def test_the_output_is_what_the_device_plays_late_by_its_whole_latency() -> None:
    assert run(*H7, "-o", "out.wav", "--clock-mhz", TOO_SLOW) == 0
    assert Path("out.timeline.svg").is_file()
    pcm = soundfile.read("noisy.wav", dtype="int16", always_2d=True)[0].T
    simulation = Simulation(
        FrameLoop(SEED, None, WIENER_ALONE), setting_of(arguments_of([*H7, "--clock-mhz", TOO_SLOW]))
    )
    played = np.concatenate([simulation.step(hop).pcm for hop in np.split(pcm, 125, axis=1)], axis=1)
    out = soundfile.read("out.wav", dtype="int16", always_2d=True)[0].T
    assert simulation.device.schedule["overruns"] > 10
    assert not out[:, :128].any()
    np.testing.assert_array_equal(out[:, 128:], played[:, :-128])


def test_align_takes_the_whole_latency_out(capsys: pytest.CaptureFixture[str]) -> None:
    tight = ("--clock-mhz", f"{1.2 * need_mhz():.3f}", "--other-load", "1000/8000")
    assert run(*H7, "-o", "out.wav", "--align", "--bypass", *tight) == 0
    out = capsys.readouterr().out
    assert "0 lost" in out
    assert "counters 0 overruns" not in out
    before, after = (soundfile.read(name, dtype="int16")[0].astype(int) for name in ("noisy.wav", "out.wav"))
    assert np.abs(before - after).max() <= 1, "with a gain of one nobody hears an overrun"


def test_options_reach_the_device(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = arguments_of(
        [*H7, "--clock-mhz", "100", "--other-load", "1e3/8e3", "--jitter-us", "0", "--seed", "7", "--assume", "low"]
    )
    part = setting_of(arguments).part
    assert setting_of(arguments) == Setting(part, 100.0, (1000.0, 8000.0), 0.0, 7, "low")
    assert run(*H7, "--other-load", "900/3000", "--cost") == 0
    out = capsys.readouterr().out
    assert "other load 900 of every 3000 us" in out
    assert "weighted operations a hop" in out


REFUSED = {
    "clock without a part": (2, ["noisy.wav", "-o", "o.wav", "--clock-mhz", "60"], "--clock-mhz is for a simulated"),
    "load without a part": (2, ["noisy.wav", "-o", "o.wav", "--other-load", "1/2"], "--other-load is for a simulated"),
    "jitter without a part": (2, ["noisy.wav", "-o", "o.wav", "--jitter-us", "0"], "name it with --part"),
    "assumption without a part": (2, ["noisy.wav", "-o", "o.wav", "--assume", "low"], "--assume is for a simulated"),
    "unknown assumption": (2, [*H7, "--assume", "worst"], "invalid choice: 'worst'"),
    "seed without a part": (2, ["noisy.wav", "-o", "o.wav", "--seed", "0"], "name it with --part"),
    "picture without a part": (2, ["noisy.wav", "-o", "o.wav", "--timeline", "t.svg"], "name it with --part"),
    "no output and no part": (2, ["noisy.wav"], "-o/--output"),
    "unknown part": (2, ["noisy.wav", "--part", "avr"], "invalid choice: 'avr'"),
    "clock of a word": (2, [*H7, "--clock-mhz", "fast"], "'fast' is not a number"),
    "clock of zero": (2, [*H7, "--clock-mhz", "0"], "0 is not above 0"),
    "clock of infinity": (2, [*H7, "--clock-mhz", "inf"], "inf is not 0 or more"),
    "clock of nothing": (2, [*H7, "--clock-mhz", "nan"], "nan is not 0 or more"),
    "clock above the part": (1, [*H7, "--clock-mhz", "500"], "stm32h743 runs at 1 to 480 MHz, not at 500"),
    "clock just above": (1, [*H7, "--clock-mhz", "480.0001"], "stm32h743 runs at 1 to 480 MHz, not at 480.0001"),
    "load of ages": (1, [*H7, "--other-load", "1e18/1e19"], "other work every 1e+19 us comes too seldom: give a"),
    "load that overflows": (1, [*H7, "--other-load", "1e-9/1e308"], "a period of at most 3600000000 us, an hour"),
    "load of one number": (2, [*H7, "--other-load", "900"], "'900' is not COST/PERIOD in microseconds"),
    "load of words": (2, [*H7, "--other-load", "a/b"], "'a' is not a number"),
    "load that is all": (2, [*H7, "--other-load", "5/5"], "5 us of every 5 us leave no time"),
    "load below a cycle": (1, [*H7, "--clock-mhz", "1", "--other-load", "9.6/10.4"], "leaves no time for the hops"),
    "negative jitter": (2, [*H7, "--jitter-us", "-1"], "-1 is not 0 or more"),
    "jitter of a sample": (1, [*H7, "--jitter-us", "63"], "must be served within a sample, 62.5 us"),
    "jitter just above": (1, [*H7, "--jitter-us", "62.5000001"], "jitter of 62.5000001 us"),
    "seed of a word": (2, [*H7, "--seed", "x"], "'x' is not a whole number"),
    "a picture of another kind": (2, [*H7, "--timeline", "t.png"], "'t.png' must end in .svg"),
    "a picture in no folder": (1, [*H7, "--timeline", "no/t.svg"], "no/t.svg: cannot be written"),
    "a trace of lost hops": (2, [*H7, "-o", "o.wav", "--trace", "t.npz"], "leave out one of them"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_one_line_and_nothing_is_written(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, arguments, message = REFUSED[name]
    assert run(*arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("stapes: ")
    assert message in captured.err
    assert [p.name for p in Path().iterdir()] == ["noisy.wav"]


def test_a_model_that_was_not_counted_is_refused(capsys: pytest.CaptureFixture[str], graphs: dict) -> None:
    graphs["int16x8"].save("model.npz")
    assert run("noisy.wav", "--part", "stm32h743", "--model", "model.npz") == 1
    assert "were not counted" in capsys.readouterr().err


def test_the_timeline_may_not_be_the_input(capsys: pytest.CaptureFixture[str]) -> None:
    Path("noisy.wav").rename("noisy.svg")
    assert run("noisy.svg", "--part", "stm32h743", "--wiener-only", "--timeline", "noisy.svg") == 1
    assert "noisy.svg: is also the input" in capsys.readouterr().err


def test_an_output_may_not_be_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.npz").write_bytes(b"mine")
    assert run("noisy.wav", "-o", "out.wav", "--model", "model.npz", "--trace", "model.npz") == 1
    assert "model.npz: is also the model" in capsys.readouterr().err
    assert Path("model.npz").read_bytes() == b"mine"
