"""Ranges of every node of the FFT: each is a linear form of the input plus the roundings on the way.

Interval arithmetic from stage to stage would forget that the legs of a butterfly are sums of the same samples,
and pass int32. So each node keeps its weights on all input samples; its extremes over a box of inputs are exact
up to the roundings, of which every one is off by less than one unit. Same steps and names as `firmware_sim.fft`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim import fft, tables
from firmware_sim.fixed import Ints
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import I32, Ledger

Floats: TypeAlias = npt.NDArray[np.float64]

FLOAT_SLACK = 1.0
"""Added to each bound: weights are off by less than 2^-45, the inputs' magnitudes sum to less than 2^40."""


@dataclass(frozen=True, eq=False)
class Form:
    """Integers that are linear forms of the input, apart from rounding.

    weights  (*nodes, inputs) float64
    radius   (*nodes) float64, the node is less than this away from its form
    """

    weights: Floats
    radius: Floats

    def __add__(self, other: Form) -> Form:
        return Form(self.weights + other.weights, self.radius + other.radius)

    def __sub__(self, other: Form) -> Form:
        return Form(self.weights - other.weights, self.radius + other.radius)

    def __getitem__(self, nodes: Any) -> Form:
        return Form(self.weights[nodes], self.radius[nodes])

    def reshape(self, *nodes: int) -> Form:
        """Nodes in another order of axes."""
        return Form(self.weights.reshape(*nodes, self.weights.shape[-1]), self.radius.reshape(nodes))

    def times(self, factor: Floats | float) -> Form:
        """Node times constant, exactly."""
        factors = np.asarray(factor, np.float64)
        return Form(self.weights * factors[..., None], self.radius * np.abs(factors))

    def rounded(self) -> Form:
        """Node after a rounding of any kind: off by less than one."""
        return Form(self.weights, self.radius + 1.0)

    def shr(self, bits: int) -> Form:
        """Node >> bits."""
        return self.times(2.0**-bits).rounded()


def _high_word(constant: Ints) -> Floats:
    """What a product with an int32 constant keeps: its high word."""
    return constant.astype(np.float64) * 2.0**-32


def stack(forms: Sequence[Form], axis: int) -> Form:
    """Forms side by side along a new node axis (counted from the front)."""
    return Form(np.stack([f.weights for f in forms], axis), np.stack([f.radius for f in forms], axis))


class Nodes:
    """Walks through a transform; every sum must stay in int32, which is what its register holds.

    inputs   one interval per input
    visited  what each step is called, with the bounds of its nodes
    """

    def __init__(self, inputs: Interval, ledger: Ledger):
        self._middle = (inputs.low + inputs.high) / 2.0
        self._reach = (inputs.high - inputs.low) / 2.0
        self.ledger = ledger
        self.visited: list[tuple[str, Ints, Ints]] = []

    def bounds(self, form: Form) -> tuple[Ints, Ints]:
        """Lowest and highest value of each node, outwards."""
        middle = form.weights @ self._middle
        reach = np.abs(form.weights) @ self._reach + form.radius + FLOAT_SLACK
        return np.floor(middle - reach).astype(np.int64), np.ceil(middle + reach).astype(np.int64)

    def held(self, what: str, form: Form) -> Form:
        """The form, once all its nodes are shown to fit int32."""
        low, high = self.bounds(form)
        self.ledger.fits("FFT", what, low, high, I32)
        self.visited.append((what, low, high))
        return form

    # ------------------------------------------------------------ complex FFT, (2, length) nodes

    def complex_fft(self, z: Form, sign: int) -> Form:
        """As `fft._complex_fft`."""
        is_power_of_four = (z.radius.shape[1].bit_length() - 1) % 2 == 0
        return self._radix4(z, sign) if is_power_of_four else self._radix4_by_2(z, sign)

    def _radix4(self, z: Form, sign: int) -> Form:
        length = z.radius.shape[1]
        z = z.shr(4)
        span = length // 4
        while span > 1:
            legs = self._butterfly(z.reshape(2, -1, 4, span), sign, f"butterflies {span} apart")
            legs = self._rotate(legs, length, span, sign)
            z = stack(legs, axis=2).reshape(2, length)
            span //= 4
        legs = self._butterfly(z.reshape(2, -1, 4, 1), sign, "last butterflies")
        return stack(legs, axis=2).reshape(2, length)[:, fft.bit_reversal(length)]

    def _butterfly(self, z: Form, sign: int, what: str) -> list[Form]:
        """Legs in the order of `fft._butterfly`, each (2, blocks, span)."""
        a, b, c, d = (z[:, :, leg] for leg in range(4))
        total, difference = self.held(f"{what}: a + c", a + c), self.held(f"{what}: a - c", a - c)
        cross, turned = self.held(f"{what}: b + d", b + d), self.held(f"{what}: b - d", b - d)[::-1]
        turned = turned.times(np.array([1.0, -1.0]).reshape(2, 1, 1) * sign)
        legs = [total + cross, total - cross, difference + turned, difference - turned]
        return [self.held(f"{what}: leg {i}", leg) for i, leg in enumerate(legs)]

    def _rotate(self, legs: list[Form], length: int, span: int, sign: int) -> list[Form]:
        """As `fft._rotate`."""
        first = span == length // 4
        cos, sin = (_high_word(table.reshape(3, 1, 1, span)) for table in fft.stage_twiddles(length, span))
        turn = np.array([1.0, -1.0]).reshape(2, 1, 1) * sign
        rotated = []
        for leg, c, s in zip(legs[1:], cos, sin, strict=True):
            crossed = leg[::-1].times(s * turn).rounded()
            product = self.held(f"rotated legs {span} apart", leg.times(c).rounded() + crossed)
            rotated.append(self.held("doubled legs", product.times(2.0)) if first else product.shr(1))
        return [legs[0] if first else legs[0].shr(2), *rotated]

    def _radix4_by_2(self, z: Form, sign: int) -> Form:
        length = z.radius.shape[1]
        half = length // 2
        z = z.shr(2)
        total = self.held("radix-2 sums", z[:, :half] + z[:, half:])
        difference = self.held("radix-2 differences", z[:, :half] - z[:, half:])
        table = _high_word(tables.twiddle_q31(length)[:half])
        turn = np.stack([table[:, 1], -table[:, 1]]) * sign
        odd = self._accumulate(difference.times(table[:, 0]).rounded(), difference[::-1], turn, "radix-2 products")
        halves = [self._radix4(total, sign), self._radix4(self.held("doubled radix-2", odd.times(2.0)), sign)]
        return self.held("doubled output", stack(halves, axis=2).reshape(2, length).times(2.0))

    # ------------------------------------------------------------ real split

    def _accumulate(self, total: Form, x: Form, factor: Floats, what: str) -> Form:
        return self.held(what, total + x.times(factor).rounded())

    def split(self, z: Form, mirrored: Form, coefficients: Sequence[Ints]) -> Form:
        """As `fft._split`: (2, bins)."""
        factors = [_high_word(c[:, 0]) for c in coefficients]
        total = z[:1].times(factors[0]).rounded()
        rest = ((z[1:], factors[1]), (mirrored[1:], factors[2]), (mirrored[:1], factors[3]))
        for i, (x, factor) in enumerate(rest):
            total = self._accumulate(total, x, factor, f"split sum {i + 2}")
        return total


def _complex(inputs: int) -> Form:
    """The inputs themselves, re and im in turn, as (2, inputs / 2) nodes."""
    order = np.arange(inputs).reshape(-1, 2).T
    return Form(np.eye(inputs)[order], np.zeros(order.shape))


def rfft(frame: Interval, ledger: Ledger) -> tuple[Interval, Nodes]:
    """Bounds of the spectrum of any frame in the box, (bins * 2): re and im in turn; and the nodes on the way."""
    n = len(frame.low)
    nodes = Nodes(frame, ledger)
    z = nodes.complex_fft(_complex(n), 1)
    inner = nodes.split(z[:, 1:], z[:, :0:-1], fft.split_coefficients(n, 1))
    ends = stack([nodes.held("DC", z[0, 0] + z[1, 0]), nodes.held("Nyquist", z[0, 0] - z[1, 0])], axis=0).shr(1)
    low, high = np.zeros((2, n // 2 + 1, 2), np.int64)
    for spectrum, inner_end, outer_end in zip((low, high), nodes.bounds(inner), nodes.bounds(ends), strict=True):
        spectrum[1:-1] = inner_end.T
        spectrum[[0, -1], 0] = outer_end
    return Interval(low.reshape(-1), high.reshape(-1)), nodes


def irfft(spectrum: Interval, ledger: Ledger) -> tuple[Interval, Nodes]:
    """Bounds of the frame of any half spectrum in the box (bins * 2), before the last doubling is limited."""
    inputs = len(spectrum.low)
    n = inputs - 2
    nodes = Nodes(spectrum, ledger)
    x = _complex(inputs)
    z = nodes.split(x[:, :-1], x[:, :0:-1], fft.split_coefficients(n, -1))
    low, high = nodes.bounds(nodes.complex_fft(z, -1))
    return Interval(2 * low.T.reshape(-1), 2 * high.T.reshape(-1)), nodes
