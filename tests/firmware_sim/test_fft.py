"""The FFT: bit for bit CMSIS-DSP's, and a proof that nothing wraps while the guard holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import cmsisdsp
import numpy as np
import numpy.typing as npt
import pytest

from firmware_sim import fft
from firmware_sim.meter import Counter

Ints = npt.NDArray[np.int64]

LENGTHS = (32, 64, 128, 256, 512, 1024)
INT32_MAX = (1 << 31) - 1
GUARD = 1 << 30


def rotating_squares(n: int, amplitude: int) -> Ints:
    """Signs of every cosine of the frame at three phases: the inputs that load one bin most."""
    t = np.arange(n)
    angles = 2.0 * np.pi * t * np.arange(n // 2 + 1)[:, None, None] / n + np.array([0.0, 0.4, 0.8])[:, None]
    return np.where(np.cos(angles) >= 0, amplitude - 1, -amplitude).reshape(-1, n)


def frames(n: int, count: int, full_scale: int = 1 << 31) -> Ints:
    """At least `count` frames: uniform, Gaussian at -20 and -80 dB, random signs, squares, constants."""
    rng = np.random.default_rng(n)
    quarter = count // 4
    gauss = rng.standard_normal((2 * quarter, n)) * full_scale * np.repeat([0.1, 1e-4], quarter)[:, None]
    extremes = np.stack([np.full(n, value) for value in (full_scale - 1, -full_scale, 0, 1, -1)])
    return np.concatenate(
        [
            rng.integers(-full_scale, full_scale, (quarter, n)),
            np.clip(np.rint(gauss), -full_scale, full_scale - 1).astype(np.int64),
            rng.choice(np.array([-full_scale, full_scale - 1]), (quarter, n)),
            rotating_squares(n, full_scale),
            extremes,
        ]
    )


def cmsis_rfft(n: int, inverse: bool) -> Callable[[Ints], Ints]:
    """arm_rfft_q31 over the rows of an array."""
    instance = cmsisdsp.arm_rfft_instance_q31()
    assert cmsisdsp.arm_rfft_init_q31(instance, n, int(inverse), 1) == 0

    def transform(rows: Ints) -> Ints:
        return np.stack([np.asarray(cmsisdsp.arm_rfft_q31(instance, row)) for row in rows.astype(np.int32)])

    return transform


@pytest.mark.parametrize(("n", "count"), [(n, 20_000 if n == 128 else 400) for n in LENGTHS])
def test_forward_and_inverse_against_cmsisdsp(n: int, count: int) -> None:
    x = frames(n, count)
    assert len(x) >= count
    spectrum = fft.rfft(x)
    reference = cmsis_rfft(n, inverse=False)(x)
    np.testing.assert_array_equal(spectrum.reshape(len(x), -1), reference[:, : n + 2])
    padded = np.zeros((len(x), 2 * n), np.int64)
    padded[:, : n + 2] = spectrum.reshape(len(x), -1)
    np.testing.assert_array_equal(fft.irfft(spectrum), cmsis_rfft(n, inverse=True)(padded)[:, :n])


def test_inverse_of_arbitrary_spectra_against_cmsisdsp() -> None:
    spectra = frames(128, 1000).reshape(-1, 64, 2)
    spectra = np.concatenate([spectra, spectra[:, :1] * np.array([1, 0])], axis=1)
    spectra[:, 0, 1] = 0
    padded = np.zeros((len(spectra), 256), np.int64)
    padded[:, :130] = spectra.reshape(len(spectra), -1)
    np.testing.assert_array_equal(fft.irfft(spectra), cmsis_rfft(128, inverse=True)(padded)[:, :128])


@pytest.mark.parametrize("n", LENGTHS)
def test_the_scale_is_one_over_n_both_ways(n: int) -> None:
    """Off by the bits that the first stage takes off (4, and one more where a radix-2 stage comes first)."""
    x = frames(n, 40, full_scale=GUARD)
    exact = np.fft.rfft(x) / n
    spectrum = fft.rfft(x)
    error = np.abs(spectrum[..., 0] + 1j * spectrum[..., 1] - exact)
    assert error.max() < 32
    back = fft.irfft(spectrum)
    assert np.abs(back - np.fft.irfft(exact, n)).max() < 64


def test_the_overflow_guard_counts_each_stream_beyond_its_range_once() -> None:
    counter = Counter(streams=4)
    x = np.zeros((4, 128), np.int64)
    x[0, 5], x[1, 5:9], x[2, 5], x[3, 5] = GUARD - 1, GUARD, -GUARD, -GUARD - 1
    fft.rfft(x, counter)
    np.testing.assert_array_equal(counter.overflows, [0, 1, 0, 1])
    spectrum = np.zeros((4, 65, 2), np.int64)
    spectrum[2, 64, 0] = INT32_MAX
    fft.irfft(spectrum, counter)
    np.testing.assert_array_equal(counter.overflows, [0, 1, 1, 1])


def test_the_inverse_counts_its_saturated_samples() -> None:
    k = np.arange(65) * (2.0 * np.pi * 5 / 128)
    loud = 0.95 * np.stack([np.sign(np.cos(k)), -np.sign(np.sin(k))], axis=1) * 2.0**31
    spectra = np.stack([np.zeros((65, 2)), loud, -loud]).astype(np.int64)
    counter = Counter(streams=3)
    frame = fft.irfft(spectra, counter)
    # Doubled samples are even: the odd INT32_MAX is only reached by saturation.
    limited = (frame == INT32_MAX) | (frame == -INT32_MAX - 1)
    np.testing.assert_array_equal(counter.saturations, limited.sum(axis=1))
    assert counter.saturations[1] > 0
    assert frame[1].max() == INT32_MAX
    assert frame[2].min() == -INT32_MAX - 1


# ---------------------------------------------------------------- proof: no wrap within the guard


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same code on int64: nothing wraps, so what int32 would have lost becomes visible."""
    names = {name: getattr(np, name) for name in dir(np) if not name.startswith("__")}
    monkeypatch.setattr(fft, "np", SimpleNamespace(**{**names, "int32": np.int64}))
    return


@pytest.fixture
def nodes(wide: None, monkeypatch: pytest.MonkeyPatch) -> list[Ints]:
    """Inputs and results of every step of the FFT, in order of computation."""
    seen: list[Ints] = []

    def recorded(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            result = step(*arguments, **options)
            seen.extend(np.array(x) for x in (arguments[0], result) if isinstance(x, np.ndarray))
            return result

        return run

    for name in ("_radix4", "_radix4_by_2", "_butterfly", "_rotate", "_accumulate", "_split"):
        monkeypatch.setattr(fft, name, recorded(getattr(fft, name)))
    return seen


def impulses(shape: tuple[int, ...]) -> Iterator[Ints]:
    """A stream of one with GUARD in one place, for each place."""
    for place in np.ndindex(shape):
        x = np.zeros((1, *shape), np.int64)
        x[(0, *place)] = GUARD
        yield x


@pytest.mark.parametrize("n", [32, 64, 128, 256, 512])
@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_no_input_within_the_guard_can_wrap_any_node(n: int, inverse: bool, nodes: list[Ints]) -> None:
    """Each node is a linear form of the input, plus rounding: its largest value is the sum of its impulse responses.

    Rounding: every response and the form itself are off by less than 2^7 LSB (each of at most 6 stages adds
    a few LSB and the unscaled ones multiply what came before by four), n + 1 times in all.
    """
    transform, shape = (fft.irfft, (n // 2 + 1, 2)) if inverse else (fft.rfft, (n,))
    reach: list[Ints] = []
    for x in impulses(shape):
        nodes.clear()
        transform(x)
        if not reach:
            reach = [np.zeros_like(node) for node in nodes]
        for total, node in zip(reach, nodes, strict=True):
            total += np.abs(node)
    rounding = (2 * (n // 2 + 1) + 1) << 7
    assert len(reach) >= 10
    assert max(int(total.max()) for total in reach) + rounding < 1 << 31


@pytest.mark.parametrize("n", LENGTHS)
def test_wide_and_wrapping_arithmetic_agree_at_the_bound(n: int, request: pytest.FixtureRequest) -> None:
    x = np.concatenate([frames(n, 40, GUARD), worst_for_dc_and_nyquist(n)])
    narrow = fft.rfft(x)
    narrow_back = fft.irfft(np.clip(narrow, -GUARD, GUARD - 1))
    request.getfixturevalue("wide")
    np.testing.assert_array_equal(narrow, fft.rfft(x))
    np.testing.assert_array_equal(narrow_back, fft.irfft(np.clip(narrow, -GUARD, GUARD - 1)))


def worst_for_dc_and_nyquist(n: int) -> Ints:
    """The DC and Nyquist sums have no margin but rise and fall with every sample: their extremes."""
    high, low = GUARD - 1, -GUARD
    even = np.arange(n) % 2 == 0
    return np.stack([np.full(n, high), np.full(n, low), np.where(even, high, low), np.where(even, low, high)])


def test_just_beyond_the_guard_dc_wraps_so_the_guard_is_tight(request: pytest.FixtureRequest) -> None:
    x = np.full((1, 128), GUARD, np.int64)
    narrow = fft.rfft(x)
    request.getfixturevalue("wide")
    assert narrow[0, 0, 0] == -GUARD
    assert fft.rfft(x)[0, 0, 0] == GUARD
