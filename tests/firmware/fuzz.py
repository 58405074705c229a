"""The device under AddressSanitizer and UndefinedBehaviorSanitizer, from random states and on random input.

    python -m tests.firmware.fuzz [--from NUMBER] [--minutes M]

Lives run inside fuzz_hop.c, which checks its promises itself. Replays start both the C and the frame loop in the same
random states and compare every tap, every state and every counter. Both are named by their seeds: `--from` goes on
where a run has stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.c_memory import PADDING
from export.c_writer import memory_map, to_c
from firmware_sim.contract import (
    DEFAULT_PROFILE,
    NOISE_MIN,
    POWER_MAX,
    PROFILES,
    STAGES,
    UNITY_GAIN_Q15,
    Parameters,
    Profile,
)
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import TAP_DTYPES, TAPS, FrameLoop
from firmware_sim.graph import Graph
from golden_vectors import cc

PROFILE = PROFILES[DEFAULT_PROFILE]
HOP, BINS = PROFILE.hop_samples, PROFILE.bins
SOURCE = Path(__file__).with_name("fuzz_hop.c")
SANITIZERS = (
    ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"),
)
"""The first that the compiler has: traps need no library, but see no access beyond an array."""
STREAMS = 12
"""Random states that share parameters and age, as the streams of one frame loop do."""


class FuzzError(AssertionError):
    """A promise was broken, or C and Python differ; the message names the seed."""


# ---------------------------------------------------------------- build


@cache
def sanitizers() -> tuple[str, ...]:
    """Flags of the sanitizers that the C compiler here can link."""
    compiler = cc.find_compiler() or ()
    for flags in SANITIZERS:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "main.c")
            source.write_text("int main(void) { return 0; }\n")
            command = [*compiler, *flags, str(source), "-o", str(Path(folder, "main"))]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return flags
    raise FuzzError("the C compiler has no sanitizers")


def program(
    graph: Graph | None, flags: Sequence[str] = ("-O1",), sources: Sequence[Path] = (), profile: Profile = PROFILE
) -> Path:
    """fuzz_hop with sanitizers; `sources` take the place of the firmware's."""
    command = [*(cc.find_compiler() or ()), "-std=c11", "-g", *flags, *sanitizers(), *cc.WARNINGS]
    files = [*(sources or sorted(cc.FIRMWARE.glob("*.c"))), SOURCE]
    includes = (cc.FIRMWARE, cc.FIRMWARE / "cmsis_stubs")
    return cc.build(cc.BUILD, "fuzz_hop", command, to_c(graph, profile), files, includes)


def run(path: Path, *words: object, stdin: bytes = b"") -> bytes:
    """Output of the program; raises FuzzError with its first words when it ends in any other way than 0."""
    ended = subprocess.run([str(path), *map(str, words)], input=stdin, capture_output=True, check=False)
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").split("\n\n")[0].strip() or f"exit status {ended.returncode}"
        raise FuzzError(f"{' '.join(map(str, words))}: {said[:600]}")
    return ended.stdout


# ---------------------------------------------------------------- the state's memory


def state_dtype(graph: Graph | None) -> np.dtype[Any]:
    """stapes_state_t as numpy reads it, by its memory map; h0 and h1 are where a hop leaves them."""
    sizes = memory_map(graph, PROFILE)
    wide = [(name, "<i8", BINS) for name in ("noise", "learned")]
    narrow = [(name, "<u4", BINS) for name in ("prior_uq16", "presence_q31")]
    wiener = np.dtype([*wide, *narrow, ("hops", "<i4")])
    own: dict[str, Any] = {
        "wiener": wiener,
        "parameters": np.dtype([("gains", "<u2", 3), ("flags", "u1", 2)]),
        "history": "<i2",
        "counters": np.dtype([("saturations", "<u4"), ("overflows", "<u4")]),
    }
    names, formats, offsets = [], [], []

    def place(name: str, kind: npt.DTypeLike, size: int, at: int) -> None:
        count = size // np.dtype(kind).itemsize
        names.append(name)
        formats.append(np.dtype((kind, count)) if count > 1 else np.dtype(kind))
        offsets.append(at)

    for name, size, at in _placed(sizes.state):
        if name != "network":
            place(name, own.get(name, np.dtype(TAP_DTYPES.get(name, np.int32)).newbyteorder("<")), size, at)
        elif graph is not None:
            kind = np.dtype(graph.states["h0"].dtype).newbyteorder("<")
            for inner, inner_size, inner_at in _placed(sizes.network):
                if inner in ("h0_next", "h1_next"):
                    place(inner.removesuffix("_next"), kind, inner_size, at + inner_at)
    itemsize = sum(size for _, size in sizes.state)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize})


def _placed(rows: Sequence[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Members with their bytes and places."""
    places = np.cumsum([0, *(size for _, size in rows)])
    return [(name, size, int(at)) for (name, size), at in zip(rows, places, strict=False) if name != PADDING]


# ---------------------------------------------------------------- random states


def between(rng: np.random.Generator, low: int, high: int, shape: tuple[int, ...]) -> Ints:
    """Integers in [low, high]: ends, near an end at any order of magnitude, anywhere."""
    span = high - low
    near = (2.0 ** rng.uniform(0, max(span.bit_length(), 1), shape)).astype(np.int64) - 1
    near, kind = np.minimum(near, span), rng.integers(0, 3, shape)
    anywhere = rng.integers(low, high, shape, endpoint=True)
    return np.where(kind == 0, low + near, np.where(kind == 1, high - near, anywhere))


@dataclass(frozen=True)
class Start:
    """Random states of several streams, what the fitting software has set, and the hops that follow.

    states  (streams,) of `state_dtype`, results of the hop before random bytes
    pcm     (hops, streams, hop) int16
    held    hops without the network
    """

    states: npt.NDArray[Any]
    parameters: Parameters
    pcm: npt.NDArray[np.int16]
    held: tuple[bool, ...]


def random_start(graph: Graph | None, seed: int, hops: int = 3) -> Start:
    """Every member that the next hop reads, anywhere in the range that stapes.h gives it."""
    rng = np.random.default_rng(seed)
    dtype = state_dtype(graph)
    states = np.frombuffer(bytearray(rng.bytes(STREAMS * dtype.itemsize)), dtype)
    gains = [int(x) for x in between(rng, 0, UNITY_GAIN_Q15, (3,))]
    use_network = graph is not None and bool(rng.random() < 0.7)
    parameters = Parameters(*gains, use_network, bool(rng.random() < 0.2))
    age = (0, PROFILE.noise_init_hops, 1, PROFILE.noise_init_hops, PROFILE.noise_init_hops - 1)[seed % 5]
    states["history"] = random_pcm(rng, states["history"].shape)
    states["overlap"] = between(rng, -(1 << 31), (1 << 31) - 1, states["overlap"].shape)
    no_mask = UNITY_GAIN_Q15 if graph is None else 0  # without a network the mask in force is one
    states["mask_q15"] = between(rng, no_mask, UNITY_GAIN_Q15, states["mask_q15"].shape)
    wiener = states["wiener"]
    wiener["noise"] = between(rng, NOISE_MIN, POWER_MAX, (STREAMS, BINS))
    wiener["learned"] = between(rng, 0, max(age * POWER_MAX, 1), (STREAMS, BINS))
    wiener["prior_uq16"] = between(rng, 0, 1 << 31, (STREAMS, BINS))
    wiener["presence_q31"] = between(rng, 0, 1 << 31, (STREAMS, BINS))
    wiener["hops"] = age
    for name in graph.states if graph is not None else ():
        low, high = graph.states[name].limits
        step = 2 if graph.scheme == "int16x8" else 1  # states of the tie-free scheme are even
        states[name] = between(rng, low // step, high // step, states[name].shape) * step
    states["parameters"]["gains"] = gains
    states["parameters"]["flags"] = [parameters.use_network, parameters.bypass]
    states["counters"] = 0
    held = tuple(bool(x) for x in rng.random(hops) < 0.3)
    return Start(states, parameters, random_pcm(rng, (hops, STREAMS, HOP)), held)


def random_pcm(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.int16]:
    """Silence, noise of any level and full scale, row by row."""
    noise = rng.integers(-(1 << 15), 1 << 15, shape) >> rng.integers(0, 16, (*shape[:-1], 1))
    full = np.where(rng.random(shape) < 0.5, -(1 << 15), (1 << 15) - 1)
    return np.where(rng.random((*shape[:-1], 1)) < 0.3, full, noise).astype(np.int16)


# ---------------------------------------------------------------- C against Python


def loop_at(graph: Graph | None, start: Start) -> FrameLoop:
    """The frame loop in the same states."""
    loop = FrameLoop(PROFILE, graph, start.parameters, STREAMS)
    wide = {name: start.states[name].astype(np.int64) for name in ("history", "overlap", "mask_q15")}
    loop._history, loop._overlap, loop._mask_q15 = wide["history"], wide["overlap"], wide["mask_q15"]
    for name in ("noise", "learned", "prior_uq16", "presence_q31"):
        setattr(loop._wiener, name, start.states["wiener"][name].astype(np.int64))
    loop._wiener.hops = int(start.states["wiener"]["hops"][0])
    if loop.network is not None:
        loop.network.state = {name: start.states[name].astype(np.int64) for name in loop.network.state}
    return loop


def replay(graph: Graph | None, path: Path, seed: int) -> int:
    """A random start through both: hops that were compared; raises FuzzError at the first value that differs."""
    start = random_start(graph, seed)
    stdin = b"".join(
        start.states[i].tobytes()
        + b"".join(np.int16(held).tobytes() + hop[i].tobytes() for held, hop in zip(start.held, start.pcm, strict=True))
        for i in range(STREAMS)
    )
    out = np.frombuffer(run(path, "replay", len(start.held), stdin=stdin), start.states.dtype)
    after = out.reshape(STREAMS, len(start.held)).swapaxes(0, 1)
    loop = loop_at(graph, start)
    for index, (held, pcm) in enumerate(zip(start.held, start.pcm, strict=True)):
        taps = (loop.hold_hop if held else loop.process_hop)(pcm).taps
        _compare(f"seed {seed}, hop {index}", loop, taps, after[index], start.parameters)
    return len(start.held) * STREAMS


def _compare(where: str, loop: FrameLoop, taps: dict[str, Ints], found: npt.NDArray[Any], wanted: Parameters) -> None:
    """Every tap, every state behind the taps, parameters and counters."""
    expected: dict[str, tuple[Ints, npt.NDArray[Any]]] = {
        name: (taps[name], found[name]) for name in TAPS if name in (found.dtype.names or ())
    }
    for name in ("noise", "learned", "prior_uq16", "presence_q31"):
        expected[f"wiener.{name}"] = getattr(loop._wiener, name), found["wiener"][name]
    expected["wiener.hops"] = np.full(STREAMS, loop._wiener.hops), found["wiener"]["hops"]
    expected["history"], expected["overlap"] = (loop._history, found["history"]), (loop._overlap, found["overlap"])
    gains = [wanted.gain_floor_q15, wanted.dry_q15, wanted.wiener_floor_q15]
    expected["parameters"] = np.tile(np.array(gains, np.int64), (STREAMS, 1)), found["parameters"]["gains"]
    for i, stage in enumerate(STAGES):
        for what in ("saturations", "overflows"):
            expected[f"{what} of {stage}"] = getattr(loop.counters[stage], what), found["counters"][what][:, i]
    for name, (python, device) in expected.items():
        flat = np.asarray(python).reshape(STREAMS, -1), device.astype(np.int64).reshape(STREAMS, -1)
        if not np.array_equal(*flat):
            stream, element = np.argwhere(flat[0] != flat[1])[0]
            values = f"{flat[1][stream, element]}, the frame loop {flat[0][stream, element]}"
            raise FuzzError(f"{where}, state {stream}: {name}[{element}] is {values}")


# ---------------------------------------------------------------- door


def main(arguments: Sequence[str]) -> int:
    from golden_vectors.__main__ import BLESSED
    from golden_vectors.generate import load_graphs

    parser = argparse.ArgumentParser(prog="python -m tests.firmware.fuzz", description=__doc__)
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="NUMBER", help="default: 0")
    parser.add_argument("--minutes", type=float, default=5.0, help="default: 5")
    options = parser.parse_args(arguments)
    graphs: dict[str, Graph | None] = {**load_graphs(BLESSED), "no network": None}
    programs = {name: program(graph) for name, graph in graphs.items()}
    print(f"sanitizers: {' '.join(sanitizers())}")
    seed, lives, end = options.first, 500, time.monotonic() + 60.0 * options.minutes
    try:
        while time.monotonic() < end:
            for name, graph in graphs.items():
                run(programs[name], "seeds", seed, lives)
                for replayed in range(seed, seed + lives, 50):
                    replay(graph, programs[name], replayed)
            seed += lives
            print(f"\rseeds {options.first} to {seed - 1} on {', '.join(graphs)}: kept", end="", flush=True)
    except FuzzError as error:
        print(f"\n{name}: {error}", file=sys.stderr)
        return 1
    print(f"; go on with --from {seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
