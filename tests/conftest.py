"""Set-up of all tests: reproducible hypothesis runs, one thread for BLAS, a small network of each scheme."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from firmware_sim.graph import Graph

# One thread, said before numpy is loaded: tests run side by side under xdist, and tiny products gain nothing from more.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

settings.register_profile("stapes", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("stapes")


@pytest.fixture(scope="session")
def graphs() -> dict[str, Graph]:
    """The integer graph of a small untrained student (hidden 16), by scheme."""
    from export.quantize import quantize_all
    from firmware_sim.graph import SCHEMES
    from tests.synthetic_student import synthetic_student

    return quantize_all(synthetic_student(hidden=16, frames=60), SCHEMES)
