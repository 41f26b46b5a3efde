"""Functions that Kubernetes adds to CEL and the evaluator does not have: on strings, lists and quantities.

Sources: cel-go ext/strings.go; apiserver pkg/cel/library/{lists,quantity}.go. A quantity is its canonical text here, so it
cannot be told from a string, and has no ``add`` and ``sub``. URLs, addresses, formats and the authorizer
are not here; nor are ``find`` and ``findAll``, because Python's regular expressions can take forever where Go's cannot.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

from stoker.kube.quantities import parse

__all__ = ["FUNCTIONS"]

_VERB = re.compile(r"%(?:\.(\d+))?([%sdf])", re.ASCII)


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return text.replace(old, new, count)


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        letters = list(text)
        return letters if limit < 0 else [*letters[: limit - 1], "".join(letters[limit - 1 :])]
    return text.split(separator, limit - 1 if limit > 0 else -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= stop <= len(text):
        raise ValueError(f"index out of range: {start}")
    return text[start:stop]


def _index(found: Any, wanted: Any, offset: int = 0) -> int:
    if isinstance(found, str):
        return found.find(wanted, offset)
    return next((place for place, one in enumerate(found) if one == wanted), -1)


def _last_index(found: Any, wanted: Any) -> int:
    if isinstance(found, str):
        return found.rfind(wanted)
    return max((place for place, one in enumerate(found) if one == wanted), default=-1)


def _char(text: str, place: int) -> str:
    if not 0 <= place <= len(text):
        raise ValueError(f"index out of range: {place}")
    return text[place : place + 1]


def _join(parts: list[str], separator: str = "") -> str:
    return separator.join(parts)


def _format(text: str, values: list[Any]) -> str:
    given = iter(values)

    def put(match: re.Match[str]) -> str:
        precision, verb = match[1], match[2]
        if verb == "%":
            return "%"
        value = next(given)
        if verb == "f":
            return f"{float(value):.{precision or 6}f}"
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    return _VERB.sub(put, text)


def _is_sorted(values: list[Any]) -> bool:
    return all(first <= second for first, second in pairwise(values))


def _quantity(text: str) -> str:
    value = parse(text)
    if value is None:
        raise ValueError(f"no quantity: {text!r}")
    return f"{value.normalize():f}"


def _is_integer(quantity: str) -> bool:
    return Decimal(quantity) % 1 == 0


def _as_integer(quantity: str) -> int:
    if not _is_integer(quantity):
        raise ValueError(f"cannot convert value to integer: {quantity}")
    return int(Decimal(quantity))


def _compare(one: str, other: str) -> int:
    return int(Decimal(one).compare(Decimal(other)))


# By the name in expressions; the receiver of a method is the first argument.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "asApproximateFloat": float,
    "asInteger": _as_integer,
    "charAt": _char,
    "compareTo": _compare,
    "format": _format,
    "indexOf": _index,
    "isGreaterThan": lambda one, other: _compare(one, other) > 0,
    "isInteger": _is_integer,
    "isLessThan": lambda one, other: _compare(one, other) < 0,
    "isQuantity": lambda text: parse(text) is not None,
    "isSorted": _is_sorted,
    "join": _join,
    "lastIndexOf": _last_index,
    "lowerAscii": lambda text: text.lower(),
    "max": lambda *values: max(values[0]) if len(values) == 1 else max(values),
    "min": lambda *values: min(values[0]) if len(values) == 1 else min(values),
    "quantity": _quantity,
    "replace": _replace,
    "sign": lambda quantity: _compare(quantity, "0"),
    "split": _split,
    "substring": _substring,
    "sum": sum,
    "trim": lambda text: text.strip(),
    "upperAscii": lambda text: text.upper(),
}
