"""The float student at work: whole signals, and the door `python -m training enhance`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray

from firmware_sim.audio import AudioError, Source
from training.audio import RATE_HZ, write_audio
from training.designs import DEFAULT, Design
from training.files import RunError, refuse_folder, refuse_same_file
from training.frontend import OverlapAdd, analyse, front_end, to_int16_grid, total_gain
from training.student import Student, from_q11


def enhance_streams(
    noisy: NDArray[np.floating], student: Student | None, design: Design = DEFAULT, gain_floor: float | None = None
) -> NDArray[np.float32]:
    """The device's signal path in float; the hop of delay is taken out, so that output and input are aligned.

    noisy          (streams, samples), 1.0 = full scale
    student        None: the Wiener stage alone, as the classical filter, without floors
    design         front end that the student was trained with
    gain_floor     lowest total gain, by default the design's
    returns        float32 (streams, samples)
    """
    samples, hop = noisy.shape[1], design.hop
    padded = np.pad(to_int16_grid(noisy), ((0, 0), (0, hop + -samples % hop)))
    x_q11, wiener_gain = front_end(padded, design)
    with torch.no_grad():
        if student is None:
            gain = torch.from_numpy(wiener_gain)
        else:
            mask = student(from_q11(torch.from_numpy(x_q11)))[0]
            gain = total_gain(torch.from_numpy(wiener_gain), mask, design, gain_floor)
        gain[:, : design.init_frames] = 1.0
        audio, _ = OverlapAdd(design)(torch.from_numpy(analyse(padded, design)) * gain)
    enhanced: NDArray[np.float32] = audio.numpy()[:, hop : hop + samples]
    return enhanced


def read_channels(path: Path) -> tuple[NDArray[np.float32], int]:
    """All channels of an audio file at its own rate: float32 (channels, samples), rate in Hz.

    raises   RunError: absent, not audio, empty, truncated, or samples that are not finite
    """
    try:
        source = Source(path)
        try:
            samples = np.concatenate([block.astype(np.float32) for block in source.blocks()])
        finally:
            source.close()
    except AudioError as error:
        raise RunError(str(error)) from None
    return np.ascontiguousarray(samples.T), source.rate_hz


def write_channels(path: Path, audio: NDArray[np.floating], rate_hz: int) -> None:
    """16-bit file of (channels, samples), format after the name; raises RunError: unknown format, not writable."""
    kind = path.suffix[1:].upper()
    if kind not in soundfile.available_formats() or not soundfile.check_format(kind, "PCM_16"):
        raise RunError(
            f"cannot write {path}: '{path.suffix}' is no format of 16-bit samples known here; use .wav or .flac"
        )
    write_audio(path, to_int16_grid(audio).T, rate_hz, kind)


def enhance_file(source: Path, target: Path, student: Student | None, design: Design = DEFAULT) -> None:
    """Every channel through its own stream; length, channels and rate stay. Content above 8 kHz is lost.

    raises   RunError: the target is the source; see `read_channels` and `write_channels`
    """
    refuse_same_file(target, source)
    refuse_folder(target)
    audio, rate_hz = read_channels(source)
    samples = audio.shape[1]
    narrow = soxr.resample(audio.T, rate_hz, RATE_HZ, quality="HQ").T if rate_hz != RATE_HZ else audio
    enhanced = enhance_streams(narrow, student, design)
    if rate_hz != RATE_HZ:
        wide = soxr.resample(enhanced.T, RATE_HZ, rate_hz, quality="HQ").T[:, :samples]
        enhanced = np.pad(wide, ((0, 0), (0, samples - wide.shape[1])))
    write_channels(target, enhanced, rate_hz)
