"""Training of the student: truncated back-propagation over long parallel streams.

The GRU's state, the overlap-add tail and the loss's look-back go on from chunk to chunk of a block, detached; they
start at home with each block. One optimiser step per chunk. Nothing random happens here beyond the initial weights:
with a budget in blocks, a resumed run gives the weights of an uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from firmware_sim.reading import one_line
from training.audio import RATE_HZ
from training.datasets import Recording
from training.designs import Design
from training.distributed import World
from training.files import RunError
from training.frontend import OverlapAdd, total_gain
from training.handoff import calibration, digest_of, save_student
from training.losses import make_loss
from training.metrics import pesq_wb, si_sdr_db
from training.mixing import RecordingPool
from training.muon import Muon
from training.progress import Report
from training.qat import QuantizedStudent, fold
from training.runs import (
    BEST,
    CHECKPOINT,
    LOG,
    PLOT,
    load_checkpoint,
    save_checkpoint,
    taking,
    write_log,
    write_plot,
)
from training.settings import BUDGET, LOOK_BACK, MIXES, FitSettings, Progress
from training.streams import Block, BlockProducer, BlockSettings, Chunk, chunks, render_block
from training.student import Student, shape_for

_METRIC_START = RATE_HZ // 2
_VALIDATION_SEED = 1_000_003
_PLATEAU_PATIENCE = 2


def gain_of(chunk: Chunk, mask: torch.Tensor, design: Design) -> torch.Tensor:
    """Total gain of a chunk; one in the initialisation frames."""
    gain = total_gain(chunk.wiener_gain, mask, design)
    learning = max(design.init_frames - chunk.first, 0)
    return torch.cat([torch.ones_like(gain[:, :learning]), gain[:, learning:]], dim=1) if learning else gain


class Trainer:
    """Model, optimiser and progress of one run; `network` is the student, or the student as the device rounds it."""

    def __init__(self, settings: FitSettings, world: World | None = None) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.world = world or World()
        self.design = settings.front_end
        self.student = Student(shape_for(self.design, settings.hidden))
        self.network: nn.Module = QuantizedStudent(self.student) if settings.quantized else self.student
        weights = (settings.snr_weight, settings.loudness_weight, settings.intelligibility_weight)
        self.loss = make_loss(settings.loss, *weights)
        self.overlap_add = OverlapAdd(self.design)
        self.optimizer = Muon(self.student, settings.learning_rate, settings.weight_decay)
        self.progress = Progress()

    def stream(self, block: Block) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Loss and enhanced audio of each chunk in turn; the caller may step the optimiser in between."""
        state: torch.Tensor | None = None
        tail: torch.Tensor | None = None
        past: list[torch.Tensor] = []
        level = torch.from_numpy(block.level)[:, None]
        for chunk in chunks(block, self.settings.chunk_frames):
            mask, state = self.network(chunk.x, state)
            audio, tail = self.overlap_add(chunk.spectrum * gain_of(chunk, mask, self.design), tail)
            pair = [audio / level, chunk.clean / level]
            pair = (
                [torch.cat(both, dim=1) for both in zip(past, pair, strict=True)] if past else self._after_start(pair)
            )
            yield self.loss(*pair), audio.detach()
            past = [signal[:, -LOOK_BACK:].detach() for signal in pair]
            state, tail = state.detach(), tail.detach()

    def _after_start(self, pair: list[torch.Tensor]) -> list[torch.Tensor]:
        """Without the output of the initialisation frames and their overlap: it tells nothing about the mask."""
        skipped = (self.design.init_frames + 1) * self.design.hop
        return [signal[:, skipped:] for signal in pair]

    def train_block(self, block: Block) -> float:
        """One optimiser step per chunk; returns the mean loss.

        raises   RunError: the loss is not finite any more
        """
        self.student.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        losses = []
        for loss, _ in self.stream(block):
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.world.average_gradients(self.student.parameters())
            nn.utils.clip_grad_norm_(self.student.parameters(), self.settings.clip_norm)
            self.optimizer.step()
            self.progress.step += 1
            losses.append(float(loss.detach()))
        if not math.isfinite(sum(losses)):
            raise RunError(
                f"the loss of block {self.progress.block} is not finite: start anew at a lower rate, in another folder"
            )
        self.progress.block += 1
        return float(np.mean(losses))

    def validate(self, block: Block) -> dict[str, float]:
        """Mean loss, SI-SDR and PESQ of the block's streams; metrics leave out the first 0.5 s."""
        self.student.eval()
        with torch.no_grad():
            losses, audio = zip(*self.stream(block), strict=True)
        enhanced = torch.cat(audio, dim=1).numpy()[:, self.design.hop :]
        clean = block.clean[:, : enhanced.shape[1]]
        pairs = [(c[_METRIC_START:], e[_METRIC_START:]) for c, e in zip(clean, enhanced, strict=True)]
        return {
            "validation_loss": float(torch.stack(losses).mean()),
            "si_sdr_db": float(np.mean([si_sdr_db(*pair) for pair in pairs])),
            "pesq_wb": float(np.nanmean([pesq_wb(*pair) for pair in pairs])),
        }

    def judge(self, validation_loss: float) -> bool:
        """Note a validation; True when it is the best so far. The plateau schedule halves the rate when stuck."""
        progress = self.progress
        if validation_loss < progress.best_loss:
            progress.best_loss, progress.stale = validation_loss, 0
            return True
        progress.stale += 1
        if self.settings.schedule == "plateau" and progress.stale % _PLATEAU_PATIENCE == 0:
            progress.plateau_factor /= 2
        return False

    def audio_hours(self) -> float:
        """Audio heard so far, with what the first weights had heard."""
        settings = self.settings
        hours_a_block = settings.ranks * settings.streams * settings.seconds / 3600
        return self.progress.hours_before + self.progress.block * hours_a_block

    def share_done(self) -> float:
        """Share of the budget that is used, in [0, 1]."""
        settings, progress = self.settings, self.progress
        by_blocks = progress.block / settings.blocks if settings.blocks else 0.0
        by_time = progress.elapsed_s / (60 * settings.minutes) if settings.minutes else 0.0
        return min(max(by_blocks, by_time), 1.0)

    def learning_rate(self) -> float:
        """Linear warm-up, then the schedule; constant within a block."""
        done, warmup = self.share_done(), self.settings.warmup_share
        rate = self.settings.learning_rate * self.progress.plateau_factor
        if done < warmup:
            return rate * (0.1 + 0.9 * done / warmup)
        if self.settings.schedule == "cosine":
            return rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)
        return rate

    def save(self, path: Path) -> None:
        """A checkpoint; raises RunError."""
        content = {
            "settings": asdict(self.settings),
            "progress": asdict(self.progress),
            "student": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save_checkpoint(path, content)

    def warm_start(self, path: Path) -> None:
        """Take the weights of another run's checkpoint and nothing else; raises RunError."""
        saved = load_checkpoint(path)
        with taking(path):
            self.student.load_state_dict(saved["student"])
            if self.settings.quantized:
                fold(self.student)
            other = Trainer(FitSettings(**saved["settings"]))
            other.progress = Progress(**saved["progress"])
            self.progress.hours_before = other.audio_hours()

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; raises RunError: damaged, or made with settings other than the budget."""
        saved = load_checkpoint(path)
        own = asdict(self.settings)
        differing = [name for name in own if name not in BUDGET and own[name] != saved["settings"].get(name)]
        if differing:
            told = ", ".join(f"{name} {saved['settings'].get(name)}" for name in differing)
            raise RunError(f"{path} was made with {one_line(told)}: go on with the same, or start in another folder")
        with taking(path):
            self.student.load_state_dict(saved["student"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.progress = Progress(**saved["progress"])
            self.audio_hours()


def fit(
    recordings: list[Recording],
    settings: FitSettings,
    folder: Path,
    resume: bool = False,
    start_from: Path | None = None,
    world: World | None = None,
) -> Trainer:
    """Train until the budget or the patience ends; the trainer returned holds the best weights.

    folder      where checkpoint.pt, best.pt, log.csv and loss.png go
    resume      go on from folder's checkpoint.pt
    start_from  checkpoint of another run whose weights this one begins with
    world       this process among those that torchrun started
    raises      RunError: cannot start, resume or write; CorpusError: no usable recordings
    """
    world = world or World()
    RecordingPool(recordings)  # what the rendering process could not tell in one line
    trainer = Trainer(settings, world)
    if resume:
        trainer.load(folder / CHECKPOINT)
    elif (folder / CHECKPOINT).exists():
        raise RunError(f"{folder} holds a run already: add --resume, or give another --folder")
    elif start_from is not None:
        trainer.warm_start(start_from)
    validation = render_block(
        RecordingPool(recordings, "validation"),
        BlockSettings(
            settings.validation_streams, settings.validation_seconds, _VALIDATION_SEED, "validation", settings.front_end
        ),
        0,
    )
    blocks = BlockSettings(settings.streams, settings.seconds, settings.seed, design=settings.front_end)
    mix = MIXES[settings.mix]
    with BlockProducer(recordings, blocks, mix, stride=world.size) as producer, Report(quiet=not world.leads) as report:
        _run(trainer, producer, validation, folder, report)
    if not world.leads:
        return trainer
    trainer.student.load_state_dict(load_checkpoint(folder / BEST)["student"])
    return trainer


def hand_off(folder: Path, path: Path, recordings: list[Recording]) -> None:
    """Write the student of a run's best validation to `path`, with its calibration features and provenance.

    raises   RunError: no checkpoint, or not writable; CorpusError: no usable training recordings
    """
    saved = load_checkpoint(folder / BEST)
    with taking(folder / BEST):
        trainer = Trainer(FitSettings(**saved["settings"]))
        trainer.student.load_state_dict(saved["student"])
        trainer.progress = Progress(**saved["progress"])
        settings, progress, hours = trainer.settings, trainer.progress, trainer.audio_hours()
    if isinstance(trainer.network, QuantizedStudent):
        trainer.network.write_back()
    speech = [row for row in recordings if row.split == "train" and row.kind == "speech"]
    provenance = {
        "corpus": digest_of(recordings),
        "seed": settings.seed,
        "loss": settings.loss,
        "quantized": settings.quantized,
        "schedule": settings.schedule,
        "learning_rate": settings.learning_rate,
        "blocks": progress.block,
        "steps": progress.step,
        "audio_hours": round(hours, 2),
        "epochs": round(hours * 3600 / max(sum(row.seconds for row in speech), 1.0), 2),
        "validation_loss": round(progress.best_loss, 6),
    }
    features = calibration(RecordingPool(recordings), trainer.design)
    save_student(path, trainer.student, trainer.design, features, provenance)


def _run(trainer: Trainer, producer: BlockProducer, validation: Block, folder: Path, report: Report) -> None:
    settings, progress, world = trainer.settings, trainer.progress, trainer.world
    clock = saved = time.monotonic()
    ended = trainer.share_done() >= 1.0
    while not ended:
        rate = trainer.learning_rate()
        row = {"loss": trainer.train_block(producer.block(world.block(progress.block))), "learning_rate": rate}
        now = time.monotonic()
        progress.elapsed_s = world.agree(progress.elapsed_s + now - clock)
        clock = now
        ended = trainer.share_done() >= 1.0
        if ended or progress.block % settings.validation_blocks == 0:
            row |= _validated(trainer, validation, folder)
            ended = ended or 0 < settings.patience <= progress.stale
        place = {"block": progress.block, "step": progress.step, "minutes": progress.elapsed_s / 60}
        progress.rows.append(place | {"audio_hours": trainer.audio_hours()} | row)
        report.row(progress.rows[-1], trainer.share_done(), keep="validation_loss" in row)
        if world.leads and (ended or now - saved >= 60 * settings.checkpoint_minutes):
            saved = now
            trainer.save(folder / CHECKPOINT)
            write_log(folder / LOG, progress.rows)
            write_plot(folder / PLOT, progress.rows)


def _validated(trainer: Trainer, validation: Block, folder: Path) -> dict[str, float]:
    """Scores of rank 0; every rank judges by its loss, and the best weights so far are kept."""
    scores = trainer.validate(validation) if trainer.world.leads else {"validation_loss": math.nan}
    best = trainer.judge(trainer.world.agree(scores["validation_loss"]))
    if best and trainer.world.leads:
        trainer.save(folder / BEST)
    return scores
