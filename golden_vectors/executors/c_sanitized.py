"""The C11 device as a program of this machine under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from firmware_sim.contract import Profile
from firmware_sim.graph import Graph
from golden_vectors.cc import build_sanitized, missing_sanitizer
from golden_vectors.executors.c_program import CProgram
from golden_vectors.program import Ended, run_program

TIMEOUT_S = 120.0
_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0"}
"""The device has no heap, and looking for leaks needs rights that a container may not have."""


class CSanitized(CProgram):
    """Plain C, or with `paired` the kernels of the dual multiply-accumulate; what a sanitizer says is an error.

    raises  WitnessError with the first line of the sanitizer's report
    """

    def __init__(self, paired: bool = False) -> None:
        self.paired = paired
        self.name = f"c_host (sanitized{' paired' if paired else ''})"

    def available(self) -> str | None:
        return missing_sanitizer()

    def build(self, graph: Graph | None, profile: Profile, program: str = "main") -> Path:
        """See `CProgram.build`."""
        return build_sanitized(graph, profile, paired=self.paired, program=program)

    def run(self, program: Path, files: Mapping[str, bytes]) -> Ended:
        """See `CProgram.run`."""
        return run_program([str(program)], files, name=self.name, timeout_s=TIMEOUT_S, environment=_OPTIONS)
