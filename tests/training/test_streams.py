"""Blocks are functions of seed and index; chunks line up with the audio that comes out of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.small import recordings
from training.designs import DEFAULT, SEED, Design
from training.files import RunError
from training.frontend import OverlapAdd
from training.mixing import RecordingPool, draw_recipe
from training.recipes import ShapedNoise
from training.streams import Block, BlockProducer, BlockSettings, active_level, block_of, chunks, render_block

SETTINGS = BlockSettings(streams=2, seconds=2.0, seed=3, design=SEED)
HOP = SEED.hop


@pytest.fixture(scope="module")
def block() -> Block:
    return render_block(RecordingPool(recordings()), SETTINGS, 5)


def assert_same(one: Block, other: Block) -> None:
    for name in ("noisy", "clean", "x_q11", "wiener_gain", "level"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_block_depends_on_seed_and_index_alone(block: Block) -> None:
    pool = RecordingPool(recordings())
    render_block(pool, SETTINGS, 4)
    assert_same(block, render_block(pool, SETTINGS, 5))
    assert not np.array_equal(block.noisy, render_block(pool, SETTINGS, 6).noisy)


def test_the_producer_gives_the_same_blocks_in_any_order(block: Block) -> None:
    with BlockProducer(recordings(), SETTINGS) as producer:
        assert_same(producer.block(5), block)
        first = producer.block(0)
    assert_same(first, render_block(RecordingPool(recordings()), SETTINGS, 0))


def test_a_rendering_process_that_dies_is_one_line() -> None:
    def render_on(producer: BlockProducer) -> None:
        for index in range(1, 4):
            producer.block(index)

    with BlockProducer(recordings(), BlockSettings(1, 1.0)) as producer:
        producer.block(0)
        for process in producer._executor._processes.values():
            process.kill()
        with pytest.raises(RunError, match="the process that renders mixtures died"):
            render_on(producer)


def test_noisy_is_what_the_device_can_hold(block: Block) -> None:
    codes = block.noisy * 32768
    np.testing.assert_array_equal(codes, np.rint(codes))
    assert block.x_q11.dtype == np.int16


@pytest.mark.parametrize("design", [SEED, DEFAULT], ids=lambda design: design.name)
@pytest.mark.parametrize("frames", [60, 125, 500])
def test_chunks_cover_the_stream_and_line_up_with_the_clean_signal(frames: int, design: Design) -> None:
    block = render_block(RecordingPool(recordings()), replace(SETTINGS, design=design), 5)
    overlap_add, tail, pieces, cleans, place = OverlapAdd(design), None, [], [], 0
    for chunk in chunks(block, frames):
        assert chunk.first == place
        place += chunk.x.shape[1]
        audio, tail = overlap_add(chunk.spectrum, tail)
        pieces.append(audio)
        cleans.append(chunk.clean)
    out, clean = torch.cat(pieces, dim=1).numpy(), torch.cat(cleans, dim=1).numpy()
    assert place >= block.frames - frames // 2
    np.testing.assert_allclose(out[:, HOP:], block.noisy[:, : out.shape[1] - HOP], atol=1e-6)
    np.testing.assert_array_equal(clean[:, HOP:], block.clean[:, : clean.shape[1] - HOP])


def test_chunks_carry_the_features_of_their_frames(block: Block) -> None:
    second = list(chunks(block, 100))[1]
    np.testing.assert_array_equal(second.x.numpy() * 2048, block.x_q11[:, 100:200])
    np.testing.assert_array_equal(second.wiener_gain.numpy(), block.wiener_gain[:, 100:200].astype(np.float32))


def test_the_active_level_leaves_pauses_out_and_has_a_floor() -> None:
    clean = np.zeros((2, 100 * HOP), np.float32)
    clean[0, : 25 * HOP] = 0.5
    np.testing.assert_allclose(active_level(clean), [0.5, 1e-4], rtol=1e-6)


def test_noise_alone_counts_at_its_own_level() -> None:
    rows = recordings()
    recipe = replace(
        draw_recipe(np.random.default_rng(0), rows, 2 * 16000), speech=(), noise=(), shaped=(ShapedNoise(1, 0.0, 0.0),)
    )
    block = block_of([recipe], SETTINGS.design)
    assert not block.clean.any()
    np.testing.assert_allclose(block.level, np.sqrt(np.square(block.noisy).mean(axis=1)), rtol=0.02)
