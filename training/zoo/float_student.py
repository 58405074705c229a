"""The float twin of the device: the student that was trained, or the Wiener stage alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

from firmware_sim.contract import SAMPLE_RATE_HZ
from training.designs import DEFAULT, DESIGNS
from training.enhance import enhance_streams
from training.handoff import load_student
from training.student import count_parameters
from training.zoo.base import Audio, System


class FloatStudent(System):
    """The signal path in float.

    student  build/student.npz, None: the Wiener stage alone
    raises   HandoffError: the file is absent, damaged or of another format
    """

    def __init__(self, name: str, student: Path | None) -> None:
        self.name, self._student, self._identity = name, None, ""
        self._design = DEFAULT
        if student is not None:
            self._student, meta = load_student(student)
            self._identity = hashlib.sha256(student.read_bytes()).hexdigest()
            self._design = DESIGNS[meta["profile"]]
            self.params = count_parameters(self._student)
            macs = sum(weight.numel() for weight in self._student.parameters() if weight.ndim == 2)
            self.mmac_per_s = macs * SAMPLE_RATE_HZ / self._design.hop / 1e6
        self.latency_ms = self._design.latency_ms

    def identity(self) -> str:
        """The sha256 of the file."""
        return self._identity

    def __call__(self, noisy: Audio, clean: Audio | None = None) -> Audio:
        """All streams side by side; see `System.__call__`."""
        return enhance_streams(noisy, self._student, self._design)
