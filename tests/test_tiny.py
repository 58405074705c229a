"""The whole main path in seconds, with a student that nobody trained: hand-off file to verified sound."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

import firmware_sim.__main__ as firmware_door
from export.c_writer import FILES
from export.provenance import sha256
from export.quantize import quantize
from export.student import load_student
from firmware_sim.blocks import RECIPES
from firmware_sim.contract import DEFAULT_PROFILE, PROFILES
from firmware_sim.frame_loop import FrameLoop
from firmware_sim.graph import SCHEMES, Graph
from golden_vectors.cases import CASES
from golden_vectors.executors import SLOW, registry
from golden_vectors.executors.base import Executor
from golden_vectors.files import load_all
from golden_vectors.generate import build
from golden_vectors.vector import write
from golden_vectors.verify import Bench, Outcome, verify, write_agreement
from tests import signals
from tests.synthetic_student import save_student, synthetic_student

PROFILE = PROFILES[DEFAULT_PROFILE]
TINY_CASES = ("speech_rain", "reset_in_speech", "network_speech_int16x8", "network_speech_int8")


@dataclass(frozen=True)
class Tiny:
    """A folder in which the path was walked: student.npz, <scheme>.npz, vectors/."""

    folder: Path
    graphs: dict[str, Graph]
    engines: list[Executor]
    outcome: Outcome


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """student.npz -> integer graphs -> vectors -> every engine that this machine has, the C host in one build."""
    folder = tmp_path_factory.mktemp("tiny")
    student = load_student(
        save_student(synthetic_student(hidden=8, frames=60, profile=PROFILE), folder / "student.npz")
    )
    graphs = {}
    for scheme in SCHEMES:
        quantize(student, RECIPES[scheme]).save(folder / f"{scheme}.npz")
        graphs[scheme] = Graph.load(folder / f"{scheme}.npz")
    (folder / "vectors").mkdir()
    for case in CASES:
        if case.id in TINY_CASES:
            for name, data in build(case, graphs).files().items():
                write(folder / "vectors", name, data)
    engines = [engine for engine in registry() if engine.name not in SLOW and not engine.name.startswith("c_host (")]
    outcome = verify(Bench(load_all(folder / "vectors"), graphs, steps=100), engines)
    return Tiny(folder, graphs, engines, outcome)


def test_the_chain_of_digests_leads_from_the_graph_back_to_the_student(tiny: Tiny) -> None:
    expected = sha256((tiny.folder / "student.npz").read_bytes())
    assert {graph.meta["student_sha256"] for graph in tiny.graphs.values()} == {expected}
    assert len({graph.digest for graph in tiny.graphs.values()}) == 2


def test_every_engine_on_this_machine_agrees_with_the_reference(tiny: Tiny) -> None:
    assert {key: cell.first for key, cell in tiny.outcome.failures.items()} == {}
    present = [engine.name for engine in tiny.engines if engine.available() is None]
    assert {key[0] for key in tiny.outcome.cells} == set(present)
    assert present[0] == "numpy"


def test_the_agreement_is_written_for_both_schemes(tiny: Tiny) -> None:
    write_agreement(tiny.outcome, tiny.folder)
    agreement = json.loads((tiny.folder / "agreement.json").read_text())["schemes"]
    assert set(agreement) == set(SCHEMES)
    for engine in tiny.engines:
        expected = "equal" if engine.available() is None else "absent"
        assert agreement["int16x8"][engine.name] == expected


def test_the_headers_carry_the_graph_and_rebuild_to_the_same_bytes(tiny: Tiny) -> None:
    from export.c_writer import to_c

    for graph in tiny.graphs.values():
        files = to_c(graph, PROFILE)
        assert tuple(files) == FILES
        assert files == to_c(Graph.load(tiny.folder / f"{graph.scheme}.npz"), PROFILE)
        assert graph.digest.encode() in files["stapes_model.h"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_recording_goes_through_the_door_with_the_tiny_model(scheme: str, tiny: Tiny) -> None:
    pcm = signals.mixture(0.0, 0.6)
    noisy, clean = tiny.folder / "noisy.wav", tiny.folder / f"{scheme}.wav"
    soundfile.write(noisy, pcm, 16_000)
    model = tiny.folder / f"{scheme}.npz"
    assert firmware_door.main([str(noisy), "-o", str(clean), "--model", str(model), "--scheme", scheme]) == 0
    out = soundfile.read(clean, dtype="int16")[0]
    expected = FrameLoop(PROFILE, tiny.graphs[scheme]).process(pcm[None])[0]
    np.testing.assert_array_equal(out[64:], expected[:-64])
    assert not np.array_equal(out[128:], pcm[:-128])
