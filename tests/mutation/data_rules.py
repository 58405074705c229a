"""Faults in numbers: flipped bits in the tables and weights of the generated C and of the numpy network."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from export.c_writer import to_c
from firmware_sim.contract import PROFILES
from firmware_sim.graph import Graph
from tests.mutation.mutant import GENERATED, GRAPH, Mutant, Spots

SEED = 20
_ARRAY = re.compile(r"(?:static )?const (u?int\d+_t|stapes_sums_t) (\w+)((?:\[\d+\])+) = \{\n(.*?)\n\};", re.DOTALL)
_NUMBER = re.compile(r"-?\d+")
_STEP = re.compile(r"void stapes_network_step\(.*?\n\}", re.DOTALL)
_SCALAR = re.compile(r"^#define (STAPES_\w+(?:_Q\d+|_UQ\d+|_HOPS|_SHIFT)) (?:UINT32_C\()?(\d+)", re.MULTILINE)
_WIDTH = {"stapes_sums_t": "uint32_t"}
BUILDS = (("int16x8", "plain"), ("int8", "plain"), ("int16x8", "paired"), ("int8", "paired"))


def faults(graphs: Mapping[str, Graph]) -> Iterator[Mutant]:
    """Every tensor and table, some elements of each; what the builds share is taken once."""
    for scheme, flavour in BUILDS:
        graph = graphs[scheme]
        texts = to_c(graph, PROFILES[graph.meta["profile"]], paired=flavour == "paired")
        folder = f"{GENERATED}/{scheme}/{flavour}"
        model = texts["stapes_model.c"].decode("ascii")
        spots = Spots("data", f"{folder}/stapes_model.c", model)
        yield from _arrays(spots, model)
        if flavour == "plain":
            yield from _scalars_of_calls(spots, model)
        if (scheme, flavour) == BUILDS[0]:
            tables = texts["stapes_tables.h"].decode("ascii")
            spots = Spots("data", f"{folder}/stapes_tables.h", tables)
            yield from _arrays(spots, tables, elements=4)
            for match in _SCALAR.finditer(tables):
                value = int(match[2])
                after = value + random.Random(f"{SEED} {match[1]}").choice((1, -1))
                yield spots.mutant(match[1], match.start(2), match[2], str(after))
    for model, graph in graphs.items():
        yield from _constants(model, graph)


def _arrays(spots: Spots, text: str, elements: int = 1) -> Iterator[Mutant]:
    """In every array of a generated file: a lowest, a middle and a highest bit."""
    for match in _ARRAY.finditer(text):
        dice = random.Random(f"{SEED} {spots.file} {match[2]}")
        numbers = list(_NUMBER.finditer(text, match.start(4), match.end(4)))
        dtype = np.dtype(_WIDTH.get(match[1], match[1]).removesuffix("_t"))
        for end in range(3 * elements):
            index = dice.randrange(len(numbers))
            number = numbers[index]
            bit = _bits(match[2], dtype, index)[end % 3]
            mutant = _flipped(int(number[0]), bit, dtype)
            yield spots.mutant(f"{match[2]}[{index}] bit {bit}", number.start(), number[0], str(mutant))


def _bits(name: str, dtype: np.dtype[Any], index: int) -> tuple[int, int, int]:
    """Numbers of a low, a middle and a high bit of an element that can change a result.

    Bit 0 of an int16x8 bias cannot (accumulators are odd), and the low bits of any bias do in one of hundreds of steps:
    the digest of the graph guards them. The words of stapes_sums_t are a row, then 64 bits of which 40 are read.
    """
    if "_b_i32" in name and dtype.kind == "u":
        return ((6, 15, 31), (14, 20, 31), (0, 3, 7))[index % 3]
    if "_b_i" in name:
        return 6, 15, 8 * dtype.itemsize - 1 if dtype.itemsize == 4 else 31
    width = 8 * dtype.itemsize
    return 0, width // 2 - 1, width - 1


def _flipped(value: int, bit: int, dtype: np.dtype[Any]) -> int:
    """A value with one bit of its two's complement changed."""
    width = 8 * dtype.itemsize
    raw = (value ^ (1 << bit)) & ((1 << width) - 1)
    return raw - (1 << width) if dtype.kind == "i" and raw >> (width - 1) else raw


def _scalars_of_calls(spots: Spots, text: str) -> Iterator[Mutant]:
    """Multipliers, shifts, offsets and sizes that the step hands to its kernels: one more, or one less."""
    step = _STEP.search(text)
    assert step is not None
    for match in re.finditer(r"(?<![\w.])-?\d+\b", text[step.start() : step.end()]):
        value = int(match[0])
        large = abs(value) >= 1 << 29
        dice = random.Random(f"{SEED} {match.start()}")
        after = value ^ (1 << dice.randrange(24, 29)) if large else value + dice.choice((1, -1))
        yield spots.mutant("multiplier" if large else "argument", step.start() + match.start(), match[0], str(after))


def _constants(model: str, graph: Graph) -> Iterator[Mutant]:
    """In every constant of the numpy network: a lowest, a middle and a highest bit that keep it a valid graph."""
    for tensor in graph.tensors.values():
        if tensor.data is None:
            continue
        dice = random.Random(f"{SEED} {model} {tensor.name}")
        rule = "bias" if tensor.data.ndim == 1 else "weight"
        for end in range(3):
            index = dice.randrange(tensor.data.size)
            bit = _bits(tensor.name, tensor.data.dtype, index)[end]
            value = int(tensor.data.flat[index])
            after = _flipped(value, bit, tensor.data.dtype)
            place = f"{tensor.name}[{index}] bit {bit}"
            file = f"{GRAPH}/{model}/{tensor.name}"
            yield Mutant("data", f"{rule} {place}", file, index, index, str(value), str(after), place)
