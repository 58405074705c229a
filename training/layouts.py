"""Loaders of layouts that users bring: EARS, WHAM!, VoiceBank-DEMAND, DNS-Challenge, LibriSpeech, folders.

Each takes the folder that the data set unpacks to and returns `Recording` rows. Official splits are kept
where the data set has them; otherwise talkers (or noise recordings) are dealt out by a hash of their names,
about 90 % to train and 5 % each to validation and test, so that a split never depends on the order of
files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from training.audio import read_audio, write_audio
from training.datasets import SPLITS, CorpusError, Recording
from training.files import is_utf8

SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "cv"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "tt"), "test"),
}
_EARS_SPLITS = {
    **dict.fromkeys(("p100", "p101"), "validation"),
    **{f"p{number}": "test" for number in range(102, 108)},
}
_EARS_NOT_SPEECH = ("interjection", "melodic", "nonverbal", "vegetative")
_VOICEBANK_VALIDATION = {"p226", "p287"}
_DNS_SPEAKER = re.compile(r"reader_(\d+)|(?:^|[_/])(p\d{3})(?=[_/])|speaker[_-]?(\w+?)_")


def load_ears(root: Path | str) -> list[Recording]:
    """EARS (Richter et al. 2024): `p001/*.wav` ... `p107/*.wav`, 48 kHz, split as in its own benchmark.

    Talkers p100, p101 are validation, p102 to p107 test; interjections, singing and nonverbal sounds are
    left out.
    """
    root = _folder(root, "EARS")
    files = [
        path
        for path in _audio_files(root)
        if re.fullmatch(r"p\d{3}", path.parent.name) and not path.name.startswith(_EARS_NOT_SPEECH)
    ]
    if not files:
        raise CorpusError(f"{root} is not EARS: it has no talker folders p001 ... p107 with audio")
    speaker = {path: path.parent.name for path in files}
    rows = [_speech(path, _EARS_SPLITS.get(speaker[path], "train"), speaker[path], "CC-BY-NC-4.0") for path in files]
    return _with_all_splits(rows, root)


def load_wham(root: Path | str) -> list[Recording]:
    """WHAM! noise (Wichern et al. 2019): `tr`, `cv`, `tt`, or the 48 kHz set `high_res_wham/audio`.

    Its places are cafes, restaurants, bars and parks; the files do not name them, so the kind is 'urban'. The
    48 kHz set has no splits: its recordings are dealt out by a hash of their names.
    """
    root = _folder(root, "WHAM!")
    for inner in ("wham_noise", "high_res_wham"):
        root = root / inner if (root / inner).is_dir() else root
    files = _audio_files(root)
    rows = [
        _noise(path, _SPLIT_NAMES.get(path.relative_to(root).parts[0], ""), "urban", "CC-BY-NC-4.0")
        for path in files
        if path.relative_to(root).parts[0] in ("tr", "cv", "tt", "audio")
    ]
    if not rows:
        raise CorpusError(f"{root} is not WHAM! noise: it has none of the folders tr, cv, tt, audio with audio")
    return _with_all_splits(rows, root)


def load_librispeech(root: Path | str) -> list[Recording]:
    """LibriSpeech (Panayotov et al. 2015): `train-*`, `dev-*`, `test-*` with `TALKER/CHAPTER/*.flac`."""
    root = _folder(root, "LibriSpeech")
    root = root / "LibriSpeech" if (root / "LibriSpeech").is_dir() else root
    subsets = [folder for folder in sorted(root.iterdir()) if re.match(r"(train|dev|test)-", folder.name)]
    rows = [
        _speech(path, _SPLIT_NAMES[subset.name.split("-")[0]], path.name.split("-")[0], "CC-BY-4.0")
        for subset in subsets
        for path in _audio_files(subset)
    ]
    if not rows:
        raise CorpusError(
            f"{root} is not LibriSpeech: it has no folder such as train-clean-100 or dev-clean with audio"
        )
    return _with_all_splits(rows, root)


def load_dns(root: Path | str) -> list[Recording]:
    """DNS-Challenge (Reddy et al. 2020 and later): `clean_fullband` + `noise_fullband`, or `clean` + `noise`.

    Talkers come from the names (`reader_06709`, VCTK's `p225`), else from the folder. Recordings are split
    by them.
    """
    root = _folder(root, "DNS-Challenge")
    for inner in ("datasets_fullband", "datasets"):
        root = root / inner if (root / inner).is_dir() else root
    pairs = (("clean_fullband", "noise_fullband"), ("clean", "noise"))
    found = next((pair for pair in pairs if all((root / name).is_dir() for name in pair)), None)
    if found is None:
        raise CorpusError(
            f"{root} is not DNS-Challenge: it needs clean_fullband and noise_fullband, or clean and noise"
        )
    clean, noise = (root / name for name in found)
    speech_rows = [
        _speech(path, "", _dns_speaker(path.relative_to(clean)), "CC-BY-4.0 and others") for path in _audio_files(clean)
    ]
    noise_rows = [_noise(path, "", "other", "CC-BY-4.0 and CC0-1.0") for path in _audio_files(noise)]
    if not speech_rows or not noise_rows:
        raise CorpusError(f"{clean if not speech_rows else noise} holds no audio: is the archive unpacked?")
    return _with_all_splits(speech_rows, clean) + _with_all_splits(noise_rows, noise)


def _dns_speaker(path: Path) -> str:
    match = _DNS_SPEAKER.search(path.as_posix())
    if match:
        return next(group for group in match.groups() if group)
    return path.parent.as_posix() if path.parent != Path(".") else "unknown"


def load_voicebank_demand(root: Path | str, derived: Path | str = "build/voicebank_noise") -> list[Recording]:
    """VoiceBank-DEMAND (Valentini-Botinhao 2017): pairs of clean and noisy files, 48 kHz or 16 kHz.

    The set has no noise files: noise = noisy - clean is written once to `derived` as FLAC, and goes with
    the split of its talker. Talkers p226 and p287 (or, where they are absent, a hashed one) are validation;
    the test set is the set's own.
    """
    root = _folder(root, "VoiceBank-DEMAND")
    kinds = _voicebank_noise_kinds(root)
    files = [path for folder in sorted(root.glob("clean_*set*wav")) for path in _audio_files(folder)]
    if not files:
        raise CorpusError(f"{root} is not VoiceBank-DEMAND: it has no clean_trainset_28spk_wav or the like with audio")
    tested = {_voicebank_talker(path) for path in files if "test" in path.parent.name}
    split_of = _voicebank_splits({_voicebank_talker(path) for path in files} - tested, tested)
    if set(split_of.values()) != set(SPLITS):
        raise CorpusError(f"{root} has too few talkers for train, validation and test: unpack the whole set")
    rows = []
    for path in files:
        noisy = root / path.parent.name.replace("clean_", "noisy_", 1) / path.name
        if not noisy.is_file():
            raise CorpusError(f"{path} has no noisy partner {noisy}: unpack {noisy.parent.name} beside it")
        noise = Path(derived) / noisy.parent.name / f"{path.stem}.flac"
        _write_difference(noisy, path, noise)
        talker = _voicebank_talker(path)
        rows.append(_speech(path, split_of[talker], talker, "CC-BY-4.0"))
        rows.append(_noise(noise, split_of[talker], kinds.get(path.stem, "other"), "CC-BY-4.0"))
    return rows


def _voicebank_talker(path: Path) -> str:
    return path.name.split("_")[0]


def _voicebank_splits(talkers: set[str], tested: set[str]) -> dict[str, str]:
    """Split of every talker; without the test set a hashed talker of the others is held out in its place."""
    order = sorted(talkers, key=lambda talker: (talker not in _VOICEBANK_VALIDATION, _hash(talker)))
    held_out = set(order) & _VOICEBANK_VALIDATION or set(order[:1])
    tested = tested or {talker for talker in order[-1:] if talker not in held_out}
    splits = {talker: "validation" if talker in held_out else "train" for talker in talkers}
    return {**splits, **dict.fromkeys(tested, "test")}


def _voicebank_noise_kinds(root: Path) -> dict[str, str]:
    """Noise kinds by file stem, of the log files `p226_001 babble 10` where they are there."""
    kinds = {}
    for log in sorted(root.glob("log_*set*.txt")):
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            if len(words) >= 2:
                kinds[words[0]] = words[1]
    return kinds


def _write_difference(noisy: Path, clean: Path, target: Path) -> None:
    if target.is_file():
        return
    mixture, rate_hz = read_audio(noisy)
    speech, speech_rate_hz = read_audio(clean)
    if rate_hz != speech_rate_hz or abs(len(mixture) - len(speech)) > 1:
        raise CorpusError(f"{noisy} and {clean} differ in rate or length: they are not a pair")
    length = min(len(mixture), len(speech))
    write_audio(target, np.clip(mixture[:length, 0] - speech[:length, 0], -1.0, 1.0), rate_hz, "FLAC")


def load_speech_folder(root: Path | str) -> list[Recording]:
    """Any folder of clean speech: [SPLIT/][TALKER/...]*.wav.

    Folders named train, validation (valid, dev, ...) and test are splits; the folder below is the talker.
    Without talker folders all files are one talker's and are split by file.
    """
    root = _folder(root, "speech")
    rows = []
    for path in _required_audio_files(root):
        split, below = _split_of(path.relative_to(root))
        speaker = below.parts[0] if len(below.parts) > 1 else root.resolve().name
        rows.append(_speech(path, split, speaker, ""))
    return _with_all_splits(rows, root)


def load_noise_folder(root: Path | str) -> list[Recording]:
    """Any folder of noise: [SPLIT/][KIND/...]*.wav, split by file; without kind folders the kind is 'other'.

    A kind called 'babble' is drawn as babble; name the part before '__' of a file otherwise: `babble__x.wav`.
    """
    root = _folder(root, "noise")
    rows = []
    for path in _required_audio_files(root):
        split, below = _split_of(path.relative_to(root))
        prefix, mark, _ = path.stem.partition("__")
        kind = below.parts[0] if len(below.parts) > 1 else prefix if mark else "other"
        rows.append(_noise(path, split, kind.lower(), ""))
    return _with_all_splits(rows, root)


def load_folders(speech: Path | str, noise: Path | str) -> list[Recording]:
    """`load_speech_folder` and `load_noise_folder` together."""
    return load_speech_folder(speech) + load_noise_folder(noise)


def load_ears_wham(ears: Path | str, wham: Path | str) -> list[Recording]:
    """`load_ears` and `load_wham` together."""
    return load_ears(ears) + load_wham(wham)


def _folder(root: Path | str, name: str) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise CorpusError(f"no {name} folder at {root}: give the folder that the data set unpacks to")
    return root


def _audio_files(root: Path) -> list[Path]:
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    for path in files:
        if not is_utf8(path):
            raise CorpusError(f"the name of {str(path)!a} is not UTF-8: rename the file or its folder")
    return files


def _required_audio_files(root: Path) -> list[Path]:
    files = _audio_files(root)
    if not files:
        raise CorpusError(f"no audio in {root}: looked for {', '.join(sorted(SUFFIXES))} in it and below it")
    return files


def _split_of(path: Path) -> tuple[str, Path]:
    """The split that the first folder of a relative path names, or '', and the path below it."""
    split = _SPLIT_NAMES.get(path.parts[0].lower(), "") if len(path.parts) > 1 else ""
    return split, Path(*path.parts[1:]) if split else path


def _speech(path: Path, split: str, speaker: str, licence: str) -> Recording:
    return Recording(path, "speech", split, speaker, path.stem, "", _seconds(path), licence)


def _noise(path: Path, split: str, kind: str, licence: str) -> Recording:
    return Recording(path, "noise", split, "", path.stem, kind, _seconds(path), licence)


def _seconds(path: Path) -> float:
    try:
        return float(soundfile.info(str(path)).duration)
    except (OSError, RuntimeError) as error:
        raise CorpusError(f"cannot read {path} as audio: {str(error).splitlines()[0]}") from None


def _with_all_splits(rows: list[Recording], root: Path) -> list[Recording]:
    """Rows with no split left empty and none missing: what the layout says stays, the rest is dealt out.

    Groups (talkers; noise recordings; files where there are too few talkers) are ordered by a hash of their names;
    the first 5 %, at least one, go to each missing split. They are taken from train, or, where there is no train,
    from everything.
    """
    if not any(row.split in ("", "train") for row in rows):
        rows = [replace(row, split="") for row in rows]
    missing = [split for split in ("validation", "test") if not any(row.split == split for row in rows)]
    for group_of in (_talker_or_recording, _file_below(root)):
        groups = sorted({group_of(row) for row in rows if row.split in ("", "train")}, key=_hash)
        if len(groups) > len(missing):
            break
    else:
        raise CorpusError(f"{root} has too few recordings for train, validation and test: add some, at least three")
    size = max(1, round(0.05 * len(groups)))
    dealt = dict.fromkeys(groups, "train")
    for index, split in enumerate(missing):
        dealt.update(dict.fromkeys(groups[index * size : (index + 1) * size], split))
    return [replace(row, split=dealt[group_of(row)]) if row.split in ("", "train") else row for row in rows]


def _talker_or_recording(row: Recording) -> str:
    return row.speaker or row.recording


def _file_below(root: Path) -> Callable[[Recording], str]:
    return lambda row: row.path.relative_to(root).as_posix()


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
