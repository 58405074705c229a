"""Ranges and shares of the training draw, and the two presets."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class MixSettings:
    """Ranges and shares of the training draw; every range is uniform, every share the chance of one mixture.

    Much recorded urban noise stops at 5.5 kHz, and a network trained on it learns that all above is speech:
    hence the second noise and the shaped wideband noise on top.

    The shares from `room_share` on (but for shares within another) are 0 by default; while all are, the draw rolls no
    further dice. Their ranges: gains of shelves and steps in dB, corners in Hz, `clip_db` below the mixture's peak.
    """

    snr_db: Range = (-5.0, 15.0)
    level_dbfs: Range = (-40.0, -18.0)
    lead_in_s: Range = (0.0, 0.5)
    gap_s: Range = (0.0, 0.25)
    pause_s: Range = (0.5, 2.0)
    pause_share: float = 0.1  # gaps that are a pause, so that silence between sentences is learned too
    clip_s: float = 10.0  # longer recordings give a random piece of this length
    babble_share: float = 0.3
    shaped_share: float = 0.15  # shaped noise alone
    second_noise_share: float = 0.4
    second_noise_db: Range = (-15.0, 0.0)
    shaped_on_top_share: float = 0.5
    shaped_on_top_db: Range = (-25.0, -5.0)
    slope: Range = (0.0, 1.0)
    babble_voices: tuple[int, int] = (4, 8)  # used where the recordings hold no babble: made from the speech

    room_share: float = 0.0
    speech_tilt_share: float = 0.0  # shelves
    noise_tilt_share: float = 0.0
    tilt_db: Range = (-6.0, 6.0)
    low_shelf_hz: Range = (150.0, 600.0)
    high_shelf_hz: Range = (1500.0, 5000.0)
    speech_band_share: float = 0.0  # low-pass, and in half of these a high-pass
    noise_band_share: float = 0.0
    low_pass_hz: Range = (2500.0, 7500.0)
    high_pass_hz: Range = (80.0, 400.0)
    own_voice_share: float = 0.0
    own_db: Range = (10.0, 20.0)
    own_s: Range = (1.0, 4.0)
    own_dull_db: Range = (-14.0, -6.0)  # the mouth is beside the ear, not in front of it, and bone conducts the lows
    high_snr_share: float = 0.0
    high_snr_db: Range = (15.0, 40.0)
    noise_free_share: float = 0.0
    speech_free_share: float = 0.0
    music_share: float = 0.0  # music in the talker's place, at a high SNR or without any noise
    music_noise_free_share: float = 0.5
    step_share: float = 0.0  # the noise rises to its level, or falls from it, in mid-stream
    step_db: Range = (6.0, 25.0)
    silent_step_share: float = 0.2  # of these: from or to digital silence
    clip_share: float = 0.0
    clip_db: Range = (1.0, 9.0)

    @property
    def augments(self) -> bool:
        """Whether any share from `room_share` on is above 0."""
        return any(getattr(self, name) > 0.0 for name in _SHARES)


_SHARES = (
    "room_share",
    "speech_tilt_share",
    "noise_tilt_share",
    "speech_band_share",
    "noise_band_share",
    "own_voice_share",
    "high_snr_share",
    "noise_free_share",
    "speech_free_share",
    "music_share",
    "step_share",
    "clip_share",
)

PLAIN = MixSettings()
"""Speech plus noise at a level, and nothing else."""

AUGMENTED = MixSettings(
    room_share=0.18,
    speech_tilt_share=0.12,
    noise_tilt_share=0.12,
    speech_band_share=0.08,
    noise_band_share=0.1,
    own_voice_share=0.1,
    high_snr_share=0.12,
    noise_free_share=0.03,
    speech_free_share=0.04,
    music_share=0.12,
    step_share=0.1,
    clip_share=0.08,
)
"""What a wearer meets: rooms, heads, dull and narrow sound, own voice, music, clipping, quiet and clean places."""
