"""The engines, one small class each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from golden_vectors.errors import WitnessError
from golden_vectors.executors.base import Executor

SLOW = frozenset({"onnx reference"})
"""Engines that take milliseconds a step: they run the vectors but not the long closed loop."""
SHORT = frozenset({"c_m7", "c_m7_qemu", "c_host (sanitized)", "c_host (sanitized paired)"})
"""Names and families, emulators and instrumented builds, that run the first lines of a drift instead of all."""


def registry() -> list[Executor]:
    """Every engine that this project knows, present or not; the reference first."""
    from golden_vectors.cc import COMPILERS as HOST_COMPILERS
    from golden_vectors.executors.c_host import CHost
    from golden_vectors.executors.c_m7 import CM7, CM7Qemu
    from golden_vectors.executors.c_sanitized import CSanitized
    from golden_vectors.executors.litert import KERNELS, LiteRt
    from golden_vectors.executors.numpy_reference import NumpyReference
    from golden_vectors.executors.onnxruntime import LEVELS, OnnxReference, OnnxRuntime
    from golden_vectors.executors.tf_lite import TfLite
    from golden_vectors.executors.tflm import TfliteMicro
    from golden_vectors.m7.build import COMPILERS

    return [
        NumpyReference(),
        CHost(),
        *(CHost(compiler, paired) for compiler in HOST_COMPILERS for paired in (False, True)),
        *(CSanitized(paired) for paired in (False, True)),
        *(CM7(compiler) for compiler in COMPILERS),
        *(CM7Qemu(compiler) for compiler in COMPILERS),
        *(OnnxRuntime(level) for level in LEVELS),
        OnnxReference(),
        TfliteMicro(),
        *(LiteRt(kernels) for kernels in KERNELS),
        *(TfLite(kernels) for kernels in KERNELS),
    ]


def family(name: str) -> str:
    """The engine without its variant: "onnxruntime" of "onnxruntime (basic)"."""
    return name.split(" (")[0]


def select(names: Sequence[str] | None, engines: Iterable[Executor]) -> list[Executor]:
    """The engines of these names or families, all of them for None.

    raises  WitnessError for a name that is unknown, or whose engines are all absent: nothing would be compared
    """
    engines = list(engines)
    known = {engine.name for engine in engines} | {family(engine.name) for engine in engines}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        families = ", ".join(dict.fromkeys(family(engine.name) for engine in engines))
        raise WitnessError(f"no executor is called {unknown[0]}: choose from {families}")
    for name in names or ():
        reasons = [engine.available() for engine in engines if name in (engine.name, family(engine.name))]
        if None not in reasons:
            raise WitnessError(f"{name} cannot run here: {reasons[0]}")
    return [e for e in engines if names is None or e.name in names or family(e.name) in names]
