"""Every adversarial signal through a library that traps on undefined behaviour; run as a process of its own.

python -m tests.firmware.sanitized LIBRARY SCHEME
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from firmware_sim.contract import Parameters
from golden_vectors.executors.c_host import HostDevice
from tests import signals
from tests.firmware.c_library import model


def main(library: Path, scheme: str) -> None:
    graph = model(scheme)
    parameters = [Parameters(), Parameters(gain_floor_q15=32768, dry_q15=1), Parameters(bypass=True)]
    hops = 0
    for i, pcm in enumerate(signals.adversarial(8000).values()):
        device = HostDevice(graph, parameters=parameters[i % len(parameters)], library=library)
        device.process(pcm)
        hops += len(pcm) // 64
    device = HostDevice(graph, library=library)
    x = device.taps["network.x"].dtype
    ends = np.random.default_rng(0).choice([np.iinfo(x).min, np.iinfo(x).max], (100, 128)) & ~1
    device.record_network(ends, ())
    print(f"{hops} hops and 100 network steps without undefined behaviour")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
