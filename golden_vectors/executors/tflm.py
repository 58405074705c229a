"""TensorFlow Lite for Microcontrollers: the interpreter of the tflite-micro package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from export.tflite_writer import to_tflite
from firmware_sim.graph import Graph
from golden_vectors.executors.network import Arrays, Step, StepExecutor, missing, quiet

ARENA_BYTES = 1 << 20


class TfliteMicro(StepExecutor):
    """TFLM's reference kernels, built for x86."""

    name = "tflm"
    streams = False

    def available(self) -> str | None:
        return missing("tflite_micro") or missing("flatbuffers", "export")

    def step(self, graph: Graph) -> Step:
        """See `StepExecutor.step`."""
        runtime = interpreter(to_tflite(graph))
        inputs, outputs = [t.name for t in graph.inputs], [t.name for t in graph.outputs]

        def run(arrays: Arrays) -> Mapping[str, npt.NDArray[Any]]:
            for i, name in enumerate(inputs):
                runtime.set_input(arrays[name], i)
            runtime.invoke()
            return {name: runtime.get_output(i) for i, name in enumerate(outputs)}

        return run


def interpreter(model: bytes, arena_bytes: int = ARENA_BYTES) -> Any:
    """A TFLM interpreter of a .tflite file: set_input(array, i), invoke(), get_output(i)."""
    with quiet(1):  # the constructor prints its arena
        from tflite_micro.python.tflite_micro import runtime

        return runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
