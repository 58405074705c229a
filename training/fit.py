"""Training of the student: truncated back-propagation over long parallel streams.

The GRU's state, the overlap-add tail and the loss's look-back are carried from chunk to chunk of a block and
detached; they start at home with each block. One optimiser step per chunk. Checkpoints are written between blocks
under a temporary name and hold everything, so that with a budget in blocks a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

import csv
import math
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from training.datasets import Recording
from training.frontend import HOP, INIT_FRAMES, OverlapAdd, total_gain
from training.losses import make_loss
from training.metrics import pesq_wb, si_sdr_db
from training.audio import RATE_HZ
from training.mixing import RecordingPool
from training.streams import Block, BlockProducer, BlockSettings, Chunk, chunks, render_block
from training.student import Student

SCHEDULES = ("cosine", "plateau")
_LOOK_BACK = 512 - HOP  # samples of past output in front of each chunk, so that STFT frames span chunk borders
_SKIP = (INIT_FRAMES + 1) * HOP  # output of the initialisation frames and its overlap: no loss
_VALIDATION_SEED = 1_000_003


@dataclass(frozen=True)
class FitSettings:
    """Everything that decides a run; saved with it.

    blocks, minutes   budget: the first that is set and reached ends the run, and the cosine ends with it
    patience          validations without a better one before the run stops early; 0 = never
    """

    loss: str = "compressed"
    schedule: str = "cosine"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    warmup_share: float = 0.02
    blocks: int = 0
    minutes: float = 0.0
    chunk_frames: int = 125
    streams: int = 64
    seconds: float = 15.0
    seed: int = 0
    patience: int = 0
    checkpoint_minutes: float = 3.0
    validation_blocks: int = 20
    validation_streams: int = 24
    validation_seconds: float = 10.0


@dataclass
class Progress:
    """Where a run is."""

    block: int = 0
    step: int = 0
    elapsed_s: float = 0.0
    best_loss: float = math.inf
    stale: int = 0
    plateau_factor: float = 1.0
    rows: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Model, optimiser and progress of one run."""

    def __init__(self, settings: FitSettings, folder: Path) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.folder = settings, folder
        self.student = Student()
        self.loss = make_loss(settings.loss)
        self.overlap_add = OverlapAdd()
        self.optimizer = torch.optim.AdamW(
            self.student.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.progress = Progress()

    # -- one pass over a block -------------------------------------------------------------------------------------

    def _streamed(self, block: Block, frames: int) -> Any:
        """Loss of each chunk, state carried; the caller steps in between. Yields (loss, enhanced audio)."""
        state: torch.Tensor | None = None
        tail: torch.Tensor | None = None
        past: tuple[torch.Tensor, torch.Tensor] | None = None
        level = torch.from_numpy(block.level)[:, None]
        for chunk in chunks(block, frames):
            mask, state = self.student(chunk.x, state)
            enhanced, tail = self.overlap_add(chunk.spectrum * open_gain(chunk, mask), tail)
            clean = chunk.clean / level
            normalised = enhanced / level
            if chunk.first == 0:
                normalised, clean = normalised[:, _SKIP:], clean[:, _SKIP:]
            if past is not None:
                normalised = torch.cat([past[0], normalised], dim=1)
                clean = torch.cat([past[1], clean], dim=1)
            yield self.loss(normalised, clean), enhanced.detach()
            past = normalised[:, -_LOOK_BACK:].detach(), clean[:, -_LOOK_BACK:]
            state, tail = state.detach(), tail.detach()

    def train_block(self, block: Block) -> float:
        """One optimiser step per chunk; returns the mean loss."""
        self.student.train()
        losses = []
        for loss, _ in self._streamed(block, self.settings.chunk_frames):
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.student.parameters(), self.settings.clip_norm)
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate()
            self.optimizer.step()
            self.progress.step += 1
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def validate(self, block: Block) -> dict[str, float]:
        """Loss, SI-SDR and PESQ (means over the block's streams, first 0.5 s left out)."""
        self.student.eval()
        losses, audio = [], []
        with torch.no_grad():
            for loss, enhanced in self._streamed(block, self.settings.chunk_frames):
                losses.append(float(loss))
                audio.append(enhanced)
        output = torch.cat(audio, dim=1).numpy()[:, HOP:]
        clean = block.clean[:, : output.shape[1]]
        start = RATE_HZ // 2
        pairs = [(c[start:], e[start:]) for c, e in zip(clean, output, strict=True)]
        return {
            "validation_loss": float(np.mean(losses)),
            "si_sdr_db": float(np.mean([si_sdr_db(c, e) for c, e in pairs])),
            "pesq_wb": float(np.nanmean([pesq_wb(c, e) for c, e in pairs])),
        }

    # -- schedule --------------------------------------------------------------------------------------------------

    def share_done(self) -> float:
        """Share of the budget that is used, in [0, 1]."""
        shares = [0.0]
        if self.settings.blocks:
            shares.append(self.progress.block / self.settings.blocks)
        if self.settings.minutes:
            shares.append(self.progress.elapsed_s / (60 * self.settings.minutes))
        return min(max(shares), 1.0)

    def learning_rate(self) -> float:
        done = self.share_done()
        rate = self.settings.learning_rate * self.progress.plateau_factor
        if done < self.settings.warmup_share:
            return rate * (0.1 + 0.9 * done / self.settings.warmup_share)
        if self.settings.schedule == "cosine":
            return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        return rate

    # -- files -----------------------------------------------------------------------------------------------------

    def save(self, name: str = "checkpoint.pt") -> None:
        path = self.folder / name
        temporary = path.with_suffix(".tmp")
        torch.save(
            {
                "settings": asdict(self.settings),
                "progress": asdict(self.progress),
                "student": self.student.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            },
            temporary,
        )
        os.replace(temporary, path)

    def resume(self, name: str = "checkpoint.pt") -> None:
        saved = torch.load(self.folder / name, weights_only=True)
        self.student.load_state_dict(saved["student"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.progress = Progress(**saved["progress"])

    def write_log(self) -> None:
        path = self.folder / "log.csv"
        temporary = path.with_suffix(".tmp")
        names = list(dict.fromkeys(key for row in self.progress.rows for key in row))
        with temporary.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names, restval="")
            writer.writeheader()
            writer.writerows(self.progress.rows)
        os.replace(temporary, path)


def open_gain(chunk: Chunk, mask: torch.Tensor) -> torch.Tensor:
    """Total gain of a chunk; one in the initialisation frames."""
    gain = total_gain(chunk.wiener_gain, mask)
    closed = max(INIT_FRAMES - chunk.first, 0)
    return gain if not closed else torch.cat([torch.ones_like(gain[:, :closed]), gain[:, closed:]], dim=1)


def fit(recordings: list[Recording], settings: FitSettings, folder: Path, resume: bool = False) -> Trainer:
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, folder)
    if resume:
        trainer.resume()
    validation = render_block(
        RecordingPool(recordings, "validation"),
        BlockSettings(settings.validation_streams, settings.validation_seconds, _VALIDATION_SEED, "validation"),
        0,
    )
    block_settings = BlockSettings(settings.streams, settings.seconds, settings.seed)
    progress = trainer.progress
    last_save = time.monotonic()
    with BlockProducer(recordings, block_settings) as producer:
        before = time.monotonic()
        while trainer.share_done() < 1.0:
            block = producer.block(progress.block)
            waited = time.monotonic() - before
            loss = trainer.train_block(block)
            progress.block += 1
            now = time.monotonic()
            progress.elapsed_s += now - before
            row = {"block": progress.block, "step": progress.step, "seconds": round(progress.elapsed_s, 1),
                   "waited": round(waited, 1), "learning_rate": trainer.learning_rate(), "loss": loss}
            before = now
            if progress.block % settings.validation_blocks == 0 or trainer.share_done() >= 1.0:
                row |= trainer.validate(validation)
                if row["validation_loss"] < progress.best_loss:
                    progress.best_loss, progress.stale = row["validation_loss"], 0
                    trainer.save("best.pt")
                else:
                    progress.stale += 1
                    if settings.schedule == "plateau":
                        progress.plateau_factor *= 0.5
            progress.rows.append(row)
            print("  ".join(f"{k} {v:.5g}" for k, v in row.items()), flush=True)
            if now - last_save >= 60 * settings.checkpoint_minutes or trainer.share_done() >= 1.0:
                trainer.save()
                trainer.write_log()
                last_save = now
            if settings.patience and progress.stale >= settings.patience:
                break
    trainer.save()
    trainer.write_log()
    return trainer
