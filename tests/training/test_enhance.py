"""The float student on signals and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests import signals
from training.audio import write_audio
from training.designs import DEFAULT
from training.enhance import enhance_file, enhance_streams
from training.files import RunError
from training.student import Student, shape_for


@pytest.fixture
def open_student() -> Student:
    """A student whose mask is one."""
    student = Student(shape_for(DEFAULT, 16)).eval()
    with torch.no_grad():
        student.fc2.weight.zero_()
        student.fc2.bias.fill_(100.0)
    return student


def test_unit_gain_gives_the_input_back_in_place(open_student: Student) -> None:
    noisy = signals.noisy_speech(1.0)[:, :15_990] / 32768
    out = enhance_streams(noisy, open_student)
    np.testing.assert_allclose(out, noisy, atol=1e-6)


def test_the_floor_bounds_what_a_closed_mask_removes(open_student: Student) -> None:
    with torch.no_grad():
        open_student.fc2.bias.fill_(-100.0)
    noisy = signals.noisy_speech(1.0) / 32768
    out = enhance_streams(noisy, open_student, gain_floor=0.25)
    np.testing.assert_allclose(out[:, 4000:], 0.25 * noisy[:, 4000:], atol=1e-6)


@pytest.mark.parametrize(("rate_hz", "channels"), [(16000, 1), (44100, 2), (8000, 3)])
def test_length_rate_and_channels_stay(tmp_path: Path, rate_hz: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "in.wav", rng.normal(0, 0.1, (12_345, channels)), rate_hz)
    enhance_file(tmp_path / "in.wav", tmp_path / "out.flac", None)
    info = soundfile.info(tmp_path / "out.flac")
    assert (info.frames, info.samplerate, info.channels) == (12_345, rate_hz, channels)


def test_files_that_cannot_be_read_or_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), 16000)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "good.wav", np.zeros(100), 16000)
    for name, message in [
        ("absent.wav", "no such file"),
        ("text.wav", "not a sound file"),
        ("empty.wav", "no samples"),
        ("nan.wav", "NaN or infinite"),
    ]:
        with pytest.raises(RunError, match=message):
            enhance_file(tmp_path / name, tmp_path / "out.wav", None)
    with pytest.raises(RunError, match="no format of 16-bit samples"):
        enhance_file(tmp_path / "good.wav", tmp_path / "out.xyz", None)
    with pytest.raises(RunError, match="cannot write"):
        enhance_file(tmp_path / "good.wav", tmp_path / "text.wav" / "out.wav", None)
    assert not (tmp_path / "out.wav").exists()


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "whole.wav", np.zeros(8000), 16000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:9044])
    with pytest.raises(RunError, match="truncated: the header promises 16000 bytes of samples, 9000 are there"):
        enhance_file(tmp_path / "cut.wav", tmp_path / "out.wav", None)
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("link", ["none", "symbolic", "hard"])
def test_the_input_is_never_overwritten(tmp_path: Path, link: str) -> None:
    source, target = tmp_path / "same.wav", tmp_path / ("same.wav" if link == "none" else "link.wav")
    soundfile.write(source, np.full(1000, 0.5), 16000)
    if link == "symbolic":
        target.symlink_to(source)
    elif link == "hard":
        target.hardlink_to(source)
    before = source.read_bytes()
    with pytest.raises(RunError, match="is also the input"):
        enhance_file(source, target, None)
    assert source.read_bytes() == before


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", np.zeros((100, 9)), 16000)
    with pytest.raises(RunError, match="cannot write"):
        enhance_file(tmp_path / "in.wav", tmp_path / "out.flac", None)  # FLAC holds 8 channels
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_a_disk_that_fills_up_is_told_in_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(file: str, *_: object, **__: object) -> None:
        Path(file).write_bytes(b"RIFF")
        raise soundfile.LibsndfileError(2, "System error: ")

    monkeypatch.setattr(soundfile, "write", full)
    with pytest.raises(RunError, match=r"^cannot write .*out.wav: System error") as caught:
        write_audio(tmp_path / "out.wav", np.zeros(8), 16000, "WAV")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
