"""A clock at which a device without a network has no time to spare, whatever its code costs today."""

from __future__ import annotations

from firmware_sim.parts import CPI, instructions_of

HOP_US = 4000.0


def need_mhz() -> float:
    """Core clock at which a hop with an adapting noise PSD takes its whole period, by the typical cycle model."""
    counted = instructions_of(None)
    return (
        CPI["ITCM"]["front_end"].typical
        * (sum(counted.hops["noise"].values()) + sum(counted.schedule.values()))
        / HOP_US
    )
