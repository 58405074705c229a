"""No processing: what every system is compared with."""

from __future__ import annotations

from training.zoo.base import Audio, System


class Noisy(System):
    """The mixture as it is."""

    name = "noisy"

    def process(self, audio: Audio) -> Audio:
        """See `System.process`."""
        return audio
