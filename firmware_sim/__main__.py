"""Door: python -m firmware_sim noisy.wav -o clean.wav

A recording goes through the fixed-point hearing-aid loop: WAV or FLAC of any rate, width and channel count.
Every channel is a stream of its own. The output has the length, channels, rate and subtype of the input and
is what leaves the device on the input's clock, delayed by the algorithmic latency (`--align` takes it out).
"""

from __future__ import annotations

import argparse
import math
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from soundfile import LibsndfileError

from firmware_sim import contract
from firmware_sim.audio import CONTAINERS, AudioError, Sink, Source, output_format, replacing
from firmware_sim.contract import (
    DEFAULT_PROFILE,
    PROFILES,
    SAMPLE_RATE_HZ,
    ContractError,
    Parameters,
)
from firmware_sim.cost import Recorder, memory
from firmware_sim.frame_loop import FrameLoop, default_parameters
from firmware_sim.graph import SCHEMES, Graph, GraphError
from firmware_sim.offline import Device, digest_path, tracing

MODELS = {"int16x8": Path(__file__).with_name("model.npz"), "int8": Path(__file__).with_name("model_int8.npz")}
"""The blessed graphs."""
LONG_SECONDS = 20.0
"""From here on a progress bar is worth its line."""
INTERRUPTED = 130


def say(text: str, stream: TextIO) -> None:
    """Print; what the stream cannot encode (a file name may hold any byte) is escaped."""
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def complain(text: str) -> None:
    """One line on stderr."""
    say("stapes: " + text.replace("\n", "\\n"), sys.stderr)


# ---------------------------------------------------------------- arguments


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; takes -inf for a number, as it does -20."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._negative_number_matcher = re.compile(r"-(\d|\.\d|inf)", re.IGNORECASE)

    def error(self, message: str) -> NoReturn:
        complain(f"{message} (python -m firmware_sim --help explains)")
        raise SystemExit(2)


def decibels_of_a_floor(text: str) -> float:
    """Gain floor in dB: at most 0; off or -inf means no floor."""
    try:
        value = -math.inf if text == "off" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if math.isnan(value) or value > 0:
        raise argparse.ArgumentTypeError(f"{text} dB is not a floor: give 0 or less, such as -20")
    return value


def percent(text: str) -> float:
    """Number in [0, 100]."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 100")
    return value


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
    p.add_argument("-o", "--output", type=sound_path, required=True, metavar="clean.wav", help="WAV or FLAC")
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
    return p


def arguments_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parsed arguments; exits with code 2 on wrong usage."""
    arguments = parser().parse_args(argv)
    if arguments.wiener_only and (arguments.model or arguments.scheme):
        parser().error(f"--wiener-only runs no network: leave out {'--model' if arguments.model else '--scheme'}")
    return arguments


def load_model(arguments: argparse.Namespace) -> tuple[Graph | None, str]:
    """The graph, None when the Wiener stage runs alone, and how to call it."""
    if arguments.wiener_only:
        return None, "none (Wiener stage alone)"
    path = arguments.model or MODELS[arguments.scheme or "int16x8"]
    if not path.exists():
        raise GraphError(f"{path}: no such file: name a graph with --model, or leave the network out (--wiener-only)")
    graph = Graph.load(path)
    if arguments.scheme not in (None, graph.scheme):
        raise GraphError(f"{path}: the graph is {graph.scheme}, not {arguments.scheme}")
    if graph.meta["profile"] not in PROFILES:
        raise GraphError(f"{path}: the graph names no known profile")
    return graph, f"{path.name}, {graph.scheme}, {graph.digest[:16]}"


def parameters_of(arguments: argparse.Namespace, graph: Graph | None) -> Parameters:
    """Integer settings of the loop."""
    plain = default_parameters(graph)
    gain_floor_q15 = plain.gain_floor_q15
    if arguments.gain_floor_db is not None:
        gain_floor_q15 = contract.q(10.0 ** (arguments.gain_floor_db / 20.0), 15, bits=17)
    return Parameters(
        gain_floor_q15=gain_floor_q15,
        dry_q15=contract.q(1.0 - arguments.dry_wet / 100.0, 15, bits=17),
        wiener_floor_q15=plain.wiener_floor_q15,
        use_network=graph is not None,
        bypass=arguments.bypass,
    )


def refuse_same_files(arguments: argparse.Namespace) -> None:
    """Outputs must be neither the input nor each other."""
    digests = digest_path(arguments.trace) if arguments.trace else None
    outputs = [p for p in (arguments.output, arguments.trace, digests) if p is not None]
    for i, path in enumerate(outputs):
        for other in (arguments.input, *outputs[:i]):
            linked = path.exists() and other.exists() and path.samefile(other)
            if linked or os.path.realpath(path) == os.path.realpath(other):
                raise AudioError(f"{path}: is also {'the input' if other == arguments.input else 'another output'}")


# ---------------------------------------------------------------- run


@contextmanager
def progress_bar(source: Source) -> Iterator[Progress]:
    """A bar on the terminal for long files; nothing anywhere else."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    quiet = source.seconds < LONG_SECONDS or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        yield progress


def run(arguments: argparse.Namespace) -> list[str]:
    """Process the file; returns the report. Nothing is left behind when it raises."""
    refuse_same_files(arguments)
    graph, model_name = load_model(arguments)
    profile = PROFILES[arguments.profile or (graph.meta["profile"] if graph else DEFAULT_PROFILE)]
    source = Source(arguments.input)
    loop = FrameLoop(profile, graph, parameters_of(arguments, graph), source.channels)
    recorder = Recorder(source.channels)
    step = (lambda pcm: recorder.run(lambda: loop.process_hop(pcm))) if arguments.cost else None
    container, subtype = output_format(source, arguments.output)
    with replacing(arguments.output) as part, tracing(arguments.trace) as trace, progress_bar(source) as bar:
        device = Device(loop, source, arguments.align, step, [trace.add] if trace else [])
        sink = Sink(part, source, container, subtype)
        task = bar.add_task(arguments.input.name, total=source.frames)
        for samples in device.run(lambda frames: bar.advance(task, frames)):
            sink.write(samples)
        sink.close()
    notes(device, sink, subtype)
    report = summary(device, model_name)
    if arguments.cost:
        report += ["", *recorder.cost().rows(profile), *memory(profile, graph).rows()]
    written = [arguments.output, *([arguments.trace, digest_path(arguments.trace)] if arguments.trace else [])]
    return [*report, f"wrote {', '.join(map(str, written))}"]


def notes(device: Device, sink: Sink, subtype: str) -> None:
    """What the listener should know, one line each on stderr."""
    source, rate = device.source, device.source.rate_hz
    if rate < SAMPLE_RATE_HZ:
        complain(f"note: {rate} Hz holds nothing above {rate / 2:g} Hz; the device expects speech up to 8000 Hz")
    if device.adc.limited:
        complain(f"note: {device.adc.limited} samples above full scale were clipped at the converter")
    if sink.limited:
        complain(f"note: {sink.limited} samples of the output were clipped to the width of the file")
    if subtype != source.subtype:
        complain(f"note: {source.subtype} does not fit the output file: it is {subtype}")


def summary(device: Device, model_name: str) -> list[str]:
    """The report of a run."""
    loop, source = device.loop, device.source
    profile, rate = loop.profile, source.rate_hz
    resampled = "16 kHz, no resampling" if rate == SAMPLE_RATE_HZ else f"{rate} Hz -> 16 kHz -> {rate} Hz (soxr VHQ)"
    latency = f"{profile.latency_ms:g} ms ({profile.latency_samples} samples at 16 kHz)"
    speed = source.seconds / max(device.busy_seconds, 1e-9)
    return [
        str(source),
        f"device   profile {profile.name}: window {profile.analysis_samples}, hop {profile.hop_samples}; {resampled}",
        f"model    {model_name}",
        f"settings {settings_of(loop.parameters)}",
        f"latency {latency}{', removed from the output' if device.align else ''}",
        f"hops     {loop.hops}, speed {speed:.1f} x real time",
        f"counters {counters_of(loop)}",
        f"input    {device.adc.level}",
        f"output   {device.dac.level}",
    ]


def settings_of(parameters: Parameters) -> str:
    """The integer settings, as the device holds them."""
    gains = f"gain floor {parameters.gain_floor_q15}, dry {parameters.dry_q15}"
    bypass = "bypass, " if parameters.bypass else ""
    return f"{bypass}{gains}, Wiener floor {parameters.wiener_floor_q15} (of {contract.UNITY_GAIN_Q15})"


def counters_of(loop: FrameLoop) -> str:
    """Counters that are not zero, summed over the channels."""
    counted = [
        f"{stage} {int(count.sum())} {what}"
        for stage, counter in loop.counters.items()
        for what, count in (("saturations", counter.saturations), ("overflows", counter.overflows))
        if count.any()
    ]
    return ", ".join(counted) or "no saturation, no overflow"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the door; returns the exit code."""
    arguments = arguments_of(argv)
    try:
        report = run(arguments)
    except (AudioError, ContractError, GraphError) as error:
        complain(str(error))
    except LibsndfileError as error:
        complain(f"{arguments.output}: cannot be written: {error.error_string.strip()}")
    except OSError as error:
        complain(f"{os.fsdecode(error.filename or 'a file')}: {error.strerror or error}")
    except MemoryError:
        complain("not enough memory: leave out --trace, or trace a shorter file")
    except KeyboardInterrupt:
        complain("interrupted, nothing was written")
        return INTERRUPTED
    else:
        say("\n".join(report), sys.stdout)
        return 0
    return 1


if __name__ == "__main__":
    # A request to end is an interrupt: temporary files go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
