"""Digests of everything that Stapes computes, taken in other environments: the bits must be the same.

    python -m tests.determinism          every variation of this machine, one line each; exit 1 if a bit moves
    python -m tests.determinism probe    one environment, the current one, as JSON

A variation that is not in force would prove nothing. So each probe also says what numpy, BLAS and the C library
report about themselves, and takes digests of plain float arithmetic, which must move.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import locale
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
VECTORS = ("impulse", "gain_floor_edge", "lost_hops", "network_speech_int16x8", "network_speech_int8")
HOPS = 250
CORES = ("Prescott", "Nehalem", "Haswell", "SkylakeX")
"""OpenBLAS kernels from SSE3 to AVX-512; a machine takes those that it can run."""
LOCALES = ("de_DE", "tr_TR")
"""A decimal comma; an i without a dot."""
VARIED = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES",
    "LANG", "LC_ALL", "LOCPATH", "TZ", "PYTHONHASHSEED", "PYTHONUTF8", "PROBE_THREADS",
)  # fmt: skip
USUAL = {"LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}


def digest(*arrays: npt.ArrayLike) -> str:
    """16 hex digits over the bytes of arrays."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]


# ---------------------------------------------------------------- what is in force


def blas() -> dict[str, Any]:
    """Kernel and threads of the OpenBLAS that numpy's wheel carries; empty where numpy has another BLAS."""
    folders = Path(np.__file__).parent.parent / "numpy.libs", Path(np.__file__).parent / ".dylibs"
    for path in (path for folder in folders for path in sorted(folder.glob("*openblas*"))):
        library = ctypes.CDLL(str(path))
        for suffix in ("64_", ""):
            if hasattr(library, f"scipy_openblas_get_corename{suffix}"):
                if "PROBE_THREADS" in os.environ:  # OpenBLAS by itself takes no more threads than there are cores
                    library[f"scipy_openblas_set_num_threads{suffix}"](int(os.environ["PROBE_THREADS"]))
                name = library[f"scipy_openblas_get_corename{suffix}"]
                name.restype = ctypes.c_char_p
                threads = int(library[f"scipy_openblas_get_num_threads{suffix}"]())
                return {"core": name().decode(), "threads": threads}
    return {}


def features() -> list[str]:
    """The dispatched CPU features that numpy uses now."""
    from numpy._core import _multiarray_umath as core

    return [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]


def floats() -> dict[str, str]:
    """Float arithmetic that follows its environment: which it shows by its digest."""
    x = np.sin(np.arange(129 * 129, dtype=np.float64)).reshape(129, 129)
    return {"matmul": digest(x @ x.T), "tanh": digest(np.tanh(x))}


def in_force() -> dict[str, Any]:
    """What this process runs on."""
    try:
        locale.setlocale(locale.LC_ALL, "")
    except locale.Error as error:
        return {"locale": f"refused: {error}"}
    return {
        "blas": blas(),
        "numpy": features(),
        "locale": [locale.setlocale(locale.LC_ALL), locale.localeconv()["decimal_point"]],
        "utf8": sys.flags.utf8_mode,
        "hash": hash("stapes"),
        "hour": time.localtime(0).tm_hour,
        **floats(),
    }


# ---------------------------------------------------------------- what must not move


def probe() -> dict[str, str]:
    """Name -> digest, in the current environment."""
    from export.__main__ import TARGETS, translate
    from export.quantize import quantize_all
    from firmware_sim.contract import PROFILES
    from firmware_sim.frame_loop import TAPS, FrameLoop
    from firmware_sim.graph import SCHEMES
    from golden_vectors.__main__ import BLESSED
    from golden_vectors.cases import CASES
    from golden_vectors.generate import build, load_graphs
    from tests import signals
    from tests.synthetic_student import synthetic_student

    found = {"tables": digest(*tables()), "activations": digest(*activation_tables())}
    graphs = load_graphs(BLESSED)
    pcm = signals.noisy_speech(2.0)[:, : HOPS * 64]
    for scheme, graph in graphs.items():
        hops = list(FrameLoop(PROFILES[graph.meta["profile"]], graph, streams=len(pcm)).hops_of(pcm))
        found[f"loop {scheme}"] = digest(*(hop.taps[name] for hop in hops for name in TAPS))
        files = translate(graph, TARGETS)
        found |= {f"{scheme}/{name}": hashlib.sha256(data).hexdigest()[:16] for name, data in files.items()}
    for case in CASES:
        if case.id in VECTORS:
            for name, data in build(case, graphs).files().items():
                found[name] = hashlib.sha256(data).hexdigest()[:16]
    student = synthetic_student(hidden=48, frames=100)
    for per_channel in (False, True):
        for scheme, graph in quantize_all(student, SCHEMES, per_channel).items():
            found[f"quantized {scheme}{' per channel' if per_channel else ''}"] = graph.digest[:16]
    return found


def tables() -> list[npt.NDArray[np.int64]]:
    """Every table of the front end, made anew, for the product's profile and the asymmetric ones."""
    from firmware_sim import tables as t
    from firmware_sim.contract import PROFILES, Profile

    made = [t._reciprocal(), t._log2(), t._sqrt()]
    for profile in (*PROFILES.values(), Profile("long", 512, 64, 128), Profile("short", 128, 32, 64)):
        made += [t.analysis_window_q31.__wrapped__(profile), t.synthesis_window_q30.__wrapped__(profile)]
    made += [t.twiddle_q31.__wrapped__(length) for length in (16, 32, 64, 128, 256, 512)]
    return made + [half for length in (32, 64, 128, 256, 512, 1024) for half in t.split_q31.__wrapped__(length)]


def activation_tables() -> list[npt.NDArray[Any]]:
    """The sigmoid table, made anew, and what it becomes."""
    from firmware_sim import activations

    both = ("LOGISTIC", "TANH")
    wide = [activations.table.__wrapped__(kind, "int16", 2.0**-11, 0) for kind in both]
    narrow = [activations.table.__wrapped__(kind, "int8", 2.0**-4, 0) for kind in both]
    return [activations._sigmoid_table(), *wide, *narrow]


# ---------------------------------------------------------------- variations


@dataclass(frozen=True)
class Run:
    """Digests of one environment, and what was in force there."""

    digests: dict[str, str]
    in_force: dict[str, Any]


def run_probe(variation: Mapping[str, str]) -> Run:
    """The probe in a process of its own; nothing that varies is inherited."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIED}
    environment = {**inherited, **USUAL, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **variation}
    command = [sys.executable, "-m", "tests.determinism", "probe"]
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{dict(variation)}: {ended.stderr.strip()}")
    answer = json.loads(ended.stdout)
    return Run(answer["digests"], answer["in_force"])


def threads_of(n: int) -> dict[str, str]:
    """Variables that give BLAS n threads."""
    return dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PROBE_THREADS"), str(n))


def made_locales(folder: Path, names: Sequence[str] = LOCALES) -> dict[str, dict[str, str]]:
    """Locales that this machine can make, name -> the variables that choose it: no installation is asked for."""
    found = {}
    for name in names:
        try:
            command = ["localedef", "-i", name, "-f", "UTF-8", str(folder / f"{name}.UTF-8")]
            made = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            made = False
        if made:
            found[name] = {"LOCPATH": str(folder), "LC_ALL": f"{name}.UTF-8", "LANG": f"{name}.UTF-8"}
    return found


def disabled(features_here: Sequence[str]) -> dict[str, dict[str, str]]:
    """Without the newest feature, without the two newest, and so on."""
    newest_first = list(reversed(features_here))
    return {
        f"numpy without {' '.join(newest_first[: n + 1])}": {
            "NPY_DISABLE_CPU_FEATURES": " ".join(newest_first[: n + 1])
        }
        for n in range(len(newest_first))
    }


def variations(base: Run, folder: Path) -> dict[str, dict[str, str]]:
    """Every variation that this machine can bring into force, by name."""
    threads = {f"{n} thread{'s' * (n > 1)}": threads_of(n) for n in (1, 2, 7)}
    cores = {f"OpenBLAS {core}": {"OPENBLAS_CORETYPE": core} for core in CORES} if base.in_force["blas"] else {}
    if "X86_V4" not in base.in_force["numpy"]:
        cores.pop("OpenBLAS SkylakeX", None)
    if "X86_V3" not in base.in_force["numpy"]:
        cores.pop("OpenBLAS Haswell", None)
    words = {
        "locale C, UTF-8 off": {"LC_ALL": "C", "PYTHONUTF8": "0"},
        "UTF-8 mode": {"PYTHONUTF8": "1"},
        "hash seed 1": {"PYTHONHASHSEED": "1"},
        "hash seed 2, another time zone": {"PYTHONHASHSEED": "2", "TZ": "Pacific/Kiritimati"},
        **{f"locale {name}": chosen for name, chosen in made_locales(folder).items()},
    }
    return {**threads, **cores, **disabled(base.in_force["numpy"]), **words}


def moved(base: Run, other: Run) -> list[str]:
    """Names whose digests differ, or that only one side has."""
    return [name for name in {**base.digests, **other.digests} if base.digests.get(name) != other.digests.get(name)]


def sweep() -> int:
    """Every variation, one line each; returns the number in which a bit moved."""
    from tempfile import TemporaryDirectory

    base, red = run_probe({}), 0
    with TemporaryDirectory() as folder:
        for name, variation in variations(base, Path(folder)).items():
            run = run_probe(variation)
            seen = [f"{k} {v}" for k, v in run.in_force.items() if v != base.in_force[k]]
            wrong = moved(base, run)
            red += bool(wrong)
            print(f"{'MOVED ' + ', '.join(wrong) if wrong else 'equal'}: {name}; in force: {'; '.join(seen) or '-'}")
    return red


def main(arguments: Sequence[str]) -> int:
    if list(arguments) != ["probe"]:
        return min(sweep(), 1)
    # Before anything is computed: C libraries take the locale that the environment names.
    state = in_force()
    print(json.dumps({"in_force": state, "digests": probe()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
