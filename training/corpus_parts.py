"""The corpus in parts: one part a source (a talker in a package, a package's noises, a split's babble).

A part is built under a temporary name, moved into place, and then recorded in `parts/NAME.json` together
with a key of everything it depends on. A record whose key still fits, and whose files are there, is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import fftconvolve

from training.audio import RATE_HZ, AudioCache, write_audio
from training.corpus_clean import NOISE_LEVEL_DBFS, Prepared
from training.corpus_sources import LICENCES, NOISE_KINDS, NoiseSource, SpeechSource

COLUMNS = [
    "file",
    "split",
    "kind",
    "package",
    "speaker",
    "language",
    "sex",
    "recording",
    "noise_kind",
    "seconds",
    "snr_db",
    "hf4_db",
    "native_rate",
    "bandwidth_hz",
    "joined",
    "licence",
    "sources",
]
_BUILDER = 1  # raise it when a part built by older code must not be kept
_LONG_S, _FULL_S, _SHORTEST_S = 2.5, 4.0, 1.0
_GAP_S = (0.02, 0.15)
_NAMED_BY_FOLDERS = ("megaglest-data", "searchandrescue-data")  # whose file names alone say too little
_BABBLE_S = 30
BABBLE_COUNT = {"train": 30, "validation": 6, "test": 6}
_BABBLE_SEED = {"train": 1, "validation": 2, "test": 3}
_BABBLE_SHORTEST_S = 1.5

Row = dict[str, Any]
Source = tuple[str, Prepared]  # path below the package's root, and what became of it


@dataclass(frozen=True)
class Part:
    """Manifest rows of a part, why files were left out, and the digests of the files that it took."""

    rows: list[Row]
    counts: dict[str, int]
    digests: list[str]


def part_key(*what: object) -> str:
    """Fingerprint of all that a part depends on; the arguments must be JSON."""
    return hashlib.sha256(json.dumps([_BUILDER, *what]).encode()).hexdigest()


def keep_or_build(out: Path, name: str, key: str, build: Callable[[Path], Part]) -> Part:
    """The part `name`, as recorded if the record fits `key`, else built.

    build     writes the files of its rows below the folder that it is given
    """
    record = out / "parts" / f"{name}.json"
    old = _recorded(record)
    if old and old["key"] == key and all((out / row["file"]).is_file() for row in old["rows"]):
        return Part(old["rows"], old["counts"], old["digests"])
    staging = record.with_suffix(".building")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    part = build(staging)
    for row in old["rows"] if old else ():
        (out / row["file"]).unlink(missing_ok=True)
    for row in part.rows:
        target = out / row["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / row["file"], target)
    shutil.rmtree(staging)
    write_text(record, json.dumps({"key": key, **vars(part)}, indent=1))
    return part


def _recorded(record: Path) -> dict[str, Any] | None:
    try:
        fields = json.loads(record.read_text(encoding="utf-8"))
        return fields if {"key", "rows", "counts", "digests"} <= set(fields) else None
    except (OSError, ValueError, TypeError):
        return None


def write_text(path: Path, text: str) -> None:
    """Written whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def build_speech(source: SpeechSource, prepared: Iterable[Source], folder: Path) -> Part:
    """Clips of one talker: long utterances alone, short ones joined until they fill 4 s."""
    counts: Counter[str] = Counter()
    digests: list[str] = []
    taken = _taken(prepared, set(), counts, digests)
    rng = random.Random(source.speaker + source.package)
    rows: list[Row] = []
    for group in _groups(taken):
        clip = _joined(group, rng)
        if len(clip) < _SHORTEST_S * RATE_HZ:
            continue
        stem = f"{source.name}_{len(rows):04d}"
        file = f"{source.split}/speech/{source.speaker}/{stem}.flac"
        write_flac(folder / file, clip)
        quality = [prepared.quality for _, prepared in group]
        rows.append(
            {
                **make_row(file, source.split, "speech", source.package, f"{source.package}:{stem}", clip),
                "speaker": source.speaker,
                "language": source.language,
                "sex": source.sex,
                "snr_db": round(float(np.median([item.snr_db for item in quality])), 1),
                "hf4_db": round(float(np.median([item.hf4_db for item in quality])), 1),
                "native_rate": group[0][1].native_rate,
                "bandwidth_hz": round(float(np.median([item.bandwidth_hz for item in quality]))),
                "joined": len(group),
                "sources": "|".join(path for path, _ in group),
            }
        )
    return Part(rows, dict(counts), digests)


def _taken(prepared: Iterable[Source], seen: set[str], counts: Counter[str], digests: list[str]) -> Iterator[Source]:
    """Those that were kept and are no copy of one seen before; counts reasons, collects digests."""
    for path, item in prepared:
        reason = "duplicate" if item.reason == "ok" and item.digest in seen else item.reason
        counts[reason] += 1
        if reason == "ok":
            seen.add(item.digest)
            digests.append(item.digest)
            yield path, item


def _groups(sources: Iterable[Source]) -> Iterator[list[Source]]:
    pending: list[Source] = []
    for path, item in sources:
        if len(item.samples) > _LONG_S * RATE_HZ:
            yield from ([pending] if pending else [])
            yield [(path, item)]
            pending = []
            continue
        pending.append((path, item))
        if sum(len(other.samples) for _, other in pending) > _FULL_S * RATE_HZ:
            yield pending
            pending = []
    yield from ([pending] if pending else [])


def _joined(group: Sequence[Source], rng: random.Random) -> np.ndarray:
    pieces = [group[0][1].samples]
    for _, item in group[1:]:
        pieces.append(np.zeros(int(RATE_HZ * rng.uniform(*_GAP_S)), dtype=np.float32))
        pieces.append(item.samples)
    return np.concatenate(pieces)


def build_noise(source: NoiseSource, prepared: Iterable[Source], seen: set[str], folder: Path) -> Part:
    """Noise recordings of one package for one split; `seen` holds the digests that other sources took."""
    counts: Counter[str] = Counter()
    digests: list[str] = []
    rows: list[Row] = []
    names: set[str] = set()
    for path, item in _taken(prepared, set(seen), counts, digests):
        name = _noise_name(source.package, path, names)
        kind = source.kind or noise_kind(source.package, path)
        file = f"{source.split}/noise/{kind}__{source.package.replace('-data', '')}__{name}.flac"
        write_flac(folder / file, item.samples)
        rows.append(
            {
                **make_row(file, source.split, "noise", source.package, f"{source.package}:{name}", item.samples),
                "noise_kind": kind,
                "native_rate": item.native_rate,
                "bandwidth_hz": round(min(item.quality.bandwidth_hz, RATE_HZ / 2)),
                "sources": path,
            }
        )
    return Part(rows, dict(counts), digests)


def _noise_name(package: str, path: str, names: set[str]) -> str:
    """A name from the last folders of the path, with as many of them as make it unique among `names`."""
    parts = Path(path).with_suffix("").parts
    depth = 3 if package in _NAMED_BY_FOLDERS else 1
    while True:
        name = "_".join(parts[-depth:]).replace("sounds_", "").replace(" ", "_")
        if name not in names or depth >= len(parts):
            names.add(name)
            return name
        depth += 1


def noise_kind(package: str, path: str) -> str:
    """Kind of noise by the file's name, 'other' where NOISE_KINDS knows nothing."""
    words = "/".join(Path(path).parts[-2:] if package == "megaglest-data" else Path(path).parts[-1:]).lower()
    words = re.sub("(birch|dark|rain)_forest|winter", "", words) if package == "megaglest-data" else words
    return next((kind for pattern, kind in NOISE_KINDS if re.search(pattern, words)), "other")


def build_babble(speech: Sequence[Row], split: str, out: Path, folder: Path) -> Part:
    """Crowds of 4 to 8 talkers of one split in a room: each voice with its own level and reverberation."""
    rng = np.random.default_rng(_BABBLE_SEED[split])
    talkers: dict[str, list[Path]] = {}
    for row in speech:
        if row["seconds"] >= _BABBLE_SHORTEST_S:
            talkers.setdefault(row["speaker"], []).append(out / row["file"])
    names = sorted(talkers)
    rows = []
    audio = AudioCache()
    for index in range(BABBLE_COUNT[split] if names else 0):
        count = int(rng.integers(4, 9))
        voices = [str(name) for name in rng.choice(names, min(count, len(names)), replace=False)]
        voices += [names[rng.integers(len(names))] for _ in range(count - len(voices))]
        crowd = sum(_voice(talkers[name], audio, rng) for name in voices)
        crowd *= 10 ** (NOISE_LEVEL_DBFS / 20) / np.sqrt(np.mean(crowd**2))
        crowd *= min(1.0, 0.95 / np.abs(crowd).max())
        file = f"{split}/noise/babble__made__{index:02d}.flac"
        write_flac(folder / file, crowd)
        rows.append(
            {
                **make_row(
                    file,
                    split,
                    "noise",
                    "made from speech of the same split",
                    f"babble:{split}:{index}",
                    crowd,
                ),
                "noise_kind": "babble",
                "native_rate": RATE_HZ,
                "bandwidth_hz": RATE_HZ // 2,
                "licence": "as its speech",
                "sources": f"{count} voices: " + "|".join(voices),
            }
        )
    return Part(rows, {"ok": len(rows)}, [])


def _voice(clips: Sequence[Path], audio: AudioCache, rng: np.random.Generator) -> np.ndarray:
    """30 s of one talker, float32, with an exponential room tail and a level of -5 to 3 dB."""
    length = _BABBLE_S * RATE_HZ
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < length + RATE_HZ:
        pieces.append(audio.get(clips[int(rng.integers(len(clips)))]) / np.float32(32768.0))
        pieces.append(np.zeros(int(rng.uniform(0.1, 0.6) * RATE_HZ), dtype=np.float32))
    start = int(rng.integers(0, RATE_HZ))
    dry = np.concatenate(pieces)[start : start + length]
    decay_s = rng.uniform(0.25, 0.7)
    size = int(1.1 * decay_s * RATE_HZ)
    tail = rng.standard_normal(size) * 10 ** (-3 * np.arange(size) / (decay_s * RATE_HZ))
    tail[:40] = 0.0
    tail[0] = 3.0
    tail /= np.sqrt(np.sum(tail**2))
    wet = fftconvolve(dry, tail.astype(np.float32))[:length] * 10 ** (rng.uniform(-5, 3) / 20)
    return np.asarray(wet, dtype=np.float32)


def make_row(file: str, split: str, kind: str, package: str, recording: str, samples: np.ndarray) -> Row:
    """The columns that every kind of recording has."""
    return {
        "file": file,
        "split": split,
        "kind": kind,
        "package": package,
        "recording": recording,
        "seconds": round(len(samples) / RATE_HZ, 5),  # fine enough to give the number of samples back
        "licence": LICENCES.get(package, ""),
    }


def write_flac(path: Path, samples: np.ndarray) -> None:
    """16 bits, mono, 16 kHz; raises RunError."""
    write_audio(path, np.clip(samples, -0.999, 0.999), RATE_HZ, "FLAC")
