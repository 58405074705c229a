"""Reading the vectors: whatever is not complete, sound and as its case says is one clear line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from firmware_sim.reading import arrays_of, one_line
from golden_vectors.errors import WitnessError
from golden_vectors.kinds.base import Case
from golden_vectors.schema import check_arrays, check_case, check_header
from golden_vectors.vector import Vector

DIRECTORY = Path(__file__).resolve().parent / "vectors"
REMEDY = "restore it or run `python -m golden_vectors generate`"
_LIMIT_BYTES = 1 << 26
"""All vectors together are smaller."""
_DAMAGE = (OSError, ValueError, KeyError, RecursionError)
"""What the file system, json and the checks raise for content that is not theirs."""


def load_all(directory: Path = DIRECTORY, cases: Iterable[Case] = ()) -> list[Vector]:
    """Every vector of a directory, in the order of tcId.

    cases   what the directory must hold, and as these cases say; further vectors are welcome when complete
    raises  WitnessError when there is none, or one is missing, doubled, incomplete or damaged
    """
    by_id = {case.id: case for case in cases}
    paths = sorted(directory.glob("*.json"))
    headless = sorted(path.name for path in directory.glob("*.npz") if not path.with_suffix(".json").is_file())
    if not paths and not headless:
        raise WitnessError(f"{directory}: holds no vectors: run `python -m golden_vectors generate`")
    if headless:
        raise WitnessError(f"{directory}: without a header (.json): {', '.join(headless)}: {REMEDY}")
    missing = by_id.keys() - {path.stem for path in paths}
    if missing:
        names = ", ".join(name for name in by_id if name in missing)
        raise WitnessError(f"{directory}: {len(missing)} of {len(by_id)} vectors missing: {names}: {REMEDY}")
    by_number: dict[int, Vector] = {}
    for path in paths:
        vector = load(path, by_id.get(path.stem))
        other = by_number.setdefault(vector.header["tcId"], vector)
        if other is not vector:
            raise WitnessError(f"{path}: duplicate: tcId {vector.header['tcId']} is that of {other.id}: {REMEDY}")
    return [by_number[number] for number in sorted(by_number)]


def load(path: Path, case: Case | None = None) -> Vector:
    """One vector from its header's path, complete, and as its case says if there is one.

    raises  WitnessError, one line naming the file, for everything that `generate` would not have written
    """
    try:
        header = check_header(json.loads(path.read_bytes()))
        if header["id"] != path.stem:
            raise ValueError(f"the file is named {path.stem}, its id is {header['id']}")
        raw = path.with_suffix(".npz").read_bytes()
        if hashlib.sha256(raw).hexdigest() != header["arrays_sha256"]:
            raise ValueError(f"{path.stem}.npz is not the file that the header was written for")
        arrays = arrays_of(raw, _LIMIT_BYTES)
        check_arrays(header, arrays)
        if case is not None:
            check_case(header, case)
        return Vector(header, arrays)
    except FileNotFoundError as error:
        raise WitnessError(f"{error.filename}: no such file: {REMEDY}") from None
    except _DAMAGE as error:
        raise WitnessError(f"{path}: not a vector of this version: {one_line(error)}: {REMEDY}") from None
