"""The network as a stage of the loop: its codes in and out of the front end's formats, its state kept."""

from __future__ import annotations

from firmware_sim.contract import FEATURE_FRACTION_BITS, ContractError, Profile
from firmware_sim.fixed import Ints, clamp, shr_round
from firmware_sim.graph import Graph, GraphError
from firmware_sim.meter import Counter

I8_MIN, I8_MAX = -128, 127
INT8_INPUT_FRACTION_BITS = 4
CODES = {
    "int16x8": {"x": ("int16", 2.0**-12, 0), "mask": ("int16", 2.0**-15, 0)},
    "int8": {"x": ("int8", 2.0**-INT8_INPUT_FRACTION_BITS, 0), "mask": ("int8", 2.0**-8, I8_MIN)},
}
"""dtype, scale and zero point at the network's ends: what encode_features and decode_mask speak."""


def encode_features(x_q11: Ints, scheme: str, counter: Counter | None = None) -> Ints:
    """Network input code of normalised features.

    int16x8: 2 x, int16 at scale 2^-12, always even, so that no accumulator can be a tie.
    int8: x / 2^7 rounded half up and saturated, int8 at scale 2^-4.
    """
    if scheme == "int16x8":
        return x_q11 << 1
    return clamp(shr_round(x_q11, FEATURE_FRACTION_BITS - INT8_INPUT_FRACTION_BITS), I8_MIN, I8_MAX, counter)


def decode_mask(mask: Ints, scheme: str) -> Ints:
    """mask_q15 [0, 32767] of the mask code: int16 at 2^-15 as it is; int8 at 2^-8 with zero point -128."""
    return mask if scheme == "int16x8" else (mask + 128) << 7


class Network:
    """Integer graph with its recurrent state.

    raises  ContractError when the graph was made for another profile
            GraphError when its ends do not fit the loop
    """

    def __init__(self, graph: Graph, profile: Profile, streams: int) -> None:
        if graph.meta["profile"] != profile.name:
            raise ContractError(
                f"the model was made for profile {graph.meta['profile']}, the loop runs {profile.name}: "
                "choose the model's profile or export a model for this one"
            )
        sizes = {"x": profile.inputs, "mask": profile.band_count}
        ends = {t.name: t for t in (*graph.inputs, *graph.outputs)}
        for name, code in CODES[graph.scheme].items():
            end = ends.get(name)
            if end is None or (end.shape, end.dtype, end.scale, end.zero_point) != ((sizes[name],), *code):
                raise GraphError(f"the graph has no {name} of {sizes[name]} elements as scheme {graph.scheme} codes it")
        self.graph = graph
        self.streams = streams
        self.reset()

    def reset(self) -> None:
        """Home state: the code of zero, which is not always 0."""
        self.state: dict[str, Ints] = self.graph.home_state(self.streams)

    def step(self, x_q11: Ints, counter: Counter | None = None) -> Ints:
        """Mask (streams, bands) mask_q15 for network inputs (streams, inputs); the state moves on."""
        x = encode_features(x_q11, self.graph.scheme, counter)
        outputs = self.graph.run({"x": x, **self.state}, counter)
        self.state = {name: outputs[f"{name}_next"] for name in self.state}
        return decode_mask(outputs["mask"], self.graph.scheme)
