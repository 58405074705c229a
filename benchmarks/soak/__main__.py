"""Hours of audio through the device: `python -m benchmarks.soak --hours 10`, or `make soak`.

Can be interrupted: the same command goes on where it was. Writes build/soak.json and build/soak.png.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from benchmarks.soak.device import SEGMENT_SECONDS, Plan, Soak
from benchmarks.soak.distance import DRIFT_SIGMAS, Trend, measure
from benchmarks.soak.page import distance_facts, draw, write_json
from benchmarks.soak.proof import Proven, batches, counters, locate, prove
from firmware_sim.audio import AudioError
from firmware_sim.contract import PROFILES, SAMPLE_RATE_HZ
from firmware_sim.graph import SCHEMES, Graph
from golden_vectors.errors import WitnessError

MODELS = {"int16x8": Path("firmware_sim/model.npz"), "int8": Path("firmware_sim/model_int8.npz")}


def prove_all(soak: Soak, progress: Progress) -> dict[str, Any]:
    """C over the whole stream, then Python over every segment; facts for the JSON file.

    raises  WitnessError with the first difference
    """
    plan, scheme = soak.plan, soak.graph.scheme
    device = progress.add_task(f"{scheme}: C", total=plan.segments)
    soak.run(lambda segments: progress.advance(device, segments))
    proven = Proven(soak)
    left = proven.open()
    total = plan.hop(plan.segments)
    python = progress.add_task(f"{scheme}: Python", total=total, completed=total - sum(map(plan.hops, left)))
    for batch in batches(left):
        failures = prove(soak, batch, lambda hops: progress.advance(python, hops))
        if failures:
            first = failures[0]
            also = f"{len(failures)} of {len(batch)} segments differ, the first in {', '.join(first.what)}"
            raise WitnessError(f"{locate(soak, first.segment)} ({also})")
        proven.add(batch)
    return {
        "hours": round(total * plan.profile.hop_samples / SAMPLE_RATE_HZ / 3600, 4),
        "hops": total,
        "segments": plan.segments,
        "segments_proven": plan.segments - len(proven.open()),
        "graph": soak.graph.digest,
        "counters": counters(soak, plan.segments),
        "output_sha256": [soak.checkpoint(k + 1).output for k in range(plan.segments)],
    }


def soak_scheme(scheme: str, chosen: argparse.Namespace) -> str:
    """One scheme: proof, distance, JSON file and picture; returns a line about it.

    raises  WitnessError at the first difference between C and Python, or when the SNR against floats falls
    """
    graph = Graph.load(MODELS[scheme])
    plan = Plan.of(PROFILES[graph.meta["profile"]], chosen.hours, chosen.segment_seconds)
    soak, file = Soak(graph, plan, chosen.out), chosen.out.with_suffix(".json")
    with Progress(console=Console(stderr=True)) as progress:
        facts = prove_all(soak, progress)
        task = progress.add_task(f"{scheme}: floats", total=plan.segments)
        minutes = measure(soak, chosen.float_hours, lambda segments: progress.advance(task, segments))
    facts["distance"] = distance_facts(minutes)
    draw(file.with_suffix(".png"), write_json(file, scheme, facts))
    trend = Trend.of(minutes["hours"], minutes["snr_db"])
    if trend is not None and trend.falls:
        raise WitnessError(f"{scheme}: the SNR against floats falls by {-trend.per_hour:.3g} dB an hour, more than "
                           f"{DRIFT_SIGMAS:g} standard errors of {trend.standard_error:.2g}")  # fmt: skip
    slope = f"; SNR against floats {trend.per_hour:+.3f} ± {trend.standard_error:.3f} dB an hour" if trend else ""
    return f"{scheme}: {facts['hours']:g} h, {facts['hops']:,} hops, {plan.segments} segments: C is Python{slope}"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--hours", type=float, default=10.0, help="of audio, at least (default 10)")
    parser.add_argument("--scheme", choices=SCHEMES, action="append", help="only this one (default: all)")
    parser.add_argument("--out", type=Path, default=Path("build/soak"), help="folder of the checkpoints")
    parser.add_argument("--segment-seconds", type=float, default=SEGMENT_SECONDS, help="of audio between checkpoints")
    parser.add_argument("--float-hours", type=float, default=1e5, help="of audio against floats (default: all)")
    chosen = parser.parse_args(argv)
    if not (0 < chosen.hours < 1e5 and 1 <= chosen.segment_seconds <= 3600):
        parser.error("--hours must be above 0, --segment-seconds in [1, 3600]")
    return chosen


def main(argv: Sequence[str] | None = None) -> int:
    chosen = arguments(argv)
    try:
        for scheme in chosen.scheme or SCHEMES:
            print(soak_scheme(scheme, chosen))
    except (WitnessError, AudioError, ValueError, OSError) as error:
        print(f"stapes: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stapes: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
