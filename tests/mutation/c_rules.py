"""Faults in C: rules over the tokens inside function bodies. Comments, directives and declarations stay as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutation.mutant import Mutant, Spots

_TOKEN = re.compile(
    r"""(?P<skip>/\*.*?\*/|//[^\n]*|^[ \t]*\#(?:[^\n\\]|\\\n|\\.)*|\s+|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<number>0[xX][0-9a-fA-F]+[uUlL]*|\d+[uUlL]*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<sign>>>=|<<=|->|\+\+|--|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|>>|<<|.)""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_NOT_A_STATEMENT = frozenset(
    ["return", "for", "if", "while", "else", "do", "switch", "case", "default", "break", "continue", "const", "static",
     "register", "enum", "struct", "bool", "int", "unsigned", "char", "size_t", "STAPES_MARK", "STAPES_UNROLL",
     "__asm__", "_Static_assert"]
)  # fmt: skip
_SWAPS = {
    ">>": ("<<",), "<<": (">>",), "&": ("|",), "|": ("&",), "^": ("|",), "/": ("*",), "%": ("/",),
    "&&": ("||",), "||": ("&&",), "+=": ("-=",), "-=": ("+=",), "|=": ("&=",),
    "<": ("<=", ">"), "<=": ("<", ">="), ">": (">=", "<"), ">=": (">", "<="), "==": ("!=",), "!=": ("==",),
}  # fmt: skip
_SUM = {"+": ("-",), "-": ("+",)}
_SATURATIONS = {
    "stapes_sat_i15": "(int16_t)({0})", "stapes_sat_i16": "(int16_t)({0})", "stapes_limit_i16": "(int16_t)({0})",
    "stapes_limit_i8": "(int8_t)({0})", "stapes_double_sat_i32": "stapes_double_i32({0})", "__SSAT": "({0})",
    "stapes_limited": "({0})", "__QADD16": "__SADD16({0}, {1})",
}  # fmt: skip
"""Call that limits -> what wraps instead; the number of its arguments is in the braces."""
_ORDERED = frozenset(["sub", "stapes_sub_i32", "__SSUB16", "__PKHBT", "__PKHTB", "split", "butterfly", "centred"])
"""Functions whose first two arguments may not change places."""
_REFUSALS = frozenset(["valid", "plausible", "stapes_set_parameters", "stapes_restart", "stapes_tap"])
"""Functions that refuse what no vector may hold; tests/firmware has them."""


@dataclass(frozen=True)
class Token:
    """A piece of C, its kind (number, name, sign) and offset."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokens(text: str) -> list[Token]:
    """All tokens but comments, strings and preprocessor lines."""
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "skip":
            found.append(Token(kind, match.group(), match.start()))
    return found


def bodies(stream: list[Token]) -> Iterator[list[Token]]:
    """The tokens of each function body that computes, without its braces."""
    depth, begin, name = 0, None, ""
    for i, token in enumerate(stream):
        if depth == 0 and token.text == "(" and stream[i - 1].kind == "name":
            name = stream[i - 1].text
        if token.text == "{":
            if depth == 0 and i and stream[i - 1].text == ")" and name not in _REFUSALS:
                begin = i + 1
            depth += 1
        elif token.text == "}":
            depth -= 1
            if depth == 0 and begin is not None:
                yield stream[begin:i]
                begin = None


def faults(file: str, text: str, kind: str = "c") -> list[Mutant]:
    """Every fault that the rules make in a file."""
    spots = Spots(kind, file, text)
    found = []
    for body in bodies(tokens(text)):
        for rule in (_operators, _numbers, _calls, _statements, _conditions, _members):
            found += [spots.mutant(name, start, before, after) for name, start, before, after in rule(body, text)]
    return found


Fault = tuple[str, int, str, str]
"""(rule, offset, before, after)."""


def _is_type(token: Token) -> bool:
    return token.text.endswith("_t") or token.text in ("const", "int", "unsigned", "char", "void", "bool", "sizeof")


def _is_operand(body: list[Token], i: int) -> bool:
    """Whether the token before i ends an operand, so that i is a binary operator."""
    if i == 0:
        return False
    before = body[i - 1]
    if before.text == ")":
        return not (i > 1 and _is_type(body[i - 2]))
    return before.text == "]" or before.kind == "number" or (
        before.kind == "name" and not _is_type(before) and before.text != "return"
    )  # fmt: skip


def _operators(body: list[Token], text: str) -> Iterator[Fault]:
    for i, token in enumerate(body):
        if token.kind != "sign":
            continue
        if _is_operand(body, i):
            for after in (*_SWAPS.get(token.text, ()), *_SUM.get(token.text, ())):
                rule = "compare" if token.text in ("<", "<=", ">", ">=", "==", "!=") else "operator"
                yield rule, token.start, token.text, after
            if token.text in (">>", "<<") and body[i + 1].kind != "number":
                yield "shift", token.start, token.text, token.text + " 1 +"
        elif token.text in "-~!":
            yield "sign", token.start, token.text, ""


def _numbers(body: list[Token], text: str) -> Iterator[Fault]:
    for i, token in enumerate(body):
        if token.kind != "number":
            continue
        before, after = body[i - 1].text if i else "", body[i + 1].text if i + 1 < len(body) else ""
        if before == "[" and after == "]" and body[i + 2].text in (";", "="):
            continue
        digits = token.text.rstrip("uUlL")
        suffix, value = token.text[len(digits) :], int(digits, 0)
        rule = {">>": "shift", "<<": "power", "[": "index"}.get(before, "constant")
        for changed in (value + 1, *((value - 1,) if value else ())):
            shown = f"0x{changed:X}" if digits[:2] in ("0x", "0X") else str(changed)
            yield rule, token.start, token.text, shown + suffix


def _calls(body: list[Token], text: str) -> Iterator[Fault]:
    for i, token in enumerate(body[:-1]):
        if token.kind != "name" or body[i + 1].text != "(":
            continue
        if token.text not in _SATURATIONS and token.text not in _ORDERED:
            continue
        arguments, end = _arguments(body, i + 1, text)
        before = text[token.start : end]
        if token.text in _SATURATIONS:
            yield "saturation", token.start, before, _SATURATIONS[token.text].format(*arguments)
        elif arguments[0] != arguments[1]:
            first, second, *rest = arguments
            yield "swap", token.start, before, f"{token.text}({', '.join([second, first, *rest])})"


def _arguments(body: list[Token], opening: int, text: str) -> tuple[list[str], int]:
    """Texts of the arguments behind an opening bracket, and the offset behind the closing one."""
    depth, start, found = 0, body[opening].end, []
    for token in body[opening:]:
        depth += (token.text in "([{") - (token.text in ")]}")
        if depth == 0 or (depth == 1 and token.text == ","):
            found.append(text[start : token.start].strip())
            start = token.end
        if depth == 0:
            return found, token.end
    raise ValueError(f"no closing bracket after {text[body[opening].start :][:40]!r}")


def _statements(body: list[Token], text: str) -> Iterator[Fault]:
    """Assignments and calls that are left out."""
    depth = 0
    for i, token in enumerate(body):
        depth += (token.text in "([") - (token.text in ")]")
        if depth or (i and body[i - 1].text not in (";", "{", "}")):
            continue
        first = body[i + 1] if token.text == "*" else token
        if first.kind != "name" or first.text in _NOT_A_STATEMENT or (_is_type(first) and token.text != "*"):
            continue
        end = next((later for later in body[i:] if later.text in (";", "{")), None)
        if end is not None and end.text == ";":
            yield "statement", token.start, text[token.start : end.end], ";"


def _conditions(body: list[Token], text: str) -> Iterator[Fault]:
    for i, token in enumerate(body[:-1]):
        if token.text == "if":
            (condition, *_), end = _arguments(body, i + 1, text)
            yield "condition", body[i + 1].start, text[body[i + 1].start : end], f"(!({condition}))"


def _members(body: list[Token], text: str) -> Iterator[Fault]:
    other = {"re": "im", "im": "re", "a": "b", "c": "d"}
    for i, token in enumerate(body):
        if i and body[i - 1].text in (".", "->") and token.text in other and (i < 2 or body[i - 2].text not in "{,"):
            yield "member", token.start, token.text, other[token.text]
