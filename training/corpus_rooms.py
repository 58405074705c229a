"""Two further parts of the corpus: rooms to mix in, and music that a hearing aid must leave alone.

Rooms are drawn and simulated here, from a seed; only KEMAR's head comes out of a package. Music is test material for
`python -m training safety` and is never trained on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from training.audio import RATE_HZ, write_audio
from training.corpus_clean import Prepared
from training.corpus_parts import Part, Row, Source, make_row, write_flac
from training.corpus_sources import MusicSource
from training.datasets import SPLITS
from training.engines import Engine, in_order
from training.rooms import draw_room, responses
from training.sofa import read_sofa

HEAD_PACKAGE = "libmysofa1"
HEAD_FILE = "usr/share/libmysofa/MIT_KEMAR_normal_pinna.sofa"
ROOM_PARTS = {"train": 5, "validation": 1, "test": 1}
ROOMS = 40
"""Rooms of a part: a build that was stopped goes on with the next part."""

MUSIC_S = 30.0
_MUSIC_FROM_S = 20.0  # themes fade in
_ROOM_SEED = 11


def room_parts() -> list[tuple[str, str, int]]:
    """(name, split, seed) of every part of rooms."""
    return [
        (f"rooms_{split}_{number}", split, 1000 * SPLITS.index(split) + number)
        for split in SPLITS
        for number in range(ROOM_PARTS[split])
    ]


def build_rooms(split: str, seed: int, head_file: Path, engine: Engine, folder: Path) -> Part:
    """ROOMS rooms of one split, each a FLAC of five channels.

    head_file   KEMAR, SOFA
    engine      runs what simulates
    raises      CorpusError: the head cannot be read
    """
    simulate = partial(_room, seed, head_file)
    done = in_order(engine, simulate, range(ROOMS))
    rows = []
    for index, (taps, text) in enumerate(done):
        file = f"{split}/room/room_{seed:04d}_{index:02d}.flac"
        # 24 bits: at 16 the sum of the rounding of thousands of taps would be heard at -63 dB.
        write_audio(folder / file, np.clip(taps.T * 0.9, -1, 1), RATE_HZ, "FLAC", "PCM_24")
        row = make_row(file, split, "room", HEAD_PACKAGE, f"rooms:{seed}:{index}", taps[0])
        rows.append({**row, "native_rate": RATE_HZ, "bandwidth_hz": RATE_HZ // 2, "sources": text})
    return Part(rows, {"ok": len(rows)}, [])


def _room(seed: int, head_file: Path, index: int) -> tuple[np.ndarray, str]:
    plan = draw_room(np.random.default_rng([_ROOM_SEED, seed, index]))
    return responses(plan, read_sofa(head_file)), str(plan)


def build_music(source: MusicSource, prepared: Iterable[Source], folder: Path) -> Part:
    """Half a minute out of every piece of one package, at -26 dBFS RMS."""
    counts: Counter[str] = Counter()
    rows: list[Row] = []
    for path, item in prepared:
        counts[item.reason] += 1
        if item.reason != "ok":
            continue
        name = Path(path).stem
        file = f"{source.split}/music/{source.package.replace('-data', '')}__{name}.flac"
        write_flac(folder / file, _middle(item))
        row = make_row(file, source.split, "music", source.package, f"{source.package}:{name}", _middle(item))
        bandwidth = round(min(item.quality.bandwidth_hz, RATE_HZ / 2))
        rows.append({**row, "native_rate": item.native_rate, "bandwidth_hz": bandwidth, "sources": path})
    return Part(rows, dict(counts), [])


def _middle(item: Prepared) -> np.ndarray:
    longest = int(MUSIC_S * RATE_HZ)
    first = max(min(int(_MUSIC_FROM_S * RATE_HZ), len(item.samples) - longest), 0)
    return item.samples[first : first + longest]
