"""Training over several processes or machines, by torch's own launcher; on CPUs.

`torchrun --nproc-per-node 2 -m training fit ...` (or with --nnodes and --rdzv-endpoint over machines) starts one
process a rank; each trains on blocks of its own and all take the mean gradient of the same step, so that their
weights stay equal. Rank 0 validates, judges and writes. Without the launcher everything here does nothing.

torch's launcher and collectives are there with torch: a wrapper such as Lightning Fabric would add a dependency for
the five calls below. The model is 0.2 million weights, so one flattened all-reduce a step is all that is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from training.files import RunError


@dataclass(frozen=True)
class World:
    """Which of how many processes this one is."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

    def block(self, index: int) -> int:
        """The block that this rank trains on at step `index` of blocks: ranks share them out in turn."""
        return index * self.size + self.rank

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Every rank's gradients become their mean over the ranks."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        together = parameters_to_vector(gradients)
        distributed.all_reduce(together)
        vector_to_parameters(together / self.size, gradients)

    def agree(self, value: float) -> float:
        """Rank 0's number, in every rank: decisions about time and patience must be one."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(shared, src=0)
        return float(shared)


@contextmanager
def world() -> Iterator[World]:
    """The processes that torchrun started, or this one alone.

    raises   RunError: the launcher's variables are there, but its processes cannot be joined
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if not size.isdecimal():
        raise RunError(f"WORLD_SIZE is {size!r}: torchrun sets it to a number, unset it where there is no launcher")
    if int(size) < 2:
        yield World()
        return
    try:
        distributed.init_process_group("gloo")
    except (RuntimeError, ValueError) as error:
        raise RunError(f"cannot join the other processes of torchrun: {str(error).splitlines()[0]}") from None
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
