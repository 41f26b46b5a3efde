"""JSONPath as Kubernetes' printer columns use it.

Upstream: staging/src/k8s.io/client-go/util/jsonpath (parser.go, jsonpath.go), with missing keys allowed. Fields, quoted keys,
indexes, slices, unions, wildcards, recursive descent and filters; ``range`` belongs to templates and is refused.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["JsonPathError", "compile_path", "printed"]

Step = Callable[[list[Any]], list[Any]]
_TERMINATORS = " \t\r\n.,[]$@{}"
_KEY = re.compile(r"^'([^']*)'$")
_SLICE = re.compile(r"^(-?\d*)(:-?\d*)?(:-?\d*)?$")
_COMPARISON = re.compile(r"^([^!<>=]+)([!<>=]+)(.+?)$")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


class JsonPathError(ValueError):
    """A path that cannot be read, or that does not fit the object."""


def compile_path(text: str) -> Step:
    """What finds the values of a path such as ``.status.conditions[?(@.type=="Ready")].status``.

    The function takes the roots in a list and returns what it found; it raises JsonPathError where the path does not fit.

    Raises:
        JsonPathError: the path cannot be read.
    """
    return _chain(_Parser(text).steps())


def _chain(steps: Sequence[Step]) -> Step:
    def find(values: list[Any]) -> list[Any]:
        for step in steps:
            values = step(values)
        return values

    return find


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def steps(self) -> list[Step]:
        found: list[Step] = []
        while self.at < len(self.text):
            step = self._step()
            if step is not None:
                found.extend(step)
        return found

    def _step(self) -> list[Step] | None:
        text, at = self.text, self.at
        if text.startswith("[?(", at):
            return [self._filter()]
        if text.startswith("..", at):
            self.at += 2
            following = text[self.at : self.at + 1]
            is_named = following == "_" or following.isalnum()
            return [_recursive, self._field()] if is_named else [_recursive]
        symbol = text[at]
        if symbol in " @$":
            self.at += 1
            return None
        if symbol == ".":
            self.at += 1
            return [self._field()]
        if symbol == "[":
            return self._brackets()
        if symbol in "\"'":
            return [_constant(self._quoted(symbol))]
        if symbol in "+-" or symbol.isdigit():
            return [_constant(self._number())]
        return [self._word()]

    def _field(self) -> Step:
        name = self._until_terminator()
        return _wildcard if name == "*" else _named(name.replace("\\", ""))

    def _word(self) -> Step:
        word = self._until_terminator()
        if word in {"true", "false"}:
            return _constant(word == "true")
        raise JsonPathError(f"unrecognized identifier {word or self.text[self.at :]}")

    def _until_terminator(self) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in _TERMINATORS:
            self.at += 2 if self.text[self.at] == "\\" else 1
        return self.text[start : self.at]

    def _quoted(self, quote: str) -> str:
        end = self.at + 1
        while end < len(self.text) and (self.text[end] != quote or self.text[end - 1] == "\\"):
            end += 1
        if end >= len(self.text):
            raise JsonPathError("unterminated quoted string")
        found = self.text[self.at + 1 : end]
        self.at = end + 1
        return re.sub(r"\\(.)", r"\1", found)

    def _number(self) -> int | float:
        found = re.match(r"[+-]?[\d.]*", self.text[self.at :])
        digits = found.group() if found else ""
        self.at += len(digits)
        try:
            return int(digits)
        except ValueError:
            pass
        try:
            return float(digits)
        except ValueError:
            raise JsonPathError(f"cannot parse number {digits}") from None

    def _brackets(self) -> list[Step]:
        end = self.text.find("]", self.at)
        if end < 0:
            raise JsonPathError("unterminated array")
        inside = self.text[self.at + 1 : end]
        self.at = end + 1
        if "," in inside:
            return [_union([compile_path(f"[{part.strip()}]") for part in inside.split(",")])]
        if key := _KEY.match(inside):
            return _Parser(f".{key.group(1)}").steps()
        return [_slice(":" if inside == "*" else inside)]

    def _filter(self) -> Step:
        start = self.at + 3
        end, quote = start, ""
        while end < len(self.text) and (quote or self.text[end] != ")"):
            symbol = self.text[end]
            if symbol in "\"'":
                if not quote:
                    quote = symbol
                elif symbol == quote and self.text[end - 1] != "\\":
                    quote = ""
            end += 1
        if self.text[end : end + 2] != ")]":
            raise JsonPathError("unclosed array expect ]")
        inside = self.text[start:end]
        self.at = end + 2
        found = _COMPARISON.match(inside)
        if found is None:
            return _having(compile_path(inside))
        return _comparing(compile_path(found.group(1)), found.group(2), compile_path(found.group(3)))


def _constant(value: Any) -> Step:
    return lambda values: [value] * len(values)


def _named(name: str) -> Step:
    def field(values: list[Any]) -> list[Any]:
        return [value[name] for value in values if isinstance(value, dict) and name in value]

    return field


def _wildcard(values: list[Any]) -> list[Any]:
    return [child for value in values for child in _children(value)]


def _recursive(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if children := list(_children(value)):
            found.append(value)
            found.extend(_recursive(children))
    return found


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _union(parts: Sequence[Step]) -> Step:
    return lambda values: [found for part in parts for found in part(values)]


def _slice(text: str) -> Step:
    parts = _SLICE.match(text)
    if parts is None:
        raise JsonPathError(f"invalid array index {text}")
    first, second, third = parts.groups()
    start = int(first) if first else 0
    end = int(second[1:]) if second and second != ":" else None
    step = int(third[1:]) if third and third != ":" else 1
    if step <= 0:
        raise JsonPathError("step must be > 0")
    is_index = second is None

    def elements(values: list[Any]) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if value is None:
                continue
            if not isinstance(value, list):
                raise JsonPathError(f"{value} is not array or slice")
            found.extend(_index(value, start) if is_index else _range(value, start, end)[::step])
        return found

    return elements


def _index(value: list[Any], index: int) -> list[Any]:
    length = len(value)
    if not -length <= index < length:
        raise JsonPathError(f"array index out of bounds: index {index}, length {length}")
    return [value[index]]


def _range(value: list[Any], start: int, end: int | None) -> list[Any]:
    length = len(value)
    start += length if start < 0 else 0
    end = length if end is None else end + length if end < 0 else end
    if start == end:
        return []
    if not (0 <= start < length and 0 <= end <= length and start < end):
        raise JsonPathError(f"array index out of bounds: index {start}:{end}, length {length}")
    return value[start:end]


def _elements(values: list[Any]) -> Iterable[Any]:
    for value in values:
        if not isinstance(value, list):
            raise JsonPathError(f"{value} is not array or slice and cannot be filtered")
        yield from value


def _having(path: Step) -> Step:
    return lambda values: [one for one in _elements(values) if path([one])]


def _comparing(left: Step, operator: str, right: Step) -> Step:
    compare = _OPERATORS.get(operator)
    if compare is None:
        raise JsonPathError(f"unrecognized filter operator {operator}")

    def matching(values: list[Any]) -> list[Any]:
        found = []
        for one in _elements(values):
            lefts, rights = left([one]), right([one])
            if not lefts or not rights:
                continue
            if len(lefts) > 1 or len(rights) > 1:
                raise JsonPathError("can only compare one element at a time")
            if type(lefts[0]) is not type(rights[0]) or isinstance(lefts[0], dict | list):
                raise JsonPathError("incompatible types for comparison")
            if compare(lefts[0], rights[0]):
                found.append(one)
        return found

    return matching


def printed(value: Any) -> str:
    """A value as the printer writes it: text as it is, objects and lists as JSON in Go's manner."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    return str(value)
