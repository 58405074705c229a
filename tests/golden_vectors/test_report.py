"""The report compares two engines over a whole recording, and the page shows it without help from outside."""

from __future__ import annotations

import base64
import copy
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from export.c_writer import write_c
from firmware_sim import stft
from firmware_sim.contract import DEFAULT_PROFILE, PROFILES
from golden_vectors import page, pictures, report
from golden_vectors.__main__ import main
from golden_vectors.errors import WitnessError
from golden_vectors.executors.c_host import CHost
from golden_vectors.page import memory_map, write_page
from golden_vectors.pictures import INKS, gains, png, spectrogram, wav
from golden_vectors.report import Report, measure
from golden_vectors.signals import recording
from golden_vectors.tables import rows
from tests.golden_vectors.models import save_models, small_graph

GRAPH = small_graph("int16x8")


def write_recording(path: Path, channels: int = 1, rate: int = 16_000, seconds: float = 1.0) -> Path:
    """Real noisy speech as a sound file."""
    pcm = recording("noisy.wav", 0, int(seconds * 16_000) * channels).reshape(channels, -1).T
    soundfile.write(path, pcm.astype(np.int16), rate)
    return path


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("report")
    return measure(write_recording(folder / "noisy & loud.wav", seconds=1.5), GRAPH, folder / "enhanced.wav")


# ---------------------------------------------------------------- report


def test_numpy_and_c_are_identical_over_every_tap(measured: Report) -> None:
    assert measured.differences == []
    numpy_run, c_run = measured.engines
    assert numpy_run.digest == c_run.digest
    assert numpy_run.counters == c_run.counters
    assert min(numpy_run.x_realtime, c_run.x_realtime) > 0
    assert measured.hops == 375
    assert measured.config_digest is not None


def test_the_table_says_what_happened(measured: Report) -> None:
    facts = rows(measured)
    assert facts["latency"] == "8 ms (128 samples)"
    assert facts["agreement"] == "numpy and C are identical: 24,000 samples, 375 hops, every tap, every counter"
    assert facts["numpy"].endswith(measured.engines[0].digest[:16])


def test_the_enhanced_file_is_the_doors_own(measured: Report, tmp_path: Path) -> None:
    from firmware_sim.__main__ import main as door

    model = save_models(tmp_path)[1]
    assert door([str(measured.recording), "-o", str(tmp_path / "door.wav"), "--model", model]) == 0
    assert (tmp_path / "door.wav").read_bytes() == (measured.recording.parent / "enhanced.wav").read_bytes()


def test_an_enhanced_file_of_another_model_is_named(measured: Report) -> None:
    enhanced = measured.recording.parent / "enhanced.wav"
    (difference,) = measure(measured.recording, small_graph("int16x8", seed=5), enhanced).differences
    assert "enhanced.wav: is not what this model makes of" in str(difference)


def test_every_channel_of_a_recording_at_another_rate_is_compared(tmp_path: Path) -> None:
    found = measure(write_recording(tmp_path / "a.wav", 2, 44_100, 0.5), GRAPH, tmp_path / "b.wav")
    assert found.differences == []
    assert found.noisy.shape[0] == 2
    info = soundfile.info(tmp_path / "b.wav")
    assert (info.samplerate, info.channels, info.frames) == (44_100, 2, 8_000)


def test_a_faulty_engine_is_named_by_channel_hop_and_tap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stft, "mul_q15", lambda x, gain_q15: (x * gain_q15) >> 15)
    graph = copy.copy(GRAPH)
    graph.meta = {**GRAPH.meta, "wiener_floor_q15": 0}  # with a Wiener gain of one there is nothing to round
    found = measure(write_recording(tmp_path / "a.wav"), graph, tmp_path / "b.wav")
    assert re.match(r"channel 1: hop \d+ \(\d+ ms\), stage gain, gain_q15\[\d+\]: expected", str(found.differences[0]))
    assert rows(found)["agreement"].startswith("DIFFERS: channel 1")


def test_without_a_compiler_the_report_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CHost, "available", lambda self: "no C compiler: install cc")
    found = measure(write_recording(tmp_path / "a.wav", seconds=0.2), GRAPH, tmp_path / "b.wav")
    assert [run.name for run in found.engines] == ["numpy"]
    assert rows(found)["c_host"] == "absent: no C compiler: install cc"
    assert rows(found)["agreement"] == "only one engine here"


def test_comparing_in_pieces_gives_the_same_digest(
    measured: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "CHUNK_HOPS", 375)
    whole = measure(measured.recording, GRAPH, tmp_path / "b.wav")
    assert [run.digest for run in whole.engines] == [run.digest for run in measured.engines]


def test_the_delay_is_taken_out_of_the_aligned_signal(measured: Report) -> None:
    delay = measured.profile.stream_delay_samples
    np.testing.assert_array_equal(measured.aligned[:, :-delay], measured.enhanced[:, delay:])
    init = measured.profile.noise_init_hops * measured.profile.hop_samples - delay
    assert np.abs(measured.aligned[0, :init].astype(int) - measured.noisy[0, :init]).max() <= 1


def test_silence_has_no_pause_reduction_and_a_level_of_minus_infinity(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(8000, np.int16), 16_000)
    found = measure(tmp_path / "a.wav", GRAPH, tmp_path / "b.wav")
    assert found.pause_reduction_db is None
    assert rows(found)["noise in pauses"] == "no pauses found"
    assert rows(found)["output"] == "-inf dBFS"


def test_the_noise_in_pauses_is_measured_where_nobody_speaks(measured: Report) -> None:
    assert measured.pauses[2_000:7_500].mean() > 0.5
    assert measured.pause_reduction_db is not None
    assert measured.pause_reduction_db > 3.0


# ---------------------------------------------------------------- page


class Outline(HTMLParser):
    """Tags in order; every opened tag must be closed, void ones apart."""

    VOID = frozenset({"meta", "img", "source", "path", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.attributes if name == tag]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder with an agreement matrix and the generated headers."""
    folder = tmp_path_factory.mktemp("build")
    matrix = {"int16x8": {"numpy": "equal", "tflm": "absent"}, "int8": {"numpy": "equal", "tflm": 0.0123}}
    (folder / "agreement.json").write_text(json.dumps({"schemes": matrix}))
    write_c(GRAPH, PROFILES[DEFAULT_PROFILE], folder)
    return folder


@pytest.fixture(scope="module")
def text(measured: Report, build: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    target = tmp_path_factory.mktemp("page") / "new" / "index.html"
    write_page(measured, target, build)
    return target.read_text("utf-8")


def test_the_page_is_well_formed_and_loads_nothing_from_outside(text: str) -> None:
    outline = Outline(text)
    assert outline.open == []
    sources = [
        value
        for _, attributes in outline.attributes
        for key, value in attributes.items()
        if key in ("src", "srcset", "href")
    ]
    assert len(sources) == 8
    assert all(source is not None and source.startswith("data:") for source in sources)
    assert "http" not in text.replace("http-equiv", "")


def test_every_picture_has_an_alternative_text_and_a_dark_twin(text: str) -> None:
    outline = Outline(text)
    assert len(outline.all("img")) == len(outline.all("source")) == 3
    assert all(attributes["alt"] for attributes in outline.all("img"))
    assert all(attributes["media"] == "(prefers-color-scheme: dark)" for attributes in outline.all("source"))


def test_the_players_hold_the_recording_and_the_aligned_output(text: str, measured: Report) -> None:
    players = [str(attributes["src"]) for attributes in Outline(text).all("audio")]
    for player, expected in zip(players, (measured.noisy[0], measured.aligned[0]), strict=True):
        heard, rate = soundfile.read(io.BytesIO(base64.b64decode(player.partition(",")[2])), dtype="int16")
        assert rate == 16_000
        np.testing.assert_array_equal(heard, expected)


def test_names_are_escaped(text: str) -> None:
    assert "noisy &amp; loud.wav" in text
    assert "noisy & loud.wav" not in text


def test_the_matrix_the_memory_and_the_identity_are_on_the_page(text: str, measured: Report, build: Path) -> None:
    assert '<td class="distance">1.2 %</td>' in text
    assert '<td class="absent">absent</td>' in text
    assert measured.graph.digest in text
    assert str(measured.config_digest) in text
    total = memory_map((build / "stapes_model.h").read_text())["RAM"][0]
    assert f"{total:,} bytes" in text
    assert f'STAPES_CONFIG_DIGEST "{measured.config_digest}"' in (build / "stapes_tables.h").read_text()


def test_the_memory_map_adds_up(build: Path) -> None:
    maps = memory_map((build / "stapes_model.h").read_text())
    assert set(maps) == {"flash", "RAM"}
    for total, entries in maps.values():
        assert sum(size for _, size in entries) == total


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take a second each; these tests look at the text."""
    monkeypatch.setattr(page, "png", lambda image, mode, width: b"")


@pytest.mark.usefixtures("no_pictures")
def test_an_empty_build_folder_leaves_out_what_it_would_show(measured: Report, tmp_path: Path) -> None:
    write_page(measured, tmp_path / "index.html", tmp_path / "absent")
    text = (tmp_path / "index.html").read_text("utf-8")
    assert "Memory on the device" not in text
    assert "No matrix yet" in text
    assert Outline(text).open == []


@pytest.mark.usefixtures("no_pictures")
def test_a_long_recording_is_shown_in_part(measured: Report, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(page, "SHOWN_SECONDS", 1)
    write_page(measured, tmp_path / "index.html", tmp_path)
    text = (tmp_path / "index.html").read_text("utf-8")
    assert "The first 1 s are shown." in text


def test_a_full_scale_sine_reads_zero_dbfs() -> None:
    sine = np.rint(32767 * np.sin(2 * np.pi * 1000 * np.arange(4000) / 16_000)).astype(np.int16)
    image = spectrogram(sine)
    row = 1000 * 512 // 16_000
    np.testing.assert_allclose(image.values[row], 0.0, atol=0.01)
    assert image.values.shape[0] == 257
    assert gains(np.full((10, 65), 16384), 0.04).values[0, 0] == pytest.approx(-6.02, abs=0.01)


def test_pictures_and_sounds_are_the_same_bytes_each_time(measured: Report) -> None:
    image = spectrogram(measured.noisy[0])
    assert png(image, "light") == png(image, "light") != png(image, "dark")
    assert wav(measured.noisy[0]) == wav(measured.noisy[0])
    assert Image.open(io.BytesIO(png(image, "dark"))).convert("RGB").getpixel((1, 1)) == tuple(
        bytes.fromhex(INKS["dark"][1][1:])
    )


# ---------------------------------------------------------------- the door


@pytest.mark.usefixtures("no_pictures")
def test_the_door_writes_the_file_and_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noisy, model = write_recording(tmp_path / "a.wav", seconds=0.4), save_models(tmp_path)[1]
    arguments = ["report", str(noisy), "--enhanced", str(tmp_path / "new" / "b.wav"), "--model", model]
    assert main([*arguments, "--page", str(tmp_path / "p.html"), "--build", str(tmp_path)]) == 0
    assert "numpy and C are identical" in capsys.readouterr().out
    assert (tmp_path / "new" / "b.wav").is_file()
    assert (tmp_path / "p.html").is_file()


@pytest.mark.parametrize(
    ("noisy", "enhanced", "message"),
    [
        ("absent.wav", "b.wav", "absent.wav: no such file"),
        ("text.wav", "b.wav", "text.wav: not a sound file"),
        ("a.wav", "text.wav", "text.wav: not a sound file"),
        ("a.wav", "b.mp3", "b.mp3: must end in .wav or .flac"),
        ("a.wav", "text.wav/b.wav", "text.wav: cannot be made"),
    ],
)
def test_bad_files_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], noisy: str, enhanced: str, message: str
) -> None:
    write_recording(tmp_path / "a.wav", seconds=0.1)
    (tmp_path / "text.wav").write_text("this is no sound")
    model = save_models(tmp_path)[1]
    assert main(["report", str(tmp_path / noisy), "--enhanced", str(tmp_path / enhanced), "--model", model]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize("option", ["--enhanced", "--page"])
def test_a_path_that_names_no_file_is_one_line(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["report", "a.wav", "--enhanced", "b.wav", option, ""])
    (line,) = capsys.readouterr().err.splitlines()
    assert f"argument {option}: '' names no file" in line


def test_a_page_without_matplotlib_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    arguments = ["report", str(tmp_path / "a.wav"), "--enhanced", str(tmp_path / "b.wav")]
    assert main([*arguments, "--page", str(tmp_path / "p.html")]) == 2
    assert 'the page needs matplotlib: pip install -e ".[demo]"' in capsys.readouterr().err


@pytest.mark.usefixtures("no_pictures")
def test_an_unwritable_page_is_one_line(measured: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WitnessError, match="cannot be written"):
        write_page(measured, tmp_path / "file" / "index.html", tmp_path)
