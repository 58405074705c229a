"""Runs in a process of its own: plants one mutant, lets the vectors judge it, says what became of it."""

from __future__ import annotations

import hashlib
import resource
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tests.mutation.compiler import CompileError, ObjectCache
from tests.mutation.mutant import GENERATED, GRAPH, ROOT, Mutant

KILLED, SURVIVED, STILLBORN, SAME_CODE = "killed", "survived", "stillborn", "same code"
PLAIN, DSP, PAIRED = "plain", "dsp", "paired"
"""Builds of the C: portable; with the core's intrinsics; with paired weights as well, as for the M7."""
_MODULES = ("firmware_sim", "export", "golden_vectors", "tests.mutation.judge")
_FLAVOURS = {
    "nn_paired": (PAIRED,), "nn_dense": (PLAIN, DSP), "nn_elementwise": (PAIRED, PLAIN), "nn": (PAIRED, PLAIN),
    "cmsis_compiler": (PAIRED, DSP),
}  # fmt: skip
"""Builds in which the code of a file has a part; the others are plain."""
TABLES = "stapes_tables.h"
_MAY_OVERRUN = ("compare", "index", "argument")
_ALSO_IN_C = ("firmware_sim/tables.py", "firmware_sim/ops/")
"""Files that decide what the exporter writes for C: there the C is judged as well."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: killed, survived, stillborn (no program) or the same machine code as without it."""

    verdict: str
    case: str = ""
    why: str = ""


Texts: TypeAlias = dict[tuple[str, str, bool], dict[str, bytes]]
"""Digest of a graph, profile, pairing -> the generated files by name."""


def written(graph: Any, profile: Any, paired: bool, texts: Texts) -> dict[str, bytes]:
    """The generated files, from `texts` or into it."""
    from export.c_writer import to_c

    key = (graph.digest if graph is not None else "", profile.name, paired)
    if key not in texts:
        texts[key] = to_c(graph, profile, paired=paired)
    return texts[key]


class CFlavour:
    """Lets golden_vectors build the firmware from a planted tree, object by object, in one flavour.

    texts      generated files that are known: those of graph, profile and pairing
    generated  a mutant of a generated file: it is in every build whose file has its line
    """

    def __init__(
        self,
        objects: ObjectCache,
        work: Path,
        flavour: str,
        texts: Texts,
        generated: Mutant | None = None,
        of: str = "",
    ) -> None:
        from golden_vectors import cc

        self._objects, self._work, self._texts, self._generated = objects, work, dict(texts), generated
        self._flavour, self._defines = flavour, () if flavour == PLAIN else ("-DSTAPES_DSP",)
        self._compile = cc._compile

    def install(self) -> None:
        """From now on in this process."""
        from golden_vectors import cc
        from golden_vectors.m7 import build as m7

        cc._compile = self.compile  # type: ignore[assignment]
        cc.to_c = m7.to_c = self.to_c  # type: ignore[attr-defined]
        cc._digest = self.folder  # type: ignore[assignment]

    def folder(self, command: Sequence[str], generated: Mapping[str, bytes], *rest: Any) -> str:
        """Where a product goes: an absolute path, which wins over the folder of good builds."""
        content = hashlib.sha256(" ".join(command).encode())
        for data in generated.values():
            content.update(hashlib.sha256(data).digest())
        return str(self._work / f"{self._flavour}-{content.hexdigest()[:16]}")

    def to_c(self, graph: Any, profile: Any, paired: bool = False) -> dict[str, bytes]:
        """The generated files, written once, with the mutant if it is one of theirs."""
        paired = paired or self._flavour == PAIRED
        texts = dict(written(graph, profile, paired, self._texts))
        if self._generated is not None:
            name = Path(self._generated.file).name
            fault = self._generated.found_in(texts[name].decode("ascii"))
            if fault is not None:
                texts[name] = fault.applied(texts[name].decode("ascii")).encode("ascii")
                self._objects.changed = True
        return texts

    def compile(self, command: Sequence[str], directory: Path) -> None:
        if "-shared" in command:
            self._objects.library(command, self._defines)
            return
        original = str(self._objects.original)
        planted = str(self._objects.planted or original)
        self._compile([word.replace(original, planted) for word in command], directory)


def judge_c(mutant: Mutant, bench: Any, texts: Texts, cache: Path, work: Path, likely: Sequence[str]) -> Verdict:
    """A fault of the firmware's sources, or of what the exporter writes for it."""
    from golden_vectors.executors.c_host import CHost
    from golden_vectors.executors.c_m7 import CM7

    firmware, planted = ROOT / "firmware", None
    if not mutant.file.startswith(GENERATED):
        planted = work / "firmware"
        shutil.copytree(firmware, planted)
        target = planted / Path(mutant.file).relative_to("firmware")
        target.write_text(mutant.applied(target.read_text()))
    objects = ObjectCache(cache, firmware, planted)
    for flavour in flavours_of(mutant):
        CFlavour(objects, work, flavour, texts, None if planted else mutant).install()
        on_m7 = mutant.kind == "m7"
        found = bench.judge(CM7("gcc"), likely, ("graph", "network")) if on_m7 else bench.judge(CHost(), likely)
        if found is not None:
            if "CompileError" in found.first or "does not compile" in found.first:
                return Verdict(STILLBORN, why=found.first)
            return Verdict(KILLED, found.case, found.first)
    if not objects.changed and mutant.kind not in ("m7", "control"):
        return Verdict(SAME_CODE)
    found = _sanitized(bench, likely, flavours_of(mutant)) if mutant.rule in _MAY_OVERRUN else None
    return Verdict(SURVIVED) if found is None else Verdict(KILLED, found.case, found.first)


def _sanitized(bench: Any, likely: Sequence[str], flavours: Sequence[str]) -> Any:
    """What the engine of verify says that ends at any bad address: an array that is overrun may leave no trace else."""
    from golden_vectors.executors.c_sanitized import CSanitized

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))  # its shadow of all memory has terabytes of addresses
    engine = CSanitized(PAIRED in flavours)
    if engine.available() is not None:
        return None
    found = bench.judge(engine, likely)
    return None if found is not None and "does not compile" in found.first else found  # a warning is no difference


def flavours_of(mutant: Mutant) -> tuple[str, ...]:
    """The builds that judge a mutant of C."""
    if mutant.file.startswith(GENERATED):
        return (mutant.file.split("/")[2],)
    return _FLAVOURS.get(Path(mutant.file).stem, (PLAIN,))


def judge_python(mutant: Mutant, cache: Path, work: Path, likely: Sequence[str]) -> Verdict:
    """A fault of the reference: the modules are imported again, from a copy that holds it."""
    room = Path(mutant.file).parts[0]
    shutil.copytree(ROOT / room, work / room)
    target = work / mutant.file
    target.write_text(mutant.applied(target.read_text()))
    for name in [name for name in sys.modules if name.startswith(_MODULES)]:
        del sys.modules[name]
    sys.path.insert(0, str(work))
    try:
        from golden_vectors.__main__ import BLESSED
        from golden_vectors.executors.c_host import CHost
        from golden_vectors.executors.numpy_reference import NumpyReference
        from golden_vectors.generate import load_graphs
        from tests.mutation.judge import load
    except Exception as error:
        return Verdict(STILLBORN, why=f"{type(error).__name__}: {error}")
    try:
        bench = load(load_graphs(BLESSED), steps=20)
    except Exception as error:
        return Verdict(KILLED, "load", f"{type(error).__name__}: {error}")
    found = bench.judge(NumpyReference(), likely)
    if found is None and mutant.file.startswith(_ALSO_IN_C):
        for flavour in (PLAIN, PAIRED):
            CFlavour(ObjectCache(cache, ROOT / "firmware"), work, flavour, {}).install()
            found = found or bench.judge(CHost(), likely)
    return Verdict(SURVIVED) if found is None else Verdict(KILLED, found.case, found.first)


def judge_graph(mutant: Mutant, bench: Any, likely: Sequence[str]) -> Verdict:
    """A flipped bit in a constant of the numpy reference's network."""
    from tests.mutation.faulty_graph import FaultyGraph

    engine = FaultyGraph(bench.graphs[mutant.file.split("/")[1]], mutant)
    found = bench.judge(engine, likely)
    return Verdict(SURVIVED) if found is None else Verdict(KILLED, found.case, found.first)


def judge(mutant: Mutant, bench: Any, texts: Texts, cache: Path, work: Path, likely: Sequence[str]) -> Verdict:
    """The verdict on any mutant; it leaves this process changed, so that it is the last thing to do in it."""
    if mutant.file.startswith(GRAPH):
        return judge_graph(mutant, bench, likely)
    if mutant.file.endswith(".py"):
        return judge_python(mutant, cache, work, likely)
    try:
        return judge_c(mutant, bench, texts, cache, work, likely)
    except CompileError as error:
        return Verdict(STILLBORN, why=str(error))
