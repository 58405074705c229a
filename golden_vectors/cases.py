"""The cases: what goes in, and which bug each of them catches. Everything is integer, so it is the same everywhere.

A case is data: `generate` runs it through the reference and writes a vector, nothing else does.
"""

from __future__ import annotations

from firmware_sim.contract import UNITY_GAIN_Q15, WIENER_ALONE, Parameters
from golden_vectors import graph_cases
from golden_vectors.kinds.base import Case
from golden_vectors.kinds.closed_loop import ClosedLoopCase
from golden_vectors.kinds.drift import DriftCase
from golden_vectors.kinds.network import NetworkCase
from golden_vectors.kinds.stream import StreamCase
from golden_vectors.signals import (
    clipped,
    constant,
    extreme_features,
    impulses,
    level_jump,
    mixture,
    noisy,
    real_features,
    square,
    sweep,
    uniform,
)
from golden_vectors.unit_cases import UNIT_CASES

ONE = UNITY_GAIN_Q15
NO_FLOOR = Parameters(gain_floor_q15=0)
LOW_EDGES = Parameters(gain_floor_q15=ONE - 1, dry_q15=1, wiener_floor_q15=1)
HIGH_EDGES = Parameters(gain_floor_q15=1, dry_q15=ONE, wiener_floor_q15=ONE)
OVERRUNS = (
    (2, "late"), (3, "held"),  # while the noise is learned and before the network has a say
    (36, "late"), (37, "held"),
    (44, "late"), (45, "held_late"), (46, "held_late"), (47, "held"),
    (52, "late"), (53, "held"), (54, "late"), (55, "held"), (56, "late"), (57, "held"),
)  # fmt: skip
LOSSES = ((1, "lost"), (2, "held"), (40, "lost"), (41, "held"), (50, "late"), (51, "lost"), (52, "lost"),
          (53, "held_late"), (54, "held"), (58, "late"), (59, "lost"))  # fmt: skip
RESTARTS = ((12, "restart"), (60, "restart"), (61, "restart"), (75, "late"), (76, "restart"), (76, "held"))

CASES: tuple[Case, ...] = (
    StreamCase(1, "speech_rain", "speech", ("WholeLoop", "VadSum"), 120, noisy(0.3)),
    StreamCase(2, "speech_river", "speech", ("WholeLoop", "Adaptation"), 100, mixture(4.5, 7.0, 24000), NO_FLOOR),
    StreamCase(3, "speech_pause", "speech", ("NoiseFloor", "SnrCeiling"), 100, mixture(7.3, 0.0, 0)),
    StreamCase(4, "speech_int8", "speech", ("WholeLoop", "Scheme8"), 100, noisy(0.3), NO_FLOOR, scheme="int8"),
    StreamCase(5, "silence", "levels", ("NoiseFloor",), 60, constant(0)),
    StreamCase(6, "dither_1lsb", "levels", ("NoiseFloor", "Rounding"), 60, uniform(1, 1)),
    StreamCase(7, "dc", "levels", ("DcBin",), 60, constant(-32768)),
    StreamCase(8, "level_jump_90db", "levels", ("SnrCeiling", "Adaptation"), 90, level_jump, NO_FLOOR),
    StreamCase(9, "square_full_scale", "full_scale", ("FftWrap", "OutputSaturation"), 70, square(50)),
    StreamCase(10, "alternating_full_scale", "full_scale", ("NyquistBin", "FftWrap"), 60, square(2)),
    StreamCase(11, "noise_full_scale", "full_scale", ("OutputSaturation",), 60, uniform(32767, 2)),
    StreamCase(12, "impulse", "full_scale", ("Impulse", "SnrCeiling"), 60, impulses),
    StreamCase(13, "reset_in_speech", "reset", ("StateLost", "ResetWhileLearning"), 110, noisy(0.6), resets=(45, 60)),
    StreamCase(14, "bypass", "settings", ("Bypass",), 60, noisy(0.9), Parameters(bypass=True)),
    StreamCase(15, "gain_floor", "settings", ("GainFloor",), 70, noisy(1.2), Parameters(gain_floor_q15=10362)),
    StreamCase(16, "dry_wet", "settings", ("DryWet",), 70, noisy(1.5), Parameters(dry_q15=9830)),
    StreamCase(17, "wiener_only", "settings", ("WienerOnly",), 90, noisy(0.3), WIENER_ALONE),
    StreamCase(18, "gain_floor_edge", "settings", ("ParameterEdge",), 50, noisy(1.8), LOW_EDGES),
    StreamCase(19, "dry_edge", "settings", ("ParameterEdge",), 50, noisy(1.8), HIGH_EDGES),
    NetworkCase(20, "network_speech_int16x8", "network", ("ClosedLoop",), 200, real_features, "int16x8"),
    NetworkCase(21, "network_speech_int8", "network", ("ClosedLoop",), 200, real_features, "int8"),
    NetworkCase(22, "network_extreme_int16x8", "network", ("NetworkSaturation",), 80, extreme_features, "int16x8"),
    NetworkCase(23, "network_extreme_int8", "network", ("NetworkSaturation",), 80, extreme_features, "int8"),
    StreamCase(24, "overrun", "timing", ("Overrun", "HeldHop"), 70, noisy(0.3), events=OVERRUNS),
    StreamCase(25, "overrun_int8", "timing", ("HeldHop", "Scheme8"), 60, noisy(0.5), scheme="int8", events=OVERRUNS),
    StreamCase(26, "lost_hops", "timing", ("LostHop", "HeldHop"), 60, mixture(4.5, 7.0, 24000), events=LOSSES),
    StreamCase(27, "restart", "timing", ("WarmRestart", "StateLost"), 90, level_jump, NO_FLOOR, events=RESTARTS),
    StreamCase(28, "sweep", "full_scale", ("Sweep", "FftWrap"), 120, sweep, NO_FLOOR),
    StreamCase(29, "speech_clipped", "full_scale", ("Clipping", "VadSum"), 100, clipped(0.3, 24), NO_FLOOR),
    DriftCase(30, "drift_60s", "drift", ("Drift",), 15_000, "recordings_with_levels"),
    ClosedLoopCase(31, "closed_loop_int16x8", "closed loop", ("ClosedLoop",), 1_500, "real_features", "int16x8"),
    ClosedLoopCase(32, "closed_loop_int8", "closed loop", ("ClosedLoop",), 1_500, "real_features", "int8"),
    StreamCase(33, "speech_compact", "speech", ("WholeLoop",), 100, mixture(4.5, 7.0, 24000), model="compact"),
    NetworkCase(34, "network_compact", "network", ("ClosedLoop",), 100, real_features, "int16x8", "compact"),
    ClosedLoopCase(35, "closed_loop_compact", "closed loop", ("ClosedLoop",), 1_500, "real_features", "int16x8",
                   "compact"),
    DriftCase(36, "noise_that_rose", "drift", ("Stagnation",), 2_000, "risen_noise", WIENER_ALONE),
    *UNIT_CASES,
    *graph_cases.CASES,
)  # fmt: skip
