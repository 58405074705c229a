"""The hop function from random states, on random input, under sanitizers; and planted faults that this must find."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_sim.contract import PROFILES
from golden_vectors import cc
from tests.export.tiny_model import tiny_graph
from tests.firmware import fuzz

LIVES = 1500
QUICK = ("-O0",)
GRAPHS = {
    "int16x8": tiny_graph("int16x8", profile=fuzz.PROFILE),
    "int8": tiny_graph("int8", profile=fuzz.PROFILE),
    "no network": None,
}
by_graph = pytest.mark.parametrize("name", GRAPHS)


@by_graph
def test_no_life_breaks_a_promise_or_a_sanitizers_rule(name: str) -> None:
    said = fuzz.run(fuzz.program(GRAPHS[name], QUICK), "seeds", 0, LIVES)
    assert said.decode() == f"{LIVES} lives from seed 0 on\n"


@by_graph
def test_c_and_python_agree_from_any_state(name: str) -> None:
    program = fuzz.program(GRAPHS[name], QUICK)
    compared = [fuzz.replay(GRAPHS[name], program, seed) for seed in range(8)]
    assert min(compared) >= fuzz.STREAMS


def test_replayed_states_are_spread_over_their_ranges() -> None:
    starts = [fuzz.random_start(GRAPHS["int16x8"], seed) for seed in range(8)]
    ages = {int(start.states["wiener"]["hops"][0]) for start in starts}
    assert {0, fuzz.PROFILE.noise_init_hops} <= ages
    assert {held for start in starts for held in start.held} == {False, True}
    for values, low, high in [
        ([start.states["overlap"] for start in starts], -(1 << 31), (1 << 31) - 1),
        ([start.states["wiener"]["noise"] for start in starts], fuzz.NOISE_MIN, fuzz.POWER_MAX),
        ([start.states["h1"] for start in starts], -(1 << 15), (1 << 15) - 2),
    ]:
        assert (min(v.min() for v in values), max(v.max() for v in values)) == (low, high)


PLANTED = [
    ("frame_loop.c", "memcpy(out, state->pcm, sizeof state->pcm)", "memcpy(out, state->pcm, sizeof state->pcm + 2)"),
    ("stft.c", "history[i] * (1 << 16)", "history[i] * (1 << 18)"),
    ("wiener.c", " || wiener->noise[k] > POWER_MAX", ""),
    ("wiener.c", "= at_least_noise_min(stapes_mix_q31(state->noise[k]", "= (stapes_mix_q31(state->noise[k]"),
    ("wiener.c", "return at_least_noise_min(stapes_mix_q31(noise,", "return (stapes_mix_q31(noise,"),
    (
        "ping_pong.c",
        "device->work = scratch + half_samples(device)",
        "device->work = scratch + 2 * half_samples(device)",
    ),
]
"""A write beyond the output, an overflow, a state that should go home and does not, a lost floor of
either tracker, a wrong buffer."""
OF_SEED = PLANTED[3]
"""The tracker by voice activity is that of the profile `seed`."""


def planted(file: str, old: str, new: str, folder: Path) -> list[Path]:
    """The firmware's sources, one of them changed."""
    text = (cc.FIRMWARE / file).read_text()
    assert text.count(old) >= 1
    (folder / file).write_text(text.replace(old, new))
    return [path if path.name != file else folder / file for path in sorted(cc.FIRMWARE.glob("*.c"))]


@pytest.mark.parametrize(("file", "old", "new"), PLANTED)
def test_a_planted_fault_ends_a_life(file: str, old: str, new: str, tmp_path: Path) -> None:
    profile = PROFILES["seed"] if (file, old, new) == OF_SEED else fuzz.PROFILE
    path = fuzz.program(None, (*QUICK, "-w"), planted(file, old, new, tmp_path), profile)
    with pytest.raises(
        fuzz.FuzzError, match=r"(?s)seeds 0 \d+: .*(fuzz_hop: seed|Sanitizer|runtime error|exit status)"
    ):
        fuzz.run(path, "seeds", 0, LIVES)


def test_a_planted_difference_is_named_with_its_seed_hop_and_element(tmp_path: Path) -> None:
    sources = planted("stft.c", "(1U << 14)) >> 15", "(1U << 13)) >> 15", tmp_path)
    path = fuzz.program(None, QUICK, sources)
    said = r"seed \d+, hop \d+, state \d+: gain_q15\[\d+\] is \d+, the frame loop \d"
    with pytest.raises(fuzz.FuzzError, match=said):
        replay_all(path)


def replay_all(path: Path) -> None:
    for seed in range(20):
        fuzz.replay(None, path, seed)
