"""Runs mutants, each in a process of its own, side by side; what was judged once is read from a file."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from firmware_sim.contract import PROFILES
from golden_vectors.files import DIRECTORY
from tests.mutation.mutant import ROOT, Mutant, PlantError
from tests.mutation.plant import KILLED, SURVIVED, Texts, Verdict, judge, written

CPU_SECONDS = 90
"""A mutant that computes longer hangs; the slowest without a fault takes 15 s."""
WALL_SECONDS = 900
MODELS = tuple(ROOT / "firmware_sim" / name for name in ("model.npz", "model_int8.npz", "model_compact.npz"))
BROKEN = "broken"
MEMORY_BYTES = 24 << 30  # of addresses: the emulator asks for gigabytes that it does not touch
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Judged:
    """A mutant with what became of it."""

    mutant: Mutant
    verdict: Verdict
    seconds: float


def sources_digest() -> str:
    """Digest of everything that a verdict depends on: the sources, the models, the vectors, how they judge."""
    content = hashlib.sha256()
    for room in ("firmware", "firmware_sim", "golden_vectors", "export"):
        for path in sorted((ROOT / room).rglob("*")):
            if path.is_file() and path.suffix not in (".pyc", ".md", ".html"):
                content.update(str(path.relative_to(ROOT)).encode() + _digest(path).encode())
    for name in ("plant.py", "judge.py", "compiler.py", "faulty_graph.py"):
        content.update((Path(__file__).parent / name).read_bytes())
    return content.hexdigest()[:16]


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


class Ledger:
    """Verdicts in a file, one line each, appended as they fall: an interrupted run goes on where it was.

    A kill is known as long as the file with the fault and the vector that killed it are as they were: those who add
    vectors need not wait for it again. What survived is judged again after any change.
    """

    def __init__(self, path: Path, sources: str) -> None:
        self._path, self._sources = path, sources
        self._rows: dict[str, dict[str, Any]] = {}
        for line in path.read_text().splitlines() if path.is_file() else ():
            row = json.loads(line)
            self._rows[row["id"]] = row

    def known(self, mutant: Mutant) -> Judged | None:
        """What became of a mutant, if that still holds."""
        row = self._rows.get(mutant.id)
        if row is None:
            return None
        verdict = Verdict(**row["verdict"])
        return Judged(mutant, verdict, row["seconds"]) if row["on"] == self._on(mutant, verdict) else None

    def _on(self, mutant: Mutant, verdict: Verdict) -> str:
        """Digest of what a verdict rests on."""
        vector = DIRECTORY / f"{verdict.case}.json"
        if verdict.verdict != KILLED or not vector.is_file():
            return self._sources
        file = ROOT / mutant.file
        return _digest(vector, *((file,) if file.is_file() else MODELS))

    def add(self, judged: Judged) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        row = {
            "id": judged.mutant.id,
            "on": self._on(judged.mutant, judged.verdict),
            "seconds": round(judged.seconds, 2),
            "verdict": asdict(judged.verdict),
        }
        self._rows[judged.mutant.id] = row
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")


class Runner:
    """Judges mutants in processes.

    bench    the vectors with the right models, loaded once and shared by all processes
    folder   of the objects and of the planted copies
    """

    def __init__(self, bench: Any, folder: Path, jobs: int) -> None:
        self.bench, self.folder, self.jobs = bench, folder, jobs
        self.texts: Texts = {}
        for graph in bench.graphs.values():
            for paired in (False, True):
                written(graph, PROFILES[graph.meta["profile"]], paired, self.texts)
        self._killers: dict[str, Counter[str]] = {}

    def judged(self, draw: Callable[[], Mutant | None]) -> Iterator[Judged]:
        """Verdicts as they fall; `draw` gives the next mutant, None when there is none at the moment."""
        running: dict[Any, tuple[Mutant, BaseProcess, Connection, Path, float]] = {}
        try:
            while True:
                while len(running) < self.jobs and (mutant := draw()) is not None:
                    started = self._start(mutant)
                    running[started[1].sentinel] = started
                if not running:
                    return
                for sentinel in wait(list(running), timeout=1.0) or self._overdue(running):
                    yield self._ended(*running.pop(sentinel))
        finally:
            for _, process, _, work, _ in running.values():
                _kill(process)
                process.join()
                shutil.rmtree(work, ignore_errors=True)

    def _start(self, mutant: Mutant) -> tuple[Mutant, BaseProcess, Connection, Path, float]:
        self.folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="planted-", dir=self.folder))
        receiver, sender = _FORK.Pipe(duplex=False)
        counts = self._killers.get(mutant.file, Counter())
        likely = [case for case, _ in counts.most_common(4)]
        rooms = self.folder / "objects", work
        process = _FORK.Process(target=_child, args=(mutant, self.bench, self.texts, *rooms, likely, sender))
        process.start()
        sender.close()
        return mutant, process, receiver, work, time.monotonic()

    def _overdue(self, running: dict[Any, tuple[Mutant, BaseProcess, Connection, Path, float]]) -> list[Any]:
        late = [key for key, (*_, start) in running.items() if time.monotonic() - start > WALL_SECONDS]
        for key in late:
            _kill(running[key][1])
        return late

    def _ended(self, mutant: Mutant, process: BaseProcess, receiver: Connection, work: Path, start: float) -> Judged:
        try:
            verdict = receiver.recv() if receiver.poll() else None
        except EOFError:
            verdict = None
        process.join()
        receiver.close()
        shutil.rmtree(work, ignore_errors=True)
        if verdict is None:
            verdict = Verdict(KILLED, "process", _death(process.exitcode or 0))
        if verdict.verdict == BROKEN:
            raise PlantError(verdict.why)
        if verdict.verdict == KILLED:
            self._killers.setdefault(mutant.file, Counter())[verdict.case] += 1
        return Judged(mutant, verdict, time.monotonic() - start)


def _kill(process: BaseProcess) -> None:
    """End a mutant and what it started."""
    assert process.pid
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


def _death(exitcode: int) -> str:
    if exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"hangs: more than {CPU_SECONDS} s of computing"
    return f"crashes: {signal.Signals(-exitcode).name}" if exitcode < 0 else f"ends with status {exitcode}"


def _child(
    mutant: Mutant, bench: Any, texts: Texts, cache: Path, work: Path, likely: Sequence[str], sender: Connection
) -> None:
    os.setsid()  # with its compilers it is one group, which the runner can end
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    try:
        sender.send(judge(mutant, bench, texts, cache, work, likely))
    except Exception as error:  # not the mutant's: the runner stops at it
        sender.send(Verdict(BROKEN, why=f"{mutant.id}: {type(error).__name__}: {error}"))
    sender.close()
    os._exit(0)


__all__ = ["KILLED", "SURVIVED", "Judged", "Ledger", "Runner", "sources_digest"]
