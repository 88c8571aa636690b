"""Small faults, one at a time, in the contracts' sources: what the tests must notice.

Operators are the usual ones of mutation testing (as in slither-mutate): comparisons, arithmetic, logic, constants,
conditions, statements, arguments, modifiers, enum members. They work on solc's syntax tree, so that each replaces
exactly one node.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.contracts.quality.builds import extent, is_own, nodes

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
ARITHMETIC = {"+": "-", "-": "+", "*": "+", "/": "*", "%": "*", "<<": ">>", ">>": "<<", "&": "|", "^": "&", "|": "&"}
LOGIC = {"&&": "||", "||": "&&"}
UPDATES = {"+=": "-=", "-=": "+=", "*=": "+="}
NAMES = {"min": "max", "max": "min", "Ceil": "Floor", "addmod": "mulmod", "mulmod": "addmod"}
COMMUTATIVE = {"min", "max", "add", "mul"}
"""Functions of two arguments whose order means nothing."""


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        name: Source, function, operator and number.
        identity: A hash of the function's text and of the fault in it: the same as long as both are.
        unit: The source.
        start: First byte of what is replaced.
        end: The one after its last.
        text: What stands there instead.
    """

    name: str
    identity: str
    unit: str
    start: int
    end: int
    text: str

    def applied(self, sources: Mapping[str, str]) -> dict[str, str]:
        """Return the sources with this fault."""
        code = sources[self.unit].encode()
        return {**sources, self.unit: (code[: self.start] + self.text.encode() + code[self.end :]).decode()}

    def shown(self, sources: Mapping[str, str]) -> str:
        """Return the line and what became of it, for readers."""
        code = sources[self.unit].encode()
        line = code[: self.start].count(b"\n") + 1
        before, after = (" ".join(text.split()) for text in (code[self.start : self.end].decode(), self.text))
        return f"line {line}: `{before[:90]}` became `{after[:90] or ' '}`"


def mutants(asts: Mapping[str, Any], sources: Mapping[str, str]) -> Iterator[Mutant]:
    """Yield every fault, in the order of the sources."""
    numbers: Counter[str] = Counter()
    for unit in sorted(unit for unit in asts if is_own(unit)):
        code = sources[unit].encode()
        for declared in nodes(asts[unit]):
            place = f"{unit.removeprefix('src/').removesuffix('.sol')}.{declared.get('name') or declared.get('kind')}"
            for operator, start, end, text in _of_declaration(declared, code):
                numbers[f"{place} {operator}"] += 1
                name = f"{place} {operator} {numbers[f'{place} {operator}']}"
                yield Mutant(name, _identity(unit, declared, code, start, end, text), unit, start, end, text)


def _identity(unit: str, declared: Mapping[str, Any], code: bytes, start: int, end: int, text: str) -> str:
    first, last = extent(declared)
    fault = repr((unit, code[first:last], start - first, end - first, text))
    return hashlib.sha256(fault.encode()).hexdigest()[:12]


Fault = tuple[str, int, int, str]


def _of_declaration(declared: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    body: Any = None
    if declared["nodeType"] == "FunctionDefinition":
        body = declared.get("body")  # none in an interface
        for modifier in declared["modifiers"]:
            if modifier["kind"] != "baseConstructorSpecifier":
                yield ("modifier", *extent(modifier), "")
    elif declared["nodeType"] == "VariableDeclaration" and declared.get("constant"):
        body = declared["value"]
    for node in nodes(body):
        if handler := _HANDLERS.get(node["nodeType"]):
            yield from handler(node, code)


def _binary(node: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    for kind, table in (("comparison", COMPARISONS), ("arithmetic", ARITHMETIC), ("logic", LOGIC)):
        if other := table.get(node["operator"]):
            left, right = extent(node["leftExpression"])[1], extent(node["rightExpression"])[0]
            yield (kind, left, right, code[left:right].decode().replace(node["operator"], other))


def _unary(node: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    start, end = extent(node)
    text = code[start:end].decode()
    if node["operator"] == "!":
        yield ("negation", start, end, text[1:])
    elif node["operator"] == "-":
        yield ("negation", start, end, f"({text[1:]})")
    elif node["operator"] in ("++", "--"):
        yield ("update", start, end, text.replace("++", "--") if "++" in text else text.replace("--", "++"))


def _statement(node: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    kind = "require" if _callee(node["expression"]) == "require" else "statement"
    yield (kind, *_deleted(node, code))


def _emit(node: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    yield ("event", *_deleted(node, code))


def _return(node: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    yield ("return", *_deleted(node, code))


def _deleted(node: Mapping[str, Any], code: bytes) -> tuple[int, int, str]:
    """An empty block in the place of a statement; nothing in that of a loop's step, which has no semicolon."""
    start, end = extent(node)
    return (start, end + 1, "{}") if code[end : end + 1] == b";" else (start, end, "")


def _assignment(node: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    if other := UPDATES.get(node["operator"]):
        left, right = extent(node["leftHandSide"])[1], extent(node["rightHandSide"])[0]
        between = code[left:right].decode()
        yield ("update", left, right, between.replace(node["operator"], other))
        yield ("update", left, right, between.replace(node["operator"], "="))


def _condition(node: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    for value in ("true", "false"):
        yield ("condition", *extent(node["condition"]), value)


def _call(node: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    """Swap neighbours of one type among the arguments of a call, an error or an event."""
    name = node["expression"].get("memberName") or node["expression"].get("name")
    arguments = [] if node["names"] or name in COMMUTATIVE else node["arguments"]
    for one, other in pairwise(arguments):
        if one["typeDescriptions"]["typeIdentifier"] == other["typeDescriptions"]["typeIdentifier"]:
            (start, middle), (after, end) = extent(one), extent(other)
            text = code[after:end] + code[middle:after] + code[start:middle]
            if text != code[start:end]:
                yield ("arguments", start, end, text.decode())


def _literal(node: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    if node["kind"] == "number":
        start, end = extent(node)
        yield ("constant", start, end, f"({code[start:end].decode()} + 1)")
    elif node["kind"] == "bool":
        yield ("constant", *extent(node), "false" if node["value"] == "true" else "true")
    elif node["kind"] == "string":
        start, end = extent(node)
        yield ("constant", start, end, code[start:end].decode()[:-1] + '!"' if end - start > 2 else '"!"')


def _member(node: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    start, end = extent(node)
    text = code[start:end].decode()
    if other := NAMES.get(node["memberName"]):
        yield ("function", start, end, text.removesuffix(node["memberName"]) + other)
    elif text.startswith("State.") and (successor := _SUCCESSORS.get(node["memberName"])):
        yield ("state", start, end, f"State.{successor}")


def _identifier(node: Mapping[str, Any], code: bytes) -> Iterator[Fault]:
    if other := NAMES.get(node["name"]):
        yield ("function", *extent(node), other)


def _callee(expression: Mapping[str, Any]) -> str:
    return str(expression.get("expression", {}).get("name", ""))


_STATES = ("Testing", "Answered", "Purchased", "Proven", "Accepted", "Revealed", "Settled", "Expired", "Slashed")
_SUCCESSORS = dict(zip(_STATES, (*_STATES[1:], "Testing"), strict=True))
_HANDLERS = {
    "BinaryOperation": _binary,
    "UnaryOperation": _unary,
    "ExpressionStatement": _statement,
    "EmitStatement": _emit,
    "Return": _return,
    "Assignment": _assignment,
    "IfStatement": _condition,
    "Conditional": _condition,
    "FunctionCall": _call,
    "Literal": _literal,
    "MemberAccess": _member,
    "Identifier": _identifier,
}
