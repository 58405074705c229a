"""The rules of the corpus: what is split, left out, trimmed, measured and built again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.sounds import speechlike, write
from training.audio import RATE_HZ
from training.corpus_clean import decode, measure, prepare_noise, prepare_speech, trim
from training.corpus_parts import Part, keep_or_build, noise_kind
from training.corpus_report import check_splits
from training.corpus_rooms import HEAD_PACKAGE
from training.corpus_sources import LARGE_PACKAGES, LICENCES, MUSIC, NOISE, SPEECH, packages
from training.datasets import SPLITS, CorpusError


def test_a_part_is_built_again_when_what_it_depends_on_changes(tmp_path: Path) -> None:
    def build(folder: Path, name: str) -> Part:
        write(folder / name, np.zeros(10))
        return Part([{"file": name}], {}, [])

    calls: list[str] = []
    for key, name in (("a", "1.wav"), ("a", "2.wav"), ("b", "3.wav")):

        def traced(folder: Path, name: str = name) -> Part:
            calls.append(name)
            return build(folder, name)

        part = keep_or_build(tmp_path, "part", key, traced)
    assert calls == ["1.wav", "3.wav"]
    assert part.rows == [{"file": "3.wav"}]
    assert sorted(path.name for path in tmp_path.glob("*.wav")) == ["3.wav"], "the old part's files are gone"
    (tmp_path / "parts/part.json").write_text(json.dumps([1]))
    assert keep_or_build(tmp_path, "part", "b", traced).rows == [{"file": "3.wav"}]
    assert calls == ["1.wav", "3.wav", "3.wav"], "a foreign record is no record"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "train", "x", "1"), ("b", "test", "x", "2")], "speaker x is in two splits, train and test"),
        ([("a", "train", "", "1"), ("b", "validation", "", "1")], "recording 1 is in two splits"),
        ([("a", "train", "x", "1"), ("a", "train", "x", "2")], "a is listed twice"),
    ],
)
def test_a_corpus_whose_splits_touch_is_refused(rows: list[tuple[str, ...]], message: str) -> None:
    listed = [dict(zip(("file", "split", "speaker", "recording"), row, strict=True)) for row in rows]
    check_splits(listed[:1])
    with pytest.raises(CorpusError, match=message):
        check_splits(listed)


def test_the_table_keeps_talkers_in_one_split_and_parts_apart() -> None:
    check_splits([{"file": item.name, "split": item.split, "speaker": item.speaker} for item in SPEECH])
    names = [source.name for source in (*SPEECH, *NOISE)]
    assert len(set(names)) == len(names)
    sources = {source.package for source in (*SPEECH, *NOISE, *MUSIC)}
    assert sources | {HEAD_PACKAGE} == set(LICENCES) == set(packages())
    assert set(packages()) - set(packages(small=True)) == set(LARGE_PACKAGES)
    assert len({source.speaker for source in SPEECH if source.split == "train"}) == 24


def test_the_small_corpus_still_has_speech_and_noise_in_every_split() -> None:
    for sources in (SPEECH, NOISE):
        assert {source.split for source in sources if source.package in packages(small=True)} == set(SPLITS)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("University1", "validation"),
        ("DirtTrack", "validation"),
        ("TraficLow2", "test"),
        ("RailTrain3", "test"),
        ("TraficLow1", None),
        ("Rocket1", None),
        ("CoalMine", "validation"),
        ("Farm2", "train"),
        ("TraficMed1", "train"),
    ],
)
def test_a_lincity_noise_is_in_one_split_at_most(name: str, split: str | None) -> None:
    path = f"usr/share/games/lincity-ng/sounds/{name}.wav"
    found = [
        source.split for source in NOISE if source.package == "lincity-ng-data" and re.search(source.pattern, path)
    ]
    assert found == ([split] if split else [])


def test_asterisk_silence_is_no_speech() -> None:
    (italian,) = (source for source in SPEECH if source.speaker == "it_carlo")
    assert re.search(italian.pattern, "usr/share/asterisk/sounds/it/digits/1.g722")
    assert not re.search(italian.pattern, "usr/share/asterisk/sounds/it/silence/1.g722")


@pytest.mark.parametrize(
    ("package", "path", "kind"),
    [
        ("megaglest-data", "tilesets/rain_forest/sounds/night.ogg", "nature"),
        ("megaglest-data", "tilesets/winter/sounds/wind1.wav", "wind"),
        ("lincity-ng-data", "sounds/RailTrain1.wav", "train"),
        ("lincity-ng-data", "sounds/TraficLow2.wav", "traffic"),
        ("scorched3d-data", "misc/citysounds.wav", "traffic"),
        ("x", "sounds/zzz.wav", "other"),
    ],
)
def test_noise_kinds_come_from_file_names(package: str, path: str, kind: str) -> None:
    assert noise_kind(package, path) == kind


def test_g722_is_decoded_without_a_program_of_its_own(tmp_path: Path) -> None:
    import av

    tone = 0.3 * np.sin(2 * np.pi * 700 * np.arange(RATE_HZ) / RATE_HZ)
    with av.open(str(tmp_path / "tone.g722"), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray((tone * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        container.mux([*stream.encode(frame), *stream.encode(None)])
    samples, rate_hz = decode(tmp_path / "tone.g722")
    assert rate_hz == RATE_HZ
    power = np.abs(np.fft.rfft(samples[:RATE_HZ])) ** 2
    assert np.argmax(power) == 700
    assert power[695:706].sum() > 0.98 * power.sum()


def test_every_reason_to_leave_a_file_out(tmp_path: Path) -> None:
    speech = speechlike(2.0, 0)
    low = np.convolve(speech, np.hanning(64) / 32)
    cases = {
        "ok": speech,
        "short": speech[: RATE_HZ // 5],
        "clipped": np.clip(speech * 30, -1, 1),
        "noisy": 0.1 * np.random.default_rng(1).standard_normal(2 * RATE_HZ),
        "lowpass": np.convolve(low, np.hanning(64) / 32),
    }
    for reason, samples in cases.items():
        assert prepare_speech(write(tmp_path / f"{reason}.wav", samples), 24.0).reason == reason
    (tmp_path / "text.wav").write_text("not audio")
    assert prepare_speech(tmp_path / "text.wav", 24.0).reason == "unreadable"
    assert prepare_noise(tmp_path / "text.wav", 1.0).reason == "unreadable"
    assert prepare_noise(tmp_path / "short.wav", 1.0).reason == "short"
    assert prepare_noise(write(tmp_path / "quiet.wav", np.full(32000, 2 / 32768)), 1.0).reason == "silent"


def test_speech_is_trimmed_to_120_ms_around_it_without_dc(tmp_path: Path) -> None:
    speech = np.concatenate([np.zeros(RATE_HZ), speechlike(1.0, 0), np.zeros(RATE_HZ)]) + 0.02
    prepared = prepare_speech(write(tmp_path / "x.wav", speech), 24.0)
    assert prepared.reason == "ok"
    assert 1.0 <= len(prepared.samples) / RATE_HZ <= 1.26
    assert abs(prepared.samples.mean()) < 1e-3
    assert prepared.samples[0] == prepared.samples[-1] == 0.0
    assert not len(trim(np.zeros(1000)))


def test_measures_are_those_of_signals_with_known_answers() -> None:
    rng = np.random.default_rng(0)
    white = rng.standard_normal(10 * RATE_HZ)
    steps = white * np.where(np.arange(len(white)) // RATE_HZ % 2, 0.1, 0.001)
    quality = measure(steps, RATE_HZ)
    assert quality is not None
    assert quality.snr_db == pytest.approx(40.0, abs=1.5)
    assert quality.hf4_db == pytest.approx(-3.0, abs=0.3)
    assert quality.bandwidth_hz > 7900
    spectrum = np.fft.rfft(white)
    spectrum[5000 * 10 :] = 0
    narrow = measure(np.fft.irfft(spectrum), RATE_HZ)
    assert narrow is not None
    assert narrow.bandwidth_hz == pytest.approx(5000, abs=250)  # the window leaks over 200 Hz at -65 dB
    assert measure(np.zeros(RATE_HZ), RATE_HZ) is None


def test_the_door_answers_without_torch() -> None:
    code = "import sys, training.corpus, training.mixing, training.layouts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
