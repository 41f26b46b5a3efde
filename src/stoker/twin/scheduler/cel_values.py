"""Values of CEL and what can be done with them: strings, numbers, quantities, versions, maps."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import total_ordering
from typing import Any, Final

from stoker.kube.quantities import parse

__all__ = ["CelError", "Domains", "Version", "call", "compare", "equal", "index", "member"]

_VERSION: Final = re.compile(r"^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$")


class CelError(Exception):
    """An expression that cannot be read, or an error while it runs, in the words of the library."""


class Domains(dict[str, Any]):
    """Attributes or capacities by domain: one that nobody uses is an empty map, not an error."""

    def __missing__(self, key: str) -> Mapping[str, Any]:
        return {}


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version; one before a release comes before it."""

    major: int
    minor: int
    patch: int
    before: str

    def _key(self) -> tuple[Any, ...]:
        parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in self.before.split(".") if p)
        return self.major, self.minor, self.patch, not self.before, parts

    def __lt__(self, other: "Version") -> bool:
        return self._key() < other._key()


def _version(text: str) -> Version:
    found = _VERSION.match(text)
    if found is None:
        raise CelError(f"No Major.Minor.Patch elements found: {text}")
    return Version(int(found[1]), int(found[2]), int(found[3]), found[4] or "")


def _quantity(text: str) -> Decimal:
    value = parse(text)
    if value is None:
        raise CelError("quantities must match the regular expression")
    return value


def index(value: Any, key: Any) -> Any:
    """``value[key]``."""
    if isinstance(value, Domains):
        return value[key]
    if isinstance(value, Mapping):
        if key not in value:
            raise CelError(f"no such key: {key}")
        return value[key]
    if isinstance(value, list) and isinstance(key, int):
        if not 0 <= key < len(value):
            raise CelError(f"index out of bounds: {key}")
        return value[key]
    raise CelError("no such overload")


def member(value: Any, name: str) -> Any:
    """``value.name``."""
    return index(value, name)


def equal(left: Any, right: Any) -> bool:
    """Whether two values are the same; values of different types are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def compare(sign: str, left: Any, right: Any) -> bool:
    """An order between two values of one type."""
    numbers = (int, float)
    alike = type(left) is type(right) or (isinstance(left, numbers) and isinstance(right, numbers))
    if not alike or isinstance(left, bool):
        raise CelError("no such overload")
    results = {
        "<": lambda: left < right,
        "<=": lambda: left <= right,
        ">": lambda: left > right,
        ">=": lambda: left >= right,
    }
    return bool(results[sign]())


def _order(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: int(a / b) if isinstance(a, int) and isinstance(b, int) else a / b,
    "%": lambda a, b: a - b * int(a / b),
    "quantity": _quantity,
    "isQuantity": lambda text: parse(text) is not None,
    "semver": lambda text, *_: text if isinstance(text, Version) else _version(text),
    "isSemver": lambda text, *_: _VERSION.match(text) is not None,
    "compareTo": _order,
    "isGreaterThan": lambda a, b: a > b,
    "isLessThan": lambda a, b: a < b,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "sign": lambda a: _order(a, 0),
    "isInteger": lambda a: a == a.to_integral_value(),
    "asInteger": int,
    "asApproximateFloat": float,
    "major": lambda version: version.major,
    "minor": lambda version: version.minor,
    "patch": lambda version: version.patch,
    "startsWith": lambda text, part: text.startswith(part),
    "endsWith": lambda text, part: text.endswith(part),
    "contains": lambda text, part: part in text,
    "matches": lambda text, pattern: re.search(pattern, text) is not None,
    "lowerAscii": lambda text: text.lower(),
    "upperAscii": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "split": lambda text, by: text.split(by),
    "replace": lambda text, old, new: text.replace(old, new),
    "find": lambda text, pattern: (re.search(pattern, text) or [""])[0],
    "size": len,
    "string": str,
    "int": int,
    "double": float,
}


def call(name: str, arguments: Sequence[Any]) -> Any:
    """A function, or a method with its value first.

    Raises:
        CelError: there is none of that name, or not for such values.
    """
    if name not in _FUNCTIONS:
        raise CelError(f"undeclared reference to '{name}'")
    try:
        return _FUNCTIONS[name](*arguments)
    except (TypeError, AttributeError, ValueError, ArithmeticError, re.error) as error:
        raise CelError("no such overload") from error
