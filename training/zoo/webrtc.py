"""WebRTC's noise suppressor, as in browsers."""

from __future__ import annotations

import numpy as np

from training.zoo.base import Audio, System, frames_of, from_pcm, to_pcm

_FRAME = 160
_LEVEL = 2


class WebRtc(System):
    """Noise suppression of WebRTC's audio processing, level 2 of 4, without gain control.

    10 ms to fill a frame and 6 ms of overlap. Its high-pass turns phases at low frequencies, which SI-SDR punishes.
    """

    name = "webrtc"
    latency_ms = 16.0
    package, module = "webrtc-noise-gain", "webrtc_noise_gain"
    delay_samples = 96

    def process(self, audio: Audio) -> Audio:
        """See `System.process`."""
        from webrtc_noise_gain import AudioProcessor

        processor = AudioProcessor(0, _LEVEL)
        frames = [processor.Process10ms(frame.tobytes()).audio for frame in frames_of(to_pcm(audio), _FRAME)]
        return from_pcm(np.frombuffer(b"".join(frames), np.int16))
