"""Real features through the network in closed loop, long enough for a fault to grow: input a recipe, one digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy.typing as npt

from firmware_sim.contract import Profile
from firmware_sim.fixed import Ints
from firmware_sim.network import encode_features
from golden_vectors import json_words as words
from golden_vectors.compare import Difference, network_difference, share_differing
from golden_vectors.executors import SLOW
from golden_vectors.executors.base import Executor
from golden_vectors.executors.network import digest
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
from golden_vectors.kinds.drift import check_recipe
from golden_vectors.kinds.network import NETWORK_DTYPES
from golden_vectors.signals import PROFILE, RECIPES, check_made, made
from golden_vectors.vector import Vector, sha256


@dataclass(frozen=True)
class ClosedLoopCase:
    """Normalised features of a recipe through the network alone, from home."""

    kind: ClassVar[str] = "closed_loop"

    tc_id: int
    id: str
    group: str
    flags: tuple[str, ...]
    steps: int
    recipe: str
    scheme: str
    model: str = ""
    """Name of MODELS; "": that of the scheme."""


def loop_codes(recipe: str, steps: int, scheme: str) -> Ints:
    """(steps, bins) int64 codes of the network's input."""
    return encode_features(made(recipe, steps), scheme)


def _stored(codes: Ints, scheme: str) -> npt.NDArray[Any]:
    return codes.astype(NETWORK_DTYPES[scheme])


class ClosedLoopKind:
    """No arrays; `run_sha256` is the digest of mask and states after every step (`executors.network.digest`)."""

    name = "closed_loop"

    def facts(self, case: ClosedLoopCase) -> Header:
        codes = loop_codes(case.recipe, case.steps, case.scheme)
        return {
            "profile": profile_facts(PROFILE),
            "model": case.model or case.scheme,
            "steps": case.steps,
            "recipe": case.recipe,
            "input_sha256": sha256(_stored(codes, case.scheme).tobytes()),
        }

    def keys(self, header: Header) -> set[str]:
        return set(self.properties())

    def properties(self) -> dict[str, Word]:
        return {
            "profile": words.dataclass_of(Profile),
            "model": words.one_of(*MODELS),
            "steps": words.whole(1),
            "recipe": words.one_of(*RECIPES),
            "input_sha256": words.SHA256,
            "run_sha256": words.SHA256,
            "graph_sha256": words.SHA256,
        }

    def described(self) -> Word:
        return words.object_of(self.properties())

    def check(self, header: Header) -> None:
        check_model(header)
        check_profile(header)
        check_recipe(header)
        require(whole(header["steps"], 1), header, "steps", "a whole number above 0")
        run = header["run_sha256"]
        require(isinstance(run, str) and len(run) == 64, header, "run_sha256", "64 hex digits")

    def arrays(self, header: Header) -> Wanted:
        return {}

    def build(self, case: ClosedLoopCase, graphs: Graphs) -> Built:
        graph = graphs[case.model or case.scheme]
        run = NumpyReference().run_network(graph, loop_codes(case.recipe, case.steps, case.scheme))
        return {"graph_sha256": graph.digest, "run_sha256": digest(run)}, {}, ()

    def runs_on(self, engine: Executor, header: Header) -> bool:
        return engine.name not in SLOW

    def compare(self, engine: Executor, vector: Vector, bench: Witness) -> tuple[Difference | None, float]:
        header = vector.header
        codes = loop_codes(header["recipe"], header["steps"], vector.scheme)
        check_made(header, _stored(codes, vector.scheme))
        got = engine.run_network(bench.graphs[vector.model], codes)
        if digest(got) == header["run_sha256"]:
            return None, 0.0
        reference = bench.closed_loop[vector.model]
        if digest(reference) == header["run_sha256"]:
            return network_difference(vector.id, reference, got), share_differing(reference["mask"], got["mask"])
        wanted, found = header["run_sha256"], digest(got)
        return Difference(vector.id, None, "network", "digest", (), wanted, found), 1.0
