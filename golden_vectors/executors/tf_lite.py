"""TensorFlow's own interpreter of .tflite files: the ancestor of LiteRT, with kernels built by somebody else."""

from __future__ import annotations

import warnings
from typing import Any

from golden_vectors.executors.litert import LiteRt
from golden_vectors.executors.network import missing, quiet


class TfLite(LiteRt):
    """tensorflow's tf.lite, one thread, beside LiteRT and TFLM in one process; it rounds int8 as LiteRT does.

    It has no kernel for QUANTIZE from int8 to int16: none of our graphs holds one, and a graph that does is an error.
    """

    family = "tf.lite"

    def available(self) -> str | None:
        return missing("tensorflow", "tensorflow") or missing("flatbuffers", "export")

    def _runtime(self) -> tuple[Any, Any]:
        with quiet(2), warnings.catch_warnings():  # it announces its instruction sets
            warnings.simplefilter("ignore")
            import tensorflow
        return tensorflow.lite.Interpreter, tensorflow.lite.experimental.OpResolverType
