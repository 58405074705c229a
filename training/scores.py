"""Scores of single mixtures, and what they say together: means with confidence intervals, by SNR and by noise.

The SNRs of a pair of speech and noise are not independent, so intervals resample pairs and never single mixtures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.hearing import AUDIOGRAMS

METRICS = ("pesq_wb", "stoi", "estoi", "si_sdr_db", "dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak")
"""Metrics of every mixture, DNSMOS where it was asked for; larger is better in all."""
HEARING = tuple(f"{kind}_{ear}" for ear in AUDIOGRAMS for kind in ("haspi", "hasqi"))
"""Metrics of few mixtures."""
HEARING_SNR_DB = 5.0
"""All systems are heard with N3 at this SNR first: the one number for each in the table."""
DRAWS = 2000
_SEED = 0
_MIN_PAIRS = 3
_DIGITS = 4


@dataclass(frozen=True)
class Score:
    """One mixture through one system.

    pair     index of the speech/noise pair, shared by its SNRs
    values   metric -> value, NaN where the metric has none; metrics that were not asked for are absent
    """

    system: str
    recipe: str
    pair: int
    snr_db: float
    noise_kind: str
    talker: str
    values: dict[str, float]


def summarise(scores: Iterable[Score], metrics: Sequence[str]) -> dict[str, Any]:
    """Mean of every metric that has a value, rounded to four digits, and `ci95`: metric -> [low, high] or None.

    Mixtures without a value (PESQ found no utterance) are left out of a mean; a metric without any is left out.
    """
    scores = list(scores)
    summary: dict[str, Any] = {}
    intervals: dict[str, list[float] | None] = {}
    for metric in metrics:
        by_pair = values_by_pair(scores, lambda score, metric=metric: score.values.get(metric, math.nan))  # type: ignore[misc]
        if by_pair:
            summary[metric] = round(mean(by_pair), _DIGITS)
            intervals[metric] = confidence(by_pair)
    return {**summary, "ci95": intervals, "files": len(scores)}


def values_by_pair(scores: Iterable[Score], value: Callable[[Score], float]) -> dict[int, list[float]]:
    """Finite values, grouped by pair."""
    pairs: dict[int, list[float]] = {}
    for score in scores:
        number = value(score)
        if math.isfinite(number):
            pairs.setdefault(score.pair, []).append(number)
    return pairs


def mean(by_pair: dict[int, list[float]]) -> float:
    """Mean over all values."""
    return float(np.mean([number for numbers in by_pair.values() for number in numbers]))


def confidence(by_pair: dict[int, list[float]]) -> list[float] | None:
    """95 % percentile bootstrap interval of the mean, pairs resampled with all their values.

    returns   [low, high]; None below three pairs; of few pairs it is too narrow, as every bootstrap is
    source    Efron & Tibshirani 1993; 2000 draws, seeded
    """
    if len(by_pair) < _MIN_PAIRS:
        return None
    sums = np.array([np.sum(numbers) for _, numbers in sorted(by_pair.items())])
    counts = np.array([len(numbers) for _, numbers in sorted(by_pair.items())])
    drawn = np.random.default_rng(_SEED).integers(len(sums), size=(DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return [round(float(edge), _DIGITS) for edge in np.percentile(means, (2.5, 97.5))]


def system_row(scores: Sequence[Score]) -> dict[str, Any]:
    """All that is said of one system's scores: over all mixtures, at each SNR, in each kind of noise.

    Hearing metrics have no mean over SNRs, since they are taken at some alone: `haspi_n3_5db` and its like, and
    `by_snr`.
    """
    row = summarise(scores, METRICS)
    at_five = summarise([score for score in scores if score.snr_db == HEARING_SNR_DB], HEARING)
    for name in HEARING:
        if name in at_five:
            label = f"{name}_{HEARING_SNR_DB:g}db"
            row[label], row["ci95"][label] = at_five[name], at_five["ci95"][name]
    every = (*METRICS, *HEARING)
    row["by_snr"] = {
        f"{snr:g}": summarise([score for score in scores if score.snr_db == snr], every)
        for snr in sorted({score.snr_db for score in scores})
    }
    row["by_noise"] = {
        kind: summarise([score for score in scores if score.noise_kind == kind], METRICS)
        for kind in sorted({score.noise_kind for score in scores})
    }
    return row


def difference(scores: Sequence[Score], minuend: str, subtrahend: str) -> dict[str, Any]:
    """Mean of `minuend` less `subtrahend` on the same mixtures, paired, with `ci95` and the lowest single mixture.

    returns   metric -> {"mean", "ci95", "lowest", "lowest_file"}, of metrics that both have
    """
    other = {score.recipe: score.values for score in scores if score.system == subtrahend}
    own = [score for score in scores if score.system == minuend and score.recipe in other]
    found: dict[str, Any] = {}
    for metric in (*METRICS, *HEARING):
        gains = {
            score.recipe: score.values.get(metric, math.nan) - other[score.recipe].get(metric, math.nan)
            for score in own
        }
        by_pair = values_by_pair(own, lambda score, gains=gains: gains[score.recipe])  # type: ignore[misc]
        if by_pair:
            lowest = min((gain, name) for name, gain in gains.items() if math.isfinite(gain))
            found[metric] = {
                "mean": round(mean(by_pair), _DIGITS),
                "ci95": confidence(by_pair),
                "lowest": round(lowest[0], _DIGITS),
                "lowest_file": lowest[1],
            }
    return found
