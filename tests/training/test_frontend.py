"""The float twin: against the fixed-point stages, against torch, and on cases that can be solved by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from firmware_sim.contract import NOISE_MIN, PROFILES, Parameters
from firmware_sim.frame_loop import FrameLoop
from tests import signals
from training.designs import DEFAULT, DESIGNS, SEED, Design, ablations
from training.enhance import enhance_streams
from training.frontend import (
    OverlapAdd,
    WienerOutput,
    analyse,
    band_means,
    features,
    front_end,
    gain_channel,
    normalise,
    power,
    to_int16_grid,
    to_q11,
    total_gain,
    wiener,
)

HOP, BINS, INIT_FRAMES = SEED.hop, SEED.bins, SEED.init_frames
every_design = pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)


@pytest.fixture(scope="module")
def pcm() -> np.ndarray:
    """Four streams of real noisy speech, int16 (4, 64000)."""
    return signals.noisy_speech(4.0)


def device_taps(pcm: np.ndarray, design: Design) -> dict[str, np.ndarray]:
    """Taps of the fixed-point loop over `pcm`, (streams, frames, ...)."""
    parameters = Parameters(use_network=False, wiener_floor_q15=0)
    loop = FrameLoop(PROFILES[design.name], None, parameters, streams=len(pcm))
    hops = [hop.taps for hop in loop.hops_of(pcm)]
    return {name: np.stack([taps[name] for taps in hops], axis=1) for name in ("x_q11", "wiener_gain_q15", "vad")}


@every_design
def test_against_firmware_sim_network_inputs_differ_by_rounding_alone(pcm: np.ndarray, design: Design) -> None:
    x_q11, _ = front_end(pcm / np.float32(32768), replace(design, wiener_floor=0.0))
    difference = np.abs(x_q11 - device_taps(pcm, design)["x_q11"])
    assert difference.max() <= 16
    assert np.mean(difference <= 2) >= 0.999


@every_design
def test_against_firmware_sim_gains_and_voice_decisions_agree(pcm: np.ndarray, design: Design) -> None:
    audio, device = pcm / np.float32(32768), device_taps(pcm, design)
    _, gain = front_end(audio, design)
    difference = np.abs(gain * 32768 - device["wiener_gain_q15"])
    assert np.mean(difference <= 4) >= 0.999
    assert np.mean(wiener(power(analyse(audio, design)), design).vad == device["vad"]) >= 0.999


@every_design
def test_against_firmware_sim_the_wiener_filter_alone_sounds_the_same(pcm: np.ndarray, design: Design) -> None:
    fixed = FrameLoop(PROFILES[design.name], streams=len(pcm)).process(pcm)[:, design.hop :]
    error = enhance_streams(pcm / 32768, None, design)[:, : -design.hop] * 32768 - fixed
    snr_db = 10 * np.log10(np.square(fixed.astype(float)).mean() / np.square(error).mean())
    assert snr_db >= 60


@pytest.mark.parametrize("design", ablations(), ids=lambda design: design.name)
def test_unit_gain_gives_the_input_one_hop_late(pcm: np.ndarray, design: Design) -> None:
    audio, hop = pcm / np.float32(32768), design.hop
    out, _ = OverlapAdd(design)(torch.from_numpy(analyse(audio, design)))
    np.testing.assert_allclose(out.numpy()[:, hop:], audio[:, :-hop], atol=1e-6)
    np.testing.assert_allclose(out.numpy()[:, :hop], 0, atol=1e-6)


@every_design
def test_overlap_add_does_not_depend_on_the_chunks(pcm: np.ndarray, design: Design) -> None:
    spectrum = torch.from_numpy(analyse(pcm / np.float32(32768), design))
    overlap_add = OverlapAdd(design)
    whole, last = overlap_add(spectrum)
    tail, pieces = None, []
    for piece in spectrum.split([1, 30, 7, spectrum.shape[1] - 38], dim=1):
        audio, tail = overlap_add(piece, tail)
        pieces.append(audio)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole)
    torch.testing.assert_close(tail, last)


def test_a_loss_on_audio_reaches_the_mask_except_under_the_floor(pcm: np.ndarray) -> None:
    spectrum = torch.from_numpy(analyse(pcm[:1, : 40 * HOP] / np.float32(32768), SEED))
    mask = torch.full(spectrum.shape, 0.5)
    mask[:, 20] = 0.01
    mask.requires_grad_()
    audio, _ = OverlapAdd(SEED)(spectrum * total_gain(torch.ones(()), mask, SEED, gain_floor=0.1))
    audio.square().sum().backward()
    assert mask.grad is not None
    assert mask.grad[:, 10].abs().max() > 0
    assert mask.grad[:, 20].abs().max() == 0


def test_power_is_in_units_of_the_integer() -> None:
    tone = np.cos(2 * np.pi * 16 * np.arange(16 * HOP) / 128)[None]
    windowed_mean = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(128) / 128)).mean()
    expected = (0.5 * windowed_mean) ** 2 * 2.0**56
    assert power(analyse(tone, SEED))[0, 8, 16] == pytest.approx(expected, rel=1e-3)


def test_wiener_of_a_steady_input_follows_the_equations() -> None:
    observed = np.full((1, INIT_FRAMES + 2, BINS), 1e6)
    out = wiener(observed, SEED)
    assert np.all(out.gain[:, :INIT_FRAMES] == 1)
    assert np.all(out.noise[:, :INIT_FRAMES] == NOISE_MIN)
    np.testing.assert_allclose(out.noise[:, INIT_FRAMES:], 1e6, rtol=1e-8)
    first = 0.98 / 1.98  # xi = 0.98 * 1 + 0.02 * 0, gamma = 1
    second = 0.98 * first / (1 + 0.98 * first)
    np.testing.assert_allclose(out.gain[0, INIT_FRAMES:, 5], np.sqrt([first, second]), rtol=1e-6)
    assert not out.vad.any()


def test_noise_follows_where_there_is_no_speech_and_stands_still_where_there_is() -> None:
    observed = np.full((2, INIT_FRAMES + 3, BINS), 1e6)
    observed[0, INIT_FRAMES] = 0.5e6
    observed[1, INIT_FRAMES] = 1e10
    out = wiener(observed, SEED)
    assert out.vad[:, INIT_FRAMES].tolist() == [False, True]
    np.testing.assert_allclose(out.noise[0, INIT_FRAMES + 1], 0.98e6 + 0.02 * 0.5e6, rtol=1e-6)
    np.testing.assert_allclose(out.noise[1, INIT_FRAMES + 1], 1e6, rtol=1e-8)


@every_design
def test_digital_silence_keeps_the_noise_at_its_minimum(design: Design) -> None:
    out = wiener(np.zeros((1, 50, design.bins), np.float32), design)
    assert np.all(out.noise == NOISE_MIN)
    assert np.isfinite(out.gain).all()


def test_features_are_log_powers_after_the_gain_with_the_noise_level_in_front() -> None:
    observed = np.full((1, 1, BINS), 2.0**20)
    gain = np.full((1, 1, BINS), 0.25)
    gain[..., 7] = 0.0  # the smallest gain that the device tells apart is 2^-15
    noise = np.full((1, 1, BINS), 2.0**16)
    stage = WienerOutput(gain, noise, np.zeros((1, 1), bool))
    values = features(observed, stage, replace(SEED, wiener_floor=0.0))[0, 0]
    assert values[0] == 16
    assert values[1] == 16  # 20 + 2 log2(1/4)
    assert values[7] == -10


def test_against_torch_layer_norm() -> None:
    values = np.random.default_rng(0).normal(20, 5, (3, 4, BINS)).astype(np.float32)
    expected = torch.nn.functional.layer_norm(torch.from_numpy(values), (BINS,), eps=2.0**-8).numpy()
    np.testing.assert_allclose(normalise(values), expected, atol=1e-5)


def test_normalised_features_stay_below_eight() -> None:
    values = np.zeros((1, 2, BINS))
    values[0, 0, 3], values[0, 1, 3] = 1e6, -1e6
    codes = to_q11(normalise(values))
    assert codes.max() <= 16383
    assert codes.min() >= -16384


@every_design
def test_the_input_level_does_not_reach_the_network(pcm: np.ndarray, design: Design) -> None:
    audio = pcm / np.float64(32768)
    loud, _ = front_end(audio, design)
    soft, _ = front_end(audio / 4, design)
    assert np.mean(np.abs(loud - soft) <= 64) >= 0.9  # what differs lies at the floor of int16 noise


def test_the_int16_grid_rounds_and_saturates() -> None:
    grid = to_int16_grid(np.array([0.5 / 32768, 0.6 / 32768, 1.5, -1.5]))
    np.testing.assert_array_equal(grid * 32768, [0, 1, 32767, -32768])


def test_bands_take_the_mean_of_their_bins_and_give_each_bin_their_mask() -> None:
    values = np.arange(DEFAULT.bins, dtype=float)[None, None]
    means = band_means(values, DEFAULT)[0, 0]
    assert means.shape == (64,)
    assert means[:31].tolist() == [*range(30), 30.5]
    assert means[-1] == np.mean([125, 126, 127, 128])
    mask = torch.arange(64) / 64
    gain = total_gain(None, mask[None, None], DEFAULT, gain_floor=0.0)[0, 0]
    assert gain[30] == gain[31] == mask[30]
    assert gain[125:].tolist() == [63 / 64] * 4


def test_the_gain_channel_is_four_times_the_gain_above_one_half() -> None:
    gain = np.linspace(0, 1, DEFAULT.bins)[None, None] ** 0
    gain[..., 0], gain[..., 30:32] = 0.0, (0.25, 0.75)
    assert gain_channel(gain, DEFAULT)[0, 0, [0, 1, 30]].tolist() == [-2.0, 2.0, 0.0]


def test_the_presence_tracker_finds_the_noise_again_where_the_gated_one_stands_still() -> None:
    """A second of digital silence, then noise: 250 hops a second."""
    rng = np.random.default_rng(0)
    observed = rng.exponential(1e6, (1, 1500, DEFAULT.bins))
    observed[:, 250:500] = 0
    noise = {name: wiener(observed, replace(DEFAULT, tracker=name)).noise[0, -1] for name in ("spp", "vad")}
    assert np.median(noise["spp"]) == pytest.approx(1e6, rel=0.5)
    assert np.median(noise["vad"]) < 1e5


def test_without_a_tracker_there_is_no_gain() -> None:
    stage = wiener(np.full((1, 50, DEFAULT.bins), 1e6), replace(DEFAULT, features="power", tracker="none"))
    assert np.all(stage.gain == 1)
    assert not stage.vad.any()
