"""The few words of C that generated files are made of: arrays, structs, and calls that fit the line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

WIDTH = 110
BYTES = {"int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4}


def array(declaration: str, values: Any) -> str:
    """A C array: `declaration[count] = {...};`; a two-dimensional one has a row per pair of braces."""
    if not isinstance(values, list):
        numbers = np.asarray(values)
        shape = "".join(f"[{n}]" for n in numbers.shape)
        rows = numbers.tolist()
        items = [literal(v) if numbers.ndim == 1 else "{" + ", ".join(map(literal, v)) + "}" for v in rows]
    else:
        shape, items = f"[{len(values)}]", values
    return f"{declaration}{shape} = {{\n{_filled(items)}}};\n"


def literal(value: int) -> str:
    """An integer literal; INT32_MIN has none in C."""
    return "INT32_MIN" if value == -(1 << 31) else str(value)


def _filled(items: Sequence[str]) -> str:
    """Items separated by commas, as many on a line as fit."""
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > WIDTH:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join([*lines, line]) + "\n"


def wrapped(head: str, items: Sequence[str], tail: str, width: int = WIDTH) -> str:
    """head + items joined by commas + tail, continued below the opening bracket where a line would be too long."""
    lines, indent = [head], " " * len(head)
    for i, item in enumerate(items):
        piece = item + (", " if i + 1 < len(items) else tail)
        if len(lines[-1]) + len(piece.rstrip()) > width and lines[-1].strip():
            lines[-1] = lines[-1].rstrip()
            lines.append(indent)
        lines[-1] += piece
    return "\n".join(lines) + "\n"
