"""Sizes of the profile whose units most pages of `unit_cases` feed; its page `default` has those of its own."""

from __future__ import annotations

from firmware_sim.contract import PROFILES
from golden_vectors.units import FIRST_PROFILE

PROFILE = PROFILES[FIRST_PROFILE]
N, HOP, BINS, LEARNING = PROFILE.analysis_samples, PROFILE.hop_samples, PROFILE.bins, PROFILE.noise_init_hops
