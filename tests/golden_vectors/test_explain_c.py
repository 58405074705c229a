"""An altered line of the C is named by its function, and by the op or the tap where it acts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from golden_vectors import cc
from golden_vectors.executors.c_host import CHost
from golden_vectors.verify import Bench
from tests.golden_vectors.explaining import NETWORKS, bench_of, explained, operation, sources
from tests.golden_vectors.models import small_graph


@pytest.fixture(scope="module")
def bench() -> Bench:
    return bench_of("speech_rain", "speech_int8", *NETWORKS)


def altered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, right: str, wrong: str) -> None:
    """The firmware is built from a copy in which one piece of text is another, and quickly."""
    firmware = tmp_path / "firmware"
    shutil.copytree(cc.FIRMWARE, firmware)
    text = (firmware / file).read_text()
    assert text.count(right) == 1
    (firmware / file).write_text(text.replace(right, wrong))
    monkeypatch.setattr(cc, "FIRMWARE", firmware)
    monkeypatch.setattr(cc, "INCLUDES", (firmware, firmware / "cmsis_stubs", firmware / "port" / "host"))
    monkeypatch.setattr(cc, "BUILD", tmp_path / "build")
    monkeypatch.setattr(cc, "optimised", lambda command: ("-O0",))


def test_an_altered_line_of_a_kernel_is_named_by_op_and_c_function(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered(
        tmp_path, monkeypatch, "nn_elementwise.h", "stapes_each_i16(stapes_difference", "stapes_each_i16(stapes_sum"
    )
    only = Bench([v for v in bench.vectors if v.id == "network_speech_int16x8"], {"int16x8": small_graph("int16x8")}, 9)
    found = explained(only, CHost())["network_speech_int16x8"]
    assert operation(found) == ("SUB", "gru0_h_minus_n")
    assert sources(found)[-1] == "firmware/nn_elementwise.h stapes_sub_i16"


def test_an_altered_line_of_a_stage_is_named_by_its_c_function(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = (
        "stapes_mul_q15(spectrum_q30[k].im, gain_q15[k])",
        "stapes_mul_q15(spectrum_q30[k].im, gain_q15[k]) + 1",
    )
    altered(tmp_path, monkeypatch, "stft.c", right, wrong)
    found = explained(Bench([v for v in bench.vectors if v.id == "speech_rain"], bench.graphs, 9), CHost())[
        "speech_rain"
    ]
    assert (found.place.tap, found.place.index) == ("enhanced_q30", (0, 1))
    assert sources(found)[-1] == "firmware/stft.c stapes_apply_gain"
