"""The mutation run: its rules, its verdicts and its gate; and a sample of faults that the golden vectors must kill."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutation import c_rules, catalogue, plant, python_rules, report, run
from tests.mutation.__main__ import bench
from tests.mutation.judge import Judge
from tests.mutation.mutant import GRAPH, ROOT, Mutant, PlantError, shuffled
from tests.mutation.plant import KILLED, SAME_CODE, STILLBORN, SURVIVED, Verdict

C = """\
/* x >> 1 */
#define TWICE(x) ((x) << 1)
_Static_assert(1 < 2, "order");
int f(int x, uint32_t *hits)
{
    const int y = (x + (1 << 3)) >> 4; // 1 < 2
    *hits += y != x;
    return stapes_sat_i16(y, hits) - -x;
}
"""
PYTHON = '''\
"""1 + 1."""
LIMIT = 1 << 4

def f(x: int, counter: None) -> int:
    """x < 2."""
    operations("add", 7)
    if (x + 1) < LIMIT:
        raise ValueError("at least 3")
    return clamp((x >> 2), 0, LIMIT, counter)
'''


@pytest.fixture(scope="module")
def judge() -> Judge:
    """All vectors with what the reference says of them."""
    return bench(steps=20)


def found(mutants: Sequence[Mutant], text: str) -> set[tuple[str, str]]:
    """(rule, changed line) of each mutant."""
    changed = set()
    for mutant in mutants:
        after = mutant.applied(text).splitlines()
        changed.add((mutant.rule, after[mutant.line - 1].strip()))
    return changed


# ---------------------------------------------------------------- rules


def test_c_rules_change_arithmetic_and_leave_comments_directives_and_assertions_alone() -> None:
    lines = found(c_rules.faults("f.c", C), C)
    assert {
        ("shift", "const int y = (x + (1 << 3)) >> 5; // 1 < 2"),
        ("power", "const int y = (x + (1 << 2)) >> 4; // 1 < 2"),
        ("constant", "const int y = (x + (0 << 3)) >> 4; // 1 < 2"),
        ("operator", "const int y = (x - (1 << 3)) >> 4; // 1 < 2"),
        ("compare", "*hits += y == x;"),
        ("statement", ";"),
        ("saturation", "return (int16_t)(y) - -x;"),
        ("sign", "return stapes_sat_i16(y, hits) - x;"),
    } <= lines
    assert not any(word in line for _, line in lines for word in ("/*", "#", "_Static"))


def test_python_rules_change_arithmetic_and_leave_docstrings_messages_and_metering_alone() -> None:
    lines = found(python_rules.faults("f.py", PYTHON), PYTHON)
    assert {
        ("constant", "LIMIT = 1 << 5"),
        ("operator", "if (x - 1) < LIMIT:"),
        ("compare", "if (x + 1) <= LIMIT:"),
        ("condition", "if (not ((x + 1) < LIMIT)):"),
        ("saturation", "return (x >> 2)"),
        ("hits", "return clamp((x >> 2), 0, LIMIT, None)"),
    } <= lines
    assert not any(word in line for _, line in lines for word in ('"""', "operations", "raise"))


def test_a_mutant_keeps_its_name_when_lines_are_added_above_it() -> None:
    moved = "int g(void)\n{\n    return 9;\n}\n" + C
    before = {mutant.id for mutant in c_rules.faults("f.c", C)}
    assert before < {mutant.id for mutant in c_rules.faults("f.c", moved)}
    assert len(before) == len(c_rules.faults("f.c", C))


def test_a_mutant_of_another_text_is_refused() -> None:
    mutant = c_rules.faults("f.c", C)[0]
    with pytest.raises(PlantError, match=r"f\.c does not hold"):
        mutant.applied(C.replace("x", "longer"))


def test_a_row_written_by_hand_whose_text_is_gone_is_named(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = {"file": "firmware/nn.c", "what": "nothing", "before": "no such text", "after": ""}
    monkeypatch.setattr(catalogue, "BY_HAND", tmp_path / "by_hand.json")
    catalogue.BY_HAND.write_text(json.dumps([row]))
    with pytest.raises(PlantError, match=r"firmware/nn\.c: nothing: its text stands there 0 times"):
        list(catalogue.by_hand(judge.graphs))


# ---------------------------------------------------------------- verdicts


def verdicts(judge: Judge, mutants: Sequence[Mutant]) -> list[Verdict]:
    """What becomes of mutants, each in a process of its own; objects are kept in build/."""
    waiting = iter(mutants)
    runner = run.Runner(judge, ROOT / "build" / "mutation" / run.sources_digest(), jobs=1)
    rows = {row.mutant.id: row.verdict for row in runner.judged(lambda: next(waiting, None))}
    return [rows[mutant.id] for mutant in mutants]


def in_c(file: str, before: str, after: str) -> Mutant:
    text = (ROOT / file).read_text()
    assert text.count(before) == 1
    return Mutant("c", "test", file, 1, text.index(before), before, after, before)


@pytest.fixture(scope="module")
def few(judge: Judge) -> Judge:
    """One vector and a short closed loop, both of the network alone."""
    made = Judge([vector for vector in judge.vectors if vector.id == "network_extreme_int8"], judge.graphs, steps=5)
    assert made.closed_loop
    return made


def test_verdicts_tell_faults_from_programs_that_are_none_hang_or_compute_the_same(
    few: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CPU_SECONDS", 1)
    file, before = "firmware/nn_dense.c", "sum += (int16_t)w[i] * (int16_t)x[i];"
    monkeypatch.setattr(plant, "_FLAVOURS", {})
    killed, stillborn, same, hanging = verdicts(few, [
        in_c(file, before, "sum += (int16_t)w[i] * x[i] + 1;"),
        in_c(file, before, "sum += no_such_name;"),
        in_c(file, before, "sum += (int16_t)w[i] * (int16_t)x[i] + 0;"),
        in_c(file, before, f"for (volatile int forever = 1; forever;) {{}} {before}"),
    ])  # fmt: skip
    assert killed.verdict == KILLED
    assert "expected" in killed.why
    assert stillborn.verdict == STILLBORN
    assert "no_such_name" in stillborn.why
    assert same.verdict == SAME_CODE
    assert hanging == Verdict(KILLED, "process", "hangs: more than 1 s of computing")


def test_a_fault_that_the_vectors_at_hand_cannot_see_survives(judge: Judge, few: Judge) -> None:
    unseen = in_c("firmware/wiener.c", "wiener->hops++;", "wiener->hops += 2;")
    assert verdicts(few, [unseen]) == [Verdict(SURVIVED)]
    assert verdicts(judge, [unseen])[0].verdict == KILLED


def test_a_sample_of_all_kinds_is_killed(judge: Judge) -> None:
    found = {group.name: group.mutants for group in catalogue.groups(judge.graphs)}
    explained = catalogue.equivalents()
    by_hand = shuffled(found["by hand"], seed=1)
    sample = [next(m for m in by_hand if m.file.startswith(file)) for file in ("generated/int8", "generated/int16x8")]
    c = ("wiener.c", "stft.c", "frame_loop.c", "ping_pong.c", "nn.c")
    for name in (*c, "firmware_sim/fft.py", "firmware_sim/stft.py"):
        sample.append(next(mutant for mutant in found[name] if mutant.id not in explained))
    sample += [mutants[0] for name, mutants in found.items() if name.startswith("data graph/int16x8/gru1_h_n_w")]
    kinds = {mutant.kind for mutant in sample}
    assert kinds == {"by hand", "c", "python", "data"}
    found_out = {mutant.id: verdict.verdict for mutant, verdict in zip(sample, verdicts(judge, sample), strict=True)}
    assert [name for name, verdict in found_out.items() if verdict == SURVIVED] == []
    assert list(found_out.values()).count(KILLED) >= 8


# ---------------------------------------------------------------- gate


def judged(number: int, verdict: str) -> run.Judged:
    mutant = Mutant("c", "shift", "firmware/nn.c", number, 0, ">>", "<<", f"line {number}")
    return run.Judged(mutant, Verdict(verdict, "case", "case: expected 1, got 2"), 1.0)


def test_the_gate_is_red_below_the_share_and_green_when_the_survivors_are_explained() -> None:
    rows = [judged(i, KILLED) for i in range(49)] + [judged(i, SURVIVED) for i in range(49, 51)]
    red = report.result(rows, {}, 1.0)
    assert (red["total"], red["killed"], red["share"]) == (51, 49, 0.9608)
    assert [row["line"] for row in red["survivors"]] == [49, 50]
    assert report.complaints(red) == ["the vectors kill 96.1% of the faults, 98% are needed"]
    green = report.result(rows, {rows[-1].mutant.id: "the same bits", rows[-2].mutant.id: "the same bits"}, 1.0)
    assert (green["planted"], green["total"], green["killed"], green["share"]) == (51, 49, 49, 1.0)
    assert [row["why"] for row in green["equivalents"]] == ["the same bits"] * 2
    assert green["survivors"] == []
    assert report.complaints(green) == []


def test_an_explanation_of_a_mutant_that_is_killed_is_stale() -> None:
    rows = [judged(0, KILLED)]
    (line,) = report.complaints(report.result(rows, {rows[0].mutant.id: "wrong"}, 1.0))
    assert line == f"{rows[0].mutant.id} is explained as equivalent, but the vectors kill it: take it out"


def test_programs_with_the_same_code_and_stillborn_ones_do_not_count() -> None:
    result = report.result([judged(0, KILLED), judged(1, SAME_CODE), judged(2, STILLBORN)], {}, 1.0)
    assert (result["total"], result["killed"], result["share"]) == (1, 1, 1.0)
    assert result["not_counted"] == {SAME_CODE: 1, STILLBORN: 1}


def test_every_explanation_is_of_a_mutant_that_can_be_planted(judge: Judge) -> None:
    known = {mutant.id for group in catalogue.groups(judge.graphs) for mutant in group.mutants}
    assert set(catalogue.equivalents()) <= known


def test_every_flipped_constant_is_of_the_model_that_its_file_names(judge: Judge) -> None:
    models = set()
    for mutant in (mutant for group in catalogue.groups(judge.graphs) for mutant in group.mutants):
        if mutant.file.startswith(f"{GRAPH}/"):
            _, model, name = mutant.file.split("/", 2)
            data = judge.graphs[model].tensors[name].data
            assert data is not None
            assert int(data.flat[mutant.start]) == int(mutant.before)
            models.add(model)
    assert models == set(judge.graphs)


def test_what_survived_is_judged_again_after_any_change_and_a_kill_when_its_file_or_vector_changed(
    tmp_path: Path,
) -> None:
    path, vector = tmp_path / "verdicts.jsonl", "network_extreme_int8"
    killed, survivor = judged(0, KILLED), judged(1, SURVIVED)
    killed = run.Judged(killed.mutant, Verdict(KILLED, vector, f"{vector}: expected 1, got 2"), 1.0)
    before = run.Ledger(path, "sources a")
    before.add(killed)
    before.add(survivor)
    assert run.Ledger(path, "sources a").known(survivor.mutant) == survivor
    assert run.Ledger(path, "sources b").known(survivor.mutant) is None
    assert run.Ledger(path, "sources b").known(killed.mutant) == killed
    row = json.loads(path.read_text().splitlines()[0])
    path.write_text(json.dumps({**row, "on": "another file or vector"}) + "\n")
    assert run.Ledger(path, "sources b").known(killed.mutant) is None


def test_a_stillborn_mutant_is_replaced_by_the_next_of_its_group() -> None:
    mutants = [judged(i, KILLED).mutant for i in range(3)]
    draw = catalogue.Draw([catalogue.Group("g", mutants, quota=1)])
    assert [draw(), draw()] == [mutants[0], None]
    draw.replace(mutants[0])
    assert [draw(), draw()] == [mutants[1], None]
