"""Training: it learns, it resumes to the bit, it stops where it should, and it refuses in one line."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.small import SETTINGS, recordings
from training.designs import SEED
from training.files import RunError
from training.fit import Trainer, fit, gain_of, hand_off
from training.handoff import load_student
from training.mixing import RecordingPool
from training.settings import FitSettings
from training.streams import Block, BlockSettings, chunks, render_block


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    pool = RecordingPool(recordings())
    settings = BlockSettings(SETTINGS.streams, SETTINGS.seconds, SETTINGS.seed, design=SETTINGS.front_end)
    return [render_block(pool, settings, index) for index in range(4)]


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return list(trainer.student.state_dict().values())


def test_a_resumed_run_equals_an_uninterrupted_one(blocks: list[Block], tmp_path: Path) -> None:
    straight = Trainer(SETTINGS)
    for block in blocks:
        straight.train_block(block)
    before = Trainer(SETTINGS)
    for block in blocks[:2]:
        before.train_block(block)
    before.save(tmp_path / "checkpoint.pt")
    after = Trainer(SETTINGS)
    after.load(tmp_path / "checkpoint.pt")
    for block in blocks[after.progress.block :]:
        after.train_block(block)
    assert all(torch.equal(*pair) for pair in zip(weights(after), weights(straight), strict=True))
    assert not all(torch.equal(*pair) for pair in zip(weights(before), weights(straight), strict=True))


def test_the_loss_of_a_block_seen_again_and_again_goes_down(blocks: list[Block]) -> None:
    trainer = Trainer(replace(SETTINGS, blocks=40))
    losses = [trainer.train_block(blocks[0]) for _ in range(30)]
    assert losses[-1] < losses[0] - 0.02


def test_a_run_writes_checkpoints_log_and_plot_and_hands_its_best_student_off(tmp_path: Path) -> None:
    trainer = fit(recordings(), SETTINGS, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"checkpoint.pt", "best.pt", "log.csv", "loss.png"}
    with (tmp_path / "run" / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["block"] for row in rows] == ["1", "2", "3", "4"]
    assert [bool(row["validation_loss"]) for row in rows] == [False, True, False, True]
    best = min(float(row["validation_loss"]) for row in rows if row["validation_loss"])
    assert trainer.progress.best_loss == best

    hand_off(tmp_path / "run", tmp_path / "student.npz", recordings())
    student, meta = load_student(tmp_path / "student.npz")
    assert all(torch.equal(*pair) for pair in zip(student.state_dict().values(), weights(trainer), strict=True))
    assert meta["loss"] == "perceptual"
    assert meta["steps"] == meta["blocks"] * 2  # 375 frames: two chunks of 150, the rest is dropped

    with pytest.raises(RunError, match="holds a run already: add --resume"):
        fit(recordings(), SETTINGS, tmp_path / "run")


def test_the_initialisation_frames_have_gain_one_and_no_gradient() -> None:
    block = render_block(RecordingPool(recordings()), BlockSettings(2, 1.5, design=SEED), 0)
    chunk, first = next(chunks(block, 80)), SEED.init_frames
    mask = torch.full(chunk.x.shape, 0.5, requires_grad=True)
    gain = gain_of(chunk, mask, SEED)
    gain.sum().backward()
    assert torch.all(gain[:, :first] == 1)
    assert chunk.wiener_gain is not None
    assert torch.equal(gain[:, first:], chunk.wiener_gain[:, first:].clamp_min(SEED.wiener_floor) * 0.5)
    assert mask.grad is not None
    assert torch.all(mask.grad[:, :first] == 0)


def test_the_cosine_warms_up_and_ends_with_the_budget() -> None:
    trainer = Trainer(replace(SETTINGS, blocks=100, warmup_share=0.1, learning_rate=1e-3))
    rates = []
    for block in range(101):
        trainer.progress.block = block
        rates.append(trainer.learning_rate())
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3, rel=0.03)
    assert rates.index(max(rates)) == 10
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(1e-5)


def test_a_budget_of_time_counts_the_time_before_a_resume() -> None:
    trainer = Trainer(replace(SETTINGS, blocks=0, minutes=2.0))
    trainer.progress.elapsed_s = 90.0
    assert trainer.share_done() == 0.75


def test_the_plateau_halves_the_rate_when_validation_is_stuck() -> None:
    trainer = Trainer(replace(SETTINGS, schedule="plateau", warmup_share=0.0))
    rate = trainer.learning_rate()
    assert [trainer.judge(loss) for loss in (1.0, 0.5, 0.6, 0.6)] == [True, True, False, False]
    assert trainer.learning_rate() == rate / 2
    assert trainer.progress.stale == 2


def test_patience_ends_a_run_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = {"validation_loss": 1.0, "si_sdr_db": 0.0, "pesq_wb": 1.0}
    monkeypatch.setattr(Trainer, "validate", lambda self, block: dict(result))
    trainer = fit(recordings(), replace(SETTINGS, blocks=50, validation_blocks=1, patience=2), tmp_path)
    assert trainer.progress.block == 3  # the first is the best, two more are not


def test_a_warm_start_takes_the_weights_and_nothing_else(blocks: list[Block], tmp_path: Path) -> None:
    first = Trainer(SETTINGS)
    first.train_block(blocks[0])
    first.save(tmp_path / "other.pt")
    second = Trainer(replace(SETTINGS, seed=9, learning_rate=1e-4))
    second.warm_start(tmp_path / "other.pt")
    assert all(torch.equal(*pair) for pair in zip(weights(first), weights(second), strict=True))
    assert second.progress.block == 0
    assert not second.optimizer.state_dict()["state"]
    assert second.audio_hours() == first.audio_hours() > 0


def test_a_loss_that_is_not_finite_stops_the_run(blocks: list[Block]) -> None:
    trainer = Trainer(SETTINGS)
    with torch.no_grad():
        trainer.student.fc2.bias.fill_(math.nan)
    with pytest.raises(RunError, match="not finite"):
        trainer.train_block(blocks[0])


def test_resuming_needs_a_checkpoint_of_the_same_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no checkpoint at"):
        fit(recordings(), SETTINGS, tmp_path, resume=True)
    Trainer(SETTINGS).save(tmp_path / "checkpoint.pt")
    with pytest.raises(RunError, match=r"made with loss perceptual: go on with the same"):
        fit(recordings(), replace(SETTINGS, loss="seed"), tmp_path, resume=True)
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(RunError, match="is damaged"):
        fit(recordings(), SETTINGS, tmp_path, resume=True)
    torch.save({"weights": 1}, tmp_path / "checkpoint.pt")
    with pytest.raises(RunError, match="is not a checkpoint of"):
        fit(recordings(), SETTINGS, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("block", "3"),
        ("step", -1),
        ("stale", 1.5),
        ("elapsed_s", None),
        ("best_loss", "low"),
        ("rows", {}),
        ("rows", [3]),
        ("rows", [{"loss": "low"}]),
    ],
)
def test_progress_of_foreign_types_is_refused(tmp_path: Path, name: str, value: object) -> None:
    Trainer(SETTINGS).save(tmp_path / "checkpoint.pt")
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    content["progress"][name] = value
    torch.save(content, tmp_path / "checkpoint.pt")
    for attempt in ({"resume": True}, {"start_from": tmp_path / "checkpoint.pt"}):
        folder = tmp_path if "resume" in attempt else tmp_path / "new"
        with pytest.raises(RunError, match=r"checkpoint.pt is of another version or damaged: ") as caught:
            fit(recordings(), SETTINGS, folder, **attempt)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": 0}, "no budget"),
        ({"loss": "l3"}, "unknown loss 'l3'"),
        ({"schedule": "linear"}, "unknown schedule 'linear'"),
        ({"learning_rate": 0.0}, "must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate is nan: it must be a finite number"),
        ({"learning_rate": math.inf}, "learning_rate is inf: it must be a finite number"),
        ({"minutes": -1.0}, "a budget of -1 minutes, 4 blocks"),
        ({"minutes": math.inf}, "minutes is inf: it must be a finite number"),
        ({"hidden": 4.5}, "hidden is 4.5: it must be a whole number"),
        ({"quantized": "no"}, "quantized is 'no': it must be true or false"),
        ({"warmup_share": 1.0}, "clip_norm 1, warmup_share 1: from 0 up, above 0, in"),
        ({"seconds": 0.2}, "seconds 0.2: a block must hold a chunk of 150 frames"),
        ({"validation_blocks": 0}, "0 validation_blocks: their number"),
        ({"blocks": -1, "minutes": 1.0}, "-1 blocks"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 1 << 32}, "seed 4294967296"),
        ({"patience": -1}, "patience -1"),
        ({"chunk_frames": 10}, "131 is the least"),
        ({"chunk_frames": 30, "loss": "seed"}, "39 is the least"),
        ({"seconds": 15.35}, "seconds 15.35 ends in a chunk too short for the loss: choose a multiple of 0.6"),
        ({"hidden": 0}, "0 hidden units"),
        ({"mix": "studio"}, "unknown mixtures 'studio': choose one of plain, augmented"),
        ({"design": "else"}, "unknown front end 'else': choose one of seed"),
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RunError, match=message):
        replace(SETTINGS, **change)


def test_settings_have_defaults_that_work() -> None:
    assert FitSettings(minutes=60).loss == "perceptual"
