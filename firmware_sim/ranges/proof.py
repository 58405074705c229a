"""The proof: every stage of a hop in order, for one graph and one profile."""

from __future__ import annotations

from functools import lru_cache

from firmware_sim.contract import FEATURE_FRACTION_BITS, Profile
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from firmware_sim.network import INT8_INPUT_FRACTION_BITS, encode_features
from firmware_sim.ranges import front_end
from firmware_sim.ranges.interval import Interval
from firmware_sim.ranges.ledger import I8, I16, Ledger, RangeError
from firmware_sim.ranges.network import network


@lru_cache(maxsize=4)
def prove(graph: Graph | None, profile: Profile) -> Ledger:
    """Show that no register overflows, for any int16 signal, any state reached from home and any parameters.

    graph    None: the Wiener stage alone
    returns  every bound, every saturation with the verdict whether it can happen
    raises   RangeError, one line, where a register can overflow
    """
    if graph is not None and graph.tensors["x"].shape != (profile.inputs,):
        raise RangeError(f"network: x has not the {profile.inputs} inputs of profile {profile.name}")
    ledger = Ledger()
    spectrum, x_q11 = front_end.analysis(profile, ledger)
    if graph is not None:
        ledger.stage = "network"
        tensors = network(graph, encoded(x_q11, graph.scheme, ledger), ledger)
        for name, after in graph.states.items():
            ledger.tap(name, tensors[after.name].low, tensors[after.name].high)
    front_end.synthesis(profile, spectrum, ledger)
    return ledger


def encoded(x_q11: Interval, scheme: str, ledger: Ledger) -> Interval:
    """The network's input code of normalised features."""
    ends: tuple[Ints, Ints]
    if scheme == "int16x8":
        ends = encode_features(x_q11.low, scheme), encode_features(x_q11.high, scheme)
        ledger.fits("x", "doubled feature", *ends, I16)
        return Interval(*ends, step=2)
    shift = FEATURE_FRACTION_BITS - INT8_INPUT_FRACTION_BITS
    half = 1 << (shift - 1)
    return ledger.limits("x", Interval((x_q11.low + half) >> shift, (x_q11.high + half) >> shift), I8)
