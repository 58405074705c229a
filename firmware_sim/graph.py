"""The integer network: a list of ops, run by numpy, saved without pickle, named by a digest.

`Graph` is the one definition of the network; ONNX, TFLite and C are translations of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.contract import CONTRACT_VERSION, UNITY_GAIN_Q15
from firmware_sim.fixed import Ints
from firmware_sim.meter import Counter
from firmware_sim.ops import OPS, GraphError, Op, Tensor
from firmware_sim.reading import one_line

FORMAT = "stapes-graph"
SCHEMES = ("int16x8", "int8")
META = ("profile", "student_sha256", "wiener_floor_q15")
"""What every graph says about itself, besides its contract version."""
_PROFILE = re.compile(r"[a-z0-9_-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATE = re.compile(r"h[0-9]+")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time stamp of every member of the file: equal graphs are equal bytes."""
_NPY_HEADER_BYTES = 128
"""Header of a .npy with a short shape: magic, dictionary, padding."""

_DAMAGE = (
    zipfile.BadZipFile, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, EOFError
)  # fmt: skip
"""What reading a file that save() has not written may raise."""

__all__ = ["FORMAT", "SCHEMES", "Graph", "GraphError", "Tensor"]


class Graph:
    """Ops in execution order over named tensors.

    inputs, outputs  tensors at the boundary: x and the states in, the mask and the next states out;
                     the state `h` comes back as `h_next`, with the same dtype, scale and zero point
    tensors          every tensor by name, constants included, in order of first use
    states           name of each state input -> its next value among the outputs
    meta             JSON-able facts: profile, wiener_floor_q15, contract_version, student_sha256
    scheme           "int16x8" or "int8"
    raises           GraphError when an op reads what nothing computes, names are not unique, or meta is
                     incomplete; `load` also when meta or the boundary are not those of a mask network
    """

    def __init__(
        self,
        scheme: str,
        ops: Sequence[Op],
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        meta: Mapping[str, Any],
    ):
        self.scheme, self.ops = scheme, tuple(ops)
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.meta = {**meta, "contract_version": CONTRACT_VERSION}
        self.tensors = self._check_and_collect()
        self.states = self._pair_states()
        self.digest = hashlib.sha256(self._canonical()).hexdigest()

    def _check_and_collect(self) -> dict[str, Tensor]:
        if self.scheme not in SCHEMES:
            raise GraphError(f"unknown scheme {self.scheme!r}")
        missing = [key for key in META if key not in self.meta]
        if missing:
            raise GraphError(f"meta lacks {missing[0]}")
        if not self.inputs or not self.outputs:
            raise GraphError("the graph has no input or no output")
        tensors: dict[str, Tensor] = {}

        def define(new: Iterable[Tensor]) -> None:
            for tensor in new:
                if tensor.name in tensors:
                    raise GraphError(f"tensor {tensor.name} is defined twice")
                tensors[tensor.name] = tensor

        define(self.inputs)
        for op in self.ops:
            for tensor in op.inputs:
                if tensor.data is not None and tensor.name not in tensors:
                    define([tensor])
                if tensors.get(tensor.name) is not tensor:
                    raise GraphError(f"{op.kind} reads {tensor.name}, which nothing before it defines")
            define(op.outputs)
        for tensor in self.outputs:
            if tensors.get(tensor.name) is not tensor:
                raise GraphError(f"output {tensor.name} is never computed")
        return tensors

    def _pair_states(self) -> dict[str, Tensor]:
        """Each input `h` whose output `h_next` exists, and that output; both must have one code."""
        outputs = {t.name: t for t in self.outputs}
        pairs = {t: outputs[f"{t.name}_next"] for t in self.inputs if f"{t.name}_next" in outputs}
        for before, after in pairs.items():
            codes = {(t.dtype, t.shape, t.scale, t.zero_point) for t in (before, after)}
            if len(codes) != 1:
                raise GraphError(f"state {before.name} and {after.name} differ in dtype, shape or scale")
        return {before.name: after for before, after in pairs.items()}

    # ------------------------------------------------------------ run

    def home_state(self, streams: int = 1) -> dict[str, Ints]:
        """The quantized zero of every state, (streams, n) int64: where a stream begins and a reset returns."""
        return {name: np.full((streams, *t.shape), t.zero_point, np.int64) for name, t in self.states.items()}

    def run(self, inputs: Mapping[str, Ints], counter: Counter | None = None, trace: bool = False) -> dict[str, Ints]:
        """One step.

        inputs   name -> (streams, n) int64 within the tensor's dtype; scheme int16x8: even values only
        counter  counts saturations of every op per stream, if given
        trace    return every computed tensor, inputs included, instead of the outputs alone
        raises   GraphError when an input is missing or has another shape
        """
        values: dict[str, Ints] = {}
        for tensor in self.inputs:
            value = inputs.get(tensor.name)
            if value is None or value.ndim != 2 or value.shape[1:] != tensor.shape:
                raise GraphError(f"input {tensor.name} must have shape (streams, {tensor.shape[0]})")
            values[tensor.name] = value
        for op in self.ops:
            results = op.run([values[name] for name in op.operands], counter)
            values.update(zip(op.results, results, strict=True))
        return values if trace else {t.name: values[t.name] for t in self.outputs}

    # ------------------------------------------------------------ file

    def _header(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "scheme": self.scheme,
            "meta": self.meta,
            "tensors": [
                {"name": t.name, "dtype": t.dtype, "shape": t.shape, "scale": t.scale, "zero_point": t.zero_point}
                for t in self.tensors.values()
            ],
            "ops": [
                {
                    "kind": op.kind,
                    "inputs": [t.name for t in op.inputs],
                    "outputs": [t.name for t in op.outputs],
                    "attributes": op.attributes,
                }
                for op in self.ops
            ],
            "inputs": [t.name for t in self.inputs],
            "outputs": [t.name for t in self.outputs],
            "constants": [t.name for t in self._constants()],
        }

    def _constants(self) -> list[Tensor]:
        return [t for t in self.tensors.values() if t.data is not None]

    def _canonical(self) -> bytes:
        """Header as sorted JSON, then the constants, little-endian, in order: what the digest names."""
        return _json(self._header()) + b"".join(_little_endian(t.data).tobytes() for t in self._constants())

    def to_bytes(self) -> bytes:
        """The graph as an .npz file; equal graphs give equal bytes."""
        header = np.frombuffer(_json({**self._header(), "digest": self.digest}), np.uint8)
        members = {"graph": header} | {t.name: _little_endian(t.data) for t in self._constants()}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, array in members.items():
                archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), _npy(array))
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the graph; the file appears whole or not at all. Raises OSError when it cannot be written."""
        temporary = Path(f"{os.fspath(path)}.part")
        try:
            temporary.write_bytes(self.to_bytes())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Graph:
        """Read a graph and verify its digest.

        raises  GraphError, one line naming the file, for everything that save() would not have written
        """
        try:
            return _read(Path(path))
        except FileNotFoundError:
            raise GraphError(f"{path}: no such file") from None
        except OSError as error:
            raise GraphError(f"{path}: cannot be read: {error.strerror or 'input/output error'}") from None
        except _DAMAGE as error:
            raise GraphError(f"{path}: not a Stapes graph: {one_line(error)}") from None


def _check_meta(meta: Mapping[str, Any]) -> None:
    """What a file says about itself reaches tables and the comments of generated C: no free text."""
    profile, student, floor_q15 = (meta[key] for key in META)
    if not (isinstance(profile, str) and _PROFILE.fullmatch(profile)):
        raise GraphError(f"its profile is {profile!r}, not a name")
    if not (isinstance(student, str) and _SHA256.fullmatch(student)):
        raise GraphError(f"its student_sha256 is {student!r}, not 64 hex digits")
    if type(floor_q15) is not int or not 0 <= floor_q15 <= UNITY_GAIN_Q15:
        raise GraphError(f"its wiener_floor_q15 is {floor_q15!r}, not a whole number in [0, {UNITY_GAIN_Q15}]")


def _check_boundary(graph: Graph) -> None:
    """A file holds a whole network: x and the states in, the mask and the next states out."""
    expected = ["x", *graph.states], ["mask", *(after.name for after in graph.states.values())]
    for what, tensors, names in zip(("inputs", "outputs"), (graph.inputs, graph.outputs), expected, strict=True):
        if sorted(t.name for t in tensors) != sorted(names) or not all(map(_STATE.fullmatch, graph.states)):
            raise GraphError(f"the {what} are not those of a mask network: {', '.join(names)}")


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _little_endian(array: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    assert array is not None, "only constants are written"
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _npy(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _read(path: Path) -> Graph:
    with zipfile.ZipFile(path) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise GraphError("a member is compressed")
        header = json.loads(_content(archive.read("graph.npy"), "uint8", None, "header").tobytes())
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise GraphError("the header is of another format")
        if header["meta"].get("contract_version") != CONTRACT_VERSION:
            raise GraphError(
                f"contract version {header['meta'].get('contract_version')}, this program has {CONTRACT_VERSION}"
            )
        constants = {name: archive.read(f"{name}.npy") for name in header["constants"]}
    tensors = {entry["name"]: _tensor(entry, constants.get(entry["name"])) for entry in header["tensors"]}
    unknown = sorted({entry["kind"] for entry in header["ops"]} - set(OPS))
    if unknown:
        raise GraphError(f"unknown op {unknown[0]}")
    ops = [
        OPS[entry["kind"]](
            [tensors[name] for name in entry["inputs"]],
            [tensors[name] for name in entry["outputs"]],
            entry["attributes"],
        )
        for entry in header["ops"]
    ]
    inputs, outputs = ([tensors[name] for name in header[side]] for side in ("inputs", "outputs"))
    graph = Graph(header["scheme"], ops, inputs, outputs, header["meta"])
    if graph.digest != header["digest"]:
        raise GraphError("the digest does not match the content")
    _check_meta(graph.meta)
    _check_boundary(graph)
    return graph


def _tensor(entry: Mapping[str, Any], raw: bytes | None) -> Tensor:
    """A tensor from its header entry and, for a constant, the bytes of its .npy member."""
    name, dtype, scale = entry["name"], entry["dtype"], entry["scale"]
    shape = tuple(int(n) for n in entry["shape"])
    data = None if raw is None else _content(raw, dtype, shape, f"constant {name}")
    scales = tuple(map(float, scale)) if isinstance(scale, list) else float(scale)
    return Tensor(name, dtype, shape, scales, int(entry["zero_point"]), data)


def _content(raw: bytes, dtype: str, shape: tuple[int, ...] | None, what: str) -> npt.NDArray[Any]:
    """The array of a .npy member, if it is byte for byte what save() writes.

    No header of a foreign file decides a size or a dtype: ours is written again and compared.
    """
    little = np.dtype(dtype).newbyteorder("<")
    body = raw[_NPY_HEADER_BYTES:]
    if len(body) % little.itemsize == 0 and body:
        array = np.frombuffer(body, little)
        if shape is None or array.size == np.prod(shape, dtype=np.int64):
            array = array.reshape(shape or -1)
            if _npy(array) == raw:
                return array.astype(dtype)
    raise GraphError(f"the {what} is damaged")
