"""The network alone: normalised features in closed loop from home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from firmware_sim.contract import Profile
from firmware_sim.fixed import Ints
from firmware_sim.network import encode_features
from golden_vectors import json_words as words
from golden_vectors.compare import NETWORK_TAPS, Difference, network_difference, share_differing
from golden_vectors.executors.base import Executor
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.json_words import Word
from golden_vectors.kinds.base import (
    MODELS,
    Built,
    Graphs,
    Header,
    Wanted,
    Witness,
    check_model,
    check_profile,
    profile_facts,
    require,
    whole,
)
from golden_vectors.signals import PROFILE, Signal
from golden_vectors.vector import Vector

NETWORK_DTYPES = {"int16x8": "<i2", "int8": "|i1"}
"""Scheme -> dtype of a network vector's arrays."""


@dataclass(frozen=True)
class NetworkCase:
    """Normalised features through the network alone, in closed loop from home."""

    kind: ClassVar[str] = "network"

    tc_id: int
    id: str
    group: str
    flags: tuple[str, ...]
    steps: int
    features: Signal
    scheme: str
    model: str = ""
    """Name of MODELS; "": that of the scheme."""

    def codes(self) -> Ints:
        """(steps, bins) int64: values of the graph's input x."""
        return encode_features(self.features(self.steps), self.scheme)


class NetworkKind:
    """Arrays: input_x, mask, h0, h1, each (steps, n) graph codes after each step."""

    name = "network"

    def facts(self, case: NetworkCase) -> Header:
        return {"steps": case.steps, "profile": profile_facts(PROFILE), "model": case.model or case.scheme}

    def keys(self, header: Header) -> set[str]:
        return set(self.properties())

    def properties(self) -> dict[str, Word]:
        return {
            "steps": words.whole(1),
            "profile": words.dataclass_of(Profile),
            "model": words.one_of(*MODELS),
            "graph_sha256": words.SHA256,
        }

    def described(self) -> Word:
        return words.object_of(self.properties())

    def check(self, header: Header) -> None:
        check_model(header)
        check_profile(header)
        require(whole(header["steps"], 1), header, "steps", "a whole number above 0")

    def arrays(self, header: Header) -> Wanted:
        wanted = (NETWORK_DTYPES[header["scheme"]], (int(header["steps"]), None))
        return dict.fromkeys(("input_x", *NETWORK_TAPS), wanted)

    def build(self, case: NetworkCase, graphs: Graphs) -> Built:
        graph, codes = graphs[case.model or case.scheme], case.codes()
        run = NumpyReference().run_network(graph, codes)
        dtype = NETWORK_DTYPES[case.scheme]
        arrays = {name: run[name].astype(dtype) for name in NETWORK_TAPS}
        return {"graph_sha256": graph.digest}, {"input_x": codes.astype(dtype), **arrays}, ()

    def runs_on(self, engine: Executor, header: Header) -> bool:
        return True

    def compare(self, engine: Executor, vector: Vector, bench: Witness) -> tuple[Difference | None, float]:
        got = engine.run_network(bench.graphs[vector.model], vector.arrays["input_x"].astype("int64"))
        first = network_difference(vector.id, vector.arrays, got)
        return first, share_differing(vector.arrays["mask"], got["mask"])
