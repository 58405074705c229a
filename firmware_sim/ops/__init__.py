"""One op, one page: the primitives of an integer graph, each one to one a TFLite integer kernel."""

from firmware_sim.ops.add import Add
from firmware_sim.ops.base import GraphError, Op, Rescale, Tensor
from firmware_sim.ops.fully_connected import FullyConnected
from firmware_sim.ops.logistic import Logistic
from firmware_sim.ops.mul import Mul
from firmware_sim.ops.quantize import Quantize
from firmware_sim.ops.split import Split
from firmware_sim.ops.sub import Sub
from firmware_sim.ops.tanh import Tanh

OPS: dict[str, type[Op]] = {op.kind: op for op in (Add, FullyConnected, Logistic, Mul, Quantize, Split, Sub, Tanh)}
"""Every op a graph may hold, by its TFLite name."""

__all__ = [
    "OPS", "Add", "FullyConnected", "GraphError", "Logistic", "Mul", "Op", "Quantize", "Rescale", "Split", "Sub",
    "Tanh", "Tensor",
]  # fmt: skip
