"""Set-up of all tests: reproducible hypothesis runs, one thread for BLAS, shared expensive results."""

from __future__ import annotations

import os

# One thread before numpy is loaded: tests run side by side under xdist, and tiny products do not gain from more.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from hypothesis import settings

settings.register_profile("stapes", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("stapes")
