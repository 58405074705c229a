"""The loop of the device in float64, its state carried from hop to hop over the whole stream: the yardstick of drift.

The front end has the equations of firmware_sim/wiener.py and features.py without their rounding (tests/twins.py has
them for one whole signal; a test holds the two together). The network is the integer graph with real weights: GRU
cells and mask head as the recipes of firmware_sim/blocks.py state them. Clamps that the contract defines (noise PSD,
a-posteriori SNR, features) are kept; where a recipe's tensor only saturates, floats go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_sim import contract, tables
from firmware_sim.contract import UNITY_GAIN_Q15, Parameters, Profile
from firmware_sim.graph import Graph

Floats = npt.NDArray[np.float64]

MEMORY, INNOVATION = 0.98, 0.02
"""mu and 1 - mu of the noise PSD, a_dd and 1 - a_dd of the a-priori SNR."""
VAD_THRESHOLD = 0.15
SPEECH_SNR = 10.0**1.5
"""A-priori SNR of speech where it is present, of the tracker spp; its mean presence keeps 0.975, guarded above 0.99."""


def dense(graph: Graph, name: str) -> tuple[Floats, Floats]:
    """Real weights (inputs, outputs) and bias (outputs,) of a FULLY_CONNECTED of the graph, by its output's name."""
    op = next(op for op in graph.ops if op.kind == "FULLY_CONNECTED" and op.results == (name,))
    _, weights, bias = op.inputs
    real = weights.values * np.reshape(weights.scales, (-1, 1))
    return np.ascontiguousarray(real.T), np.asarray(bias.values * np.asarray(bias.scale), np.float64)


class GruLayer:
    """One GRU of the graph over many hops. The state's products are the only ones that have to wait for each other."""

    def __init__(self, graph: Graph, layer: int) -> None:
        parts = {part: dense(graph, f"gru{layer}_{part}") for part in ("x_rz", "x_n", "h_rz", "h_n")}
        self.hidden = len(parts["h_n"][1])
        self._x = np.hstack([parts["x_rz"][0], parts["x_n"][0]])
        self._x_bias = np.concatenate([parts["x_rz"][1] + parts["h_rz"][1], parts["x_n"][1]])
        self._h = np.ascontiguousarray(np.hstack([parts["h_rz"][0], parts["h_n"][0]]))
        self._h_n_bias = parts["h_n"][1]

    def run(self, x: Floats, h: Floats) -> Floats:
        """States (hops, hidden) after each hop of inputs (hops, n), from the state h (hidden,).

        r, z = sigmoid(.) are (1 + tanh(. / 2)) / 2: r and z below are twice the gates.
        """
        size, from_x = self.hidden, x @ self._x + self._x_bias
        states, products, gates, n = np.empty((len(x), size)), np.empty(3 * size), np.empty(2 * size), np.empty(size)
        from_x[:, : 2 * size] *= 0.5
        weights, bias = self._h * np.repeat([0.5, 1.0], [2 * size, size]), self._h_n_bias
        for hop, terms in enumerate(from_x):
            np.dot(h, weights, out=products)
            np.add(terms[: 2 * size], products[: 2 * size], out=gates)
            np.tanh(gates, out=gates)
            gates += 1.0
            np.add(products[2 * size :], bias, out=n)
            n *= gates[:size]
            n *= 0.5
            n += terms[2 * size :]
            np.tanh(n, out=n)
            after = states[hop]
            np.subtract(h, n, out=after)
            after *= gates[size:]
            after *= 0.5
            after += n
            h = after
        return states


@dataclass
class Result:
    """A stretch of the stream: pcm (samples,) in int16 units, not rounded but limited as a converter does; per hop
    mask (hops, bands), noise PSD as it was used (hops, bins), VAD (hops,), states h0, h1 (hops, hidden)."""

    pcm: Floats
    mask: Floats
    noise: Floats
    vad: npt.NDArray[np.bool_]
    h0: Floats
    h1: Floats


class FloatLoop:
    """The whole loop with a network; `state` is all that it remembers, by name, and may be kept and put back."""

    def __init__(self, profile: Profile, graph: Graph, parameters: Parameters) -> None:
        self.profile, self.parameters = profile, parameters
        self._layers = [GruLayer(graph, 0), GruLayer(graph, 1)]
        self._head = dense(graph, "fc1"), dense(graph, "fc2")
        bins, n = profile.bins, profile.analysis_samples
        self._weight = np.full(bins, 2.0)
        self._weight[[0, -1]] = 1.0
        self.state: dict[str, Floats] = {
            "history": np.zeros(n - profile.hop_samples),
            "overlap": np.zeros(profile.hop_samples),
            "noise": np.full(bins, float(contract.NOISE_MIN)),
            "learned": np.zeros(bins),
            "prior": np.ones(bins),
            "presence": np.zeros(bins),
            "hops": np.zeros(1),
            **{f"h{i}": np.zeros(layer.hidden) for i, layer in enumerate(self._layers)},
        }

    def load(self, state: Mapping[str, Floats]) -> None:
        """Go on from a kept state."""
        self.state = {name: np.array(state[name], np.float64) for name in self.state}

    def process(self, pcm: npt.NDArray[np.int16]) -> Result:
        """Whole hops (samples,), any number; what came before is in the state."""
        spectrum = self._spectra(pcm)
        power = np.abs(spectrum) ** 2 * 2.0 ** (2 * contract.FRAME_FRACTION_BITS - contract.POWER_SHIFT)
        initialising = np.arange(len(power)) + self.state["hops"][0] < self.profile.noise_init_hops
        raw_gain, noise, vad = self._wiener(power, initialising)
        gain = np.maximum(raw_gain, self.parameters.wiener_floor_q15 / UNITY_GAIN_Q15)
        x = self._features(power, noise, raw_gain if self.profile.gain_channel else gain)
        h0 = self._layers[0].run(x, self.state["h0"])
        h1 = self._layers[1].run(h0, self.state["h1"])
        self.state["h0"], self.state["h1"] = h0[-1].copy(), h1[-1].copy()
        mask = self._mask(h1)
        of_bins = np.repeat(mask, self.profile.band_widths, axis=1)
        total = np.maximum(gain * of_bins, self.parameters.gain_floor_q15 / UNITY_GAIN_Q15)
        total[initialising] = 1.0
        self.state["hops"] = self.state["hops"] + len(power)
        out = np.clip(self._overlap_add(spectrum * total), -32768.0, 32767.0)
        return Result(out, mask, noise, vad, h0, h1)

    def _spectra(self, pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.complex128]:
        """(hops, bins), scale 1/N, full scale = 1."""
        n, hop = self.profile.analysis_samples, self.profile.hop_samples
        signal = np.concatenate([self.state["history"], pcm / 32768.0])
        self.state["history"] = signal[len(signal) - (n - hop) :].copy()
        frames = np.lib.stride_tricks.sliding_window_view(signal, n)[::hop]
        return np.fft.rfft(frames * tables.analysis_window(self.profile)) / n

    def _wiener(
        self, power: Floats, initialising: npt.NDArray[np.bool_]
    ) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
        """Gains before their floor, the noise PSD that each hop used, and the VAD."""
        ratios, noises, vad = np.ones_like(power), np.empty_like(power), np.zeros(len(power), bool)
        first = int(initialising.sum())
        self._learn(power[:first], noises[:first])
        noise, prior, ceiling = self.state["noise"], self.state["prior"], contract.GAMMA_MAX_UQ16 / 65536
        for hop in range(first, len(power)):
            noises[hop], present = noise, power[hop]
            gamma = np.minimum(present / noise, ceiling)
            xi = MEMORY * prior + INNOVATION * np.maximum(gamma - 1.0, 0.0)
            ratio = ratios[hop] = xi / (1.0 + xi)
            prior = gamma * ratio
            if self.profile.noise_tracker == "spp":
                share, vad[hop] = self._by_presence(gamma)
            else:
                vad[hop] = self._weight @ (prior - np.log1p(xi)) >= VAD_THRESHOLD * self.profile.analysis_samples
                share = np.full_like(noise, 0.0 if vad[hop] else INNOVATION)
            noise = np.maximum(noise + share * (present - noise), contract.NOISE_MIN)
        self.state["noise"], self.state["prior"] = noise, prior
        return np.sqrt(ratios), noises, vad

    def _by_presence(self, gamma: Floats) -> tuple[Floats, bool]:
        """The input's share in each bin's noise PSD, and whether half of the spectrum is speech."""
        p = 1.0 / (1.0 + (1.0 + SPEECH_SNR) * np.exp(-np.minimum(gamma, 500.0) * SPEECH_SNR / (1.0 + SPEECH_SNR)))
        mean = self.state["presence"] = 0.975 * self.state["presence"] + 0.025 * p
        p = np.where(mean > 0.99, np.minimum(p, 0.99), p)
        return 0.03 * (1.0 - p), bool(self._weight @ p >= 0.5 * self.profile.analysis_samples)

    def _learn(self, power: Floats, noises: Floats) -> None:
        """Hops of the noise initialisation; the last one turns the sum of their powers into the noise PSD."""
        noises[:] = contract.NOISE_MIN
        self.state["learned"] = self.state["learned"] + power.sum(axis=0)
        if len(power) and self.state["hops"][0] + len(power) == self.profile.noise_init_hops:
            mean = self.state["learned"] / self.profile.noise_init_hops
            self.state["noise"] = np.maximum(mean, contract.NOISE_MIN)

    def _features(self, power: Floats, noise: Floats, gain: Floats) -> Floats:
        """What the network reads: normalised log2 features, then the gain channel if any, (hops, inputs)."""
        log_power = np.log2(np.maximum(power, contract.NOISE_MIN))
        if not self.profile.gain_channel:
            log_power += 2.0 * np.log2(np.maximum(gain, 2.0**-15))
        raw = self._of_bands(log_power)
        raw[:, 0] = np.log2(noise).mean(axis=1)
        raw -= raw.mean(axis=1, keepdims=True)
        raw /= np.sqrt((raw**2).mean(axis=1, keepdims=True) + contract.LAYER_NORM_EPSILON)
        x = np.clip(raw, -8.0, 8.0 - 2.0**-contract.FEATURE_FRACTION_BITS)
        return np.hstack([x, 4.0 * (self._of_bands(gain) - 0.5)]) if self.profile.gain_channel else x

    def _of_bands(self, values: Floats) -> Floats:
        """Means over the bins of each band."""
        starts, widths = tables.band_starts(self.profile), np.array(self.profile.band_widths)
        return np.asarray(np.add.reduceat(values, starts, axis=1) / widths)

    def _mask(self, h: Floats) -> Floats:
        (fc1, fc1_bias), (fc2, fc2_bias) = self._head
        logits = np.maximum(h @ fc1 + fc1_bias, 0.0) @ fc2 + fc2_bias
        return 0.5 * (1.0 + np.tanh(0.5 * logits))

    def _overlap_add(self, spectrum: npt.NDArray[np.complex128]) -> Floats:
        """Samples in int16 units."""
        n, hop, m = self.profile.analysis_samples, self.profile.hop_samples, self.profile.synthesis_samples
        tails = np.fft.irfft(spectrum * n, n)[:, -m:] * (tables.synthesis_window(self.profile) * 32768.0)
        ends = np.vstack([self.state["overlap"], tails[:, hop:]])
        self.state["overlap"] = ends[-1].copy()
        return np.ravel(tails[:, :hop] + ends[:-1])
