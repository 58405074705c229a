"""What every op page stands on: `Tensor`, `Op`, and the requantisation `Rescale`.

An op keeps its tensors and works out its integer constants once. Its page then shows the same
thought four times: `run` (numpy), `to_onnx`, `to_tflite` and `to_c`; the writers are handed in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from firmware_sim import fixed
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import I32, Ledger

LIMITS = {name: (int(np.iinfo(name).min), int(np.iinfo(name).max)) for name in ("int8", "int16", "int32", "int64")}
"""The dtypes of a graph and their ranges."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""Tensor names are C identifiers, because every tensor is an array of the generated C."""

Attributes: TypeAlias = Mapping[str, bool | int]
Writer: TypeAlias = Any
"""One of export's writers; pages only call its methods, so this room imports none of them."""


class GraphError(ValueError):
    """A graph, or a file that should hold one, breaks the integer contract."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named integer array, real value = scale * (integer - zero_point).

    dtype       "int8", "int16", "int32" or "int64"
    shape       without the streams axis; weights are (outputs, inputs)
    scale       one float, or one per row (per-channel weights); float32-representable, as TFLite stores it
    zero_point  0 unless dtype is int8
    data        constant in its own dtype, read-only; None for what run() computes
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | tuple[float, ...]
    zero_point: int = 0
    data: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise GraphError(f"tensor name {self.name!r} is not a lower-case C identifier")
        if self.dtype not in LIMITS:
            raise GraphError(f"tensor {self.name}: unknown dtype {self.dtype!r}")
        if not self.shape or any(n < 1 for n in self.shape):
            raise GraphError(f"tensor {self.name}: shape {self.shape} has no elements")
        if any(not s > 0 or not np.isfinite(s) or float(np.float32(s)) != s for s in self.scales):
            raise GraphError(f"tensor {self.name}: a scale is not a positive float32")
        if self.zero_point and (self.dtype != "int8" or not -128 <= self.zero_point <= 127):
            raise GraphError(f"tensor {self.name}: zero point {self.zero_point} needs dtype int8")
        if self.data is not None:
            if self.data.dtype != np.dtype(self.dtype) or self.data.shape != self.shape:
                raise GraphError(f"tensor {self.name}: data is not {self.dtype} {self.shape}")
            self.data.setflags(write=False)

    @property
    def scales(self) -> tuple[float, ...]:
        """The scale as a tuple: one element, or one per row."""
        return self.scale if isinstance(self.scale, tuple) else (self.scale,)

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest integer of the dtype."""
        return LIMITS[self.dtype]

    @property
    def values(self) -> Ints:
        """The constant as int64; raises GraphError if the tensor is computed."""
        if self.data is None:
            raise GraphError(f"tensor {self.name} has no constant data")
        return self.data.astype(np.int64)

    def real(self, integers: Ints) -> npt.NDArray[np.float64]:
        """Real values of integers of this tensor, float64."""
        return np.asarray((integers - self.zero_point) * np.asarray(self.scale), np.float64)


class Op:
    """One primitive of TFLite's integer kernels, bound to its tensors.

    inputs      constants included, in TFLite's order
    outputs     what run() returns, in order
    attributes  the op's own switches, JSON-able
    raises      GraphError when the tensors do not fit the op
    """

    kind: ClassVar[str]
    arity: ClassVar[tuple[int, int]]
    """Numbers of inputs and outputs; 0 outputs means any number."""
    switches: ClassVar[frozenset[str]] = frozenset()
    saturates: ClassVar[bool] = True
    """Whether outputs are limited to their dtype, and counted where they are."""

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], attributes: Attributes | None = None):
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.attributes = dict(attributes or {})
        n_in, n_out = self.arity
        if len(self.inputs) != n_in or not self.outputs or len(self.outputs) != (n_out or len(self.outputs)):
            raise GraphError(f"{self.kind}: wrong number of inputs or outputs at {self._where}")
        if not set(self.attributes) <= self.switches:
            raise GraphError(f"{self.kind}: unknown attribute at {self._where}")
        self.operands = tuple(t.name for t in self.inputs if t.data is None)
        self.results = tuple(t.name for t in self.outputs)
        self.prepare()

    @property
    def _where(self) -> str:
        return ", ".join(t.name for t in self.outputs) or "an op without outputs"

    def require(self, condition: bool, message: str) -> None:
        """Raise GraphError naming this op unless the condition holds."""
        if not condition:
            raise GraphError(f"{self.kind} at {self._where}: {message}")

    def prepare(self) -> None:
        """Check the tensors and work out the integer constants."""
        raise NotImplementedError

    def run(self, operands: Sequence[Ints], counter: Counter | None) -> list[Ints]:
        """Outputs of the computed inputs, each (streams, n) int64 within its dtype."""
        raise NotImplementedError

    def bounds(self, operands: Sequence[Interval], ledger: Ledger) -> list[Interval]:
        """What the outputs can be before they are limited to their dtype; every register on the way must fit.

        raises  RangeError when one does not
        """
        raise NotImplementedError


class Rescale:
    """x * scale, rounded as TFLite-Micro's int32 MultiplyByQuantizedMultiplier.

    multiplier, left, right  one for all channels (int), or one each (int64): x * multiplier * 2^(left - right - 31)
    log2                     k where the scale is 2^k for all channels: no multiply needed; else None

    Callers keep |x| << left below 2^31, as TFLite-Micro itself demands.
    """

    def __init__(self, scales: Sequence[float]):
        pairs = sorted(set(map(fixed.quantize_multiplier, scales)))
        if len(pairs) > 1:
            pairs = [fixed.quantize_multiplier(scale) for scale in scales]
        multiplier, shift = np.array(pairs, np.int64).T
        if shift.max() > 30:
            raise GraphError(f"a requantising scale of {max(scales):g} does not fit an int32 multiplier")
        one = len(pairs) == 1
        self.multiplier: Ints | int = int(multiplier[0]) if one else multiplier
        self.left: Ints | int = max(int(shift[0]), 0) if one else np.maximum(shift, 0)
        self.right: Ints | int = max(-int(shift[0]), 0) if one else np.maximum(-shift, 0)
        self.log2 = int(shift[0]) - 1 if one and multiplier[0] == 1 << 30 else None

    def __call__(self, x: Ints) -> Ints:
        """x int32 in an int64 container; the result is int32."""
        if self.log2 is None:
            return fixed.rdbpot(fixed.srdhm(x << self.left, self.multiplier), self.right)
        if self.log2 >= 0:
            return x << self.log2
        half = fixed.shr_round(x, 1)  # (x * 2^30 + 2^30) >> 31
        return fixed.rdbpot(half, -self.log2 - 1) if self.log2 < -1 else half

    def bounds(self, x: Interval, place: str, what: str, ledger: Ledger) -> Interval:
        """Bounds of the result, which rises with x; x and its left shift must fit int32."""
        ledger.fits(place, f"{what}, shifted left to be rescaled", x.low << self.left, x.high << self.left, I32)
        exact = isinstance(self.log2, int) and self.log2 >= 0
        return Interval(self(x.low), self(x.high), x.step << (self.log2 or 0) if exact else 1)


def log2_exact(scale: float) -> int | None:
    """k if scale = 2^k, else None."""
    mantissa, exponent = np.frexp(scale)
    return int(exponent) - 1 if mantissa == 0.5 else None
