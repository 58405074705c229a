"""Every reader of files, on files that are nearly right: a correct result, or the room's own error in one line.

    python -m tests.fuzz_readers [--from SEED] [--minutes M]

A try is named by its seed: `--from` goes on where a run has stopped, or shows a failure again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import soundfile

import export.__main__ as export_door
import firmware_sim.__main__ as firmware_door
from export.provenance import ExportError
from export.quantize import quantize
from export.student import load_student
from firmware_sim.blocks import RECIPES
from firmware_sim.contract import PROFILES, ContractError
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.graph import Graph, GraphError
from golden_vectors.errors import WitnessError
from golden_vectors.files import DIRECTORY, load
from tests import damage
from tests.export.tiny_model import tiny_graph
from tests.synthetic_student import save_student, synthetic_student
from training.datasets import CorpusError
from training.files import RunError
from training.fit import Trainer
from training.handoff import load_student as load_float_student
from training.recipes import MixRecipe, NoiseClip, ShapedNoise, SpeechClip, load_recipes, save_recipes
from training.settings import FitSettings

SLOWEST_SECONDS = 30.0
LONGEST_LINE = 700
VECTORS = ("network_speech_int8", "lost_hops", "gain_floor_edge")


class ReaderError(AssertionError):
    """A reader broke its promise."""


@contextlib.contextmanager
def judged(path: Path, *own: type[Exception]) -> Iterator[None]:
    """The block succeeds, or raises one of the room's own errors: one printable line that names the file."""
    started = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except own as error:
        check_line(str(error), path)
    if time.monotonic() - started > SLOWEST_SECONDS:
        raise ReaderError(f"{path.name}: took {time.monotonic() - started:.0f} s")


def check_line(line: str, *paths: Path) -> None:
    """Whether a message is one clear line about one of the files."""
    if not any(str(path) in line for path in paths) or not line.isprintable() or len(line) > LONGEST_LINE:
        raise ReaderError(f"not one clear line that names the file: {line[:LONGEST_LINE]!r}")


# ---------------------------------------------------------------- graphs


@cache
def graph_bytes(scheme: str) -> bytes:
    graph = tiny_graph(scheme)
    meta = {**graph.meta, "student_sha256": "0" * 64}
    return Graph(graph.scheme, graph.ops, graph.inputs, graph.outputs, meta).to_bytes()


def sealed(members: dict[str, bytes]) -> dict[str, bytes]:
    """The members with the digest that their content has, where it has one: so that no damage hides behind it."""
    try:
        header = json.loads(_array(members["graph.npy"]).tobytes())
        header.pop("digest", None)
        constants = b"".join(_array(members[f"{name}.npy"]).tobytes() for name in header["constants"])
        content = json.dumps(header, sort_keys=True, separators=(",", ":")).encode() + constants
        text = json.dumps({**header, "digest": hashlib.sha256(content).hexdigest()}, sort_keys=True)
        return {**members, "graph.npy": damage.npy(np.frombuffer(text.replace(", ", ",").encode(), np.uint8))}
    except Exception:  # what has no digest stays as it is
        return members


def _array(raw: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(raw), allow_pickle=False)


def damaged_graph(chance: Random) -> bytes:
    raw = graph_bytes(chance.choice(sorted(RECIPES)))
    if chance.random() < 0.3:
        return damage.damaged_archive(chance, raw)
    members = dict(damage.members_of(raw))
    header = json.loads(_array(members["graph.npy"]).tobytes())
    text = damage.damaged_json(chance, header, chance.choice([1, 1, 2]))
    members["graph.npy"] = damage.npy(np.frombuffer(text, np.uint8))
    if chance.random() < 0.2:
        name = chance.choice(sorted(members))
        members[name] = damage.damaged_npy(chance, members[name])
    return damage.archive_of(list(sealed(members).items()))


def try_graph(chance: Random, folder: Path) -> str:
    """Loaded graphs must run and be exported, or be refused by the loop or the door."""
    path, graph = folder / "model.npz", None
    path.write_bytes(damaged_graph(chance))
    with judged(path, GraphError):
        graph = Graph.load(path)
    if graph is None:
        return "refused"
    with contextlib.suppress(GraphError, ContractError):
        FrameLoop(PROFILES["seed"], graph).process_hop(np.full((1, 64), 1000, np.int16))
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = export_door.main([str(path), "--to", "c", "--out", str(folder / "out")])
    if status or said.getvalue():
        check_line(said.getvalue().removesuffix("\n"), path)
    return "refused by export" if status else "read"


# ---------------------------------------------------------------- students


@cache
def student_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return save_student(synthetic_student(hidden=8, frames=12, streams=2), Path(folder, "s.npz")).read_bytes()


def damaged_student(chance: Random) -> bytes:
    raw = student_bytes()
    if chance.random() < 0.7:
        return damage.damaged_archive(chance, raw)
    members = dict(damage.members_of(raw))
    text = damage.damaged_json(chance, json.loads(str(_array(members["meta.npy"]))))
    members["meta.npy"] = damage.npy(np.array(text.decode(errors="replace")))
    return damage.archive_of(list(members.items()))


def try_student(chance: Random, folder: Path) -> str:
    """Students that export reads can be quantized, or are refused by the scheme; training reads no others."""
    path, student = folder / "student.npz", None
    path.write_bytes(damaged_student(chance))
    with judged(path, RunError):
        load_float_student(path)
    with judged(path, ExportError):
        student = load_student(path)
    if student is None:
        return "refused"
    with warnings.catch_warnings(), contextlib.suppress(GraphError):
        warnings.simplefilter("error")
        quantize(student, RECIPES[chance.choice(sorted(RECIPES))])
    return "read"


# ---------------------------------------------------------------- vectors


def try_vector(chance: Random, folder: Path) -> str:
    name = chance.choice(VECTORS)
    path = folder / f"{name}.json"
    text, arrays = ((DIRECTORY / f"{name}.{kind}").read_bytes() for kind in ("json", "npz"))
    header = json.loads(text)
    both = chance.randrange(3)
    if both != 0:
        arrays = damage.damaged_archive(chance, arrays)
        header["files"]["npz"] = hashlib.sha256(arrays).hexdigest()
        text = json.dumps(header).encode()
    if both != 1:
        text = damage.damaged_json(chance, header)
    path.write_bytes(text)
    path.with_suffix(".npz").write_bytes(arrays)
    for suffix in header["files"]:
        if suffix != "npz":
            shutil.copy(DIRECTORY / f"{name}.{suffix}", folder)
    with judged(path, WitnessError):
        load(path)
        return "read"
    return "refused"


# ---------------------------------------------------------------- sound


@cache
def sounds() -> tuple[bytes, ...]:
    """Short files of every container and width."""
    kinds = [
        ("WAV", "PCM_16", 16000, 1), ("WAV", "FLOAT", 16000, 1), ("WAV", "IMA_ADPCM", 16000, 1),
        ("WAV", "PCM_U8", 11025, 1), ("FLAC", "PCM_16", 16000, 1), ("FLAC", "PCM_24", 44100, 2),
        ("RF64", "PCM_24", 44100, 2), ("WAVEX", "PCM_32", 48000, 2),
    ]  # fmt: skip
    made = []
    for container, subtype, rate_hz, channels in kinds:
        buffer = io.BytesIO()
        samples = np.sin(np.arange(300 * channels).reshape(300, channels) * 0.1) * 0.5
        soundfile.write(buffer, samples, rate_hz, format=container, subtype=subtype)
        made.append(buffer.getvalue())
    return tuple(made)


def damaged_sound(chance: Random) -> bytes:
    """Absurd sizes, rates, channels and widths in the header; bytes anywhere."""
    raw = chance.choice(sounds())
    kind = chance.randrange(4)
    if kind > 0:
        at, width = chance.randrange(min(len(raw) - 4, 90)), chance.choice([1, 2, 4])
        value = chance.choice([0, 1, 2, 255, 65534, 16000, 192_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]) % (
            1 << 8 * width
        )
        raw = raw[:at] + value.to_bytes(width, chance.choice(["little", "big"])) + raw[at + width :]
    return raw if kind > 1 else damage.damaged_bytes(chance, raw)


def try_sound(chance: Random, folder: Path) -> str:
    """Through the door of firmware_sim."""
    path, out = folder / "noisy.wav", folder / f"clean{chance.choice(['.wav', '.flac'])}"
    path.write_bytes(damaged_sound(chance))
    said = io.StringIO()
    with judged(path), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = firmware_door.main([str(path), "-o", str(out), "--wiener-only"])
    if status:
        check_line(said.getvalue().removesuffix("\n"), path, out)
        if out.exists():
            raise ReaderError("an output was left behind")
        return "refused"
    out.unlink()
    return "read"


# ---------------------------------------------------------------- training


@cache
def recipe_line() -> bytes:
    speech, noise = (SpeechClip("a.wav", 0, 8000, 100),), (NoiseClip("b.wav", 3, -3.0),)
    recipe = MixRecipe(16000, speech, noise, (ShapedNoise(3, 0.5, -6.0),), 5.0, -25.0, 100, "one")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "recipes.jsonl")
        save_recipes(path, [recipe])
        return path.read_bytes()


def try_recipes(chance: Random, folder: Path) -> str:
    path = folder / "recipes.jsonl"
    line = recipe_line()
    second = damage.damaged_json(chance, json.loads(line), chance.choice([1, 1, 2])) + b"\n"
    path.write_bytes(damage.damaged_bytes(chance, line) if chance.random() < 0.2 else line + second)
    with judged(path, CorpusError):
        save_recipes(folder / "again.jsonl", load_recipes(path))
        return "read"
    return "refused"


@cache
def trainer() -> Trainer:
    return Trainer(FitSettings(blocks=1))


@cache
def checkpoint_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint.pt")
        trainer().save(path)
        return path.read_bytes()


def damaged_checkpoint(chance: Random) -> bytes:
    """Bytes of the file, or parts of its content."""
    import torch

    raw = checkpoint_bytes()
    if chance.random() < 0.4:
        return damage.damaged_bytes(chance, raw)
    content = torch.load(io.BytesIO(raw), weights_only=True)
    part = chance.choice(["settings", "progress", "student", "optimizer"])
    if part == "student":
        name = chance.choice(sorted(content[part]))
        content[part][name] = chance.choice([torch.zeros(3), torch.full((1,), float("nan")), None, "x"])
    else:
        content[part] = damage.replaced(chance, content[part])
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def try_checkpoint(chance: Random, folder: Path) -> str:
    path = folder / "checkpoint.pt"
    path.write_bytes(damaged_checkpoint(chance))
    with judged(path, RunError):
        trainer().warm_start(path)
        trainer().load(path)
        return "read"
    return "refused"


# ---------------------------------------------------------------- door

TRIES: dict[str, Callable[[Random, Path], str]] = {
    "graph": try_graph,
    "student": try_student,
    "vector": try_vector,
    "sound": try_sound,
    "recipes": try_recipes,
    "checkpoint": try_checkpoint,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_readers", description=__doc__)
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="SEED", help="default: 0")
    parser.add_argument("--minutes", type=float, default=2.0, help="default: 2")
    options = parser.parse_args(arguments)
    seed, end, counts = options.first, time.monotonic() + 60.0 * options.minutes, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            for name, attempt in TRIES.items():
                try:
                    counts[f"{name} {attempt(Random(seed), Path(folder))}"] += 1
                except BaseException:
                    print(f"{name}, seed {seed}:", file=sys.stderr)
                    raise
            seed += 1
    print(f"seeds {options.first} to {seed - 1}: {', '.join(f'{n} {name}' for name, n in sorted(counts.items()))}")
    print(f"go on with --from {seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
