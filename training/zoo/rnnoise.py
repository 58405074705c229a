"""RNNoise 0.2: the release of 2024 with its large model."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from training.zoo.base import Audio, System, package_file

_FRAME = 480


class RnNoise(System):
    """RNNoise 0.2 at 48 kHz; 10 ms to fill a frame, 20 ms of overlap and look-ahead."""

    name = "rnnoise-0.2"
    latency_ms = 30.0
    params = 2_850_000
    package, module = "pyrnnoise", "pyrnnoise"
    rate_hz = 48_000
    delay_samples = 960

    def process(self, audio: Audio) -> Audio:
        """See `System.process`."""
        library = _library()
        frames = np.pad(audio * 32768, (0, -len(audio) % _FRAME)).astype(np.float32).reshape(-1, _FRAME)
        state = library.rnnoise_create(None)
        try:
            for frame in frames:
                address = frame.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
                library.rnnoise_process_frame(state, address, address)
        finally:
            library.rnnoise_destroy(state)
        return frames.reshape(-1) / np.float32(32768)


def _library() -> Any:
    """The package's own library, without its Python side, which wants an audio toolkit."""
    library = ctypes.CDLL(str(package_file(RnNoise.module, "librnnoise.so")))
    samples = ctypes.POINTER(ctypes.c_float)
    library.rnnoise_create.restype = ctypes.c_void_p
    library.rnnoise_create.argtypes = [ctypes.c_void_p]
    library.rnnoise_destroy.argtypes = [ctypes.c_void_p]
    library.rnnoise_process_frame.restype = ctypes.c_float
    library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, samples, samples]
    return library
