"""LiteRT, the desktop and phone interpreter of .tflite files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from export.tflite_writer import to_tflite
from firmware_sim.graph import Graph
from golden_vectors.executors.network import Arrays, Step, StepExecutor, missing, quiet

KERNELS = {"default": "AUTO", "reference": "BUILTIN_REF", "no delegate": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}
"""default is XNNPACK with the optimised kernels behind it."""


class LiteRt(StepExecutor):
    """ai-edge-litert's interpreter, one thread. Scheme int16x8 is equal; int8 rounds FULLY_CONNECTED otherwise.

    kernels  one of KERNELS
    """

    family = "litert"
    streams = False

    def __init__(self, kernels: str = "default"):
        self.kernels = kernels
        self.name = self.family if kernels == "default" else f"{self.family} ({kernels})"

    def available(self) -> str | None:
        return missing("ai_edge_litert") or missing("flatbuffers", "export")

    def step(self, graph: Graph) -> Step:
        """See `StepExecutor.step`."""
        interpreter = self._interpreter(to_tflite(graph))
        inputs = _indices(interpreter.get_input_details(), [t.name for t in graph.inputs])
        outputs = _indices(interpreter.get_output_details(), [t.name for t in graph.outputs])

        def run(arrays: Arrays) -> Mapping[str, npt.NDArray[Any]]:
            for name, index in inputs.items():
                interpreter.set_tensor(index, arrays[name])
            interpreter.invoke()
            return {name: interpreter.get_tensor(index) for name, index in outputs.items()}

        return run

    def _runtime(self) -> tuple[Any, Any]:
        """The runtime's classes Interpreter and OpResolverType."""
        from ai_edge_litert import interpreter as litert

        return litert.Interpreter, litert.OpResolverType

    def _interpreter(self, model: bytes) -> Any:
        make, resolvers = self._runtime()
        resolver = getattr(resolvers, KERNELS[self.kernels])
        with quiet(2), warnings.catch_warnings():  # it announces its delegate, and TensorFlow's its successor
            warnings.simplefilter("ignore")
            interpreter = make(model_content=model, experimental_op_resolver_type=resolver, num_threads=1)
            interpreter.allocate_tensors()
        return interpreter


def _indices(details: list[dict[str, Any]], names: list[str]) -> dict[str, int]:
    """Tensor indices in the order in which the model lists its inputs or outputs."""
    return {name: int(entry["index"]) for name, entry in zip(names, details, strict=True)}
