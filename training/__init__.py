"""The teacher: corpus, mixing, the float student and its training. The only room that imports torch.

Recordings can be fetched, listed and mixed (`corpus`, `datasets`, `mixing`) without torch: these files need
numpy, scipy, soundfile, soxr, PyAV, h5py, pyroomacoustics and rich. The only way out of this room is
`build/student.npz`, written by `handoff`.
"""
