"""Front ends as data: what the device has agrees with its profiles; what cannot be is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_sim import tables
from firmware_sim.contract import PROFILES
from training.designs import DEFAULT, DESIGNS, Design, ablations, design_named
from training.files import RunError


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_a_shipped_design_is_its_profile(design: Design) -> None:
    profile = PROFILES[design.name]
    assert (design.analysis, design.hop, design.synthesis) == (
        profile.analysis_samples,
        profile.hop_samples,
        profile.synthesis_samples,
    )
    assert design.bands == profile.bands
    assert (design.inputs, design.band_count) == (profile.inputs, profile.band_count)
    assert design.tracker == profile.noise_tracker
    assert design.init_frames == profile.noise_init_hops
    assert design.latency_ms == profile.latency_ms == 8
    np.testing.assert_allclose(design.analysis_window, tables.analysis_window(profile), atol=1e-15)
    np.testing.assert_allclose(design.synthesis_window, tables.synthesis_window(profile), atol=1e-15)


def test_the_ablation_changes_the_default_and_names_each_change_once() -> None:
    names = [design.name for design in ablations()]
    assert len(set(names)) == len(names)
    assert {"seed", "default"} <= set(names)
    assert all(design_named(name).name == name for name in names)
    assert sum(design.latency_ms <= 8 for design in ablations()) == len(names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bands": ((64, 2),)}, "do not partition 129 bins"),
        ({"features": "mel"}, "unknown features 'mel'"),
        ({"tracker": "oracle"}, "or tracker 'oracle'"),
    ],
)
def test_a_design_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RunError, match=message):
        replace(DEFAULT, **change)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RunError, match="unknown front end 'mel': choose one of seed"):
        design_named("mel")
