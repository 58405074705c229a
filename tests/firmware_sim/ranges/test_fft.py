"""Ranges of the FFT: every node of real runs lies in its bounds, and the bounds are tight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from firmware_sim import fft
from firmware_sim.fixed import Ints
from firmware_sim.ranges import fft as ranges
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import I32, Ledger, RangeError

REACH = 1 << 29


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[Ints]:
    """Sums of every butterfly leg and every accumulation, (streams, nodes), in order of computation."""
    seen: list[Ints] = []

    def legs(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            result = step(*arguments)
            seen.extend(np.moveaxis(leg, 1, 0).reshape(leg.shape[1], -1).copy() for leg in result)
            return result

        return run

    def sums(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(total: Any, x: Any, y_q31: Any) -> Any:
            result = step(total, x, y_q31)
            if total is not None:
                seen.append(np.moveaxis(result, 1, 0).reshape(result.shape[1], -1).copy())
            return result

        return run

    monkeypatch.setattr(fft, "_butterfly", legs(fft._butterfly))
    monkeypatch.setattr(fft, "_accumulate", sums(fft._accumulate))
    return seen


def frames(low: Ints, high: Ints, count: int) -> Ints:
    """Corners of the box, values inside, and every cosine's signs."""
    rng = np.random.default_rng(len(low))
    k, t = np.arange(len(low) // 2)[:, None], np.arange(len(low))
    cosines = np.where(np.cos(2.0 * np.pi * k * t / len(low)) >= 0, high, low)
    corners = np.where(rng.integers(0, 2, (count, len(low))) > 0, high, low)
    return np.concatenate([cosines, corners, rng.integers(low, high + 1, (count, len(low))), low[None], high[None]])


def box(n: int) -> tuple[Ints, Ints]:
    """Bounds that differ from sample to sample and lie off centre."""
    rng = np.random.default_rng(n)
    return -rng.integers(0, REACH, n), rng.integers(0, REACH, n)


def compare(visited: list[tuple[str, Ints, Ints]], seen: list[Ints]) -> int:
    """Number of nodes compared; raises where one is outside of its bounds."""
    counted = [
        (what, low, high)
        for what, low, high in visited
        if "leg " in what or ("sum" in what and "split" in what) or "products" in what
    ]
    assert len(counted) == len(seen)
    for (what, low, high), values in zip(counted, seen, strict=True):
        assert (values >= low.reshape(-1)).all(), what
        assert (values <= high.reshape(-1)).all(), what
    return sum(low.size for _, low, _ in counted)


@pytest.mark.parametrize("n", [32, 64, 128, 256])
def test_every_node_of_the_forward_transform_lies_in_its_bounds(n: int, nodes: list[Ints]) -> None:
    low, high = box(n)
    spectrum = fft.rfft(frames(low, high, 200)).reshape(-1, n + 2)
    bounds, walk = ranges.rfft(Interval(low, high), Ledger())
    assert compare(walk.visited, nodes) >= 3 * n
    assert (spectrum >= bounds.low).all()
    assert (spectrum <= bounds.high).all()


@pytest.mark.parametrize("n", [32, 64, 128, 256])
def test_every_node_of_the_inverse_transform_lies_in_its_bounds(n: int, nodes: list[Ints]) -> None:
    low, high = box(n + 2)
    low[[1, -1]] = high[[1, -1]] = 0
    frame = fft.irfft(frames(low, high, 200).reshape(-1, n // 2 + 1, 2))
    bounds, walk = ranges.irfft(Interval(low, high), Ledger())
    assert compare(walk.visited, nodes) >= 3 * n
    assert (frame >= bounds.low).all()
    assert (frame <= bounds.high).all()


def test_the_bounds_of_the_spectrum_are_attained_up_to_the_roundings() -> None:
    n = 128
    low, high = box(n)
    bounds, _ = ranges.rfft(Interval(low, high), Ledger())
    angle = 2.0 * np.pi * np.arange(n) * np.arange(n // 2 + 1)[:, None] / n
    weights = np.stack([np.cos(angle), -np.sin(angle)], axis=1).reshape(n + 2, n)
    loaded = fft.rfft(np.where(weights > 0, high, low)).reshape(n + 2, n + 2)
    gap = bounds.high - np.diag(loaded)
    assert (gap >= 0).all()
    assert gap.max() < 300


def test_a_node_that_can_pass_int32_is_refused_by_stage_and_step() -> None:
    full = Interval.of(I32.low // 2, I32.high, 128)
    with pytest.raises(RangeError, match=r"rfft: FFT, row \d+: .* beyond int32"):
        ranges.rfft(full, Ledger("rfft"))


def test_bounds_without_the_roundings_are_caught(nodes: list[Ints], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges.Form, "rounded", lambda self: self)
    monkeypatch.setattr(ranges, "FLOAT_SLACK", 0.0)
    low, high = np.full(128, -1), np.full(128, 1)
    fft.rfft(frames(low, high, 200))
    _, walk = ranges.rfft(Interval(low, high), Ledger())
    with pytest.raises(AssertionError):
        compare(walk.visited, nodes)
