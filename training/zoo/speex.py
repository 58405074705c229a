"""SpeexDSP's noise suppressor: the classical one of telephony."""

from __future__ import annotations

import numpy as np

from training.zoo.base import Audio, System, frames_of, from_pcm, to_pcm

_FRAME = 256


class Speex(System):
    """Preprocessor of SpeexDSP with its default attenuation; 16 ms to fill a frame, 16 ms of overlap."""

    name = "speex"
    latency_ms = 32.0
    package, module = "speexdsp-ns-vulcanlabs", "speexdsp_ns"
    delay_samples = 256

    def process(self, audio: Audio) -> Audio:
        """See `System.process`."""
        from speexdsp_ns import NoiseSuppression

        suppressor = NoiseSuppression.create(_FRAME, self.rate_hz)
        frames = [suppressor.process(frame.tobytes()) for frame in frames_of(to_pcm(audio), _FRAME)]
        return from_pcm(np.frombuffer(b"".join(frames), np.int16))
