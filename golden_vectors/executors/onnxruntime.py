"""ONNX Runtime on the CPU, and ONNX's own reference evaluator."""

from __future__ import annotations

from typing import Any

from export.onnx_writer import to_onnx
from firmware_sim.graph import Graph
from golden_vectors.executors.network import Step, StepExecutor, missing

LEVELS = {
    "off": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
"""Graph optimisation levels: each rewrites the graph further, none may change a bit."""


class OnnxRuntime(StepExecutor):
    """onnxruntime's CPU provider, one thread.

    level  one of LEVELS
    """

    def __init__(self, level: str = "all"):
        self.level = level
        self.name = "onnxruntime" if level == "all" else f"onnxruntime ({level})"

    def available(self) -> str | None:
        return missing("onnxruntime") or missing("onnx", "export")

    def step(self, graph: Graph) -> Step:
        """See `StepExecutor.step`."""
        session = self._session(to_onnx(graph))
        names = [t.name for t in graph.outputs]
        return lambda arrays: dict(zip(names, session.run(names, arrays), strict=True))

    def _session(self, model: bytes) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, LEVELS[self.level])
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxReference(StepExecutor):
    """onnx.reference: slow, written from the specification, no optimiser."""

    name = "onnx reference"

    def available(self) -> str | None:
        return missing("onnx", "export")

    def step(self, graph: Graph) -> Step:
        """See `StepExecutor.step`."""
        import onnx
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(onnx.load_from_string(to_onnx(graph)))
        names = [t.name for t in graph.outputs]
        return lambda arrays: dict(zip(names, evaluator.run(names, arrays), strict=True))
