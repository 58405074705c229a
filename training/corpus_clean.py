"""From a file out of a package to a clean 16 kHz mono recording, or to the reason why it is left out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfilt

from training.audio import RATE_HZ, active_rms, read_audio, to_16k
from training.datasets import CorpusError

SPEECH_LEVEL_DBFS = -26.0  # active level
NOISE_LEVEL_DBFS = -26.0  # RMS
MIN_HF4_DB = -36.0  # speech whose share above 4 kHz is lower was band-limited before we got it
_HIGH_PASS = butter(2, 50, "highpass", fs=RATE_HZ, output="sos")
_FRAME = RATE_HZ // 50
_TRIM_RANGE = 1e-4  # what lies 40 dB below the loudest 10 ms is silence at the ends
_TRIM_PAD = round(0.12 * RATE_HZ)
_NOISE_EDGE = 10 ** (-75 / 20)
_DIGITAL_SILENCE = 1e-10  # power, -100 dBFS
_MAX_PSD_FRAMES = 3000


@dataclass(frozen=True)
class Quality:
    """Measures of one recording.

    snr_db         90th over 5th percentile of 20 ms frame power, digital silence left out
    hf4_db         power from 4 kHz up, relative to all above 60 Hz
    bandwidth_hz   highest frequency within 65 dB of the spectrum's peak
    """

    snr_db: float
    hf4_db: float
    bandwidth_hz: float


@dataclass(frozen=True)
class Prepared:
    """A recording that was kept (`reason` is 'ok') or left out.

    samples       float32 (samples,) at 16 kHz, empty if left out
    reason        'ok', 'short', 'clipped', 'noisy', 'lowpass', 'silent', 'unreadable'
    native_rate   rate of the file in Hz
    digest        sha256 of the file's bytes, to find the same file twice
    """

    samples: np.ndarray
    reason: str
    quality: Quality = Quality(0.0, 0.0, 0.0)
    native_rate: int = 0
    digest: str = ""


def decode(path: Path) -> tuple[np.ndarray, int]:
    """Mean of the channels of a WAV, FLAC, Ogg, Opus (libsndfile) or G.722 (PyAV) file.

    returns   float32 (samples,), 1.0 = full scale, and the rate in Hz
    raises    CorpusError: not decodable
    """
    if path.suffix.lower() == ".g722":
        return _decode_pyav(path, "g722")
    try:
        channels, rate_hz = read_audio(path)
    except CorpusError:
        return _decode_pyav(path, None)
    return channels.mean(axis=1), rate_hz


def _decode_pyav(path: Path, container: str | None) -> tuple[np.ndarray, int]:
    import av  # needed for the odd formats alone, and slow to import

    try:
        with av.open(str(path), format=container) as stream:
            resampler = av.AudioResampler(format="flt", layout="mono")
            blocks = [
                block.to_ndarray()[0]
                for frame in (*stream.decode(audio=0), None)
                for block in resampler.resample(frame)
            ]
            rate_hz = int(stream.streams.audio[0].codec_context.sample_rate)
    except (OSError, ValueError, IndexError) as error:
        raise CorpusError(f"cannot decode {path}: {error}") from None
    if not blocks:
        raise CorpusError(f"cannot decode {path}: no audio in it")
    return np.concatenate(blocks).astype(np.float32), rate_hz


def high_pass(samples: np.ndarray) -> np.ndarray:
    """50 Hz second-order Butterworth at 16 kHz: removes hum below speech, and DC without a click at the start."""
    return np.asarray(sosfilt(_HIGH_PASS, samples - samples.mean()), dtype=np.float32)


def measure(samples: np.ndarray, rate_hz: int) -> Quality | None:
    """Quality of float samples (n,), or None where there is too little signal to tell."""
    frame = rate_hz // 50
    size = 512 if rate_hz <= 16000 else 1024 if rate_hz <= 32000 else 2048
    if len(samples) < max(3 * frame, size):
        return None
    power = (samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64) ** 2).mean(axis=1)
    power = power[power > _DIGITAL_SILENCE]
    if len(power) < 3:
        return None
    loud, quiet = 10.0 * np.log10(np.percentile(power, (90, 5)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[:: size // 2][:_MAX_PSD_FRAMES]
    psd = (np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32))) ** 2).mean(axis=0)
    frequency_hz = np.fft.rfftfreq(size, 1.0 / rate_hz)
    total = psd[frequency_hz > 60].sum() + 1e-20
    smooth = np.convolve(psd, np.ones(3) / 3, "same")
    return Quality(
        snr_db=float(loud - quiet),
        hf4_db=float(10.0 * np.log10(psd[frequency_hz >= 4000].sum() / total + 1e-12)),
        bandwidth_hz=float(frequency_hz[np.flatnonzero(smooth > smooth.max() * 10**-6.5)[-1]]),
    )


def trim(samples: np.ndarray) -> np.ndarray:
    """Without the silence at both ends, but for 120 ms; float (n,) at 16 kHz in and out."""
    block = _FRAME // 2
    power = (samples[: len(samples) // block * block].reshape(-1, block) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > power.max(initial=0.0) * _TRIM_RANGE)
    if not len(loud):
        return samples[:0]
    return samples[max(0, loud[0] * block - _TRIM_PAD) : (loud[-1] + 1) * block + _TRIM_PAD]


def prepare_speech(path: Path, min_snr_db: float) -> Prepared:
    """One utterance: high-passed, trimmed, faded at the ends, at -26 dBFS active level, peak at most 0.9.

    Trimmed words hold little silence, so the ratio of speech to background is measured on the whole file
    too, and the better value counts.
    """
    digest = _digest(path)
    try:
        samples, native_rate = decode(path)
    except CorpusError:
        return _left_out("unreadable")
    if len(samples) < 0.25 * native_rate:
        return _left_out("short")
    if np.mean(np.abs(samples) >= 0.995 * max(1.0, float(np.abs(samples).max()))) > 1e-3:
        return _left_out("clipped")
    whole = to_16k(samples, native_rate)
    clip = trim(high_pass(whole)).copy()
    quality = measure(clip, RATE_HZ) if len(clip) >= 0.3 * RATE_HZ else None
    if quality is None:
        return _left_out("short")
    whole_quality = measure(whole, RATE_HZ) or quality
    snr_db = max(quality.snr_db, whole_quality.snr_db)
    if snr_db < min_snr_db:
        return _left_out("noisy")
    if quality.hf4_db < MIN_HF4_DB:
        return _left_out("lowpass")
    edge = min(RATE_HZ // 100, len(clip) // 4)
    ramp = np.linspace(0.0, 1.0, edge, dtype=np.float32)
    clip[:edge] *= ramp
    clip[-edge:] *= ramp[::-1]
    clip = _scaled(clip, active_rms(clip), SPEECH_LEVEL_DBFS, 0.9)
    return Prepared(clip, "ok", Quality(snr_db, quality.hf4_db, quality.bandwidth_hz), native_rate, digest)


def prepare_noise(path: Path, min_seconds: float) -> Prepared:
    """One noise: high-passed, digital silence cut off at the ends, at -26 dBFS RMS, peak at most 0.95."""
    digest = _digest(path)
    try:
        samples, native_rate = decode(path)
    except CorpusError:
        return _left_out("unreadable")
    quality = measure(samples, native_rate)
    if quality is None or len(samples) < min_seconds * native_rate:
        return _left_out("short")
    noise = high_pass(to_16k(samples, native_rate))
    loud = np.flatnonzero(np.abs(noise) > _NOISE_EDGE)
    if not len(loud) or np.mean(noise**2) < 1e-9:
        return _left_out("silent")
    noise = noise[loud[0] : loud[-1] + 1]
    if len(noise) < min_seconds * RATE_HZ:
        return _left_out("short")
    noise = _scaled(noise, float(np.sqrt(np.mean(noise**2))), NOISE_LEVEL_DBFS, 0.95)
    return Prepared(noise, "ok", quality, native_rate, digest)


def _left_out(reason: str) -> Prepared:
    return Prepared(np.zeros(0, dtype=np.float32), reason)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _scaled(samples: np.ndarray, level: float, target_dbfs: float, max_peak: float) -> np.ndarray:
    gain = 10.0 ** (target_dbfs / 20.0) / max(level, 1e-10)
    return samples * np.float32(min(gain, max_peak / max(float(np.abs(samples).max()), 1e-9)))
