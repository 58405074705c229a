"""Which mutants are planted: groups with a quota each, drawn by a seed; faults of meaning are written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from export.c_writer import to_c
from firmware_sim.contract import PROFILES
from firmware_sim.graph import Graph
from tests.mutation import c_rules, data_rules, python_rules
from tests.mutation.mutant import GENERATED, ROOT, Mutant, PlantError, Spots, shuffled

SEED = 4
HERE = Path(__file__).resolve().parent
BY_HAND = HERE / "by_hand.json"
EQUIVALENT = HERE / "equivalent.json"

C_QUOTAS = {
    "fixed.h": 44, "fft.c": 30, "wiener.c": 36, "features.c": 16, "stft.c": 20, "frame_loop.c": 18, "nn.c": 10,
    "nn.h": 16, "nn_dense.c": 18, "nn_elementwise.h": 40, "nn_paired.c": 20, "ping_pong.c": 20,
    "cmsis_stubs/cmsis_compiler.h": 14,
}  # fmt: skip
PYTHON_QUOTAS = {
    "fixed": 26, "fft": 22, "stft": 8, "wiener": 18, "features": 12, "network": 8, "activations": 26, "frame_loop": 14,
    "ping_pong": 8, "tables": 16, "ops/add": 9, "ops/base": 6, "ops/mul": 5, "ops/fully_connected": 12,
    "ops/logistic": 6, "ops/quantize": 5, "ops/split": 3,
}  # fmt: skip
_ARITHMETIC_OF_OPS = (
    "prepare", "run", "_shifts", "_accumulate", "to_c", "_paired_to_c", "_scale_to_c", "_table_step", "paired_rows",
    "paired_sums", "__call__", "__init__",
)  # fmt: skip
"""Functions of the op pages that decide bits here; the others check ranges or write other formats."""
_NO_BITS = frozenset(
    ["interpolation_reach", "plausible", "Stream.__init__", "Stream.push", "Stream.reset", "FrameLoop.__init__",
     "FrameLoop.process", "FrameLoop.hops_of", "FrameLoop.state", "FrameLoop.load_state", "Hop.digests", "tap_bytes",
     "PingPong.play", "next_behind", "Network.__init__"]
)  # fmt: skip
"""Functions that check, or serve other doors than verify."""


@dataclass
class Group:
    """Mutants of one origin, in the order of the draw, of which `quota` shall be judged."""

    name: str
    mutants: list[Mutant]
    quota: int
    drawn: int = field(default=0, init=False)


def groups(graphs: Mapping[str, Graph]) -> list[Group]:
    """Everything that can be planted."""
    found = [Group("by hand", hand := list(by_hand(graphs)), len(hand))]
    for name, quota in C_QUOTAS.items():
        file = f"firmware/{name}"
        found.append(_group(name, c_rules.faults(file, (ROOT / file).read_text()), quota))
    for name, quota in PYTHON_QUOTAS.items():
        file = f"firmware_sim/{name}.py"
        wanted = _of_an_op if name.startswith("ops/") else _decides_bits
        found.append(_group(file, python_rules.faults(file, (ROOT / file).read_text(), wanted), quota))
    found += _data(graphs)
    return found


def _group(name: str, mutants: list[Mutant], quota: int) -> Group:
    return Group(name, shuffled(mutants, SEED), quota)


def _of_an_op(name: str) -> bool:
    return name.split(".")[-1] in _ARITHMETIC_OF_OPS


def _decides_bits(name: str) -> bool:
    return name not in _NO_BITS


def _data(graphs: Mapping[str, Graph]) -> Iterator[Group]:
    """One bit of every tensor and table, and some of the numbers between them."""
    arrays: dict[str, list[Mutant]] = {}
    for mutant in data_rules.faults(graphs):
        name = mutant.rule.removeprefix("weight ").removeprefix("bias ").split("[")[0]
        key = name if name in ("argument", "multiplier") or name.isupper() else f"{mutant.file} {name}"
        arrays.setdefault("scalar" if name.isupper() else key, []).append(mutant)
    quotas = {"argument": 30, "multiplier": 10, "scalar": 12}
    for key, mutants in arrays.items():
        large = mutants[0].file.endswith("stapes_tables.h")
        yield _group(f"data {key}", mutants, quotas.get(key, 3 if large else 1))


def by_hand(graphs: Mapping[str, Graph]) -> Iterator[Mutant]:
    """Faults of meaning: each row names a file, what is wrong, and the text before and after.

    raises  PlantError when a text is not found exactly once: the row is out of date
    """
    texts: dict[str, str] = {}
    for row in json.loads(BY_HAND.read_text()):
        file, before = row["file"], row["before"]
        if file not in texts:
            texts[file] = _text(file, graphs)
        if texts[file].count(before) != 1:
            raise PlantError(
                f"{BY_HAND.name}: {file}: {row['what']}: its text stands there {texts[file].count(before)} times"
            )
        kind = "m7" if "port/m7" in file else "by hand"
        yield Spots(kind, file, texts[file]).mutant(row["what"], texts[file].index(before), before, row["after"])


def _text(file: str, graphs: Mapping[str, Graph]) -> str:
    if not file.startswith(GENERATED):
        return (ROOT / file).read_text()
    _, scheme, flavour, name = file.split("/")
    graph = graphs[scheme]
    return to_c(graph, PROFILES[graph.meta["profile"]], paired=flavour == "paired")[name].decode("ascii")


def equivalents() -> dict[str, str]:
    """Id of a mutant that no input can tell from the original -> the reason."""
    return {row["id"]: row["why"] for row in json.loads(EQUIVALENT.read_text())} if EQUIVALENT.is_file() else {}


def controls() -> list[Mutant]:
    """Mutants that change nothing, one for each way to judge: what is red here is no fault."""
    files = ("nn.c", "nn_dense.c", "nn_paired.c")
    found = [Mutant("control", "compare", f"firmware/{name}", 1, 0, "", "", "") for name in files]
    found.append(Mutant("m7", "nothing", "firmware/port/m7/four_rows.h", 1, 0, "", "", ""))
    return [*found, Mutant("control", "nothing", "firmware_sim/fixed.py", 1, 0, "", "", "")]


class Draw:
    """Gives mutants group by group in turn; a stillborn one is replaced by the next of its group.

    quotas of the groups are multiplied by `share`, but each group keeps one
    """

    def __init__(self, found: list[Group], share: float = 1.0) -> None:
        self._groups = found
        self._left = {group.name: max(1, round(group.quota * share)) for group in found}
        self._of = {mutant.id: group.name for group in found for mutant in group.mutants}

    def __call__(self) -> Mutant | None:
        for group in sorted(self._groups, key=lambda group: group.drawn / max(group.quota, 1)):
            if self._left[group.name] and group.drawn < len(group.mutants):
                self._left[group.name] -= 1
                group.drawn += 1
                return group.mutants[group.drawn - 1]
        return None

    def replace(self, mutant: Mutant) -> None:
        """One more of this mutant's group."""
        self._left[self._of[mutant.id]] += 1

    @property
    def remaining(self) -> int:
        return sum(min(self._left[group.name], len(group.mutants) - group.drawn) for group in self._groups)
