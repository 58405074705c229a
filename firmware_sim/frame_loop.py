"""The loop of the device: one hop in, one hop out, all state inside.

Offline processing is a loop over `FrameLoop.process_hop`; there is no second path, so any chunking of the
input gives the same bits. Several independent streams (channels, recordings) run side by side on the first
axis of every array.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_sim import fft, stft, wiener
from firmware_sim.contract import STAGES, UNITY_GAIN_Q15, WIENER_ALONE, ContractError, Parameters, Profile
from firmware_sim.features import features, gain_features, layer_norm, network_input
from firmware_sim.fixed import Ints
from firmware_sim.graph import Graph
from firmware_sim.meter import Counter, enter_stage
from firmware_sim.network import Network, decode_mask

TAPS = {
    "frame_q30": "window",
    "spectrum_q30": "rfft",
    "power": "wiener",
    "noise": "wiener",
    "xi_uq16": "wiener",
    "likelihood_q16": "wiener",
    "vad": "wiener",
    "raw_gain_q15": "wiener",
    "wiener_gain_q15": "wiener",
    "feature_q16": "features",
    "x_q11": "features",
    "h0": "network",
    "h1": "network",
    "mask_q15": "network",
    "gain_q15": "gain",
    "enhanced_q30": "gain",
    "frame_out": "irfft",
    "pcm": "overlap_add",
}
"""Every observable value of a hop, in order of computation, and the stage that made it."""

TAP_DTYPES: dict[str, npt.DTypeLike] = {
    "power": np.int64,
    "noise": np.int64,
    "xi_uq16": np.uint32,
    "likelihood_q16": np.int64,
    "vad": np.int32,
    "raw_gain_q15": np.uint16,
    "wiener_gain_q15": np.uint16,
    "x_q11": np.int16,
    "h0": np.int16,
    "h1": np.int16,
    "mask_q15": np.uint16,
    "gain_q15": np.uint16,
    "pcm": np.int16,
}
"""The width of a tap on the device where it is not int32; digests are taken of these little-endian bytes."""

MAKERS: dict[str, tuple[Callable[..., object], ...]] = {
    "frame_q30": (stft.window,),
    "spectrum_q30": (fft.rfft,),
    "power": (stft.power,),
    "noise": (wiener.followed_noise, wiener.weighted_noise, wiener.wiener),
    "xi_uq16": (wiener.a_priori_snr, wiener.a_posteriori_snr),
    "likelihood_q16": (wiener.log_likelihood, wiener.track_by_presence, wiener.speech_absence),
    "vad": (wiener.track_by_vad, wiener.track_by_presence),
    "raw_gain_q15": (wiener.wiener, wiener.wiener_ratio),
    "wiener_gain_q15": (wiener.wiener,),
    "feature_q16": (features,),
    "x_q11": (layer_norm, gain_features),
    "h0": (Network.step,),
    "h1": (Network.step,),
    "mask_q15": (decode_mask, Network.step),
    "gain_q15": (stft.total_gain,),
    "enhanced_q30": (stft.apply_gain,),
    "frame_out": (fft.irfft,),
    "pcm": (stft.overlap_add,),
}
"""The functions that compute a tap, the last step first: where to look when an engine shows another value."""


@dataclass(frozen=True)
class Hop:
    """One hop of every stream: `taps` maps each name of `TAPS` to an int64 array (streams, ...)."""

    index: int
    taps: dict[str, Ints]

    @property
    def pcm(self) -> Ints:
        """(streams, hop) int16 output samples."""
        return self.taps["pcm"]

    def digests(self, stream: int = 0) -> dict[str, str]:
        """Stage name -> 16 hex digits of the SHA-256 of the stage's taps for one stream."""
        hashes = {stage: hashlib.sha256() for stage in dict.fromkeys(TAPS.values())}
        for name, stage in TAPS.items():
            hashes[stage].update(tap_bytes(name, self.taps[name][stream]))
        return {stage: digest.hexdigest()[:16] for stage, digest in hashes.items()}


def tap_bytes(name: str, values: Ints) -> bytes:
    """Little-endian bytes of a tap in its device width."""
    return np.ascontiguousarray(values, np.dtype(TAP_DTYPES.get(name, np.int32)).newbyteorder("<")).tobytes()


def default_parameters(graph: Graph | None) -> Parameters:
    """Parameters of a device that nobody has set: the Wiener floor is the one that the model was trained with."""
    return WIENER_ALONE if graph is None else Parameters(wiener_floor_q15=graph.meta["wiener_floor_q15"])


class FrameLoop:
    """The fixed-point hearing-aid loop.

    profile     sizes
    graph       integer network; None: Wiener stage alone
    parameters  integer settings, may be replaced at any time; None: `default_parameters`
    streams     number of independent streams
    raises      ContractError when the graph was made for another profile
    """

    def __init__(
        self,
        profile: Profile,
        graph: Graph | None = None,
        parameters: Parameters | None = None,
        streams: int = 1,
    ) -> None:
        self.profile = profile
        self.parameters = parameters or default_parameters(graph)
        self.streams = streams
        self.network = Network(graph, profile, streams) if graph is not None else None
        if self.parameters.use_network and self.network is None:
            raise ContractError("parameters ask for the network but no graph was given")
        self.counters = {stage: Counter(streams) for stage in STAGES}
        self._wiener = wiener.WienerState(profile, streams)
        self.reset()

    def reset(self) -> None:
        """Home state: the state in which every vector starts."""
        hop, n = self.profile.hop_samples, self.profile.analysis_samples
        self._history = np.zeros((self.streams, n), np.int64)
        self._overlap = np.zeros((self.streams, hop), np.int64)
        self._mask_q15 = np.full((self.streams, self.profile.band_count), UNITY_GAIN_Q15, np.int64)
        self._wiener.reset()
        if self.network is not None:
            self.network.reset()
        for counter in self.counters.values():
            counter.reset()
        self.hops = 0

    def restart(self) -> bool:
        """Warm start after a reset of the processor that left the memory of the state as it was.

        Kept are the parameters, the counters and the noise PSD (if it had been learned); all else goes home.

        returns  False when what is kept is not plausible in some stream: then all go home, with default parameters
        """
        if not self._wiener.plausible():
            self.parameters = default_parameters(self.network.graph if self.network is not None else None)
            self.reset()
            return False
        noise, hops = self._wiener.noise, self._wiener.hops
        counts = {stage: (c.saturations, c.overflows) for stage, c in self.counters.items()}
        self.reset()
        if hops == self.profile.noise_init_hops:
            self._wiener.noise, self._wiener.hops = noise, hops
        for stage, (saturations, overflows) in counts.items():
            self.counters[stage].saturations, self.counters[stage].overflows = saturations, overflows
        return True

    @property
    def state(self) -> dict[str, Ints]:
        """All that the next hop depends on, parameters apart, and the counters: int64, one row a stream.

        Names are those of the members of the device's `stapes_state_t`; counters are (streams, stages, 2):
        saturations and overflows of each of STAGES. `wiener.hops` is (streams,).
        """
        wiener, counters = self._wiener, [self.counters[stage] for stage in STAGES]
        return {
            "history": self._history.copy(),
            "overlap": self._overlap.copy(),
            "mask_q15": self._mask_q15.copy(),
            "wiener.noise": wiener.noise.copy(),
            "wiener.learned": wiener.learned.copy(),
            "wiener.prior_uq16": wiener.prior_uq16.copy(),
            "wiener.presence_q31": wiener.presence_q31.copy(),
            "wiener.hops": np.full(self.streams, wiener.hops, np.int64),
            **({name: h.copy() for name, h in self.network.state.items()} if self.network is not None else {}),
            "counters": np.stack([np.stack([c.saturations, c.overflows], axis=1) for c in counters], axis=1),
        }

    def load_state(self, state: Mapping[str, Ints]) -> None:
        """Go on from a state that this property, or a device, has shown.

        raises  ContractError when arrays are missing or have another shape, or when the streams are not equally
                far in the noise initialisation: they share its count of hops
        """
        for name, own in self.state.items():
            if name not in state or state[name].shape != own.shape:
                raise ContractError(f"the state needs {name} of shape {own.shape}")
        hops = state["wiener.hops"]
        if (hops != hops[0]).any():
            raise ContractError("streams that run side by side must be equally far in the noise initialisation")
        taken = {name: np.array(values, np.int64) for name, values in state.items()}
        self._history, self._overlap, self._mask_q15 = taken["history"], taken["overlap"], taken["mask_q15"]
        self._wiener.noise, self._wiener.learned = taken["wiener.noise"], taken["wiener.learned"]
        self._wiener.prior_uq16, self._wiener.presence_q31 = taken["wiener.prior_uq16"], taken["wiener.presence_q31"]
        self._wiener.hops = int(hops[0])
        if self.network is not None:
            self.network.state = {name: taken[name] for name in self.network.state}
        for stage, counts in zip(STAGES, taken["counters"].swapaxes(0, 1), strict=True):
            self.counters[stage].saturations, self.counters[stage].overflows = counts[:, 0], counts[:, 1]

    def process_hop(self, pcm: npt.NDArray[np.int16]) -> Hop:
        """Move every stream on by one hop.

        pcm      (streams, hop) int16
        returns  Hop with every tap
        raises   ContractError on another shape or dtype
        """
        return self._hop(pcm, held=False)

    def hold_hop(self, pcm: npt.NDArray[np.int16]) -> Hop:
        """The same hop without the network: the last mask stays in force and the GRU's state waits.

        Where the network has not run since home, the mask is one.
        """
        return self._hop(pcm, held=True)

    def _hop(self, pcm: npt.NDArray[np.int16], held: bool) -> Hop:
        if pcm.dtype != np.int16 or pcm.shape != (self.streams, self.profile.hop_samples):
            wanted = f"({self.streams}, {self.profile.hop_samples}) int16"
            raise ContractError(f"a hop of input must be {wanted}, got {pcm.shape} {pcm.dtype}")
        taps: dict[str, Ints] = {}
        self._analyse(pcm, taps)
        initialising = self._estimate(taps)
        self._infer(taps, held)
        self._synthesise(taps, initialising)
        hop = Hop(self.hops, taps)
        self.hops += 1
        return hop

    def _analyse(self, pcm: npt.NDArray[np.int16], taps: dict[str, Ints]) -> None:
        enter_stage("window")
        self._history = np.concatenate([self._history[:, pcm.shape[1] :], pcm.astype(np.int64)], axis=1)
        taps["frame_q30"] = stft.window(self._history, self.profile)
        enter_stage("rfft")
        taps["spectrum_q30"] = fft.rfft(taps["frame_q30"], self.counters["rfft"])

    def _estimate(self, taps: dict[str, Ints]) -> bool:
        enter_stage("wiener")
        taps["power"] = stft.power(taps["spectrum_q30"])
        taps["noise"] = self._wiener.noise
        floor_q15 = self.parameters.wiener_floor_q15
        result = wiener.wiener(taps["power"], self._wiener, floor_q15, self.counters["wiener"])
        taps["xi_uq16"] = result.xi_uq16
        taps["likelihood_q16"] = result.likelihood_q16
        taps["vad"] = result.vad
        taps["raw_gain_q15"] = result.raw_gain_q15
        taps["wiener_gain_q15"] = result.gain_q15
        enter_stage("features")
        taps["feature_q16"] = features(taps["power"], taps["noise"], result.gain_q15, self.profile)
        taps["x_q11"] = network_input(taps["feature_q16"], result.raw_gain_q15, self.profile, self.counters["features"])
        return result.initialising

    def _infer(self, taps: dict[str, Ints], held: bool) -> None:
        if self.network is None:
            empty = np.zeros((self.streams, 0), np.int64)
            taps["h0"], taps["h1"] = empty, empty
        else:
            if not held:
                enter_stage("network")
                self._mask_q15 = self.network.step(taps["x_q11"], self.counters["network"])
            taps["h0"], taps["h1"] = self.network.state["h0"], self.network.state["h1"]
        taps["mask_q15"] = self._mask_q15

    def _synthesise(self, taps: dict[str, Ints], initialising: bool) -> None:
        enter_stage("gain")
        used = taps["mask_q15"]
        if not self.parameters.use_network:
            used = np.full_like(used, UNITY_GAIN_Q15)
        taps["gain_q15"] = stft.total_gain(taps["wiener_gain_q15"], used, self.profile, self.parameters, initialising)
        taps["enhanced_q30"] = stft.apply_gain(taps["spectrum_q30"], taps["gain_q15"])
        enter_stage("irfft")
        taps["frame_out"] = fft.irfft(taps["enhanced_q30"], self.counters["irfft"])
        enter_stage("overlap_add")
        taps["pcm"], self._overlap = stft.overlap_add(
            taps["frame_out"], self._overlap, self.profile, self.counters["overlap_add"]
        )

    def hops_of(self, pcm: npt.NDArray[np.int16]) -> Iterator[Hop]:
        """Every whole hop of a (streams, samples) int16 signal; the last one is filled up with zeros."""
        size = self.profile.hop_samples
        missing = -pcm.shape[1] % size
        padded = np.pad(pcm, ((0, 0), (0, missing)))
        for start in range(0, padded.shape[1], size):
            yield self.process_hop(padded[:, start : start + size])

    def process(self, pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """A whole signal through the loop.

        pcm      (streams, samples) int16
        returns  (streams, samples) int16, delayed by `profile.stream_delay_samples`
        """
        if pcm.shape[1] == 0:
            return pcm.copy()
        out = np.concatenate([hop.pcm for hop in self.hops_of(pcm)], axis=1)
        return out[:, : pcm.shape[1]].astype(np.int16)


class Stream:
    """Chunks of any length in, the same bits out as in one piece: collects samples until a hop is full."""

    def __init__(self, loop: FrameLoop) -> None:
        self.loop = loop
        self._pending = np.zeros((loop.streams, 0), np.int16)

    def push(self, pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Samples (streams, any) int16 in; the samples of all hops that became full out."""
        size = self.loop.profile.hop_samples
        self._pending = np.concatenate([self._pending, pcm], axis=1)
        whole = self._pending.shape[1] // size * size
        ready, self._pending = self._pending[:, :whole], self._pending[:, whole:]
        return self.loop.process(ready)

    def reset(self) -> None:
        """Home state; pending samples are forgotten."""
        self._pending = self._pending[:, :0]
        self.loop.reset()
