"""The first difference is named down to the element, in decimal and in hex."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from golden_vectors.compare import (
    Difference,
    digest_lines,
    element,
    network_difference,
    share_differing,
)
from golden_vectors.errors import WitnessError
from golden_vectors.executors.base import StreamRun
from golden_vectors.executors.numpy_reference import NumpyReference
from golden_vectors.files import load
from golden_vectors.kinds.stream import stream_difference, stream_input
from golden_vectors.vector import Vector
from tests.golden_vectors.conftest import Evidence
from tests.golden_vectors.models import small_graph


@pytest.fixture(scope="module")
def vector(evidence: Evidence) -> Vector:
    return load(evidence.vectors / "speech_rain.json")


@pytest.fixture(scope="module")
def right(vector: Vector) -> StreamRun:
    return NumpyReference().run_stream(small_graph("int16x8"), stream_input(vector))


def spoiled(run: StreamRun, tap: str, hop: int, index: int, by: int = 1) -> StreamRun:
    """The run with one element of one tap changed."""
    values = run.taps[tap].copy()
    values[hop].flat[index] += by
    return replace(run, taps={**run.taps, tap: values})


def test_the_reference_run_has_no_difference(vector: Vector, right: StreamRun) -> None:
    assert stream_difference(vector, right, lambda: None) is None


@pytest.mark.parametrize(
    ("tap", "stage", "index"),
    [
        ("spectrum_q30", "rfft", (5, 1)),
        ("power", "wiener", (11,)),
        ("feature_q16", "features", (11,)),
        ("h1", "network", (11,)),
        ("gain_q15", "gain", (11,)),
        ("frame_out", "irfft", (11,)),
        ("pcm", "overlap_add", (11,)),
    ],
)
def test_one_changed_element_is_named(
    vector: Vector, right: StreamRun, tap: str, stage: str, index: tuple[int, ...]
) -> None:
    found = stream_difference(vector, spoiled(right, tap, 71, 11), lambda: right.taps)
    assert found is not None
    expected = int(right.taps[tap][71].flat[11])
    assert (found.step, found.stage, found.tap, found.index) == (71, stage, tap, index)
    assert (found.expected, found.got, found.differing) == (expected, expected + 1, 1)


def test_a_scalar_tap_has_no_index(vector: Vector, right: StreamRun) -> None:
    values = right.taps["likelihood_q16"].copy()
    values[40] -= 1
    found = stream_difference(vector, replace(right, taps={**right.taps, "likelihood_q16": values}), lambda: None)
    assert found is not None
    assert (found.step, found.stage, found.tap, found.index) == (40, "wiener", "likelihood_q16", ())


def test_the_earliest_of_two_faults_is_named_although_it_is_in_a_later_stage(vector: Vector, right: StreamRun) -> None:
    both = spoiled(spoiled(right, "x_q11", 50, 3), "pcm", 20, 9)
    found = stream_difference(vector, both, lambda: right.taps)
    assert found is not None
    assert (found.step, found.tap) == (20, "pcm")


def test_without_a_reference_a_dropped_tap_is_named_by_its_digests(vector: Vector, right: StreamRun) -> None:
    found = stream_difference(vector, spoiled(right, "spectrum_q30", 33, 0), lambda: None)
    assert found is not None
    assert (found.step, found.stage, found.tap) == (33, "rfft", "digest")
    assert found.expected == vector.trace[33].split()[1] != found.got


def test_without_a_reference_a_dropped_tap_is_named_before_the_kept_ones_behind_it(
    vector: Vector, right: StreamRun
) -> None:
    both = spoiled(spoiled(right, "enhanced_q30", 33, 0), "pcm", 33, 9)
    found = stream_difference(vector, both, lambda: None)
    assert found is not None
    assert (found.step, found.stage, found.tap) == (33, "gain", "digest")
    assert found.expected == vector.trace[33].split()[5] != found.got
    assert found.later is not None
    assert (found.later.stage, found.later.tap, found.later.index) == ("overlap_add", "pcm", (9,))
    expected = int(right.taps["pcm"][33][9])
    assert f"; seen at hop 33 (132 ms), stage overlap_add, pcm[9]: expected {expected} (" in str(found)


def test_a_dropped_tap_whose_fault_shows_in_a_later_hop_says_so(vector: Vector, right: StreamRun) -> None:
    both = spoiled(spoiled(right, "enhanced_q30", 33, 0), "pcm", 35, 9)
    found = stream_difference(vector, both, lambda: None)
    assert found is not None
    assert (found.step, found.stage, found.tap) == (33, "gain", "digest")
    assert found.later is not None
    assert (found.later.step, found.later.tap) == (35, "pcm")


def test_a_dropped_tap_is_named_before_a_kept_one_of_the_same_stage(vector: Vector, right: StreamRun) -> None:
    both = spoiled(spoiled(right, "power", 50, 3), "wiener_gain_q15", 50, 3)
    found = stream_difference(vector, both, lambda: right.taps)
    assert found is not None
    assert (found.stage, found.tap) == ("wiener", "power")


def test_a_vector_that_lacks_a_tap_or_a_counter_is_not_equal_to_anything(vector: Vector, right: StreamRun) -> None:
    hollow = replace(vector, arrays={"input_pcm": vector.arrays["input_pcm"]})
    with pytest.raises(WitnessError, match="vector speech_rain is incomplete: it lacks likelihood_q16, vad"):
        stream_difference(hollow, right, lambda: None)
    with pytest.raises(KeyError, match="window"):
        stream_difference(replace(vector, header={**vector.header, "counters": {}}), right, lambda: None)


def test_a_tap_with_fewer_hops_shows_both_shapes(vector: Vector, right: StreamRun) -> None:
    short = replace(vector, arrays={**vector.arrays, "pcm": vector.arrays["pcm"][:-1]})
    found = stream_difference(short, right, lambda: None)
    assert found is not None
    assert (found.tap, found.expected, found.got) == ("pcm", "shape (119, 64)", "shape (120, 64)")


def test_a_vector_whose_arrays_contradict_its_digests_is_not_equal_to_anything(
    vector: Vector, right: StreamRun
) -> None:
    mask = vector.arrays["mask_q15"].copy()
    mask[64, 2] ^= 1
    wrong = replace(vector, arrays={**vector.arrays, "mask_q15": mask})
    found = stream_difference(wrong, right, lambda: right.taps)
    assert found is not None
    assert (found.step, found.tap, found.index) == (64, "mask_q15", (2,))


def test_equal_taps_with_another_counter_are_a_difference(vector: Vector, right: StreamRun) -> None:
    counted = {**right.counters, "irfft": (0, 1)}
    found = stream_difference(vector, replace(right, counters=counted), lambda: None)
    assert found == Difference("speech_rain", None, "irfft", "overflows", (), 0, 1)
    assert str(found) == "speech_rain: at the end, stage irfft, overflows: expected 0 (0x00000000), got 1 (0x00000001)"


def test_a_run_of_another_length_is_a_difference(vector: Vector, right: StreamRun) -> None:
    short = replace(right, taps={name: values[:-1] for name, values in right.taps.items()})
    found = stream_difference(vector, short, lambda: None)
    assert found is not None
    assert (found.tap, found.expected, found.got) == ("hops", 120, 119)


def test_an_executor_that_hides_a_tap_is_refused(right: StreamRun) -> None:
    with pytest.raises(WitnessError, match="does not show tap power"):
        digest_lines({name: values for name, values in right.taps.items() if name != "power"})


def test_a_difference_reads_as_one_line_with_twos_complement_hex_in_the_width_of_the_tap() -> None:
    found = element("speech", 37, "network", "h0", [5, -1, 7], [5, -2, 8], hop_ms=4.0)
    assert str(found) == (
        "speech: hop 37 (148 ms), stage network, h0[1]: expected -1 (0xffff), got -2 (0xfffe); "
        "2 of 3 elements of the tap differ"
    )


def test_a_tap_of_another_shape_is_named() -> None:
    found = element("speech", 1, "network", "h0", np.zeros(4), np.zeros(3))
    assert found is not None
    assert (found.expected, found.got) == ("shape (4,)", "shape (3,)")


def test_networks_part_at_the_first_step_in_order_of_computation() -> None:
    expected = {name: np.zeros((9, 4), np.int64) for name in ("mask", "h0", "h1")}
    got = {name: values.copy() for name, values in expected.items()}
    assert network_difference("net", expected, got) is None
    got["mask"][4, 0], got["h1"][4, 2], got["h0"][6, 1] = 1, 2, 3
    found = network_difference("net", expected, got)
    assert found is not None
    assert (found.step, found.tap, found.index, found.got) == (4, "h1", (2,), 2)


def test_a_network_of_another_length_shows_both_shapes() -> None:
    expected = {name: np.zeros((9, 4), np.int64) for name in ("mask", "h0", "h1")}
    found = network_difference("net", expected, {name: values[:5] for name, values in expected.items()})
    assert found is not None
    assert (found.tap, found.expected, found.got) == ("h0", "shape (9, 4)", "shape (5, 4)")


def test_the_share_of_differing_outputs() -> None:
    assert share_differing(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5])) == 0.25
    assert share_differing(np.zeros(3), np.zeros(4)) == 1.0
