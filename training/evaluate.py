"""The bench: every system on the same mixtures of the test split, scored in parallel, resumable.

Every system gets the same int16 samples; its delay is taken out before scoring, and the lead-in of noise alone is left
out. Mixtures of a pair differ in SNR alone, so that a system takes them as parallel streams. The work on a pair is a
pure function of its recipes, the system and the metrics: any engine may run it anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby

import numpy as np

from firmware_sim.contract import ContractError
from firmware_sim.graph import GraphError
from firmware_sim.reading import one_line
from training import metrics
from training.audio import AudioCache
from training.datasets import CorpusError, Recording
from training.engines import Engine
from training.files import RunError
from training.frontend import to_int16_grid
from training.hearing import AUDIOGRAMS, haspi_hasqi
from training.mixing import MixRecipe, evaluation_recipes, render
from training.progress import Report
from training.score_cache import ScoreCache, Values
from training.scores import HEARING_SNR_DB, Score
from training.zoo import Spec, System, make
from training.zoo.base import fingerprint

HEARING = {f"hearing_{name}": name for name in AUDIOGRAMS}
"""Metric set -> audiogram."""
FIRST_HEARING = "hearing_n3"
_PACKAGES = {"basic": ("pesq", "pystoi"), "dnsmos": ("speechmos",), **dict.fromkeys(HEARING, ("pyclarity",))}
_LINES = 20
"""Lines of progress of a run where there is no terminal."""


@dataclass(frozen=True)
class Settings:
    """What is scored beside PESQ-WB, STOI, ESTOI and SI-SDR.

    pairs          speech/noise pairs, each at every SNR
    dnsmos         DNSMOS too
    hearing_pairs  pairs at which HASPI and HASQI are taken, N3 at +5 dB
    hearing_full   systems that are heard with every audiogram at every SNR, on those pairs
    """

    pairs: int = 24
    dnsmos: bool = True
    hearing_pairs: int = 0
    hearing_full: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Mixture:
    """A recipe, what it is called in tables, and the digest of its samples."""

    recipe: MixRecipe
    pair: int
    noise_kind: str
    talker: str
    digest: str


@dataclass(frozen=True)
class Facts:
    """What a system says about itself; see `zoo.base.System`."""

    spec: Spec
    fingerprint: str
    latency_ms: float
    params: int | None
    mmac_per_s: float | None
    instructions_per_hop: int | None


@dataclass(frozen=True)
class Task:
    """Mixtures of one length through one system; `sets` says for each which metric sets are wanted."""

    facts: Facts
    mixtures: tuple[Mixture, ...]
    sets: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Entry:
    """One metric set of one mixture through one system."""

    facts: Facts
    mixture: str
    metrics: str
    values: Values


# ---------------------------------------------------------------- pure functions, run anywhere


@cache
def _system(spec: Spec) -> System:
    return make(spec)


@cache
def _audio() -> AudioCache:
    return AudioCache()


def describe(spec: Spec) -> Facts:
    """Load a system and take its fingerprint; raises as `zoo.make`, RunError where its package fails."""
    system = _system(spec)
    try:
        mark = fingerprint(system)
    except Exception as error:
        raise _failure(spec.name, "its probe", error) from None
    counts = (system.params, system.mmac_per_s, system.instructions_per_hop)
    return Facts(spec, mark, system.latency_ms, *counts)


def work(task: Task) -> list[Entry]:
    """Enhance and score: a pure function of the task and the files that it names; raises RunError, CorpusError."""
    rendered = [render(mixture.recipe, _audio()) for mixture in task.mixtures]
    clean, noisy = (np.stack([pair[side] for pair in rendered]) for side in (0, 1))
    name = task.facts.spec.name
    try:
        enhanced = _system(task.facts.spec)(to_int16_grid(noisy), clean)
    except Exception as error:
        raise _failure(name, task.mixtures[0].recipe.name, error) from None
    entries = []
    for mixture, sets, reference, output in zip(task.mixtures, task.sets, clean, enhanced, strict=True):
        lead_in = mixture.recipe.lead_in
        for metric_set in sets:
            values = score(metric_set, reference[lead_in:], output[lead_in:])
            entries.append(Entry(task.facts, mixture.digest, metric_set, values))
    return entries


def _failure(system: str, where: str, error: Exception) -> Exception:
    """What a foreign package raises may be anything, and is told in one line; our own errors are lines already."""
    if isinstance(error, (RunError, CorpusError, GraphError, ContractError)):
        return error
    return RunError(f"{system} failed on {where}: {type(error).__name__}: {one_line(error)}")


def score(metric_set: str, clean: metrics.Audio, processed: metrics.Audio) -> Values:
    """One metric set: `basic`, `dnsmos` or one of HEARING, of aligned signals without their lead-in."""
    if metric_set == "dnsmos":
        return metrics.dnsmos(processed)
    if metric_set in HEARING:
        ear = HEARING[metric_set]
        return dict(zip((f"haspi_{ear}", f"hasqi_{ear}"), haspi_hasqi(clean, processed, ear), strict=True))
    return {
        "pesq_wb": metrics.pesq_wb(clean, processed),
        "stoi": metrics.stoi(clean, processed),
        "estoi": metrics.stoi(clean, processed, extended=True),
        "si_sdr_db": metrics.si_sdr_db(clean, processed),
    }


# ---------------------------------------------------------------- the run


def mixtures_of(recordings: Sequence[Recording], pairs: int) -> list[Mixture]:
    """The fixed evaluation set, rendered once for its digests; raises CorpusError."""
    rows = {str(row.path): row for row in recordings}
    mixtures = []
    groups = groupby(evaluation_recipes(recordings, pairs), key=lambda recipe: (recipe.speech, recipe.noise))
    for pair, (_, recipes) in enumerate(groups):
        for recipe in recipes:
            kind, talker = rows[recipe.noise[0].path].noise_kind, rows[recipe.speech[0].path].speaker
            mixtures.append(Mixture(recipe, pair, kind, talker, _digest(recipe)))
    return mixtures


def _digest(recipe: MixRecipe) -> str:
    """16 hex digits of the samples and of where metrics begin: equal audio in another folder gives the same."""
    clean, noisy = render(recipe, _audio())
    facts = f"{recipe.lead_in} {recipe.length}\n".encode()
    return hashlib.sha256(facts + clean.tobytes() + noisy.tobytes()).hexdigest()[:16]


def wanted(mixture: Mixture, system: str, settings: Settings) -> list[str]:
    """Metric sets of one mixture through one system."""
    sets = ["basic", *(["dnsmos"] if settings.dnsmos else [])]
    if mixture.pair < settings.hearing_pairs:
        if system in settings.hearing_full:
            sets += HEARING
        elif mixture.recipe.snr_db == HEARING_SNR_DB:
            sets.append(FIRST_HEARING)
    return sets


def tasks_of(
    systems: Sequence[Facts], mixtures: Sequence[Mixture], settings: Settings, cache_: ScoreCache
) -> list[Task]:
    """What the cache does not hold, in the order in which it is worth knowing.

    The quick metrics come first, then N3 at +5 dB, then the other audiograms and SNRs; in each all systems of a pair
    before the next pair, so that a run that was stopped has compared all systems on fewer pairs.
    """
    quick: list[Task] = []
    first: list[Task] = []
    rest: list[Task] = []
    for _, group in groupby(mixtures, key=lambda mixture: mixture.pair):
        pair = tuple(group)
        for facts in systems:
            missing = [_missing(facts, mixture, settings, cache_) for mixture in pair]
            fast = [tuple(name for name in sets if name not in HEARING) for sets in missing]
            some = [(mixture, sets) for mixture, sets in zip(pair, fast, strict=True) if sets]
            if some:
                quick.append(Task(facts, *map(tuple, zip(*some, strict=True))))
            for mixture, sets in zip(pair, missing, strict=True):
                for name in (name for name in sets if name in HEARING):
                    urgent = name == FIRST_HEARING and mixture.recipe.snr_db == HEARING_SNR_DB
                    (first if urgent else rest).append(Task(facts, (mixture,), ((name,),)))
    return [*quick, *first, *rest]


def _missing(facts: Facts, mixture: Mixture, settings: Settings, cache_: ScoreCache) -> list[str]:
    key = (facts.spec.name, facts.fingerprint, mixture.digest)
    sets = wanted(mixture, facts.spec.name, settings)
    return [name for name in sets if cache_.get(*key, versioned(name)) is None]


def versioned(metric_set: str) -> str:
    """The set and the versions of its packages: another version is another metric."""
    return " ".join((metric_set, *(f"{package}=={_version(package)}" for package in _PACKAGES[metric_set])))


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def evaluate(
    recordings: Sequence[Recording],
    specs: Sequence[Spec],
    settings: Settings,
    cache_: ScoreCache,
    engine: Engine,
    report: Report | None = None,
) -> tuple[list[Facts], list[Score], list[Mixture]]:
    """Score every system on every mixture; what the cache holds is not computed again.

    returns  facts in the order of `specs`; scores by system and mixture; the mixtures
    raises   CorpusError, HandoffError, GraphError, ContractError: what cannot be read; RunError: a system failed
    """
    mixtures = mixtures_of(recordings, settings.pairs)
    described = {facts.spec: facts for facts in engine.map(describe, specs)}
    systems = [described[spec] for spec in specs]
    tasks = tasks_of(systems, mixtures, settings, cache_)
    for done, entries in enumerate(engine.map(work, tasks), start=1):
        for entry in entries:
            facts = entry.facts
            cache_.put(facts.spec.name, facts.fingerprint, entry.mixture, versioned(entry.metrics), entry.values)
        if report:
            _tell(report, done, len(tasks))
    return systems, list(_scores(systems, mixtures, settings, cache_)), mixtures


def _tell(report: Report, done: int, tasks: int) -> None:
    """The bar moves with every task; where there is no bar, some lines are enough."""
    if report.console.is_terminal or done * _LINES // tasks != (done - 1) * _LINES // tasks:
        report.row({"tasks": done, "of": tasks}, done / tasks)


def _scores(
    systems: Sequence[Facts], mixtures: Sequence[Mixture], settings: Settings, cache_: ScoreCache
) -> Iterator[Score]:
    for facts in systems:
        name = facts.spec.name
        for mixture in mixtures:
            values: Values = {}
            for metric_set in wanted(mixture, name, settings):
                values |= cache_.get(name, facts.fingerprint, mixture.digest, versioned(metric_set)) or {}
            recipe = mixture.recipe
            yield Score(name, recipe.name, mixture.pair, recipe.snr_db, mixture.noise_kind, mixture.talker, values)


def facts_row(facts: Facts) -> dict[str, object]:
    """The facts for the result file."""
    row = asdict(facts)
    spec = row.pop("spec")
    return {"system": spec["name"], "file": str(spec["path"]) if spec["path"] else None, **row}
