"""Pictures of a recording for the page: spectrograms and the applied gain, as PNG in light and dark."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import SAMPLE_RATE_HZ, UNITY_GAIN_Q15
from golden_vectors.errors import WitnessError

Floats = npt.NDArray[np.float64]

WINDOW_SAMPLES, STEP_SAMPLES = 512, 128
"""Of the displayed spectrogram: 32 ms every 8 ms (the device itself works with 8 ms every 4 ms)."""
LEVEL_RANGE_DBFS = (-90.0, -30.0)
GAIN_RANGE_DB = (-40.0, 0.0)
INKS = {"light": ("#1c2126", "#ffffff"), "dark": ("#e6e9eb", "#1c2024")}
"""Ink and ground of the page's two colour schemes, as in page.html."""
PALETTE = 256
"""Colours of a picture: a third of the bytes, no visible difference."""


@dataclass(frozen=True)
class Image:
    """Values over time (columns) and frequency (rows, 0 to 8 kHz), and how to show them."""

    values: Floats
    seconds: float
    limits: tuple[float, float]
    unit: str
    colours: str


def spectrogram(pcm: npt.NDArray[np.int16]) -> Image:
    """Power of a sine of full scale = 0 dBFS. pcm (samples,)."""
    padded = np.pad(pcm.astype(np.float64) / 32768.0, (0, max(0, WINDOW_SAMPLES - len(pcm))))
    window = np.hanning(WINDOW_SAMPLES + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::STEP_SAMPLES]
    amplitude = np.abs(np.fft.rfft(frames * window)) * 2.0 / window.sum()
    level = 20.0 * np.log10(np.maximum(amplitude, 1e-9))
    return Image(level.T, len(pcm) / SAMPLE_RATE_HZ, LEVEL_RANGE_DBFS, "level (dBFS)", "magma")


def gains(gain_q15: npt.NDArray[Any], seconds: float) -> Image:
    """The gain of every bin and hop, 0 dB = unchanged. gain_q15 (hops, bins)."""
    gain_db = 20.0 * np.log10(np.maximum(gain_q15, 1) / UNITY_GAIN_Q15)
    return Image(gain_db.T, seconds, GAIN_RANGE_DB, "gain (dB)", "viridis")


def require() -> None:
    """Raise WitnessError when pictures cannot be drawn here."""
    if find_spec("matplotlib") is None:
        raise WitnessError('the page needs matplotlib: pip install -e ".[demo]"')


def png(image: Image, mode: str, width: float = 7.2) -> bytes:
    """PNG with axes and a colour bar, units on all. mode: one of INKS; width in inches of 120 pixels."""
    from matplotlib.figure import Figure
    from PIL import Image as Pillow

    ink, ground = INKS[mode]
    figure = Figure(figsize=(width, 3.0), dpi=120, layout="constrained", facecolor=ground)
    axes = figure.add_subplot()
    low, high = image.limits
    shown = axes.imshow(
        image.values, origin="lower", aspect="auto", cmap=image.colours, vmin=low, vmax=high,
        extent=(0.0, image.seconds, 0.0, SAMPLE_RATE_HZ / 2000.0), interpolation="nearest",
    )  # fmt: skip
    axes.set_xlabel("time (s)", color=ink)
    axes.set_ylabel("frequency (kHz)", color=ink)
    bar = figure.colorbar(shown, ax=axes, pad=0.015)
    bar.set_label(image.unit, color=ink)
    bar.outline.set_visible(False)
    for part in (axes, bar.ax):
        part.tick_params(colors=ink, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    few = Pillow.open(drawn).convert("RGB").quantize(PALETTE, Pillow.Quantize.MAXCOVERAGE, dither=Pillow.Dither.NONE)
    few.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def data_uri(content: bytes, media_type: str) -> str:
    """Content that a page carries inside itself."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def wav(pcm: npt.NDArray[np.int16]) -> bytes:
    """16-bit mono WAV at 16 kHz of (samples,)."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
