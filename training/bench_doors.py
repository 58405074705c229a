"""The doors `python -m training evaluate` and `compare`: flags here, work elsewhere, so that --help stays quick."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from training.datasets import add_dataset_arguments, recordings_from_arguments
from training.files import RunError, named_path, refuse_inputs

if TYPE_CHECKING:
    from training.evaluate import Settings

EVALUATION = Path("build/evaluation.json")
CACHE = Path("build/evaluation_cache")


def whole_number(text: str) -> int:
    """Whole number from 0 up."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def at_least_one(text: str) -> int:
    """Whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags that say where work runs."""
    add = parser.add_argument
    add("--jobs", type=at_least_one, default=2, help="processes (%(default)s)")
    add("--engine", default="local", help="local, dask, or dask://HOST:PORT of a running scheduler (%(default)s)")


def evaluate_door(parser: argparse.ArgumentParser) -> None:
    """Flags of `evaluate`."""
    add = parser.add_argument
    add_dataset_arguments(parser)
    add(
        "--systems",
        nargs="+",
        metavar="NAME",
        help="some of them: noisy, base, gtcrn, ... (all; but noisy and Wiener alone beside --model or --student)",
    )
    add("--student", type=named_path, help="score this float student, as `student`")
    add("--model", type=named_path, help="score this integer model, as `device`")
    add("--pairs", type=at_least_one, default=24, help="speech/noise pairs, each at five SNRs (%(default)s)")
    add("--dnsmos", action=argparse.BooleanOptionalAction, default=True, help="DNSMOS too, half a second a file")
    add("--hearing", choices=("n3", "full", "off"), default="n3", help="HASPI and HASQI: N3 at +5 dB, or everything")
    add("--hearing-pairs", type=whole_number, default=6, help="pairs for HASPI and HASQI, 15 s a file (%(default)s)")
    add("--hearing-systems", nargs="+", default=(), metavar="NAME", help="full hearing for these alone")
    add_engine_arguments(parser)
    add("--cache", type=named_path, default=CACHE, help="scores that are known already (%(default)s)")
    add("-o", "--output", type=named_path, default=EVALUATION, help="(%(default)s)")
    parser.set_defaults(run=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> int:
    from training.engines import open_engine
    from training.evaluate import evaluate
    from training.evaluation_files import Run, print_table, result_of, write_evaluation
    from training.handoff import digest_of
    from training.progress import Report
    from training.score_cache import ScoreCache
    from training.zoo import choose

    refuse_inputs(arguments.output, arguments.model, arguments.student)
    recordings = recordings_from_arguments(arguments)
    specs, absent = choose(arguments.systems, arguments.model, arguments.student)
    settings, notes = settings_of(arguments, [spec.name for spec in specs])
    for line in (*absent, *notes):
        print(f"stapes: evaluate: {line}", file=sys.stderr)
    if not specs:
        raise RunError("no system is left to score")
    with open_engine(arguments.engine, arguments.jobs) as engine, Report() as report:
        found = evaluate(recordings, specs, settings, ScoreCache(arguments.cache), engine, report)
    systems, scores, mixtures = found
    run = Run(shlex.join(["python", "-m", "training", *arguments.words]), digest_of(recordings))
    result = result_of(run, systems, scores)
    write_evaluation(arguments.output, result, scores, mixtures)
    print_table(result)
    print(f"wrote {arguments.output}")
    return 0


def settings_of(arguments: argparse.Namespace, names: list[str]) -> tuple[Settings, list[str]]:
    """Settings of the bench, and a line for each metric that is left out."""
    from training.evaluate import Settings
    from training.hearing import missing_hearing
    from training.metrics import missing_dnsmos

    notes = []
    dnsmos, hearing_pairs = arguments.dnsmos, arguments.hearing_pairs if arguments.hearing != "off" else 0
    if dnsmos and missing_dnsmos():
        dnsmos = False
        notes.append(f"DNSMOS is left out: {missing_dnsmos()}")
    if hearing_pairs and missing_hearing():
        hearing_pairs = 0
        notes.append(f"hearing is left out: {missing_hearing()}")
    unknown = set(arguments.hearing_systems) - set(names)
    if unknown:
        raise RunError(f"--hearing-systems names {', '.join(sorted(unknown))}, which is not scored")
    full = arguments.hearing_systems or (names if arguments.hearing == "full" else ())
    return Settings(arguments.pairs, dnsmos, hearing_pairs, frozenset(full)), notes


def compare_door(parser: argparse.ArgumentParser) -> None:
    """Flags of `compare`."""
    add = parser.add_argument
    add("evaluation", nargs="?", type=named_path, default=EVALUATION, help="what `evaluate` wrote (%(default)s)")
    add("--mixtures", type=whole_number, default=3, help="how many are played, each through every system (%(default)s)")
    add("--folder", type=named_path, default=Path("build/compare"), help="page, plot and audio (%(default)s)")
    parser.set_defaults(run=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from training.compare import compare

    page = compare(arguments.evaluation, arguments.folder, arguments.mixtures)
    print(f"wrote {page}")
    return 0
