"""Door of the room: python -m training corpus | fit | model | ablate | evaluate | compare | safety | enhance."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from firmware_sim.contract import ContractError
from firmware_sim.graph import GraphError
from training.bench_doors import at_least_one, compare_door, evaluate_door
from training.datasets import CorpusError, add_dataset_arguments, recordings_from_arguments
from training.files import RunError, named_path, refuse_folder, refuse_inputs

if TYPE_CHECKING:
    from training.settings import FitSettings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # measured: this GRU is slower on two threads than on one

STUDENT = Path("build/student.npz")
MODEL = Path("firmware_sim/model.npz")
_STOPPED = 130


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"stapes: {message} ({self.prog} --help explains)", file=sys.stderr)
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one door; returns the exit code: 0 done, 1 with one line on stderr, 130 stopped by the user."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = _parser(words[:1]).parse_args(words)
    arguments.words = words
    door: Callable[[argparse.Namespace], int] = arguments.run
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows ASCII alone
    try:
        code = door(arguments)
        sys.stdout.flush()
        return code
    except (ContractError, CorpusError, GraphError, RunError) as error:
        return _refuse(arguments.door, error)
    except OSError as error:  # a full disk behind standard output, a name that is too long
        return _refuse(arguments.door, RunError(error.strerror or str(error)))
    except KeyboardInterrupt:
        print(f"stapes: {arguments.door}: stopped", file=sys.stderr)
        return _STOPPED


def _refuse(door: str, error: Exception) -> int:
    print(f"stapes: {door}: {error}", file=sys.stderr)
    return 1


def _parser(door: Sequence[str]) -> Parser:
    """The flags of every door; those of `corpus` only where `door` names it, since it imports half of scipy."""
    parser = Parser(prog="python -m training", description="Teach the student.")
    names = "corpus | fit | model | ablate | evaluate | compare | safety | enhance"
    doors = parser.add_subparsers(dest="door", required=True, metavar=names)
    corpus = doors.add_parser("corpus", help="fetch and build the corpus of speech and noise")
    if list(door) == ["corpus"]:
        _corpus_door(corpus)
    _fit_door(doors.add_parser("fit", help="train the student and write build/student.npz"))
    _model_door(doors.add_parser("model", help="train a shipped model by its recipe, stage by stage"))
    _ablate_door(doors.add_parser("ablate", help="train every front end on the same mixtures and compare"))
    evaluate_door(doors.add_parser("evaluate", help="score systems on the test split"))
    compare_door(doors.add_parser("compare", help="leaderboard, plot and listening page of an evaluation"))
    _safety_door(doors.add_parser("safety", help="does the device do harm? clean speech, own voice, music, minutes"))
    _enhance_door(doors.add_parser("enhance", help="run the float student on a file"))
    return parser


def _corpus_door(parser: argparse.ArgumentParser) -> None:
    from training import corpus

    corpus.add_arguments(parser)
    parser.set_defaults(run=corpus.main)


def _fit_door(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_dataset_arguments(parser)
    add("--folder", type=named_path, default=Path("build/fit"), help="checkpoints, log and plot (%(default)s)")
    add("--student", type=named_path, default=STUDENT, help="where the result goes (%(default)s)")
    add("--minutes", type=float, default=0.0, help="budget of time (60 where no budget is given)")
    add("--blocks", type=int, default=0, help="budget of blocks; with this one a run is reproducible to the bit")
    add("--design", default="default", choices=("default", "seed"), help="front end (%(default)s)")
    add("--hidden", type=at_least_one, default=120, help="units of each GRU layer; 48 for compact (%(default)s)")
    add("--loss", choices=("perceptual", "compressed", "seed"), default="perceptual", help="(%(default)s)")
    add("--schedule", choices=("cosine", "plateau"), default="cosine", help="(%(default)s)")
    add("--learning-rate", type=float, default=5e-3, help="highest rate of Muon and AdamW (%(default)s)")
    add("--streams", type=int, default=32, help="parallel streams (%(default)s)")
    add("--patience", type=int, default=0, help="stop after so many validations without a better one (0: never)")
    add("--seed", type=int, default=0, help="initial weights and mixtures (%(default)s)")
    add("--threads", type=at_least_one, default=1, help="threads of torch (%(default)s)")
    add("--mix", choices=("plain", "augmented"), default="augmented", help="mixtures to learn from (%(default)s)")
    add("--quantized", action="store_true", help="round as the device does; with --start-from of a float run")
    add("--resume", action="store_true", help="go on from the checkpoint in --folder")
    add("--start-from", type=named_path, help="begin with the weights of another run's checkpoint")
    add("--export-only", action="store_true", help="write --student from the best checkpoint so far; do not train")
    parser.set_defaults(run=_fit)


def _fit(arguments: argparse.Namespace) -> int:
    import torch

    from training.distributed import world
    from training.fit import fit, hand_off
    from training.runs import BEST, CHECKPOINT

    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    run = [arguments.folder / name for name in (CHECKPOINT, BEST)]
    refuse_inputs(arguments.student, arguments.start_from, *run)
    if arguments.resume and arguments.start_from:
        raise RunError("--resume goes on with a run and --start-from begins one: leave out one of them")
    with world() as here:
        settings = _fit_settings(arguments, here.size)
        recordings = recordings_from_arguments(arguments)
        if not arguments.export_only:
            fit(recordings, settings, arguments.folder, arguments.resume, arguments.start_from, here)
        if here.leads:
            hand_off(arguments.folder, arguments.student, recordings)
            print(f"wrote {arguments.student}")
    return 0


def _model_door(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", help="a recipe of training/models: base, compact")
    add_dataset_arguments(parser)
    add("--folder", type=named_path, help="checkpoints of the stages (build/models/NAME)")
    add("--student", type=named_path, help="where the result goes (build/student.npz, build/NAME/student.npz)")
    parser.set_defaults(run=_model)


def _model(arguments: argparse.Namespace) -> int:
    import torch

    from training.model import stages, train

    stages(arguments.name)  # an unknown name is refused before the corpus is read
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    student = arguments.student or Path("build") / ("" if arguments.name == "base" else arguments.name) / STUDENT.name
    refuse_folder(student)
    folder = arguments.folder or Path("build/models") / arguments.name
    train(arguments.name, recordings_from_arguments(arguments), folder, student)
    print(f"wrote {student}")
    return 0


def _ablate_door(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_dataset_arguments(parser)
    add("--blocks", type=at_least_one, default=20, help="blocks that each front end is trained on (%(default)s)")
    add("--hidden", type=at_least_one, default=120, help="units of each GRU layer (%(default)s)")
    add("--only", nargs="+", help="names of front ends (all)")
    add("--folder", type=named_path, default=Path("build/ablation"), help="runs and result.json (%(default)s)")
    parser.set_defaults(run=_ablate)


def _ablate(arguments: argparse.Namespace) -> int:
    import torch

    from training.ablate import ablate, print_table

    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    recordings = recordings_from_arguments(arguments)
    print_table(ablate(recordings, arguments.blocks, arguments.hidden, arguments.folder, arguments.only))
    print(f"wrote {arguments.folder / 'result.json'}")
    return 0


def _fit_settings(arguments: argparse.Namespace, ranks: int) -> FitSettings:
    from training.settings import FitSettings

    return FitSettings(
        design=arguments.design,
        hidden=arguments.hidden,
        mix=arguments.mix,
        quantized=arguments.quantized,
        ranks=ranks,
        loss=arguments.loss,
        schedule=arguments.schedule,
        learning_rate=arguments.learning_rate,
        blocks=arguments.blocks,
        minutes=arguments.minutes or (0.0 if arguments.blocks else 60.0),
        streams=arguments.streams,
        seed=arguments.seed,
        patience=arguments.patience,
    )


def _safety_door(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_dataset_arguments(parser)
    add("--model", type=named_path, default=MODEL, help="integer model (%(default)s)")
    add("--student", type=named_path, help=f"float student to compare with ({STUDENT} where the model is made from it)")
    add("-o", "--output", type=named_path, default=Path("build/safety.json"), help="(%(default)s)")
    add("--check", action="store_true", help="exit 1 if clean speech falls below a limit")
    parser.set_defaults(run=_safety)


def _safety(arguments: argparse.Namespace) -> int:
    from firmware_sim.graph import Graph
    from training.handoff import is_student_of, load_student
    from training.mixing import safety_recipes
    from training.progress import Report
    from training.safety import measure_safety
    from training.safety_report import missed, notes_of, print_safety, write_safety

    refuse_inputs(arguments.output, arguments.model, arguments.student)
    graph = Graph.load(arguments.model)
    student = arguments.student or (STUDENT if is_student_of(STUDENT, graph) else None)
    if student is not None:
        load_student(student)  # whatever is wrong with it is told before minutes of measuring
    recipes = safety_recipes(recordings_from_arguments(arguments))
    with Report() as report:
        results = measure_safety(
            recipes, graph, student, lambda _, share: report.row({"cases": share * len(recipes)}, share)
        )
    notes = notes_of(results, student)
    print_safety(results, notes)
    write_safety(arguments.output, str(arguments.model), results, notes)
    print(f"wrote {arguments.output}")
    return int(arguments.check and any(map(missed, results)))


def _enhance_door(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=named_path, help="audio file of any rate and number of channels")
    add("-o", "--output", type=named_path, required=True, help="16-bit file, format after its name")
    add("--student", type=named_path, default=STUDENT, help="(%(default)s)")
    add("--wiener-only", action="store_true", help="the classical filter alone, without a student")
    parser.set_defaults(run=_enhance)


def _enhance(arguments: argparse.Namespace) -> int:
    from firmware_sim.contract import DEFAULT_PROFILE
    from training.designs import DESIGNS
    from training.enhance import enhance_file
    from training.handoff import load_student

    student, meta = (None, {}) if arguments.wiener_only else load_student(arguments.student)
    enhance_file(arguments.input, arguments.output, student, DESIGNS[meta.get("profile", DEFAULT_PROFILE)])
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
