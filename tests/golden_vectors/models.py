"""Small models in place of the shipped ones: the product's shape with a hidden size of 12, made in a second."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from export.quantize import quantize
from firmware_sim.blocks import RECIPES
from firmware_sim.contract import DEFAULT_PROFILE, PROFILES
from firmware_sim.graph import Graph
from golden_vectors.kinds.base import MODELS
from tests.synthetic_student import synthetic_student

HIDDEN = 12
PROFILE = PROFILES[DEFAULT_PROFILE]


@cache
def small_graph(scheme: str, seed: int = 0) -> Graph:
    """A quantized random student."""
    return quantize(synthetic_student(seed, HIDDEN, frames=120, profile=PROFILE), RECIPES[scheme])


def small_graphs() -> dict[str, Graph]:
    """Name of a shipped model -> graph."""
    return {name: small_graph(scheme, seed=len(name) - len(scheme)) for name, scheme in MODELS.items()}


def save_models(folder: Path) -> list[str]:
    """The models as files; the options that name them on the command line."""
    options = []
    names = {"int16x8": "--model", "int8": "--model-int8", "compact": "--model-compact"}
    for name, graph in small_graphs().items():
        path = folder / f"{name}.npz"
        graph.save(path)
        options += [names[name], str(path)]
    return options
