"""Front ends as data: what the device has as a profile, and what an ablation tries beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from firmware_sim.contract import GAIN_FLOOR_Q15, NOISE_INIT_MS, SAMPLE_RATE_HZ, WIENER_FLOOR_Q15
from training.files import RunError

FEATURES = ("filtered", "linear", "power", "power_and_gain")
"""What the network sees of a band: log2 power after the Wiener gain; magnitude; log2 power; that and the gain."""
TRACKERS = ("vad", "spp", "none")
"""What follows the noise: the VAD-gated mean; speech presence probability; nothing: then there is no Wiener gain."""

WIENER_FLOOR = WIENER_FLOOR_Q15 / 2**15
GAIN_FLOOR = GAIN_FLOOR_Q15 / 2**15


@dataclass(frozen=True)
class Design:
    """One front end.

    analysis, hop, synthesis  samples; see firmware_sim.contract.Profile
    bands         runs of (count, width): bands of `width` bins, in order of frequency
    features      one of FEATURES
    tracker       one of TRACKERS
    wiener_floor  lowest Wiener gain under the network, linear; 1: the gain informs the network and is not applied
    gain_floor    lowest total gain, linear
    raises        RunError: an unknown name, or bands that do not partition the bins
    """

    name: str
    analysis: int
    hop: int
    synthesis: int
    bands: tuple[tuple[int, int], ...]
    features: str
    tracker: str
    wiener_floor: float = WIENER_FLOOR
    gain_floor: float = GAIN_FLOOR

    def __post_init__(self) -> None:
        if self.features not in FEATURES or self.tracker not in TRACKERS:
            raise RunError(f"design {self.name}: unknown features '{self.features}' or tracker '{self.tracker}'")
        if sum(count * width for count, width in self.bands) != self.bins:
            raise RunError(f"design {self.name}: its bands do not partition {self.bins} bins")

    @property
    def bins(self) -> int:
        return self.analysis // 2 + 1

    @property
    def band_count(self) -> int:
        return sum(count for count, _ in self.bands)

    @property
    def inputs(self) -> int:
        """Size of the network's input."""
        return self.band_count * (2 if self.features == "power_and_gain" else 1)

    @property
    def init_frames(self) -> int:
        """Frames from which the noise is learned first; they pass unchanged."""
        return NOISE_INIT_MS * SAMPLE_RATE_HZ // (1000 * self.hop)

    @property
    def latency_ms(self) -> float:
        return 1000.0 * self.synthesis / SAMPLE_RATE_HZ

    @cached_property
    def widths(self) -> NDArray[np.int64]:
        """Bins of each band."""
        return np.repeat([width for _, width in self.bands], [count for count, _ in self.bands])

    @cached_property
    def band_of_bin(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(self.band_count), self.widths)

    @cached_property
    def analysis_window(self) -> NDArray[np.float64]:
        """Rising sqrt-Hann, then the falling half of a synthesis window's length (Mauler & Martin 2007)."""
        fall = self.synthesis // 2
        rise = self.analysis - fall
        rising = np.sin(np.pi * np.arange(rise) / (2 * rise))
        return np.concatenate([rising, np.cos(np.pi * np.arange(fall) / (2 * fall))])

    @cached_property
    def synthesis_window(self) -> NDArray[np.float64]:
        """Last `synthesis` samples: analysis x synthesis = periodic Hann."""
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.synthesis) / self.synthesis)
        tail = self.analysis_window[-self.synthesis :]
        return np.divide(hann, tail, out=np.zeros(self.synthesis), where=tail > 0)


ERB_64 = ((30, 1), (14, 2), (9, 3), (11, 4))
"""64 bands over 129 bins of 62.5 Hz: single bins to 1.9 kHz, then wider as critical bands are."""

SEED = Design("seed", 128, 64, 128, ((65, 1),), "filtered", "vad")
DEFAULT = Design("default", 256, 64, 128, ERB_64, "power_and_gain", "spp", wiener_floor=1.0)
DESIGNS = {design.name: design for design in (SEED, DEFAULT)}


def ablations() -> list[Design]:
    """The default with one thing changed at a time, and the seed: what `training ablate` compares."""
    return [
        SEED,
        replace(SEED, name="seed, linear magnitude", features="linear"),
        DEFAULT,
        replace(DEFAULT, name="Wiener gain applied, -10 dB floor", wiener_floor=WIENER_FLOOR),
        replace(DEFAULT, name="log2 power after the gain", features="filtered", wiener_floor=WIENER_FLOOR),
        replace(DEFAULT, name="log2 power alone, no Wiener stage", features="power", tracker="none"),
        replace(DEFAULT, name="VAD-gated noise", tracker="vad"),
        replace(DEFAULT, name="129 bins", bands=((129, 1),)),
        replace(DEFAULT, name="128/128", analysis=128, bands=((65, 1),)),
        replace(DEFAULT, name="512/128", analysis=512, bands=((32, 1), (13, 3), (9, 6), (11, 12))),
        replace(DEFAULT, name="256/64, 4 ms", hop=32, synthesis=64),
    ]


def design_named(name: str) -> Design:
    """A shipped design or one of the ablation; raises RunError: unknown."""
    known = {**{design.name: design for design in ablations()}, **DESIGNS}
    if name not in known:
        raise RunError(f"unknown front end '{name}': choose one of {', '.join(known)}")
    return known[name]
