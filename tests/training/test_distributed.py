"""Two local processes under torch's launcher train as one that sees both blocks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.small import SETTINGS, recordings
from training.distributed import World, world
from training.files import RunError
from training.fit import Trainer
from training.mixing import RecordingPool
from training.settings import MIXES
from training.streams import BlockSettings, render_block

ROOT = Path(__file__).parents[2]
WORKER = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.training.small import SETTINGS, recordings
from training.distributed import world
from training.fit import fit

if __name__ == "__main__":
    with world() as here:
        settings = replace(SETTINGS, ranks=here.size, blocks=2)
        trainer = fit(recordings(), settings, Path(sys.argv[1]), world=here)
        assert trainer.progress.best_loss < 10, "every rank judges"
"""


def test_ranks_share_the_blocks_out_in_turn() -> None:
    taken = [World(rank, 3).block(index) for index in range(2) for rank in range(3)]
    assert taken == list(range(6))


def test_alone_nothing_is_averaged_and_one_decides() -> None:
    with world() as here:
        assert here == World()
    assert here.leads
    assert here.agree(0.25) == 0.25


def test_against_one_process_two_workers_take_the_mean_gradient(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(script), str(tmp_path / "run")], cwd=ROOT, env=environment, check=True, timeout=300)
    saved = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert saved["settings"]["ranks"] == 2
    assert saved["progress"]["block"] == 2

    expected = _one_process_on_both()
    for name, tensor in expected.items():
        torch.testing.assert_close(saved["student"][name], tensor, rtol=0, atol=1e-6)


def _one_process_on_both() -> dict[str, torch.Tensor]:
    """Two trainers in step, their gradients averaged by hand."""
    pair = [Trainer(SETTINGS_OF_TWO) for _ in range(2)]
    pool, blocks = RecordingPool(recordings()), BlockSettings(SETTINGS.streams, SETTINGS.seconds, SETTINGS.seed)
    for index in range(2):
        for trainer in pair:
            for group in trainer.optimizer.param_groups:
                group["lr"] = trainer.learning_rate()
        rendered = [render_block(pool, blocks, 2 * index + rank, MIXES[SETTINGS.mix]) for rank in range(2)]
        streams = [trainer.stream(block) for trainer, block in zip(pair, rendered, strict=True)]
        for steps in zip(*streams, strict=True):
            _step_together(pair, [loss for loss, _ in steps])
        for trainer in pair:
            trainer.progress.block += 1
    return pair[0].student.state_dict()


def _step_together(pair: list[Trainer], losses: list[torch.Tensor]) -> None:
    for trainer, loss in zip(pair, losses, strict=True):
        trainer.optimizer.zero_grad(set_to_none=True)
        loss.backward()
    for both in zip(*(trainer.student.parameters() for trainer in pair), strict=True):
        mean = (both[0].grad + both[1].grad) / 2
        for parameter in both:
            parameter.grad = mean.clone()
    for trainer in pair:
        torch.nn.utils.clip_grad_norm_(trainer.student.parameters(), SETTINGS.clip_norm)
        trainer.optimizer.step()


SETTINGS_OF_TWO = type(SETTINGS)(**{**vars(SETTINGS), "ranks": 2, "blocks": 2})


def test_a_number_of_processes_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "abc")
    with pytest.raises(RunError, match="WORLD_SIZE is 'abc'"), world():
        pass


def test_processes_that_cannot_be_joined_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RunError, match="cannot join the other processes of torchrun: ") as caught, world():
        pass
    assert "\n" not in str(caught.value)
