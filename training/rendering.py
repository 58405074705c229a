"""What a recipe sounds like: a pure function of the recipe and its files, without any dice.

Audio is float32 mono at 16 kHz, 1.0 = int16 full scale. The talker's filter and way through the room are joined to
one short response, and all noises go through one filter: convolutions are what rendering costs.

The target of a talker in a room is what arrives within 50 ms of the direct sound, filter and head included. Reflections
that early fuse with the direct sound and carry speech (useful-to-detrimental ratio, Lochner & Burger 1964; the target
of the REVERB and DNS challenges): a network of 8 ms could not take them out anyway, and to ask for it teaches it to
mute. What comes later counts as noise, on top of the recipe's SNR.

Recorded noises bring the reverberation of their own place: of the room they get the direction and the early part.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal import butter, oaconvolve, sosfilt

from training.audio import RATE_HZ, AudioCache, active_rms
from training.recipes import Colour, MixRecipe, NoiseClip, Response, ShapedNoise, SpeechClip, Step

Samples = NDArray[np.float32]

EARLY_SAMPLES = RATE_HZ // 20
"""50 ms: where the early part of a response ends, from its first sample on."""

_PEAK = 0.99
_SILENCE_RMS = 1e-5  # -100 dBFS: what is weaker is not amplified, so digital silence stays silent
_EDGE_SAMPLES = 80  # 5 ms fades where a clip is cut out of a longer recording
_COLOUR_SAMPLES = 512  # a high-pass of 60 Hz has fallen by 60 dB after 25 ms, all else sooner
_LONG_TAPS = 2000  # measured: from here on one transform of 15 s beats many short ones
_LOW_PASS_ORDER, _HIGH_PASS_ORDER = 6, 2


def render(recipe: MixRecipe, audio: AudioCache | None = None) -> tuple[Samples, Samples]:
    """The mixture of a recipe: a pure function of the recipe and its files.

    audio     where decoded files are kept from call to call (same samples with and without)
    returns   (clean, noisy), float32 (recipe.length,) each, |noisy| and |clean| <= 0.99; clean is the talker as
              far as it is early, and the wearer's own voice, never clipped by the microphone
    raises    CorpusError: a file is absent or not audio
    """
    audio = audio or AudioCache(limit_bytes=0)
    clean, late = _render_talker(recipe, audio)
    noise = _render_noise(recipe, audio)
    level = 10.0 ** (recipe.level_dbfs / 20.0)
    scale = np.float32(level / max(active_rms(clean[recipe.lead_in :]), _SILENCE_RMS))
    clean *= scale
    noise_level = level * 10.0 ** (-recipe.snr_db / 20.0)
    noise *= np.float32(noise_level / max(_rms(noise[recipe.lead_in :]), _SILENCE_RMS))
    if recipe.steps:
        noise *= course(recipe.steps, recipe.length)
    if recipe.own_voice:
        clean += _render_own_voice(recipe, audio, level)
    noisy = clean + noise
    if late is not None:
        noisy += late * scale
    if recipe.clip_db > 0.0:
        ceiling = np.float32(float(np.abs(noisy).max()) * 10.0 ** (-recipe.clip_db / 20.0))
        np.clip(noisy, -ceiling, ceiling, out=noisy)
    peak = max(float(np.abs(noisy).max()), float(np.abs(clean).max()))
    if peak > _PEAK:
        clean *= np.float32(_PEAK / peak)
        noisy *= np.float32(_PEAK / peak)
    return clean, noisy


def _render_talker(recipe: MixRecipe, audio: AudioCache) -> tuple[Samples, Samples | None]:
    """What the target keeps of the talker, and what arrives later (None without a room)."""
    dry = _placed(recipe.speech, recipe.length, audio)
    taps = _taps(recipe.speech_response, recipe.speech_colour, audio)
    if taps is None:
        return dry, None
    early = _taps(recipe.speech_response, recipe.speech_colour, audio, EARLY_SAMPLES)
    if early is None or len(early) == len(taps):
        return _convolved(dry, taps), None
    rest = taps.copy()
    rest[: len(early)] -= early
    late = np.zeros_like(dry)
    late[EARLY_SAMPLES:] = _convolved(dry, rest[EARLY_SAMPLES:])[:-EARLY_SAMPLES]
    return _convolved(dry, early), late


def _render_own_voice(recipe: MixRecipe, audio: AudioCache, level: float) -> Samples:
    own = _placed(recipe.own_voice, recipe.length, audio)
    taps = _taps(None, recipe.own_colour, audio)
    own = own if taps is None else _convolved(own, taps)
    own *= np.float32(level * 10.0 ** (recipe.own_db / 20.0) / max(active_rms(own), _SILENCE_RMS))
    return own


def _placed(clips: tuple[SpeechClip, ...], length: int, audio: AudioCache) -> Samples:
    """Clips of speech where they belong, faded at their cuts, as loud as their files."""
    stream = np.zeros(length, dtype=np.float32)
    for clip in clips:
        take = min(clip.length, length - clip.at)
        piece = audio.get(clip.path)[clip.start : clip.start + take].astype(np.float32) / np.float32(32768.0)
        _fade(piece)
        stream[clip.at : clip.at + len(piece)] += piece
    return stream


def _fade(piece: Samples) -> None:
    edge = min(_EDGE_SAMPLES, len(piece) // 2)
    ramp = np.linspace(0.0, 1.0, edge, dtype=np.float32)
    piece[:edge] *= ramp
    piece[len(piece) - edge :] *= ramp[::-1]


def _render_noise(recipe: MixRecipe, audio: AudioCache) -> Samples:
    """All noises at RMS 1, then at their relative levels, then through their filter; silence stays weak."""
    stream = np.zeros(recipe.length, dtype=np.float32)
    ways = recipe.noise_responses
    for index, clip in enumerate(recipe.noise):
        taps = _taps(ways[index % len(ways)] if ways else None, None, audio, EARLY_SAMPLES)
        _add_noise(stream, clip, taps, audio)
    for shaped in recipe.shaped:
        stream += _levelled(shaped_noise(shaped, recipe.length), shaped.level_db)
    colour = _taps(None, recipe.noise_colour, audio)
    return stream if colour is None else _convolved(stream, colour)


def _add_noise(stream: Samples, clip: NoiseClip, taps: Samples | None, audio: AudioCache) -> None:
    at = min(clip.at, len(stream))
    length = min(clip.length or len(stream), len(stream) - at)
    samples = _looped(audio.get(clip.path), clip.start, length)
    samples = _levelled(samples if taps is None else _convolved(samples, taps), clip.level_db)
    if clip.at or clip.length:
        _fade(samples)
    stream[at : at + length] += samples


def _levelled(noise: Samples, level_db: float) -> Samples:
    if len(noise):
        noise -= noise.mean()
        noise *= np.float32(10.0 ** (level_db / 20.0) / max(_rms(noise), _SILENCE_RMS))
    return noise


def _looped(samples: np.ndarray, start: int, length: int) -> Samples:
    """float32 (length,) of int16 samples from `start` on, beginning anew at their end."""
    start %= len(samples)
    if start + length > len(samples):
        samples = np.concatenate([samples[start:], samples[:start]])
        start = 0
        samples = np.tile(samples, -(-length // len(samples)))
    return samples[start : start + length].astype(np.float32) / np.float32(32768.0)


def shaped_noise(shaped: ShapedNoise, length: int) -> Samples:
    """float32 (length,) of Gaussian noise, amplitude falling as frequency ** -slope; without its level."""
    white = np.random.default_rng(shaped.seed).standard_normal(length, dtype=np.float32)
    spectrum = np.fft.rfft(white)
    spectrum *= np.maximum(np.arange(len(spectrum), dtype=np.float32), 1.0) ** np.float32(-shaped.slope)
    return np.asarray(np.fft.irfft(spectrum, length), dtype=np.float32)


def course(steps: tuple[Step, ...], length: int) -> Samples:
    """float32 (length,) gain: 1 up to the first step, then that of each step, with ramps of 5 ms."""
    gain = np.ones(length, dtype=np.float32)
    before = 1.0
    for step in steps:
        after = 10.0 ** (step.level_db / 20.0)
        ramp = np.linspace(before, after, _EDGE_SAMPLES, dtype=np.float32)
        gain[step.at :] = after
        if step.at > 0:
            gain[step.at : step.at + _EDGE_SAMPLES] = ramp[: max(length - step.at, 0)]
        before = after
    return gain


def _taps(response: Response | None, colour: Colour | None, audio: AudioCache, length: int = 0) -> Samples | None:
    """A response (its first `length` samples, if given) through a filter; None where there is neither."""
    if response is None and colour is None:
        return None
    taps = np.ones(1, dtype=np.float32) if response is None else audio.response(response.path, response.index)
    taps = taps[: length or None]
    sections = None if colour is None else _sections(colour)
    if sections is None:
        return taps
    return np.asarray(sosfilt(sections, np.pad(taps, (0, _COLOUR_SAMPLES))), dtype=np.float32)


def _convolved(samples: Samples, taps: Samples) -> Samples:
    """As long as `samples`: what rings on after the stream's end is cut."""
    if len(samples) == 0:
        return samples
    if len(taps) < _LONG_TAPS:
        return np.asarray(oaconvolve(samples, taps), dtype=np.float32)[: len(samples)]
    size = fft.next_fast_len(len(samples) + len(taps) - 1, real=True)
    spectrum = fft.rfft(samples, size)
    spectrum *= fft.rfft(taps, size)
    return np.asarray(fft.irfft(spectrum, size), dtype=np.float32)[: len(samples)]


@lru_cache(maxsize=256)
def _sections(colour: Colour) -> np.ndarray | None:
    """Second-order sections of a colour; None: it changes nothing."""
    parts = []
    if colour.high_pass_hz:
        parts.append(butter(_HIGH_PASS_ORDER, colour.high_pass_hz, "highpass", fs=RATE_HZ, output="sos"))
    if colour.low_pass_hz:
        parts.append(butter(_LOW_PASS_ORDER, colour.low_pass_hz, "lowpass", fs=RATE_HZ, output="sos"))
    if colour.low_db:
        parts.append(_shelf(colour.low_hz, colour.low_db, -1.0))
    if colour.high_db:
        parts.append(_shelf(colour.high_hz, colour.high_db, 1.0))
    return np.concatenate(parts) if parts else None


def _shelf(corner_hz: float, gain_db: float, side: float) -> np.ndarray:
    """A shelf above (side 1) or below (side -1) the corner, slope 1: (1, 6).

    source    Bristow-Johnson, Cookbook formulae for audio equalizer biquad filter coefficients
    """
    gain, angle = 10.0 ** (gain_db / 40.0), 2 * np.pi * corner_hz / RATE_HZ
    cosine, bend = side * np.cos(angle), np.sqrt(2.0 * gain) * np.sin(angle)
    up, down = gain + 1, gain - 1
    b = gain * np.array([up + down * cosine + bend, -2 * side * (down + up * cosine), up + down * cosine - bend])
    a = np.array([up - down * cosine + bend, 2 * side * (down - up * cosine), up - down * cosine - bend])
    return np.asarray(np.concatenate([b, a])[None] / a[0])


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples), dtype=np.float64))) if len(samples) else 0.0
