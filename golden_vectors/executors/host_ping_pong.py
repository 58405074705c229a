"""The C driver of ping_pong.h on this machine: its functions, and the part of the DMA."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from golden_vectors.executors.schedule import COUNTERS

if TYPE_CHECKING:
    from golden_vectors.executors.c_host import HostDevice

Samples = npt.NDArray[np.int16]

RUBBISH = 0x5A5A
"""What the buffers hold before the driver is initialised."""


class _PingPong(ctypes.Structure):
    """stapes_ping_pong_t."""

    _fields_ = (
        ("ears", ctypes.c_void_p),
        ("count", ctypes.c_uint32),
        *((name, ctypes.c_void_p) for name in ("in", "out", "dry", "work")),
        ("clock", ctypes.c_uint32),
        ("next", ctypes.c_uint32),
        ("behind", ctypes.c_bool),
        ("schedule", ctypes.c_uint32 * len(COUNTERS)),
    )


class HostPingPong:
    """The driver of ping_pong.h around a device, with the part of the DMA played by this object.

    ears    more than one: copies of the device, each with its own state
    prefix  of the driver's functions in the library
    """

    def __init__(self, device: HostDevice, ears: int = 1, prefix: str = "stapes_ping_pong") -> None:
        self._library, self._prefix = device.library, prefix
        self._device, self._states = device, device.state
        if ears > 1:
            self._copies, size = ctypes.create_string_buffer(ears * device.state_bytes + 8), device.state_bytes
            self._states = ctypes.c_void_p(-(-ctypes.addressof(self._copies) // 8) * 8)
            for ear in range(ears):
                ctypes.memmove(int(self._states.value or 0) + ear * size, device.state, size)
        self.ears, self._driver, self._interrupts = ears, _PingPong(), 0
        half = (2, device.profile.hop_samples * ears)
        self._in, self._out, self._scratch = (np.full(half, RUBBISH, np.int16) for _ in range(3))
        memory = (array.ctypes.data_as(ctypes.c_void_p) for array in (self._in, self._out, self._scratch))
        self._call("init", self._states, ears, *memory)

    def _call(self, name: str, *arguments: Any) -> Any:
        return self._library[f"{self._prefix}_{name}"](ctypes.byref(self._driver), *arguments)

    def playing(self) -> Samples:
        """The half that plays since the last interrupt: (hop,), or (ears, hop) int16."""
        return self._half(self._interrupts)

    def playing_next(self) -> Samples:
        """The other half: what the DMA plays from the next interrupt's event on, until that is served."""
        return self._half(self._interrupts + 1)

    def _half(self, interrupts: int) -> Samples:
        half: Samples = self._out[interrupts % 2].copy()
        return half if self.ears == 1 else np.ascontiguousarray(half.reshape(-1, self.ears).T)

    def interrupt(self, pcm: Samples) -> Samples:
        """A half is full of `pcm` (hop,), or (ears, hop) int16; returns the half that begins to play."""
        self._in[self._interrupts % 2] = pcm.T.reshape(-1)
        self._call("interrupt")
        self._interrupts += 1
        return self.playing()

    def step(self, name: str) -> int:
        """A function of the main loop that takes the driver alone; what it returns, if it returns anything."""
        return int(self._call(name))

    def begin(self) -> bool:
        return bool(self.step("begin") & 1)

    def process(self) -> None:
        self.step("process")

    def finish(self) -> None:
        self.step("finish")

    def run(self) -> bool:
        return bool(self.step("run") & 1)

    @property
    def schedule(self) -> dict[str, int]:
        """Counters of the schedule."""
        return dict(zip(COUNTERS, map(int, self._driver.schedule), strict=True))
