"""Small models of both schemes: the product's shape with a hidden size of 12, made in a second."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from export.quantize import quantize
from firmware_sim.blocks import RECIPES
from firmware_sim.graph import Graph
from tests.synthetic_student import synthetic_student

HIDDEN = 12


@cache
def small_graph(scheme: str, seed: int = 0) -> Graph:
    """A quantized random student."""
    return quantize(synthetic_student(seed, HIDDEN, frames=120), RECIPES[scheme])


def small_graphs() -> dict[str, Graph]:
    """Scheme -> graph."""
    return {scheme: small_graph(scheme) for scheme in RECIPES}


def save_models(folder: Path) -> list[str]:
    """Both models as files; the options that name them on the command line."""
    options = []
    for option, scheme in (("--model", "int16x8"), ("--model-int8", "int8")):
        path = folder / f"{scheme}.npz"
        small_graph(scheme).save(path)
        options += [option, str(path)]
    return options
