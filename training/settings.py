"""What decides a training run, and where it is: both are saved in every checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from firmware_sim.contract import SAMPLE_RATE_HZ
from training.designs import Design, design_named
from training.files import RunError
from training.losses import LOSSES
from training.mixing import AUGMENTED, PLAIN

MIXES = {"plain": PLAIN, "augmented": AUGMENTED}
SCHEDULES = ("cosine", "plateau")
_LONGEST_WINDOW = {"perceptual": 6400, "compressed": 512, "seed": 512}  # samples that a loss must see at once
_TYPES = {"int": "a whole number", "float": "a finite number", "bool": "true or false", "str": "text"}
_LARGEST, _MOST = 1e9, 1 << 20
LOOK_BACK = 448  # samples of past output in front of each chunk, so that STFT frames span chunk borders
BUDGET = ("blocks", "minutes", "patience", "checkpoint_minutes")
"""The settings that a resumed run may change."""


@dataclass(frozen=True)
class FitSettings:
    """Everything that decides a run; saved with it.

    design              name of the front end; hidden: units of each GRU layer
    *_weight            of the terms of the perceptual loss
    mix                 which mixtures to draw: plain or augmented
    quantized           the forward pass rounds as the device does
    learning_rate       highest, of the cosine or the plateau; warmup_share of the run leads up to it
    weight_decay        of the matrices, as a share of the rate a step (`Muon`)
    clip_norm           largest norm of the gradient: bounds what a step leaves in the momentum, not its size
    ranks               processes that train together, each on blocks of its own
    blocks, minutes     budget: whichever is reached first ends the run, and the cosine ends with it; 0 = not set
    streams, seconds    size of a block; chunk_frames of it make one step
    patience            validations without a better one before the run stops early; 0 = never
    validation_blocks   blocks between two validations
    raises              RunError: a value that cannot work
    """

    design: str = "default"
    hidden: int = 120
    mix: str = "augmented"
    quantized: bool = False
    ranks: int = 1
    loss: str = "perceptual"
    snr_weight: float = 0.03
    loudness_weight: float = 1.0
    intelligibility_weight: float = 0.5
    schedule: str = "cosine"
    learning_rate: float = 5e-3
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    warmup_share: float = 0.02
    blocks: int = 0
    minutes: float = 0.0
    chunk_frames: int = 150
    streams: int = 32
    seconds: float = 15.0
    seed: int = 0
    patience: int = 0
    checkpoint_minutes: float = 3.0
    validation_blocks: int = 20
    validation_streams: int = 24
    validation_seconds: float = 10.0

    def __post_init__(self) -> None:
        self._check_types()
        if self.schedule not in SCHEDULES:
            raise RunError(f"unknown schedule '{self.schedule}': choose one of {', '.join(SCHEDULES)}")
        if self.loss not in LOSSES:
            raise RunError(f"unknown loss '{self.loss}': choose one of {', '.join(LOSSES)}")
        if self.minutes < 0 or self.blocks < 0:
            raise RunError(f"a budget of {self.minutes:g} minutes, {self.blocks} blocks: neither may be below 0")
        if self.blocks == 0 and self.minutes == 0:
            raise RunError("no budget: set --minutes or --blocks above 0")
        if self.learning_rate <= 0:
            raise RunError(f"the learning rate is {self.learning_rate:g}: it must be above 0")
        if self.patience < 0 or not 0 <= self.seed < 1 << 32:
            raise RunError(f"patience {self.patience}, seed {self.seed}: neither may be below 0, nor the seed 2^32")
        if self.mix not in MIXES:
            raise RunError(f"unknown mixtures '{self.mix}': choose one of {', '.join(MIXES)}")
        if not 4 <= self.hidden <= 1024:
            raise RunError(f"{self.hidden} hidden units: choose 4 to 1024")
        least = self.front_end.init_frames + 1 + _LONGEST_WINDOW[self.loss] // self.front_end.hop
        if self.chunk_frames < least:
            raise RunError(f"a chunk of {self.chunk_frames} frames ends before the loss begins: {least} is the least")
        for name in ("seconds", "validation_seconds"):
            self._check_rest(name, getattr(self, name))

    def _check_types(self) -> None:
        """A recipe file may hold anything; a whole number is a float too, nothing else is another type's."""
        for entry in fields(self):
            value, wanted = getattr(self, entry.name), str(entry.type)
            is_number = type(value) in (int, float) and abs(value) < _LARGEST
            sound = is_number if wanted == "float" else type(value).__name__ == wanted
            if not sound:
                raise RunError(f"{entry.name} is {value!r}: it must be {_TYPES[wanted]}")
        for name in ("streams", "validation_streams", "validation_blocks", "ranks"):
            if not 1 <= getattr(self, name) <= _MOST:
                raise RunError(f"{getattr(self, name)} {name}: their number must be above 0 and sane")
        if self.weight_decay < 0 or self.clip_norm <= 0 or not 0 <= self.warmup_share < 1:
            told = (
                f"weight_decay {self.weight_decay:g}, clip_norm {self.clip_norm:g}, warmup_share {self.warmup_share:g}"
            )
            raise RunError(f"{told}: from 0 up, above 0, in [0, 1)")

    def _check_rest(self, name: str, seconds: float) -> None:
        """The last chunk of a block, where it is not dropped, must hold the loss's window too."""
        hop = self.front_end.hop
        frames = int(seconds * SAMPLE_RATE_HZ) // hop
        if frames < self.chunk_frames:
            raise RunError(f"{name} {seconds:g}: a block must hold a chunk of {self.chunk_frames} frames")
        rest = frames % self.chunk_frames
        if rest > self.chunk_frames // 2 and rest * hop + LOOK_BACK < _LONGEST_WINDOW[self.loss]:
            whole = self.chunk_frames * hop / SAMPLE_RATE_HZ
            raise RunError(f"{name} {seconds:g} ends in a chunk too short for the loss: choose a multiple of {whole:g}")

    @property
    def front_end(self) -> Design:
        """The front end by its name; raises RunError: unknown."""
        return design_named(self.design)


@dataclass
class Progress:
    """Where a run is; `rows` is the log, one row a block; hours_before is what its first weights had heard."""

    block: int = 0
    step: int = 0
    elapsed_s: float = 0.0
    best_loss: float = math.inf
    stale: int = 0
    plateau_factor: float = 1.0
    hours_before: float = 0.0
    rows: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """A checkpoint may hold anything; raises TypeError."""
        counts = (self.block, self.step, self.stale)
        numbers = (self.elapsed_s, self.best_loss, self.plateau_factor, self.hours_before)
        if not all(type(count) is int and count >= 0 for count in counts):
            raise TypeError(f"progress counts {', '.join(map(repr, counts))}")
        if not all(type(number) in (int, float) for number in numbers):
            raise TypeError(f"progress holds {', '.join(map(repr, numbers))} where numbers must be")
        if not isinstance(self.rows, list) or not all(map(_is_row, self.rows)):
            raise TypeError("the log's rows are no list of numbers by name")


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and all(type(value) in (int, float) for value in row.values())
