"""Arguments of the door: what it understands, and one line for everything that it does not."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from firmware_sim.audio import CONTAINERS, AudioError
from firmware_sim.contract import PROFILES
from firmware_sim.graph import SCHEMES
from firmware_sim.offline import digest_path
from firmware_sim.parts import ENDS, PARTS
from firmware_sim.simulation import Setting

SIMULATED = ("assume", "clock_mhz", "other_load", "jitter_us", "seed", "timeline")
"""Options of a simulated part."""


def say(text: str, stream: TextIO) -> None:
    """Print; what the stream cannot encode (a file name may hold any byte) is escaped."""
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def complain(text: str) -> None:
    """One line on stderr."""
    say("stapes: " + text.replace("\n", "\\n"), sys.stderr)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; takes -inf for a number, as it does -20."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._negative_number_matcher = re.compile(r"-(\d|\.\d|inf)", re.IGNORECASE)

    def error(self, message: str) -> NoReturn:
        complain(f"{message} (python -m firmware_sim --help explains)")
        raise SystemExit(2)


def number(text: str) -> float:
    """Any number, infinities and NaN included."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def decibels_of_a_floor(text: str) -> float:
    """Gain floor in dB: at most 0; off or -inf means no floor."""
    value = -math.inf if text == "off" else number(text)
    if math.isnan(value) or value > 0:
        raise argparse.ArgumentTypeError(f"{text} dB is not a floor: give 0 or less, such as -20")
    return value


def percent(text: str) -> float:
    """Number in [0, 100]."""
    value = number(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 100")
    return value


def above_zero(text: str) -> float:
    """Finite number above 0."""
    value = at_least_zero(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def at_least_zero(text: str) -> float:
    """Finite number, 0 or more."""
    value = number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def whole(text: str) -> int:
    """Whole number, 0 or more."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def cost_and_period(text: str) -> tuple[float, float]:
    """COST/PERIOD in microseconds, with time left between them."""
    cost, slash, period = text.partition("/")
    if not slash:
        raise argparse.ArgumentTypeError(f"{text!r} is not COST/PERIOD in microseconds, such as 900/3000")
    values = above_zero(cost), above_zero(period)
    if values[0] >= values[1]:
        raise argparse.ArgumentTypeError(f"{text}: {cost} us of every {period} us leave no time for the hops")
    return values


def picture_path(text: str) -> Path:
    """Path of an SVG file."""
    if Path(text).suffix.lower() != ".svg":
        raise argparse.ArgumentTypeError(f"{text!r} must end in .svg")
    return Path(text)


def sound_path(text: str) -> Path:
    """Path whose extension names a container that we write."""
    path = Path(text)
    if path.suffix.lower() not in CONTAINERS:
        raise argparse.ArgumentTypeError(f"{text!r} must end in {' or '.join(CONTAINERS)}")
    return path


def named_path(text: str) -> Path:
    """Path that ends in a file name."""
    if not Path(text).name:
        raise argparse.ArgumentTypeError(f"{text!r} names no file")
    return Path(text)


def parser() -> Parser:
    """Arguments of the door."""
    p = Parser(
        prog="python -m firmware_sim",
        description="Run a recording through the fixed-point loop.",
        epilog="The output is what leaves the device on the input's clock: late by the latency, unless --align.",
    )
    p.add_argument("input", type=Path, metavar="noisy.wav", help="WAV or FLAC: any rate, width, channels")
    p.add_argument(
        "-o", "--output", type=sound_path, metavar="clean.wav", help="WAV or FLAC (with --part: what it plays)"
    )
    p.add_argument("--trace", type=named_path, metavar="FILE.npz", help="every tap of every hop, and their digests")
    p.add_argument("--bypass", action="store_true", help="gain one; the stages keep running")
    p.add_argument("--wiener-only", action="store_true", help="no network: the classical filter alone")
    p.add_argument(
        "--gain-floor-db",
        type=decibels_of_a_floor,
        metavar="X",
        help="lowest total gain, 0 or less; off or -inf: none (default: -20 with the network, off without)",
    )
    p.add_argument("--dry-wet", type=percent, default=100.0, metavar="PERCENT", help="share of the processed signal")
    p.add_argument("--model", type=Path, metavar="M.npz", help="integer graph; default: the blessed one")
    p.add_argument("--scheme", choices=SCHEMES, help="which blessed graph (default: int16x8)")
    p.add_argument("--profile", choices=sorted(PROFILES), help="sizes of the loop (default: the model's)")
    p.add_argument("--align", action="store_true", help="remove the latency from the output file")
    p.add_argument("--cost", action="store_true", help="print operations per stage and memory")
    add_simulation(p)
    return p


def add_simulation(p: Parser) -> None:
    """Options of a device in time."""
    g = p.add_argument_group("a device in time", "cycles are modelled from counted instructions, not measured")
    g.add_argument("--part", choices=PARTS, help="simulate the hop schedule on this part: load, overruns, a timeline")
    g.add_argument("--assume", choices=ENDS, help="where in the model's ranges the chip is (default: typical)")
    g.add_argument("--clock-mhz", type=above_zero, metavar="F", help="core clock (default: the part's highest)")
    g.add_argument(
        "--other-load", type=cost_and_period, metavar="COST/PERIOD", help="other work first, in us: 900/3000"
    )
    g.add_argument("--jitter-us", type=at_least_zero, metavar="US", help="how late an interrupt may be (default: 5)")
    g.add_argument("--seed", type=whole, metavar="N", help="of jitter and other load (default: 1)")
    g.add_argument("--timeline", type=picture_path, metavar="FILE.svg", help="default: beside the output, or here")


def arguments_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parsed arguments; exits with code 2 on wrong usage."""
    arguments = parser().parse_args(argv)
    if arguments.wiener_only and (arguments.model or arguments.scheme):
        parser().error(f"--wiener-only runs no network: leave out {'--model' if arguments.model else '--scheme'}")
    if arguments.part is None:
        lonely = next((name for name in SIMULATED if getattr(arguments, name) is not None), None)
        if lonely:
            parser().error(f"--{lonely.replace('_', '-')} is for a simulated part: name it with --part")
        if arguments.output is None:
            parser().error("an output is needed: -o/--output (only with --part there may be none)")
    else:
        if arguments.trace:
            parser().error("--trace shows every hop, but with --part hops may be late or lost: leave out one of them")
        beside = arguments.output or Path(arguments.input.name)
        arguments.timeline = arguments.timeline or beside.with_suffix(".timeline.svg")
    return arguments


def setting_of(arguments: argparse.Namespace) -> Setting:
    """The simulated device; raises ContractError when the part cannot do that."""
    given = {"jitter_us": arguments.jitter_us, "seed": arguments.seed, "assume": arguments.assume}
    chosen = {name: value for name, value in given.items() if value is not None}
    return Setting(PARTS[arguments.part], arguments.clock_mhz, arguments.other_load, **chosen)


def refuse_same_files(arguments: argparse.Namespace) -> None:
    """Outputs must be neither the recording nor the model nor each other."""
    digests = digest_path(arguments.trace) if arguments.trace else None
    outputs = [p for p in (arguments.output, arguments.trace, digests, arguments.timeline) if p is not None]
    inputs = {arguments.input: "the input", arguments.model: "the model"}
    for i, path in enumerate(outputs):
        for other in (*filter(None, inputs), *outputs[:i]):
            linked = path.exists() and other.exists() and path.samefile(other)
            if linked or os.path.realpath(path) == os.path.realpath(other):
                raise AudioError(f"{path}: is also {inputs.get(other, 'another output')}")
