"""stapes_tables.h: sizes, constants and tables of the frame loop, straight from `contract` and `tables`."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from export.c_text import BYTES, array
from firmware_sim import contract, tables
from firmware_sim.activations import SIGMOID_UQ16
from firmware_sim.contract import Parameters, Profile, q
from firmware_sim.frame_loop import default_parameters
from firmware_sim.graph import Graph
from firmware_sim.wiener import GAMMA_BITS


class Tables:
    """Everything in stapes_tables.h.

    profile  decides sizes and windows
    graph    enters the configuration digest; None: no network
    """

    def __init__(self, profile: Profile, graph: Graph | None):
        self.profile = profile
        self.constants = _constants(profile, default_parameters(graph))
        self.tables = _tables(profile)
        self.flash = {f"stapes_{name}": BYTES[dtype] * data.size for name, (dtype, data, _) in self.tables.items()}
        self.digest = self._digest(graph)

    def _digest(self, graph: Graph | None) -> str:
        """sha256 over everything that decides a bit of the output."""
        content = {
            "contract_version": contract.CONTRACT_VERSION,
            "profile": self.profile.name,
            "constants": {name: value for name, (value, _) in self.constants.items()},
            "tables": {
                name: hashlib.sha256(np.ascontiguousarray(data, "<i8").tobytes()).hexdigest()
                for name, (_, data, _) in self.tables.items()
            },
            "graph": graph.digest if graph is not None else None,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def header(self, head: str) -> str:
        """stapes_tables.h."""
        defines = "".join(f"#define STAPES_{name} {text}\n" for name, (_, text) in self.constants.items())
        declared, defined = [], []
        for name, (dtype, data, meaning) in self.tables.items():
            shape = "".join(f"[{n}]" for n in data.shape)
            declared.append(f"/* {meaning} */\nextern const {dtype}_t stapes_{name}{shape};\n")
            defined.append(array(f"const {dtype}_t stapes_{name}", data))
        return f"""{head}#ifndef STAPES_TABLES_H
#define STAPES_TABLES_H

#include <stdint.h>

#define STAPES_CONTRACT_VERSION {contract.CONTRACT_VERSION}
#define STAPES_PROFILE "{self.profile.name}"
#define STAPES_CONFIG_DIGEST "{self.digest}"
#define STAPES_CONFIG_ID UINT32_C(0x{self.digest[:8]}) /* its first eight digits */

{defines}
{"".join(declared)}
/* tables.c, and it alone, takes the data. */
#ifdef STAPES_TABLES_DEFINE

{chr(10).join(defined)}
#endif

#endif
"""


def _constants(profile: Profile, defaults: Parameters) -> dict[str, tuple[int, str]]:
    """Name -> value and C literal."""
    half = profile.analysis_samples // 2
    signed = {
        "ANALYSIS_SAMPLES": profile.analysis_samples,
        "HOP_SAMPLES": profile.hop_samples,
        "SYNTHESIS_SAMPLES": profile.synthesis_samples,
        "BINS": profile.bins,
        "BANDS": profile.band_count,
        "INPUTS": profile.inputs,
        "GAIN_CHANNEL": int(profile.gain_channel),
        "TRACKER_SPP": int(profile.noise_tracker == "spp"),
        "FFT_LOG2": profile.fft_log2,
        "RADIX4_LENGTH": half if (half.bit_length() - 1) % 2 == 0 else half // 2,
        "BIT_REVERSAL_PAIRS": len(bit_reversal_pairs(half)),
        "SAMPLE_RATE_HZ": contract.SAMPLE_RATE_HZ,
        "LATENCY_SAMPLES": profile.latency_samples,
        "DELAY_SAMPLES": profile.stream_delay_samples,
        "NOISE_INIT_HOPS": profile.noise_init_hops,
        "POWER_SHIFT": contract.POWER_SHIFT,
        "NOISE_MIN": contract.NOISE_MIN,
        "NOISE_MIN_LOG2": contract.NOISE_MIN.bit_length() - 1,
        "VAD_THRESHOLD_Q16": contract.VAD_THRESHOLD_Q16,
        "GAMMA_BITS": GAMMA_BITS,
        "FEATURE_LIMIT_Q11": contract.FEATURE_LIMIT_Q11,
    }
    unsigned = {
        "UNITY_GAIN_Q15": contract.UNITY_GAIN_Q15,
        "GAIN_FLOOR_Q15": defaults.gain_floor_q15,
        "WIENER_FLOOR_Q15": defaults.wiener_floor_q15,
        "NOISE_MEMORY_Q31": contract.NOISE_MEMORY_Q31,
        "NOISE_INNOVATION_Q31": contract.NOISE_INNOVATION_Q31,
        "DECISION_DIRECTED_Q31": contract.DECISION_DIRECTED_Q31,
        "DECISION_INNOVATION_Q31": contract.DECISION_INNOVATION_Q31,
        "LN2_Q31": contract.LN2_Q31,
        "PRESENCE_MEMORY_Q31": contract.PRESENCE_MEMORY_Q31,
        "PRESENCE_INNOVATION_Q31": contract.PRESENCE_INNOVATION_Q31,
        "PRESENCE_LIMIT_Q31": contract.PRESENCE_LIMIT_Q31,
        "ABSENCE_MIN_UQ16": contract.ABSENCE_MIN_UQ16,
        "SPP_INNOVATION_Q31": contract.SPP_INNOVATION_Q31,
        "GAMMA_MAX_UQ16": contract.GAMMA_MAX_UQ16,
        "LEARN_WEIGHT_Q31": q(1.0 / profile.noise_init_hops, 31, bits=32),
        "BINS_INVERSE_Q31": q(1.0 / profile.bins, 31, bits=32),
        "BANDS_INVERSE_Q31": q(1.0 / profile.band_count, 31, bits=32),
        "LAYER_NORM_EPSILON_Q24": contract.LAYER_NORM_EPSILON_Q24,
    }
    return {
        **{name: (value, str(value)) for name, value in signed.items()},
        **{name: (value, f"UINT32_C({value})") for name, value in unsigned.items()},
    }


def bit_reversal_pairs(length: int) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, that a bit reversal of `length` places exchanges."""
    bits = length.bit_length() - 1
    reversed_ = [int(f"{i:0{bits}b}"[::-1], 2) for i in range(length)]
    return [(i, j) for i, j in enumerate(reversed_) if i < j]


def _tables(profile: Profile) -> dict[str, tuple[str, Any, str]]:
    """Name -> dtype, values, meaning."""
    n = profile.analysis_samples
    split_a, split_b = tables.split_q31(n)
    return {
        "analysis_window_q31": ("int32", tables.analysis_window_q31(profile), "Analysis window, [0, 2^31)."),
        "synthesis_window_q30": (
            "int32",
            tables.synthesis_window_q30(profile),
            "Synthesis window of the last samples, [0, 2^31).",
        ),
        "twiddle_q31": ("int32", tables.twiddle_q31(n // 2), "cos, sin(2 pi i / (N/2)) of the complex FFT."),
        "split_q31": (
            "int32",
            np.concatenate([split_a, split_b[:, :1]], axis=1),
            "Split of the real FFT: (1 - sin t)/2, -cos(t)/2, (1 + sin t)/2.",
        ),
        "bit_reversal": ("uint16", np.array(bit_reversal_pairs(n // 2)), "Places that a bit reversal exchanges."),
        "band_width": ("uint8", np.array(profile.band_widths), "Bins of each band, in order."),
        "band_inverse_q31": ("uint32", tables.band_inverse_q31(profile), "1 / bins of each band."),
        "absence_uq16": ("uint16", tables.ABSENCE_UQ16, "Absence of speech at an a-posteriori SNR of i/16."),
        "reciprocal_uq16": ("uint16", tables.RECIPROCAL_UQ16, "First guess of a reciprocal, relative error <= 2^-9."),
        "log2_q24": ("int32", tables.LOG2_Q24, "log2(1 + i/256)."),
        "sqrt_uq16": ("uint16", tables.SQRT_UQ16, "sqrt(i/256), start of a square root."),
        "sigmoid_uq16": ("uint16", SIGMOID_UQ16, "sigmoid(i/24), TFLite-Micro's table."),
    }
