"""The translator: student -> integer graph -> ONNX, TFLite and C."""
