"""A trace names its own lines, so that a lost, moved or cut one is found and named."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from firmware_sim.contract import STAGES
from golden_vectors import wav
from golden_vectors.errors import WitnessError
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.files import DIRECTORY, load
from golden_vectors.kinds.stream import stream_input
from golden_vectors.trace import chained
from tests.golden_vectors.models import small_graph
from tests.golden_vectors.test_vector import copy as copy  # the fixture

Lines = list[str]


def without(lines: Lines, *numbers: int) -> Lines:
    return [line for number, line in enumerate(lines, 1) if number not in numbers]


def swapped(lines: Lines, a: int, b: int) -> Lines:
    lines = list(lines)
    lines[a - 1], lines[b - 1] = lines[b - 1], lines[a - 1]
    return lines


def with_line(lines: Lines, number: int, change: Callable[[str], str]) -> Lines:
    return [change(line) if at == number else line for at, line in enumerate(lines, 1)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: without(lines, 1), "line 1: must name the columns hop status window"),
        (lambda lines: without(lines, 7), "line 7: must begin with '5 on_time', not '6 on_time'"),
        (lambda lines: swapped(lines, 9, 10), "line 9: must begin with '7 on_time', not '8 on_time'"),
        (
            lambda lines: with_line(lines, 4, lambda line: line[:-1]),
            "line 4: must have 8 words of 16 hex digits, it is",
        ),
        (lambda lines: with_line(lines, 4, lambda line: line[:-17]), "line 4: must have 8 words of 16 hex digits, it"),
        (lambda lines: with_line(lines, 4, str.upper), "line 4: must begin with '2 on_time', not '2 ON_TIME'"),
        (
            lambda lines: with_line(lines, 4, lambda s: s.replace("on_time", "late")),
            "line 4: must begin with '2 on_ti",
        ),
        (lambda lines: with_line(lines, 4, lambda s: s + "\r"), "line 4: must have 8 words of 16 hex digits, it is"),
        (lambda lines: with_line(lines, 4, lambda s: s.replace("a", "ä")), "line 4: must have 8 words of 16 hex"),
        (lambda lines: [*lines, lines[-1]], "line 62: is one too many: there are 60 lines behind the first"),
        (lambda lines: lines[:-1], "line 61: the file ends here, after 59 of 60 lines"),
        (lambda lines: [], "line 1: must name the columns"),
        (lambda lines: with_line(lines, 61, lambda s: s[:-1] + ("0" if s[-1] != "0" else "1")), "silence.trace is not"),
    ],
)
def test_a_damaged_trace_is_one_line_that_names_file_and_line(
    copy: Path, damage: Callable[[Lines], Lines], message: str
) -> None:
    path = copy.with_suffix(".trace")
    lines = path.read_text().splitlines()
    path.write_bytes("".join(f"{line}\n" for line in damage(lines)).encode())
    with pytest.raises(WitnessError, match=re.escape(message)) as caught:
        load(copy)
    assert "silence.trace" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_trace_that_is_cut_in_a_line_says_where_it_ends(copy: Path) -> None:
    path = copy.with_suffix(".trace")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(WitnessError, match=r"silence\.trace, line 61: the file ends here, after 59 of 60 lines"):
        load(copy)


def test_the_status_of_each_hop_stands_in_its_line() -> None:
    lines = (DIRECTORY / "overrun.trace").read_text().splitlines()[1:]
    of = {line.split()[0]: line.split()[1] for line in lines}
    assert [of[str(hop)] for hop in (0, 2, 3, 45, 47)] == ["on_time", "late", "held", "held_late", "held"]
    assert [line.split()[1] for line in (DIRECTORY / "lost_hops.trace").read_text().splitlines()].count("lost") == 5


def test_a_chained_line_is_the_sha256_of_all_hops_so_far(copy: Path) -> None:
    vector = load(copy)
    taps = NumpyReference().run_stream(small_graph("int16x8"), stream_input(vector)).taps
    lines = chained(taps, 20)
    assert [len(line.split()) for line in lines] == [len(STAGES)] * 3
    played = hashlib.sha256(vector.arrays["pcm"][:40].astype("<i2").tobytes())
    assert lines[1].split()[-1] == played.hexdigest()[:16]
    rows = [taps[name].astype(dtype) for name, dtype in (("feature_q16", "<i4"), ("x_q11", "<i2"))]
    features = b"".join(row[hop].tobytes() for hop in range(60) for row in rows)
    assert lines[2].split()[3] == hashlib.sha256(features).hexdigest()[:16]


# ---------------------------------------------------------------- sound


def test_sounds_are_plain_files_that_every_player_reads() -> None:
    vector = load(DIRECTORY / "overrun.json")
    for suffix, name in (("wav", "input_pcm"), ("out.wav", "played")):
        pcm, rate = soundfile.read(DIRECTORY / f"overrun.{suffix}", dtype="int16")
        assert rate == 16_000
        np.testing.assert_array_equal(pcm, vector.arrays[name].reshape(-1))


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[:30],
        lambda raw: b"",
        lambda raw: raw + b"\0\0",
        lambda raw: raw[:22] + b"\2" + raw[23:],
        lambda raw: raw[:24] + b"\x40\x1f" + raw[26:],
    ],
    ids=["odd", "no header", "nothing", "more", "stereo", "8 kHz"],
)
def test_any_other_sound_file_is_refused(damage: Callable[[bytes], bytes]) -> None:
    raw = wav.to_bytes(np.arange(-5, 5))
    np.testing.assert_array_equal(wav.from_bytes(raw), np.arange(-5, 5))
    with pytest.raises(ValueError, match=r"is not \d+ samples of mono 16-bit PCM at 16000 Hz"):
        wav.from_bytes(damage(raw))
