"""Means are means, and intervals resample pairs: the SNRs of a pair are no independent evidence."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.scores import Score, confidence, difference, summarise, system_row

SNRS = (-5.0, 5.0)


def scored(system: str, pair: int, snr_db: float, noise: str = "rain", **values: float) -> Score:
    return Score(system, f"{pair:03d}_{snr_db:+.0f}dB", pair, snr_db, noise, "talker", values)


def test_a_row_holds_means_over_all_over_each_snr_and_over_each_noise() -> None:
    scores = [
        scored("noisy", 0, -5.0, "rain", pesq_wb=1.0, si_sdr_db=0.0),
        scored("noisy", 0, 5.0, "rain", pesq_wb=2.0, si_sdr_db=10.0),
        scored("noisy", 1, 5.0, "fire", pesq_wb=math.nan, si_sdr_db=20.0, haspi_n3=0.5),
    ]
    row = system_row(scores)
    assert (row["pesq_wb"], row["si_sdr_db"], row["files"]) == (1.5, 10.0, 3)
    assert row["by_snr"]["-5"]["si_sdr_db"] == 0.0
    assert row["by_snr"]["5"]["si_sdr_db"] == 15.0
    assert row["by_noise"]["rain"]["si_sdr_db"] == 5.0
    assert row["by_noise"]["fire"]["files"] == 1
    assert (row["haspi_n3_5db"], row["by_snr"]["5"]["haspi_n3"]) == (0.5, 0.5)
    assert "haspi_n3" not in row
    assert "haspi_n3" not in row["by_snr"]["-5"]
    assert "pesq_wb" not in row["by_noise"]["fire"]  # no mixture of it has a value


def test_the_interval_is_the_textbooks_where_pairs_are_independent() -> None:
    values = np.random.default_rng(3).normal(2.0, 0.5, 400)
    interval = confidence({pair: [float(value)] for pair, value in enumerate(values)})
    assert interval is not None
    half = 1.96 * values.std() / np.sqrt(len(values))
    np.testing.assert_allclose(interval, [values.mean() - half, values.mean() + half], atol=half / 8)


def test_more_snrs_of_the_same_pairs_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(4).normal(2.0, 0.5, 24)
    once = confidence({pair: [float(value)] for pair, value in enumerate(values)})
    often = confidence({pair: [float(value)] * 5 for pair, value in enumerate(values)})
    assert once == often


def test_two_pairs_have_no_interval() -> None:
    assert confidence({0: [1.0], 1: [2.0]}) is None
    assert confidence({0: [1.0], 1: [2.0], 2: [3.0]}) is not None
    summary = summarise([scored("noisy", 0, 5.0, stoi=0.5)], ("stoi", "estoi"))
    assert summary == {"stoi": 0.5, "ci95": {"stoi": None}, "files": 1}


def test_a_difference_is_paired_so_that_what_both_share_does_not_widen_it() -> None:
    level = np.random.default_rng(5).normal(2.0, 1.0, 12)
    noisy = [scored("noisy", pair, snr, pesq_wb=float(level[pair])) for pair in range(12) for snr in SNRS]
    better = [scored("base", s.pair, s.snr_db, pesq_wb=s.values["pesq_wb"] + 0.25 + 0.01 * s.pair) for s in noisy]
    gain = difference([*noisy, *better], "base", "noisy")["pesq_wb"]
    assert gain["mean"] == pytest.approx(0.305)
    assert gain["ci95"][1] - gain["ci95"][0] < 0.05
    assert (gain["lowest"], gain["lowest_file"]) == (0.25, "000_+5dB")


def test_a_difference_leaves_out_what_one_of_both_lacks() -> None:
    scores = [
        scored("noisy", 0, 5.0, pesq_wb=math.nan, stoi=0.5),
        scored("base", 0, 5.0, pesq_wb=2.0, stoi=0.75),
        scored("base", 1, 5.0, pesq_wb=2.0, stoi=0.1),
    ]
    assert difference(scores, "base", "noisy") == {
        "stoi": {"mean": 0.25, "ci95": None, "lowest": 0.25, "lowest_file": "000_+5dB"}
    }
