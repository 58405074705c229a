"""The C11 device as a shared library on this machine, driven over ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import DEFAULT_PROFILE, PROFILES, STAGES, ContractError, Parameters, Profile
from firmware_sim.fixed import Ints
from firmware_sim.frame_loop import TAPS, default_parameters
from firmware_sim.graph import Graph
from golden_vectors.cc import COMPILERS, PAIRED, UNITS, build_host, missing_compiler
from golden_vectors.executors.base import SATURATIONS, StreamInput, StreamRun
from golden_vectors.executors.host_ping_pong import HostPingPong
from golden_vectors.executors.host_units import load_units, run_unit
from golden_vectors.executors.network import filled
from golden_vectors.executors.schedule import Call, calls, heard, samples_of
from golden_vectors.units import FIRST_PROFILE

Samples = npt.NDArray[np.int16]


class ParameterBlock(ctypes.Structure):
    """stapes_parameters_t."""

    _fields_ = (
        ("gain_floor_q15", ctypes.c_uint16),
        ("dry_q15", ctypes.c_uint16),
        ("wiener_floor_q15", ctypes.c_uint16),
        ("use_network", ctypes.c_bool),
        ("bypass", ctypes.c_bool),
    )

    @classmethod
    def of(cls, parameters: Parameters) -> ParameterBlock:
        """The device's layout of the contract's parameters."""
        return cls(*(getattr(parameters, name) for name, _ in cls._fields_))


class _Counter(ctypes.Structure):
    _fields_ = (("saturations", ctypes.c_uint32), ("overflows", ctypes.c_uint32))


class _Tap(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("count", ctypes.c_uint32),
        ("element_bytes", ctypes.c_uint8),
        ("is_signed", ctypes.c_bool),
    )


class _Recorder(ctypes.Structure):
    _fields_ = (("taps", ctypes.c_size_t), ("indices", ctypes.c_void_p), ("buffers", ctypes.c_void_p))


def _load(path: Path) -> ctypes.CDLL:
    """The library with the result types that are not int."""
    library = ctypes.CDLL(str(path))
    library.stapes_state_bytes.restype = ctypes.c_size_t
    library.stapes_counters.restype = ctypes.POINTER(_Counter)
    library.stapes_config_digest.restype = ctypes.c_char_p
    library.stapes_host_process.restype = None
    library.stapes_host_network.restype = None
    return library


@dataclass(frozen=True)
class TapInfo:
    """Place of a tap: its index in the device's list, elements, dtype."""

    index: int
    count: int
    dtype: np.dtype[Any]


class HostDevice:
    """One instance of the device.

    graph       None: a device without a network
    profile     None: that of the graph, or the default
    parameters  None: the defaults of the contract
    library     another build of the same graph and profile; None builds or reuses the optimised one
    raises      ContractError when graph, profile and parameters do not fit, WitnessError without a compiler
    """

    def __init__(
        self,
        graph: Graph | None,
        profile: Profile | None = None,
        parameters: Parameters | None = None,
        library: Path | None = None,
    ) -> None:
        profile = profile or PROFILES[graph.meta["profile"] if graph is not None else DEFAULT_PROFILE]
        self.profile = profile
        self._has_network = graph is not None
        self.library = _load(library or build_host(graph, profile))
        self.state_bytes = int(self.library.stapes_state_bytes())
        self._memory = ctypes.create_string_buffer(self.state_bytes + 8)
        self.state = ctypes.c_void_p(-(-ctypes.addressof(self._memory) // 8) * 8)
        self.library.stapes_init(self.state, None)
        if parameters is not None and parameters != default_parameters(graph):  # else those of the device itself
            self.set_parameters(parameters)

    # ------------------------------------------------------------ control

    def reset(self) -> None:
        """Home state."""
        self.library.stapes_reset(self.state)

    def restart(self) -> bool:
        """Warm start; False when the state was not plausible and went home."""
        return int(self.library.stapes_restart(self.state)) == 0

    def set_parameters(self, parameters: Parameters) -> None:
        """Other parameters from the next hop on."""
        if parameters.use_network and not self._has_network:
            raise ContractError("parameters ask for the network but no graph was given")
        if self.library.stapes_set_parameters(self.state, ctypes.byref(ParameterBlock.of(parameters))) != 0:
            raise ContractError("the device refuses the parameters")

    @property
    def config_digest(self) -> str:
        """Digest of sizes, tables and graph that the headers carry."""
        return str(self.library.stapes_config_digest().decode("ascii"))

    @property
    def counters(self) -> dict[str, tuple[int, int]]:
        """Stage -> (saturations, overflows)."""
        rows = self.library.stapes_counters(self.state)
        return {stage: (int(rows[i].saturations), int(rows[i].overflows)) for i, stage in enumerate(STAGES)}

    @cached_property
    def taps(self) -> dict[str, TapInfo]:
        """Every tap by name: those of the loop, the states, then `network.` and each tensor."""
        found: dict[str, TapInfo] = {}
        tap = _Tap()
        while self.library.stapes_tap(self.state, len(found), ctypes.byref(tap)) == 0:
            dtype = np.dtype(f"{'i' if tap.is_signed else 'u'}{tap.element_bytes}")
            found[tap.name.decode("ascii")] = TapInfo(len(found), tap.count, dtype)
        return found

    def view(self, name: str) -> npt.NDArray[Any]:
        """A tap in the device's memory, writable; valid as long as this object lives."""
        info, tap = self.taps[name], _Tap()
        self.library.stapes_tap(self.state, info.index, ctypes.byref(tap))
        memory = (ctypes.c_uint8 * (info.count * info.dtype.itemsize)).from_address(tap.data)
        return np.ctypeslib.as_array(memory).view(info.dtype)

    # ------------------------------------------------------------ run

    def process(self, pcm: Samples) -> Samples:
        """A whole signal (samples,) int16 through the device, filled up to whole hops; (samples,) int16 out."""
        out, _ = self.record(np.pad(pcm, (0, -len(pcm) % self.profile.hop_samples)), ())
        return out[: len(pcm)]

    def record(self, pcm: Samples, names: Sequence[str]) -> tuple[Samples, dict[str, npt.NDArray[Any]]]:
        """Whole hops (samples,) int16 through the device.

        names    taps to keep
        returns  samples out; tap name -> (hops, count) in its device width
        """
        pcm = np.ascontiguousarray(pcm, np.int16)
        hops = len(pcm) // self.profile.hop_samples
        out = np.empty_like(pcm)
        kept, recorder, _alive = self._recorder(names, hops)
        self.library.stapes_host_process(
            self.state, _address(pcm), _address(out), ctypes.c_size_t(hops), ctypes.byref(recorder)
        )
        return out, kept

    def record_network(self, codes: npt.NDArray[Any], names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """The network alone over input codes (steps, n) of its input's dtype; taps as in `record`."""
        codes = np.ascontiguousarray(codes, self.taps["network.x"].dtype)
        kept, recorder, _alive = self._recorder(names, len(codes))
        self.library.stapes_host_network(
            self.state,
            _address(codes),
            ctypes.c_size_t(codes[0].nbytes),
            ctypes.c_size_t(len(codes)),
            ctypes.byref(recorder),
        )
        return kept

    def _recorder(self, names: Sequence[str], hops: int) -> tuple[dict[str, npt.NDArray[Any]], _Recorder, Any]:
        """Arrays to fill, what the C side needs to fill them, and what must live as long."""
        kept = {name: np.empty((hops, self.taps[name].count), self.taps[name].dtype) for name in names}
        indices = np.array([self.taps[name].index for name in names], np.uint32)
        buffers = (ctypes.c_void_p * len(kept))(*(array.ctypes.data for array in kept.values()))
        recorder = _Recorder(len(kept), indices.ctypes.data, ctypes.cast(buffers, ctypes.c_void_p))
        return kept, recorder, (indices, buffers)


def _address(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    """Pointer that keeps the array alive."""
    return array.ctypes.data_as(ctypes.c_void_p)


# ---------------------------------------------------------------- executor


class CHost:
    """The device's C, compiled for this machine: for speed by whatever compiler there is, or by one of `COMPILERS`.

    A compiler's two builds differ in all that they can: without optimisation the plain kernels, with -O2 the paired
    ones on the intrinsics of firmware/cmsis_stubs.
    """

    def __init__(self, compiler: str | None = None, paired: bool = False) -> None:
        self.compiler, self.paired = compiler, paired
        self.name = f"c_host ({compiler} {'-O2 paired' if paired else '-O0'})" if compiler else "c_host"

    def available(self) -> str | None:
        return missing_compiler(self.compiler)

    def run_network(self, graph: Graph, codes: Ints) -> dict[str, Ints]:
        """See `base.Executor.run_network`."""
        profile = PROFILES[graph.meta["profile"]]
        shown = network_taps(graph)
        kept = self._device(graph, profile).record_network(codes, tuple(shown.values()))
        return {name: kept[tap].astype(np.int64) for name, tap in shown.items()}

    def run_graph(self, graph: Graph, inputs: Mapping[str, Ints], names: Sequence[str]) -> dict[str, Ints]:
        """See `GraphExecutor.run_graph`."""
        device = self._device(graph, PROFILES[graph.meta["profile"]])
        fed = filled(graph, inputs)
        views = [device.view(input_tap(graph, name)) for name in fed]
        rows, counts = [], []
        for row in zip(*fed.values(), strict=True):
            for view, values in zip(views, row, strict=True):
                view[:] = values
            x = device.view("network.x")[np.newaxis].copy()
            rows.append(device.record_network(x, [f"network.{name}" for name in names]))
            counts.append([device.counters["network"][0]])
        shown = {name: np.concatenate([row[f"network.{name}"] for row in rows]).astype(np.int64) for name in names}
        return shown | {SATURATIONS: np.array(counts, np.int64)}

    def run_stream(self, graph: Graph | None, stream: StreamInput) -> StreamRun:
        """See `StreamExecutor.run_stream`."""
        device = self._device(graph, stream.profile, stream.parameters)
        names = tuple(name for name in TAPS if name in device.taps)
        if stream.events:
            return _run_schedule(device, stream, names)
        marks = sorted({0, stream.hops, *(hop for hop in stream.resets if hop < stream.hops)})
        size = stream.profile.hop_samples
        pieces: list[Mapping[str, npt.NDArray[Any]]] = []
        for start, end in pairwise(marks):
            if start in stream.resets:
                device.reset()
            pieces.append(device.record(stream.pcm[start * size : end * size], names)[1])
        return StreamRun({name: joined(name, pieces, stream.hops) for name in TAPS}, device.counters)

    def _device(self, graph: Graph | None, profile: Profile, parameters: Parameters | None = None) -> HostDevice:
        return HostDevice(graph, profile, parameters, self.build(graph, profile))

    def build(self, graph: Graph | None, profile: Profile, more_sources: Sequence[Path] = ()) -> Path:
        """The library of this executor; made once for the same inputs."""
        if self.compiler is None:
            return build_host(graph, profile, more_sources=more_sources)
        flags, compiler = ("-O2", *PAIRED) if self.paired else ("-O0",), COMPILERS[self.compiler]
        return build_host(graph, profile, flags=flags, compiler=compiler, paired=self.paired, more_sources=more_sources)

    def run_unit(self, name: str, rows: Ints, profile: str = FIRST_PROFILE) -> Ints:
        """See `base.UnitExecutor.run_unit`."""
        return run_unit(self._units(profile), name, rows)

    def _units(self, profile: str) -> ctypes.CDLL:
        """The library with the units of a profile; `build` makes it once."""
        return load_units(self.build(None, PROFILES[profile], UNITS))


def network_taps(graph: Graph) -> dict[str, str]:
    """Each result of `run_network` and the tap that shows it."""
    results = [t.name for t in graph.outputs if t not in graph.states.values()]
    return {**{name: f"network.{name}" for name in results}, **{name: name for name in graph.states}}


def input_tap(graph: Graph, name: str) -> str:
    """The tap through which an input of the graph is set: a step copies a state from where the last one left it."""
    return name if name in graph.states else f"network.{name}"


def _run_schedule(device: HostDevice, stream: StreamInput, names: Sequence[str]) -> StreamRun:
    """A stream with events, through the driver of ping_pong.h."""
    driver = HostPingPong(device)
    rows: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
    played: list[Samples] = []
    for call, hop in calls(stream):
        if call is Call.INTERRUPT:
            played.append(driver.interrupt(samples_of(stream, hop)))
        elif call is Call.SHOW:
            for name, values in rows.items():
                values.append(device.view(name).copy())
        elif call in (Call.RESET, Call.RESTART):
            getattr(device, call.value)()
        else:
            getattr(driver, call.value)()
    kept = {name: np.stack(values) for name, values in rows.items()}
    taps = {name: joined(name, [kept], stream.hops) for name in TAPS}
    return StreamRun(taps, device.counters, heard(np.stack(played)), driver.schedule)


def joined(name: str, pieces: Sequence[Mapping[str, npt.NDArray[Any]]], hops: int) -> Ints:
    """A tap of all pieces as the frame loop shows it: complex bins as (hops, bins, 2), scalars as (hops,)."""
    if name not in pieces[0]:
        return np.zeros((hops, 0), np.int64)
    values = np.concatenate([piece[name] for piece in pieces]).astype(np.int64)
    if name in ("spectrum_q30", "enhanced_q30"):
        return values.reshape(hops, -1, 2)
    return values[:, 0] if values.shape[1] == 1 else values
