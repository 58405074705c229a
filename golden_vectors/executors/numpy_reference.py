"""The definition itself as an executor: firmware_sim's frame loop and integer graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from firmware_sim.contract import STAGES
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import TAPS, FrameLoop
from firmware_sim.graph import Graph
from firmware_sim.meter import Counter
from firmware_sim.ping_pong import PingPong
from golden_vectors.executors.base import SATURATIONS, StreamInput, StreamRun
from golden_vectors.executors.network import Arrays, Step, StepExecutor, filled
from golden_vectors.units import FIRST_PROFILE, unit


class NumpyReference(StepExecutor):
    """firmware_sim in this process; always available."""

    name = "numpy"

    def available(self) -> str | None:
        return None

    def step(self, graph: Graph) -> Step:
        """See `StepExecutor.step`."""

        def run(arrays: Arrays) -> dict[str, Ints]:
            return graph.run({name: values.astype(np.int64) for name, values in arrays.items()})

        return run

    def run_graph(self, graph: Graph, inputs: Mapping[str, Ints], names: Sequence[str]) -> dict[str, Ints]:
        """See `GraphExecutor.run_graph`."""
        rows = filled(graph, inputs)
        counter = Counter(len(rows["x"]))
        tensors = graph.run(rows, counter, trace=True)
        return {name: tensors[name] for name in names} | {SATURATIONS: np.cumsum(counter.saturations)[:, np.newaxis]}

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        """See `StreamExecutor.run_stream`."""
        loop = FrameLoop(stream.profile, graph, stream.parameters)
        device = PingPong(loop)
        rows: dict[str, list[Ints]] = {name: [] for name in TAPS}
        played: list[Ints] = []
        taps: dict[str, Ints] = {}
        hops = stream.pcm.reshape(stream.hops, 1, stream.profile.hop_samples)
        for index, (pcm, status) in enumerate(zip(hops, stream.statuses, strict=True)):
            if index in stream.resets:
                loop.reset()
            if index in stream.restarts:
                loop.restart()
            heard, hop = device.hop(pcm, status)
            taps = hop.taps if hop is not None else taps
            for name, values in rows.items():
                values.append(taps[name][0])
            played.append(heard[0].astype(np.int64))
        counters = {
            stage: (int(loop.counters[stage].saturations[0]), int(loop.counters[stage].overflows[0]))
            for stage in STAGES
        }
        shown = {name: np.stack(values) for name, values in rows.items()}
        return StreamRun(shown, counters, *((np.stack(played), device.schedule) if stream.events else ()))

    def run_unit(self, name: str, rows: Ints, profile: str = FIRST_PROFILE) -> Ints:
        """See `UnitExecutor.run_unit`."""
        return unit(name, profile).run(rows)
