"""Lists of recordings: the built corpus and the layouts that users bring, all as the same rows.

The loaders of other people's layouts are in `layouts`; the command-line flags that choose among all of them
are here. Nothing is decoded beyond a file's header. A wrong folder raises `CorpusError` with one line that
says what was looked for, where, and what to do.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from training.files import named_path

SPLITS = ("train", "validation", "test")
KINDS = ("speech", "noise")
"""What a mixture is made of; a corpus also holds `music` and rooms."""
MANIFEST_KINDS = (*KINDS, "music", "room")


class CorpusError(ValueError):
    """Recordings that are missing, misplaced or unreadable; the message is one line for the user."""


@dataclass(frozen=True)
class Recording:
    """One audio file and what is known about it.

    path         file in any format and rate that soundfile reads; mixing brings it to 16 kHz mono
    kind         'speech' or 'noise'; of the built corpus also 'music' and 'room' (five responses, see `rooms`)
    split        'train', 'validation' or 'test'
    speaker      talker identity, '' for noise
    recording    what must never be in two splits: a talker's take or one noise recording
    noise_kind   'babble', 'traffic', ..., '' for speech
    seconds      length of the file
    licence      short name, '' where the layout does not say
    """

    path: Path
    kind: str
    split: str
    speaker: str
    recording: str
    noise_kind: str
    seconds: float
    licence: str


def load_manifest(corpus: Path | str, splits: Iterable[str] = SPLITS) -> list[Recording]:
    """Rows of a corpus built by `python -m training corpus`.

    corpus     folder with manifest.csv, or the path of that file
    splits     which splits to keep
    raises     CorpusError: no manifest, foreign columns, no rows, or files that are not there
    """
    manifest = Path(corpus)
    if manifest.is_dir() or manifest.suffix != ".csv":
        manifest = manifest / "manifest.csv"
    if not manifest.is_file():
        raise CorpusError(f"no corpus manifest at {manifest}: build it with `python -m training corpus`")
    wanted = set(splits)
    try:
        text = manifest.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CorpusError(f"{manifest} is not a corpus manifest: it is not UTF-8 text") from None
    except OSError as error:
        raise CorpusError(f"{manifest}: cannot be read: {error.strerror or error}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = {"file", "split", "kind", "seconds"} - set(reader.fieldnames or ())
    if missing:
        raise CorpusError(f"{manifest} is not a corpus manifest: no column {', '.join(sorted(missing))}")
    try:
        rows = [_manifest_row(manifest, row) for row in reader if row["split"] in wanted]
    except csv.Error as error:
        raise CorpusError(f"{manifest} is not a corpus manifest: {error}") from None
    if not rows:
        raise CorpusError(f"{manifest} lists no recordings of {', '.join(sorted(wanted))}: rebuild the corpus")
    absent = next((row.path for row in rows if not row.path.is_file()), None)
    if absent is not None:
        raise CorpusError(f"{manifest} lists {absent}, which is not there: rebuild with `python -m training corpus`")
    return rows


def _manifest_row(manifest: Path, row: dict[str, str]) -> Recording:
    try:
        seconds = float(row["seconds"])
    except (TypeError, ValueError):
        seconds = math.nan
    if not row["file"] or not 0 <= seconds < math.inf:
        raise CorpusError(f"{manifest}: seconds of {row['file']!r} is {row['seconds']!r}, not a number from 0 up")
    if row["split"] not in SPLITS or row["kind"] not in MANIFEST_KINDS:
        raise CorpusError(f"{manifest}: {row['file']} is '{row['split']}/{row['kind']}', not a known split and kind")
    return Recording(
        path=manifest.parent / row["file"],
        kind=row["kind"],
        split=row["split"],
        speaker=row.get("speaker") or "",
        recording=row.get("recording") or row["file"],
        noise_kind=row.get("noise_kind") or ("other" if row["kind"] == "noise" else ""),
        seconds=seconds,
        licence=row.get("licence") or "",
    )


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags that choose the recordings; they may be combined, and without any the built corpus is taken."""
    group = parser.add_argument_group("recordings", "where speech and noise come from; flags may be combined")
    for flag, text in {
        "--corpus": "built by `python -m training corpus` (default build/corpus)",
        "--ears": "EARS: folders p001 ... p107 of speech",
        "--wham": "WHAM! noise: folders tr, cv, tt, or the 48 kHz set high_res_wham",
        "--voicebank": "VoiceBank-DEMAND: clean_trainset_28spk_wav, noisy_trainset_28spk_wav, ...",
        "--dns": "DNS-Challenge: clean_fullband and noise_fullband, or clean and noise",
        "--librispeech": "LibriSpeech: train-clean-100, dev-clean, test-clean, ...",
        "--speech": "any folder of clean speech, a folder a talker where talkers are known",
        "--noise": "any folder of noise, a folder a kind where kinds are known",
    }.items():
        group.add_argument(flag, type=named_path, metavar="DIR", help=text)


def recordings_from_arguments(args: argparse.Namespace) -> list[Recording]:
    """Rows of every layout named by the flags of `add_dataset_arguments`.

    raises    CorpusError: a wrong folder, or flags that give no speech or no noise
    """
    from training import layouts  # layouts builds on this file

    loaders: dict[str, Callable[[Path], list[Recording]]] = {
        "corpus": load_manifest,
        "ears": layouts.load_ears,
        "wham": layouts.load_wham,
        "voicebank": layouts.load_voicebank_demand,
        "dns": layouts.load_dns,
        "librispeech": layouts.load_librispeech,
        "speech": layouts.load_speech_folder,
        "noise": layouts.load_noise_folder,
    }
    chosen = {name: getattr(args, name) for name in loaders if getattr(args, name, None) is not None}
    chosen = chosen or {"corpus": Path("build/corpus")}
    rows = [row for name, folder in chosen.items() for row in loaders[name](folder)]
    for kind in KINDS:
        if not any(row.kind == kind for row in rows):
            flags = " ".join(f"--{name}" for name in chosen)
            raise CorpusError(f"{flags} gives no {kind}: add a flag that brings {kind}, such as --{kind} DIR")
    return rows
