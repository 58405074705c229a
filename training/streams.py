"""Training batches: blocks of long parallel streams, rendered ahead by a process of their own.

A block is drawn, mixed and sent through the float front end whole, so that the Wiener stage costs one Python loop for
all of its streams. Block i of a seed is always the same block: a resumed run sees what an uninterrupted one does.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray

from training.audio import RATE_HZ, AudioCache
from training.datasets import Recording
from training.designs import DEFAULT, Design
from training.files import RunError
from training.frontend import analyse, front_end, to_int16_grid
from training.mixing import MixRecipe, MixSettings, RecordingPool, draw_recipe, render
from training.student import from_q11
from training.workers import start_worker, unheard_interrupts

_LEVEL_BLOCK = 64
_ACTIVE_SHARE = 1e-3  # blocks within 30 dB of the loudest count as active speech
_LEVEL_MIN = 1e-4  # -80 dBFS: a stream without speech is not amplified further


@dataclass(frozen=True)
class Block:
    """Parallel streams that start together.

    noisy         float32 (streams, samples), on the int16 grid, 1.0 = full scale
    clean         float32 (streams, samples)
    x_q11         int16 (streams, frames, inputs) network input before LayerNorm's affine part
    wiener_gain   float16 (streams, frames, bins), not floored; None where the design does not apply it
    level         float32 (streams,) RMS of the clean signal where speech is active; of the mixture where there is none
    """

    design: Design
    noisy: NDArray[np.float32]
    clean: NDArray[np.float32]
    x_q11: NDArray[np.int16]
    wiener_gain: NDArray[np.float16] | None
    level: NDArray[np.float32]

    @property
    def frames(self) -> int:
        return int(self.x_q11.shape[1])


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a block as tensors; `clean` is a hop late, aligned with the overlap-add of the frames.

    x             float32 (streams, frames, inputs)
    wiener_gain   float32 (streams, frames, bins) or None
    spectrum      complex64 (streams, frames, bins), noisy, scaled by 1 / FFT length
    clean         float32 (streams, frames * hop)
    first         index of the first frame in its stream
    """

    x: torch.Tensor
    wiener_gain: torch.Tensor | None
    spectrum: torch.Tensor
    clean: torch.Tensor
    first: int


@dataclass(frozen=True)
class BlockSettings:
    """Size and randomness of the blocks."""

    streams: int = 64
    seconds: float = 15.0
    seed: int = 0
    split: str = "train"
    design: Design = DEFAULT

    @property
    def samples(self) -> int:
        """Samples of a stream: whole hops."""
        return int(self.seconds * RATE_HZ) // self.design.hop * self.design.hop


def active_level(clean: NDArray[np.float32]) -> NDArray[np.float32]:
    """RMS of each stream over the blocks of 4 ms within 30 dB of its loudest, at least -80 dBFS."""
    size = _LEVEL_BLOCK
    hops = np.square(clean[:, : clean.shape[1] // size * size].reshape(len(clean), -1, size)).mean(axis=-1)
    active = hops >= _ACTIVE_SHARE * hops.max(axis=1, keepdims=True)
    mean = (hops * active).sum(axis=1) / np.maximum(active.sum(axis=1), 1)
    level: NDArray[np.float32] = np.maximum(np.sqrt(mean), _LEVEL_MIN).astype(np.float32)
    return level


def block_of(recipes: list[MixRecipe], design: Design, audio: AudioCache | None = None) -> Block:
    """Render recipes of one length and send them through the front end."""
    audio = audio or AudioCache()
    pairs = [render(recipe, audio) for recipe in recipes]
    clean = np.stack([pair[0] for pair in pairs]).astype(np.float32, copy=False)
    noisy = to_int16_grid(np.stack([pair[1] for pair in pairs]))
    x_q11, gain = front_end(noisy, design)
    applied = gain.astype(np.float16) if design.wiener_floor < 1 else None
    # Noise alone must not be lifted to where it would drown the loss of all streams that hold speech.
    level = active_level(np.where(clean.any(axis=1, keepdims=True), clean, noisy))
    return Block(design, noisy, clean, x_q11, applied, level)


def render_block(
    pool: RecordingPool,
    settings: BlockSettings,
    index: int,
    mix: MixSettings | None = None,
    audio: AudioCache | None = None,
) -> Block:
    """Block `index`: the same settings and index give the same samples."""
    rng = np.random.default_rng([settings.seed, index])
    recipes = [draw_recipe(rng, pool, settings.samples, mix) for _ in range(settings.streams)]
    return block_of(recipes, settings.design, audio)


def chunks(block: Block, frames: int) -> Iterator[Chunk]:
    """The block cut along time; a rest shorter than half a chunk is dropped."""
    design, hop, before = block.design, block.design.hop, block.design.analysis // block.design.hop - 1
    noisy = np.pad(block.noisy, ((0, 0), (before * hop, 0)))
    clean = np.pad(block.clean, ((0, 0), (hop, 0)))
    gain = block.wiener_gain
    for first in range(0, block.frames - frames // 2, frames):
        last = min(first + frames, block.frames)
        # So many hops more in front: `analyse` puts its own zeros there, and those frames are dropped.
        audio = noisy[:, first * hop : (last + before) * hop]
        yield Chunk(
            x=from_q11(torch.from_numpy(block.x_q11[:, first:last])),
            wiener_gain=None if gain is None else torch.from_numpy(gain[:, first:last].astype(np.float32)),
            spectrum=torch.from_numpy(analyse(audio, design)[:, before:]),
            clean=torch.from_numpy(clean[:, first * hop : last * hop]),
            first=first,
        )


_worker: tuple[RecordingPool, BlockSettings, MixSettings | None, AudioCache] | None = None


def _start_worker(recordings: list[Recording], settings: BlockSettings, mix: MixSettings | None) -> None:
    global _worker
    start_worker()
    _worker = (RecordingPool(recordings, settings.split), settings, mix, AudioCache())


def _work(index: int) -> Block:
    assert _worker is not None, "the initializer runs before any work"
    pool, settings, mix, audio = _worker
    return render_block(pool, settings, index, mix, audio)


class BlockProducer:
    """Renders the next block in another process while this one trains; a context manager.

    stride   from a block to the one that will be asked for next
    """

    def __init__(
        self, recordings: list[Recording], settings: BlockSettings, mix: MixSettings | None = None, stride: int = 1
    ) -> None:
        self.stride = stride
        self._executor = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(recordings, settings, mix),
        )
        self._pending: dict[int, Future[Block]] = {}

    def __enter__(self) -> BlockProducer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def block(self, index: int) -> Block:
        """Block `index`, waiting for it if need be; the one a stride after it is started.

        raises   CorpusError and others from rendering, as they happened in the process; RunError: it died
        """
        try:
            for wanted in (index, index + self.stride):
                if wanted not in self._pending:
                    with unheard_interrupts():
                        self._pending[wanted] = self._executor.submit(_work, wanted)
            return self._pending.pop(index).result()
        except BrokenProcessPool:
            told = "the process that renders mixtures died, perhaps for want of memory: go on with --resume"
            raise RunError(told) from None
