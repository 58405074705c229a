"""Ranges of the front end: whatever signal and parameters run, every tap and every word's operand stays inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from firmware_sim import contract, features, fixed, frame_loop, stft, tables, wiener
from firmware_sim.contract import PROFILES, Parameters, Profile
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.ranges import front_end
from firmware_sim.ranges import wiener as wiener_ranges
from firmware_sim.ranges.features import SQRT
from firmware_sim.ranges.ledger import Ledger, Limit, RangeError
from firmware_sim.ranges.proof import prove
from firmware_sim.ranges.wiener import LOG2, MIX
from tests.signals import adversarial, noisy_speech

SEED, DEFAULT = PROFILES["seed"], PROFILES["default"]
SHIPPED = pytest.mark.parametrize("profile", [SEED, DEFAULT], ids=["seed", "default"])
WIDE = Profile("wide", 256, 64, 128)
CORNERS = [
    Parameters(floor, dry, wiener_floor, use_network=False)
    for floor in (0, 32768) for dry in (0, 20000, 32768) for wiener_floor in (0, 32768)
]  # fmt: skip


def outside(taps: dict[str, Ints], ledger: Ledger) -> list[str]:
    """Names of taps that are not in their bounds."""
    wrong = []
    for name, values in taps.items():
        if name in ledger.taps:
            low, high = ledger.taps[name]
            flat = values.reshape(len(values), -1)
            if (flat < low).any() or (flat > high).any():
                wrong.append(name)
    return wrong


@pytest.mark.parametrize("profile", [SEED, DEFAULT, WIDE], ids=["seed", "default", "wide"])
def test_no_tap_of_any_signal_that_looks_for_trouble_leaves_its_bounds(profile: Profile) -> None:
    ledger = prove(None, profile)
    loop = FrameLoop(profile, None, CORNERS[0], streams=len(adversarial()))
    covered = set()
    for i, hop in enumerate(loop.hops_of(np.stack(list(adversarial(8000).values())))):
        loop.parameters = CORNERS[i % len(CORNERS)]
        assert outside(hop.taps, ledger) == []
        covered |= hop.taps.keys() & ledger.taps.keys()
    assert covered >= {"frame_q30", "spectrum_q30", "power", "noise", "xi_uq16", "likelihood_q16", "raw_gain_q15",
                       "wiener_gain_q15", "feature_q16", "x_q11", "gain_q15", "enhanced_q30",
                       "frame_out", "pcm"}  # fmt: skip


def test_a_tap_outside_of_its_bounds_is_caught() -> None:
    ledger = prove(None, SEED)
    hop = FrameLoop(SEED, None).process_hop(np.full((1, 64), 32767, np.int16))
    assert outside(hop.taps, ledger) == []
    high = int(ledger.taps["power"][1].max())
    assert outside({**hop.taps, "power": np.full((1, 65), high + 1)}, ledger) == ["power"]


OPERANDS = {"mix_q31": MIX, "log2_q16": LOG2, "sqrt_round": SQRT}


def watched(word: Callable[..., Any], limit: Limit, seen: dict[str, list[int]]) -> Callable[..., Any]:
    def run(x: Ints, *rest: Any) -> Any:
        low, high = int(x.min()), int(x.max())
        ends = seen.setdefault(word.__name__, [low, high])
        seen[word.__name__] = [min(ends[0], low), max(ends[1], high)]
        assert limit.low <= low <= high <= limit.high
        return word(x, *rest)

    return run


@SHIPPED
def test_the_operands_of_the_words_stay_in_their_limits(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[int]] = {}
    for name, limit in OPERANDS.items():
        for stage in (wiener, features):
            if hasattr(stage, name):
                monkeypatch.setattr(stage, name, watched(getattr(fixed, name), limit, seen))
    loop = FrameLoop(profile, None, CORNERS[0], streams=len(adversarial()))
    for _ in loop.hops_of(np.stack(list(adversarial(8000).values()))):
        pass
    assert set(seen) == set(OPERANDS)


def test_the_bounds_of_the_reciprocal_hold_over_all_its_mantissas_ends() -> None:
    low, high = wiener_ranges.reciprocal(Ledger())
    first = (1 << 30) + (np.arange(256) << 22)
    rng = np.random.default_rng(0)
    mantissas = np.concatenate([first, first + (1 << 22) - 1, rng.integers(1 << 30, 1 << 31, 200_000)])
    results = fixed.reciprocal(mantissas)
    assert (low, high) == (results.min(), results.max())
    assert max(m * r for m, r in zip(mantissas.tolist(), results.tolist(), strict=True)) <= (1 << 61) + (1 << 30) + 1


def test_the_ratio_is_below_its_bound_for_every_kind_of_snr() -> None:
    rng = np.random.default_rng(1)
    xi = np.concatenate([np.arange(1 << 16), (1 << 31) - np.arange(1 << 16), rng.integers(0, 1 << 31, 1 << 18)])
    bound = next(b for b in prove(None, SEED).bounds if (b.place, b.what) == ("ratio_q31", "ratio"))
    ratio = wiener.wiener_ratio(xi)
    assert ratio.max() <= bound.high[0]
    assert bound.high[0] - ratio.max() < 1 << 16


@pytest.mark.parametrize("height", [1, 1000, 1 << 16, 3 << 16, 60 << 16, 70 << 16])
def test_layer_norm_of_the_spikes_that_load_it_most_stays_in_its_bounds(height: int) -> None:
    bound = next(s for s in prove(None, SEED).saturations if s.place == "x_q11")
    frames = np.concatenate([np.eye(65, dtype=np.int64), -np.eye(65, dtype=np.int64)]) * height - (16 << 16)
    half = np.where(np.arange(65) % 2 == 0, height, 0)[None]
    x_q11 = features.layer_norm(np.concatenate([frames, half]), frame_loop.Counter(131))
    assert x_q11.min() >= bound.low[0]
    assert x_q11.max() <= bound.high[0]


def test_noisy_speech_stays_far_inside() -> None:
    ledger = prove(None, SEED)
    loop = FrameLoop(SEED, None, streams=4)
    for hop in loop.hops_of(noisy_speech(1.0)):
        assert outside(hop.taps, ledger) == []


REFUSED = [
    (contract, "POWER_SHIFT", 0, "wiener: power, row"),
    (stft, "window", lambda history, profile: history << 16, "rfft: frame_q30, row"),
    (wiener_ranges, "MIXED", Limit("products", 0, (1 << 80) - 1), "wiener: learned: sum of powers"),
    (contract, "LAYER_NORM_EPSILON_Q24", 1 << 40, "features: x_q11: variance"),
]
OF_DEFAULT = [
    (contract, "PRESENCE_INNOVATION_Q31", 1 << 30, "wiener: presence_q31: mean presence"),
    (contract, "SPP_INNOVATION_Q31", 5 << 31, "wiener: share_q31: share of the input"),
    (tables, "ABSENCE_UQ16", tables.ABSENCE_UQ16 * 2, "wiener: absence_uq16: 1 - p"),
    (tables, "band_inverse_q31", lambda profile: np.full(64, 3 << 30), "features: band, row 0: 1 / bins"),
    (contract, "FEATURE_LIMIT_Q11", 4096, "features: x_q11: gain feature"),
]


@pytest.mark.parametrize(
    ("profile", "where", "name", "value", "place"),
    [(profile, *row) for profile in (SEED, DEFAULT) for row in REFUSED] + [(DEFAULT, *row) for row in OF_DEFAULT],
)
def test_a_front_end_that_can_overflow_is_refused_by_stage_and_place(
    profile: Profile, where: Any, name: str, value: Any, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, value)
    with pytest.raises(RangeError, match=place):
        front_end.analysis(profile, Ledger())
