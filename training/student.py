"""The product network, whole: 65 log-power features in, 65 mask values out, 198,979 parameters."""

from __future__ import annotations

import torch
from torch import nn

from firmware_sim.contract import FEATURE_FRACTION_BITS, LAYER_NORM_EPSILON
from training.frontend import BINS

HIDDEN = 128
LAYERS = 2
_OPEN_MASK_BIAS = 1.0  # the untrained mask starts near sigmoid(1) = 0.73: close to the Wiener stage alone

State = torch.Tensor


class Student(nn.Module):
    """LayerNorm(65) -> GRU(128) x 2 -> Linear(128) -> ReLU -> Linear(65) -> sigmoid.

    The front end normalises (integers on the device, `frontend.normalise` here), so `norm` contributes its affine
    part alone; export folds that part into the first GRU layer.
    """

    def __init__(self, bins: int = BINS, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(bins, eps=LAYER_NORM_EPSILON)
        self.gru = nn.GRU(bins, hidden, LAYERS, batch_first=True)
        self.fc1 = nn.Linear(hidden, hidden)
        self.fc2 = nn.Linear(hidden, bins)
        nn.init.constant_(self.fc2.bias, _OPEN_MASK_BIAS)

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Masks of a chunk.

        x         float (streams, frames, bins), normalised features before the affine part, in [-8, 8)
        state     float (2, streams, hidden), None = home state (zeros)
        returns   mask (streams, frames, bins) in (0, 1); the state after the last frame
        """
        hidden, state = self.gru(x * self.norm.weight + self.norm.bias, state)
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(hidden)))), state


def from_q11(x_q11: torch.Tensor) -> torch.Tensor:
    """The device's int16 features as the float that the student reads."""
    return x_q11.float() * 2.0**-FEATURE_FRACTION_BITS


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
