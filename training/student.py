"""The product network, whole: features of the front end in, one mask value a band out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from firmware_sim.contract import FEATURE_FRACTION_BITS, LAYER_NORM_EPSILON
from training.designs import Design

LAYERS = 2
SIZES = {"base": 120, "compact": 48}
"""Hidden size of the shipped models: at most 200,000 and at most 50,000 parameters with the default front end."""
_OPEN_MASK_BIAS = 1.0  # the untrained mask starts near sigmoid(1) = 0.73: close to letting everything pass

State = torch.Tensor


@dataclass(frozen=True)
class StudentShape:
    """Sizes of a student: inputs of the front end, hidden units of each layer, bands of the mask."""

    inputs: int
    hidden: int
    bands: int


def shape_for(design: Design, hidden: int) -> StudentShape:
    """The student of `hidden` units for a front end."""
    return StudentShape(design.inputs, hidden, design.band_count)


class Student(nn.Module):
    """Affine -> GRU(hidden) x 2 -> Linear(hidden) -> ReLU -> Linear(bands) -> sigmoid.

    The front end normalises (integers on the device, `frontend.normalise` here), so `norm` contributes its affine
    part alone; export folds that part into the first GRU layer.
    """

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        self.shape = shape
        self.norm = nn.LayerNorm(shape.inputs, eps=LAYER_NORM_EPSILON)
        self.gru = nn.GRU(shape.inputs, shape.hidden, LAYERS, batch_first=True)
        self.fc1 = nn.Linear(shape.hidden, shape.hidden)
        self.fc2 = nn.Linear(shape.hidden, shape.bands)
        nn.init.constant_(self.fc2.bias, _OPEN_MASK_BIAS)

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Masks of a chunk.

        x         float (streams, frames, inputs), features before the affine part, in [-8, 8)
        state     float (2, streams, hidden), None = home state (zeros)
        returns   mask (streams, frames, bands) in (0, 1); the state after the last frame
        """
        hidden, state = self.gru(x * self.norm.weight + self.norm.bias, state)
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(hidden)))), state


def from_q11(x_q11: torch.Tensor) -> torch.Tensor:
    """The device's int16 features as the float that the student reads."""
    return x_q11.float() * 2.0**-FEATURE_FRACTION_BITS


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
