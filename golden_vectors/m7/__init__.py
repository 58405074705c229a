"""The bench of a Cortex-M7: build an image, run it in an emulator, read its functions, memory and stack."""
