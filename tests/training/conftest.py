"""What the training doors switch on in their process must not reach other tests in this one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _denormals_stay() -> Iterator[None]:
    """`fit` flushes denormals to zero for speed; hypothesis and the float twins need them."""
    yield
    torch.set_flush_denormal(False)
