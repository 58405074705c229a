"""Heads: directions, ears and rates of a SOFA file; anything else is named in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from training.datasets import CorpusError
from training.sofa import read_sofa

POSITIONS = np.array([[0.0, 0.0, 1.4], [90.0, 0.0, 1.4], [0.0, 90.0, 1.4]])


def sofa(path: Path, impulses: np.ndarray, rate_hz: float = 48000.0, **attributes: Any) -> Path:
    """A file of SimpleFreeFieldHRIR."""
    with h5py.File(path, "w") as file:
        file["SourcePosition"] = POSITIONS[: len(impulses)]
        file["Data.IR"] = impulses
        file["Data.SamplingRate"] = np.array([rate_hz])
        file.attrs["SOFAConventions"] = attributes.get("convention", np.bytes_("SimpleFreeFieldHRIR"))
    return path


def low_pulses() -> np.ndarray:
    """Band-limited pulses: left ear after 2 ms, right ear 0.5 ms later and half as strong."""
    impulses = np.zeros((3, 2, 480))
    time = np.arange(480)
    for ear, (at, strength) in enumerate(((96, 1.0), (120, 0.5))):
        impulses[:, ear] = strength * np.exp(-0.5 * ((time - at) / 6.0) ** 2)
    return impulses


def test_directions_are_unit_vectors_with_x_in_front_y_left_and_z_up(tmp_path: Path) -> None:
    head = read_sofa(sofa(tmp_path / "head.sofa", low_pulses()))
    np.testing.assert_allclose(head.directions, [[1, 0, 0], [0, 1, 0], [0, 0, 1]], atol=1e-12)


def test_responses_are_resampled_and_keep_the_difference_between_the_ears(tmp_path: Path) -> None:
    head = read_sofa(sofa(tmp_path / "head.sofa", low_pulses()))
    assert head.responses.shape == (3, 2, 128)
    assert head.responses.dtype == np.float32
    peaks = np.abs(head.responses[0]).argmax(axis=1)
    assert peaks[1] - peaks[0] == 8, "0.5 ms at 16 kHz"
    assert peaks[0] < 16, "what is silent in all of them is cut"
    strengths = np.abs(head.responses[0]).max(axis=1)
    assert strengths[1] / strengths[0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", ["absent", "text", "flat", "convention", "rate"])
def test_what_is_no_head_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "head.sofa"
    if kind == "text":
        path.write_text("no HDF5")
    elif kind == "flat":
        sofa(path, np.zeros((3, 480)))
    elif kind == "convention":
        sofa(path, low_pulses(), convention=np.bytes_("GeneralFIR"))
    elif kind == "rate":
        sofa(path, low_pulses(), rate_hz=5.5)
    with pytest.raises(CorpusError, match=r"head\.sofa") as caught:
        read_sofa(path)
    assert "\n" not in str(caught.value)
