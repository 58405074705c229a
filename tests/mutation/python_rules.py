"""Faults in the Python reference: rules over the syntax tree of its functions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from tests.mutation.mutant import Mutant, Spots

_BINARY: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.RShift: (">>", "<<"), ast.LShift: ("<<", ">>"),
    ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"), ast.FloorDiv: ("//", "*"), ast.Div: ("/", "*"), ast.Mod: ("%", "//"),
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">")), ast.LtE: ("<=", ("<", ">=")), ast.Gt: (">", (">=", "<")), ast.GtE: (">=", (">", "<=")),
    ast.Eq: ("==", ("!=",)), ast.NotEq: ("!=", ("==",)), ast.Is: ("is", ("is not",)), ast.IsNot: ("is not", ("is",)),
}  # fmt: skip
_FUNCTIONS = {
    "minimum": "maximum", "maximum": "minimum", "rint": "floor", "floor": "rint", "sin": "cos", "cos": "sin",
    "zeros": "ones", "zeros_like": "ones_like", "add": "subtract",
    "subtract": "add",
}  # fmt: skip
_SATURATIONS = frozenset(["clamp", "sat_i16", "sat_i32", "wrap_i32"])
_SILENT = frozenset(["operations", "enter_stage", "setflags", "require", "next_behind"])
"""Calls that meter or check: no bit depends on them."""

Fault = tuple[str, tuple[int, int], str]
"""(rule, offsets of what is replaced, what stands in its place)."""


class Source:
    """Offsets of the nodes of one file."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Offsets of a node in characters."""
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def of(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def sign(self, left: ast.AST, sign: str, right: ast.AST) -> tuple[int, int]:
        """Offsets of the operator between two operands."""
        start = self.text.index(sign, self.span(left)[1], self.span(right)[0])
        return start, start + len(sign)

    def _offset(self, line: int, column: int) -> int:
        start = self._starts[line - 1]
        text = self.text[start:].split("\n", 1)[0]
        return start + len(text.encode()[:column].decode())


def faults(file: str, text: str, wanted: Callable[[str], bool] = lambda name: True) -> list[Mutant]:
    """Every fault that the rules make in the functions and constants of a file whose qualified name is wanted."""
    source, spots = Source(text), Spots("python", file, text)
    found = []
    for node in _nodes(source.tree, wanted):
        for rule, (start, end), after in _faults_at(node, source):
            found.append(spots.mutant(rule, start, text[start:end], after))
    return found


def _nodes(tree: ast.Module, wanted: Callable[[str], bool]) -> Iterator[ast.AST]:
    """Statements and expressions of wanted functions and of constants."""

    def inside(body: list[ast.stmt], prefix: str) -> Iterator[ast.AST]:
        for statement in body:
            if isinstance(statement, ast.ClassDef):
                yield from inside(statement.body, f"{prefix}{statement.name}.")
            elif isinstance(statement, ast.FunctionDef):
                if wanted(prefix + statement.name):
                    for inner in statement.body:
                        yield from _walk(inner)
            elif isinstance(statement, ast.Assign) and not prefix and wanted("<constants>"):
                yield from _walk(statement.value)

    yield from inside(tree.body, "")


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below, without docstrings, annotations, messages, metering and axes."""
    if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr)):
        return
    if isinstance(node, ast.Expr) and (isinstance(node.value, ast.Constant) or _called(node.value) in _SILENT):
        return
    if isinstance(node, ast.keyword) and node.arg in ("bits", "axis"):
        return
    yield node
    for name, child in ast.iter_fields(node):
        if name in ("annotation", "op", "ops"):
            continue
        for inner in child if isinstance(child, list) else [child]:
            if isinstance(inner, ast.AST):
                yield from _walk(inner)


def _called(node: ast.AST) -> str:
    """Last name of a called function, or nothing."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _faults_at(node: ast.AST, source: Source) -> Iterator[Fault]:
    span, of = source.span, source.of
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        step = 1 if type(node.value) is int else node.value / 64
        yield "constant", span(node), str(node.value + step)
        if node.value:
            yield "constant", span(node), str(node.value - step)
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        before, after = _BINARY[type(node.op)]
        place = source.sign(node.left, before, node.right)
        yield "operator", place, after
        if before in (">>", "<<") and not isinstance(node.right, ast.Constant):
            yield "shift", place, f"{before} 1 +"
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
        before, others = _COMPARE[type(node.ops[0])]
        for after in others:
            yield "compare", source.sign(node.left, before, node.comparators[0]), after
    elif isinstance(node, ast.Call):
        yield from _call_faults(node, source)
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
        yield "sign", span(node), of(node.operand)
    elif isinstance(node, (ast.If, ast.IfExp)):
        yield "condition", span(node.test), f"(not ({of(node.test)}))"
    elif isinstance(node, (ast.AugAssign, ast.Expr)) or (
        isinstance(node, ast.Assign) and not isinstance(node.targets[0], (ast.Name, ast.Tuple))
    ):
        yield "statement", span(node), "pass"


def _call_faults(node: ast.Call, source: Source) -> Iterator[Fault]:
    name, span, of = _called(node), source.span, source.of
    if name in _SATURATIONS and node.args:
        yield "saturation", span(node), f"({of(node.args[0])})"
    if name == "mul_q15":
        yield "rounding", span(node), f"(({of(node.args[0])}) * ({of(node.args[1])}) >> 15)"
    elif name == "shr_round":
        yield "rounding", span(node.func), "(lambda x, n: x >> n)"
    elif name in _FUNCTIONS:
        end = span(node.func)[1]
        yield "function", (end - len(name), end), _FUNCTIONS[name]
    if name == "where" and len(node.args) == 3:
        yield "swap", span(node), f"{of(node.func)}({of(node.args[0])}, {of(node.args[2])}, {of(node.args[1])})"
    for argument in node.args:
        if isinstance(argument, ast.Name) and argument.id == "counter":
            yield "hits", span(argument), "None"
