"""Door: python -m firmware_sim noisy.wav -o clean.wav

A recording goes through the fixed-point hearing-aid loop: WAV or FLAC of any rate, width and channel count.
Every channel is a stream of its own. The output has the length, channels, rate and subtype of the input and
is what leaves the device on the input's clock, delayed by the algorithmic latency (`--align` takes it out).
With `--part` the device also runs in time: a microcontroller with a deadline each hop, late hops included.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from soundfile import LibsndfileError

from firmware_sim import contract
from firmware_sim.arguments import arguments_of, complain, refuse_same_files, say, setting_of
from firmware_sim.audio import AudioError, Sink, Source, output_format, replacing
from firmware_sim.contract import DEFAULT_PROFILE, PROFILES, SAMPLE_RATE_HZ, ContractError, Parameters
from firmware_sim.cost import Recorder, memory
from firmware_sim.frame_loop import FrameLoop, default_parameters
from firmware_sim.graph import Graph, GraphError
from firmware_sim.offline import Device, Step, digest_path, tracing
from firmware_sim.simulation import Simulation
from firmware_sim.timeline import picture

MODELS = {"int16x8": Path(__file__).with_name("model.npz"), "int8": Path(__file__).with_name("model_int8.npz")}
"""The blessed graphs."""
LONG_SECONDS = 20.0
"""From here on a progress bar is worth its line."""
INTERRUPTED = 130


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


# ---------------------------------------------------------------- run


@contextmanager
def progress_bar(source: Source) -> Iterator[Progress]:
    """A bar on the terminal for long files; nothing anywhere else."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    quiet = source.seconds < LONG_SECONDS or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        yield progress


@contextmanager
def sound_file(path: Path | None, source: Source) -> Iterator[Sink | None]:
    """The output, whole when the block has succeeded, and not there when it has not; None: none is wanted."""
    if path is None:
        yield None
        return
    container, subtype = output_format(source, path)
    with replacing(path) as part:
        sink = Sink(part, source, container, subtype)
        yield sink
        sink.close()


def stepping(loop: FrameLoop, simulation: Simulation | None, recorder: Recorder | None) -> Step | None:
    """What moves the device on by a hop; None: the loop itself."""
    if simulation is not None:
        return simulation.step if recorder is None else lambda pcm: simulation.step(pcm, recorder.run)
    return None if recorder is None else lambda pcm: recorder.run(lambda: loop.process_hop(pcm))


def run(arguments: argparse.Namespace) -> list[str]:
    """Process the file; returns the report. Nothing is left behind when it raises."""
    refuse_same_files(arguments)
    graph, model_name = load_model(arguments)
    profile = PROFILES[arguments.profile or (graph.meta["profile"] if graph else DEFAULT_PROFILE)]
    source = Source(arguments.input)
    loop = FrameLoop(profile, graph, parameters_of(arguments, graph), source.channels)
    simulation = Simulation(loop, setting_of(arguments)) if arguments.part else None
    recorder = Recorder(source.channels) if arguments.cost else None
    step, slot = stepping(loop, simulation, recorder), profile.hop_samples if simulation else 0
    with (
        sound_file(arguments.output, source) as sink,
        tracing(arguments.trace) as trace,
        progress_bar(source) as bar,
    ):
        device = Device(loop, source, arguments.align, step, [trace.add] if trace else [], slot)
        task = bar.add_task(arguments.input.name, total=source.frames)
        for samples in device.run(lambda frames: bar.advance(task, frames)):
            if sink is not None:
                sink.write(samples)
        if simulation is not None:
            with replacing(arguments.timeline) as part:
                part.write_text(picture(simulation), encoding="utf-8")
    notes(device, sink)
    report = summary(device, model_name)
    if simulation is not None:
        report += ["", *simulation.report()]
    if recorder is not None:
        report += ["", *recorder.cost().rows(profile), *memory(profile, graph).rows()]
    return [*report, f"wrote {', '.join(map(str, written(arguments)))}"]


def written(arguments: argparse.Namespace) -> list[Path]:
    """The files of a run."""
    trace = [arguments.trace, digest_path(arguments.trace)] if arguments.trace else []
    return [path for path in (arguments.output, *trace, arguments.timeline) if path is not None]


def notes(device: Device, sink: Sink | None) -> None:
    """What the listener should know, one line each on stderr."""
    source, rate = device.source, device.source.rate_hz
    if rate < SAMPLE_RATE_HZ:
        complain(f"note: {rate} Hz holds nothing above {rate / 2:g} Hz; the device expects speech up to 8000 Hz")
    if device.adc.limited:
        complain(f"note: {device.adc.limited} samples above full scale were clipped at the converter")
    if sink is not None and sink.limited:
        complain(f"note: {sink.limited} samples of the output were clipped to the width of the file")
    if sink is not None and sink.subtype != source.subtype:
        complain(f"note: {source.subtype} does not fit the output file: it is {sink.subtype}")


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
