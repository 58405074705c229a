"""Integer Graph and Profile -> C11: tables, weights, and the network as straight-line kernel calls.

Writes stapes_tables.h (sizes, windows, twiddles, look-up tables, constants), stapes_model.h (one array per graph
tensor, so that every tensor can be observed) and stapes_model.c (weights and the calls). The hand-written part of
the device is in firmware/; it includes these files and knows nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from export.c_memory import STACK_BYTES, MemoryMap, laid_out, state_layout, total
from export.c_tables import Tables
from export.c_text import BYTES, array, wrapped
from export.provenance import ExportError, banner, face, write_all
from export.ranges import proven
from firmware_sim.contract import CONTRACT_VERSION, UNITY_GAIN_Q15, ContractError, Profile
from firmware_sim.graph import Graph
from firmware_sim.ops import GraphError, Rescale, Tensor

FILES = ("stapes_tables.h", "stapes_model.h", "stapes_model.c")
SYMBOLS = (
    "stapes_network_reset",
    "stapes_network_step",
    "stapes_network",
    "stapes_network_tensors",
    "stapes_network_tensor_count",
)
"""What stapes_model.c gives to the linker."""
WIDENED = "net->widened_i16"
"""Scratch behind the tensors: an int8 vector as the paired kernels read it."""


class CWriter:
    """The writer that op pages call: constants go to flash, calls into `stapes_network_step` in order.

    paired  weights in the order of the Cortex-M's dual multiply-accumulate, where a kernel for it exists
    widest  elements of the scratch that `widened` needs
    """

    def __init__(self, paired: bool = False) -> None:
        self.paired = paired
        self.arrays: list[str] = []
        self.flash: dict[str, int] = {}
        self.calls: list[str] = []
        self.widest = 0
        self._places: dict[str, str] = {}
        self._shared: dict[tuple[str, bytes], str] = {}
        self._widened = ""

    # ------------------------------------------------------------ words for op pages

    def constant(self, name: str, dtype: str, values: Any, align: int = 0) -> str:
        """A constant array in flash, at a multiple of `align` bytes if that is more than its own; returns its name."""
        if name in self.flash:
            raise ExportError(f"constant {name} is written twice")
        flat = np.asarray(values).reshape(-1)
        self.flash[name] = BYTES[dtype] * flat.size
        self.arrays.append(array(f"{f'_Alignas({align}) ' if align else ''}static const {dtype}_t {name}", flat))
        return name

    def shared(self, name: str, dtype: str, values: Any) -> str:
        """`constant`, or the name of an equal one that was written by `shared` before."""
        key = (dtype, np.asarray(values).tobytes())
        if key not in self._shared:
            self._shared[key] = self.constant(name, dtype, values)
        return self._shared[key]

    def literal(self, ctype: str, **members: Any) -> list[str]:
        """Address of a struct constant as pieces of a call: inlined kernels turn it into immediates, not into flash."""
        text = {key: _braces(value) if isinstance(value, Rescale) else str(value) for key, value in members.items()}
        pieces = [f".{key} = {value}" for key, value in text.items()]
        return [f"&({ctype}){{{pieces[0]}", *pieces[1:-1], f"{pieces[-1]}}}"]

    def structs(self, ctype: str, name: str, rows: Any) -> str:
        """A constant array of structs of 32-bit members, or narrower ones padded to it; returns its name."""
        self.flash[name] = 4 * np.size(rows)
        text = ["{" + ", ".join(map(str, row)) + "}" for row in np.asarray(rows).tolist()]
        self.arrays.append(array(f"static const {ctype} {name}", text))
        return name

    def rescales(self, name: str, rescale: Rescale) -> str:
        """A constant array of one scale per row; returns its name."""
        rows = np.broadcast_arrays(rescale.multiplier, rescale.left - rescale.right)
        return self.structs("stapes_rescale_t", name, np.stack(rows, axis=1))

    def widened(self, tensor: Tensor) -> str:
        """C expression for an int8 tensor as int16, good until the next one; consecutive users share it."""
        if self._widened != tensor.name:
            self.call("widen_i8", tensor, WIDENED, tensor.shape[0], counted=False)
            self._widened = tensor.name
            self.widest = max(self.widest, tensor.shape[0])
        return WIDENED

    def view(self, tensor: Tensor, source: Tensor, offset: int) -> None:
        """The tensor is a part of another one: no copy and no memory of its own."""
        self._places[tensor.name] = f"{self.place(source)} + {offset}" if offset else self.place(source)

    def call(self, kernel: str, *arguments: Any, counted: bool = True) -> None:
        """Append a kernel call; tensors become arrays of the network, `counted` adds the stage's counter."""
        text = [self._text(argument) for argument in arguments] + (["counter"] if counted else [])
        self.calls.append(wrapped(f"    stapes_{kernel}(", text, ");"))

    def place(self, tensor: Tensor) -> str:
        """C expression for the first element of a computed tensor."""
        return self._places.get(tensor.name, f"net->{tensor.name}")

    def is_view(self, tensor: Tensor) -> bool:
        return tensor.name in self._places

    def _text(self, value: Any) -> str:
        if isinstance(value, Tensor):
            return self.place(value)
        if isinstance(value, Rescale):
            return f"(stapes_rescale_t){_braces(value)}"
        if isinstance(value, bool):
            return str(value).lower()
        return str(value)


def _braces(rescale: Rescale) -> str:
    """Initialiser of one stapes_rescale_t."""
    return f"{{{rescale.multiplier}, {rescale.left - rescale.right}}}"


# ---------------------------------------------------------------- network


class Network:
    """The generated part of the device for one graph; graph None: no network, the mask is one."""

    def __init__(self, graph: Graph | None, profile: Profile, paired: bool = False):
        self.graph, self.profile = graph, profile
        self.writer = CWriter(paired)
        self.tensors: list[Tensor] = []
        if graph is not None:
            _check(graph, profile)
            for op in graph.ops:
                face(op, "to_c")(self.writer)
            self.tensors = [t for t in graph.tensors.values() if t.data is None]

    @property
    def members(self) -> list[Tensor]:
        """Tensors with memory of their own, in order of computation."""
        return [t for t in self.tensors if not self.writer.is_view(t)]

    @property
    def rows(self) -> list[tuple[str, int]]:
        """stapes_network_t in the memory map: see `c_memory.laid_out`."""
        members = [(t.name, BYTES[t.dtype] * t.shape[0], max(BYTES[t.dtype], self._align)) for t in self.members]
        if self.writer.widest:
            members.append((WIDENED.removeprefix("net->"), 2 * self.writer.widest, self._align))
        return laid_out(members, max(step for *_, step in members)) if members else [("none", 1)]

    @property
    def memory(self) -> MemoryMap:
        """The memory map, with the tables of the loop."""
        flash = {**Tables(self.profile, self.graph).flash, **self.writer.flash}
        return MemoryMap(flash, state_layout(self.profile, total(self.rows)), self.rows)

    @property
    def _align(self) -> int:
        """Every tensor begins at a multiple of this: what paired kernels load words from."""
        return 4 if self.writer.paired else 1

    # ------------------------------------------------------------ stapes_model.h

    def header(self, head: str, digest: str) -> str:
        """stapes_model.h; the digest of the configuration is part of every symbol."""
        memory = self.memory
        own_names = "".join(f"#define {name} {name}_{digest[:8]}\n" for name in SYMBOLS)
        align = f"_Alignas({self._align}) " if self.writer.paired else ""
        members = "".join(f"    {align}{t.dtype}_t {t.name}[{t.shape[0]}];\n" for t in self.members)
        if self.writer.widest:
            members += f"    {align}int16_t {WIDENED.removeprefix('net->')}[{self.writer.widest}]; /* scratch */\n"
        return f"""{head}#ifndef STAPES_MODEL_H
#define STAPES_MODEL_H

#include "nn.h"
#include "stapes_tables.h"

_Static_assert(STAPES_CONFIG_ID == UINT32_C(0x{digest[:8]}), "stapes_tables.h is of another export");

/* Each configuration has symbols of its own, so that files of two exports do not link. */
{own_names}
{memory.comment()}
#define STAPES_NETWORK_BYTES {total(memory.network)}U
#define STAPES_STATE_BYTES {total(memory.state)}U
#define STAPES_STACK_BYTES {STACK_BYTES}U

/* Every tensor of the graph, in order of computation; the states are at home in *_next. */
typedef struct {{
{members or "    uint8_t none;" + chr(10)}}} stapes_network_t;

_Static_assert(sizeof(stapes_network_t) == STAPES_NETWORK_BYTES, "the network is not as in its memory map");

/* Home state: the code of zero. */
void stapes_network_reset(stapes_network_t *net);

/* One step on the codes in net->x: the states move on, every tensor can be read afterwards. */
void stapes_network_step(stapes_network_t *net, stapes_counter_t *counter);

/* One hop: normalised features in, mask out, [0, 32768]. */
void stapes_network(stapes_network_t *net, const int16_t *x_q11, uint16_t *mask_q15, stapes_counter_t *counter);

/* The observable tensors: the states as the hop left them, then each tensor as `network.` and its name. */
extern const stapes_tensor_t stapes_network_tensors[];
extern const uint32_t stapes_network_tensor_count;

#endif
"""

    # ------------------------------------------------------------ stapes_model.c

    def source(self, head: str, digest: str) -> str:
        """stapes_model.c."""
        body = self._step() if self.graph is not None else _NO_NETWORK
        constants = "\n".join(self.writer.arrays)
        return f"""{head}#include "stapes.h"

#include "nn_elementwise.h"

#include <string.h>

_Static_assert(STAPES_CONTRACT_VERSION == {CONTRACT_VERSION}, "model and tables are of different contracts");
_Static_assert(STAPES_CONFIG_ID == UINT32_C(0x{digest[:8]}), "stapes_model.h is of another export");

{self.memory.asserts()}
{constants}
{body}
{self._taps()}"""

    def _step(self) -> str:
        assert self.graph is not None
        states = self.graph.states
        width = {"int16x8": "i16", "int8": "i8"}[self.graph.scheme]
        copies = "".join(
            f"    memcpy(net->{name}, {self.writer.place(after)}, sizeof net->{name});\n"
            for name, after in states.items()
        )
        homes = "".join(
            f"    memset({self.writer.place(after)}, {after.zero_point}, sizeof net->{after.name});\n"
            for after in states.values()
            if after.zero_point
        )
        mask = self.graph.outputs[0]
        return f"""void stapes_network_reset(stapes_network_t *net)
{{
    memset(net, 0, sizeof *net);
{homes}}}

void stapes_network_step(stapes_network_t *net, stapes_counter_t *counter)
{{
{copies}{"".join(self.writer.calls)}}}

void stapes_network(stapes_network_t *net, const int16_t *x_q11, uint16_t *mask_q15, stapes_counter_t *counter)
{{
    stapes_encode_features_{width}(x_q11, net->x, {self.profile.inputs}, counter);
    stapes_network_step(net, counter);
    stapes_decode_mask_{width}({self.writer.place(mask)}, mask_q15, {self.profile.band_count});
}}
"""

    def _taps(self) -> str:
        rows = [] if self.graph is None else [self._tap(name, after) for name, after in self.graph.states.items()]
        rows += [self._tap(f"network.{t.name}", t) for t in self.tensors]
        text = "".join(rows) or '    {"", 0, 0, 0},\n'
        return (
            f"const stapes_tensor_t stapes_network_tensors[] = {{\n{text}}};\n\n"
            f"const uint32_t stapes_network_tensor_count = {len(rows)};\n"
        )

    def _tap(self, name: str, tensor: Tensor) -> str:
        """A row of the tensor table; a view lies `elements` behind the start of its member."""
        member, _, elements = self.writer.place(tensor).removeprefix("net->").partition(" + ")
        size = BYTES[tensor.dtype]
        offset = f"offsetof(stapes_network_t, {member})" + (f" + {int(elements) * size}" if elements else "")
        return f'    {{"{name}", {offset}, {tensor.shape[0]}, {size}}},\n'


_NO_NETWORK = f"""void stapes_network_reset(stapes_network_t *net) {{ memset(net, 0, sizeof *net); }}

void stapes_network_step(stapes_network_t *net, stapes_counter_t *counter)
{{
    (void)net;
    (void)counter;
}}

void stapes_network(stapes_network_t *net, const int16_t *x_q11, uint16_t *mask_q15, stapes_counter_t *counter)
{{
    (void)x_q11;
    stapes_network_step(net, counter);
    for (size_t k = 0; k < STAPES_BANDS; k++) {{
        mask_q15[k] = {UNITY_GAIN_Q15}U;
    }}
}}
"""


def _check(graph: Graph, profile: Profile) -> None:
    """The graph must have the network interface of the loop."""
    if graph.meta.get("profile") != profile.name:
        raise ContractError(f"the model was made for profile {graph.meta.get('profile')}, not {profile.name}")
    x, mask = graph.inputs[0], graph.outputs[0]
    inputs, bands = profile.inputs, profile.band_count
    if (x.name, mask.name) != ("x", "mask") or x.shape != (inputs,) or mask.shape != (bands,):
        raise GraphError(f"the graph must map x ({inputs}) to mask ({bands})")


# ---------------------------------------------------------------- files


def to_c(graph: Graph | None, profile: Profile, paired: bool = False) -> dict[str, bytes]:
    """The generated files by name; equal graphs and profiles give equal bytes.

    paired  weights and kernels for the Cortex-M's dual multiply-accumulate; the bits are the same
    graph   None writes a device without a network: the Wiener stage alone
    raises  GraphError or ContractError when the graph does not fit the device, ExportError when it can overflow
    """
    tables, network = Tables(profile, graph), Network(graph, profile, paired and graph is not None)
    proven(graph, profile)
    texts = (
        tables.header(_banner(graph, profile, "Sizes, constants and tables of the Stapes frame loop.")),
        network.header(_banner(graph, profile, "The network's state and its memory map."), tables.digest),
        network.source(_banner(graph, profile, "The network: weights and kernel calls."), tables.digest),
    )
    return {name: text.encode("ascii") for name, text in zip(FILES, texts, strict=True)}


def memory_map(graph: Graph | None, profile: Profile, paired: bool = False) -> MemoryMap:
    """The memory map of what `to_c` writes."""
    return Network(graph, profile, paired and graph is not None).memory


def _banner(graph: Graph | None, profile: Profile, what: str) -> str:
    if graph is not None:
        return banner(graph, what, "c")
    return f"/* {what}\n *\n * Generated by Stapes, do not edit. Profile {profile.name}, no network.\n */\n"


def write_c(graph: Graph | None, profile: Profile, out_dir: Path) -> list[Path]:
    """Write the generated files into a folder, each whole or not at all; returns their paths."""
    files = {out_dir / name: data for name, data in to_c(graph, profile).items()}
    write_all(files)
    return list(files)
