"""The fixed-point device: the bits that the firmware computes, with a network or with the Wiener stage alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firmware_sim.contract import DEFAULT_PROFILE, PROFILES, SAMPLE_RATE_HZ, ContractError, Profile
from firmware_sim.cost import Recorder
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.graph import Graph
from training.zoo.base import Audio, System, from_pcm, to_pcm

_COUNTED_HOPS = 40
"""Hops of noise whose operations are counted: more than the noise initialisation lasts, in any profile so far."""


class Device(System):
    """`FrameLoop` with the integer graph of a file, and its default parameters.

    model    the graph (.npz), None: the Wiener stage alone, in the default profile
    raises   GraphError, ContractError: the graph cannot be read, or is for a profile that is not here
    """

    def __init__(self, name: str, model: Path | None) -> None:
        self.name, self._graph, self._profile = name, None, PROFILES[DEFAULT_PROFILE]
        if model is not None:
            self._graph = Graph.load(model)
            wanted = self._graph.meta["profile"]
            if wanted not in PROFILES:
                raise ContractError(f"{model}: the graph is for profile {wanted!r}: export the student again")
            self._profile = PROFILES[wanted]
            self.params, macs = counted(self._graph)
            self.mmac_per_s = macs * SAMPLE_RATE_HZ / self._profile.hop_samples / 1e6
        self.latency_ms = self._profile.latency_ms
        self.instructions_per_hop = instructions_per_hop(self._profile, self._graph)

    def identity(self) -> str:
        """The sha256 of the graph."""
        return self._graph.digest if self._graph else self._profile.name

    def __call__(self, noisy: Audio, clean: Audio | None = None) -> Audio:
        """All streams side by side; see `System.__call__`."""
        delay = self._profile.stream_delay_samples
        pcm = np.pad(to_pcm(noisy), ((0, 0), (0, delay)))
        loop = FrameLoop(self._profile, self._graph, streams=len(pcm))
        return from_pcm(loop.process(pcm)[:, delay:])


def counted(graph: Graph) -> tuple[int, int]:
    """Weights and biases, and multiply-accumulates of a step, of a graph's FULLY_CONNECTED ops."""
    constants = [
        [tensor for tensor in op.inputs if tensor.data is not None] for op in graph.ops if op.kind == "FULLY_CONNECTED"
    ]
    parameters = sum(int(np.prod(tensor.shape)) for tensors in constants for tensor in tensors)
    macs = sum(int(np.prod(tensor.shape)) for tensors in constants for tensor in tensors if len(tensor.shape) == 2)
    return parameters, macs


def instructions_per_hop(profile: Profile, graph: Graph | None) -> int:
    """Estimated Cortex-M7 instructions of a hop in which every stage meets its worst of 40 hops of noise."""
    loop, recorder = FrameLoop(profile, graph), Recorder()
    noise = np.random.default_rng(0).normal(0.0, 1000.0, (1, _COUNTED_HOPS * profile.hop_samples)).astype(np.int16)
    for start in range(0, noise.shape[1], profile.hop_samples):
        pcm = noise[:, start : start + profile.hop_samples]
        recorder.run(lambda pcm=pcm: loop.process_hop(pcm))  # type: ignore[misc]
    return recorder.cost().instructions
