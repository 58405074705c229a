"""Door of the room: python -m training corpus | fit | evaluate | enhance."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the GRU is slower on two threads than on one (measured)

DEFAULT_CORPUS = Path("build/corpus")
DEFAULT_STUDENT = Path("build/student.npz")


def _fit(arguments: argparse.Namespace) -> None:
    import torch

    from training.datasets import load_manifest
    from training.fit import FitSettings, fit

    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    settings = FitSettings(
        loss=arguments.loss,
        schedule=arguments.schedule,
        learning_rate=arguments.learning_rate,
        blocks=arguments.blocks,
        minutes=arguments.minutes,
        streams=arguments.streams,
        seed=arguments.seed,
        patience=arguments.patience,
    )
    fit(load_manifest(arguments.corpus), settings, arguments.folder, resume=arguments.resume)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    doors = parser.add_subparsers(dest="door", required=True)
    fit = doors.add_parser("fit", help="train the student")
    fit.add_argument("--corpus", type=Path, default=DEFAULT_CORPUS)
    fit.add_argument("--folder", type=Path, default=Path("build/fit"))
    fit.add_argument("--loss", default="compressed")
    fit.add_argument("--schedule", default="cosine")
    fit.add_argument("--learning-rate", type=float, default=3e-3)
    fit.add_argument("--blocks", type=int, default=0)
    fit.add_argument("--minutes", type=float, default=0.0)
    fit.add_argument("--streams", type=int, default=64)
    fit.add_argument("--threads", type=int, default=1)
    fit.add_argument("--seed", type=int, default=0)
    fit.add_argument("--patience", type=int, default=0)
    fit.add_argument("--resume", action="store_true")
    fit.set_defaults(run=_fit)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    arguments.run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
