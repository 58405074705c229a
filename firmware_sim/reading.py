"""What every reader of files stands on: an archive of arrays that nobody vouches for, and an error in one line."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt

_LONGEST_REASON = 300
_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class DamagedArchive(ValueError):
    """An archive that holds no plain arrays; the message says what is wrong, without the name of the file."""


def one_line(error: object) -> str:
    """What an error says: one printable line that leaves room for the name of a file and a remedy."""
    words = " ".join(str(error).split()) or type(error).__name__
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def arrays_of(raw: bytes, limit_bytes: int) -> dict[str, npt.NDArray[Any]]:
    """Name -> array of an .npz.

    limit_bytes  of all arrays together; no header and no compression makes this function take more memory
    raises       DamagedArchive for all that is not an archive of distinct .npy of plain values
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if len(set(names)) != len(names) or not all(name.endswith(".npy") for name in names):
                raise DamagedArchive("members are doubled, or are not .npy")
            if sum(member.file_size for member in members) > limit_bytes:
                raise DamagedArchive(f"its arrays take more than {limit_bytes} bytes")
            return {name.removesuffix(".npy"): _array(name, archive.read(name)) for name in names}
    except DamagedArchive:
        raise
    except Exception as error:  # zipfile, zlib and numpy name no common class for what damage raises
        raise DamagedArchive(f"not an archive of arrays: {one_line(error)}") from None


def _array(name: str, content: bytes) -> npt.NDArray[Any]:
    """The array of a .npy whose header promises exactly the bytes that follow."""
    stream = io.BytesIO(content)
    read_header = _NPY_HEADERS.get(np.lib.format.read_magic(stream))
    if read_header is None:
        raise DamagedArchive(f"{name} is of another version")
    shape, fortran_order, dtype = read_header(stream)
    body = content[stream.tell() :]
    if dtype.kind not in "biufU":
        raise DamagedArchive(f"{name} holds no plain numbers or text")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(body):
        raise DamagedArchive(f"{name} does not hold what its header promises")
    flat = np.frombuffer(body, dtype, math.prod(shape))
    return flat.reshape(shape, order="F" if fortran_order else "C").copy()
