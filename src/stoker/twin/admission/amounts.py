"""Amounts of resources: parsed, compared and written as the API server writes them."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from stoker.kube.quantities import parse

__all__ = ["Amounts", "add", "amounts_of", "most", "written"]

Amounts = dict[str, Decimal]

_BINARY: Final = (("Ei", 2**60), ("Pi", 2**50), ("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10))
_DECIMAL: Final = (("E", 10**18), ("P", 10**15), ("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3))
_BINARY_RESOURCES: Final = ("memory", "storage")


def amounts_of(resources: Mapping[str, Any] | None) -> Amounts:
    """A ResourceList.

    Raises:
        ValueError: a value is no quantity.
    """
    found: Amounts = {}
    for name, quantity in (resources or {}).items():
        value = parse(quantity)
        if value is None:
            raise ValueError(f"{name}: no quantity: {quantity!r}")
        found[name] = value
    return found


def add(total: Amounts, more: Mapping[str, Decimal], sign: int = 1) -> None:
    """Add ``more`` to ``total``, or take it away."""
    for name, value in more.items():
        total[name] = total.get(name, Decimal(0)) + sign * value


def most(total: Amounts, other: Mapping[str, Decimal]) -> None:
    """The larger of two amounts, resource by resource."""
    for name, value in other.items():
        total[name] = max(total.get(name, Decimal(0)), value)


def written(name: str, value: Decimal) -> str:
    """A quantity in its canonical form: the largest suffix that leaves a whole number (resource/quantity.go).

    Memory and storage are taken to be binary, everything else decimal, which is how they are usually given.
    """
    if value == 0:
        return "0"
    if any(part in name for part in _BINARY_RESOURCES):
        for suffix, size in _BINARY:
            if value % size == 0:
                return f"{int(value // size)}{suffix}"
    for suffix, size in _DECIMAL if value >= 1000 else ():
        if value % size == 0:
            return f"{int(value // size)}{suffix}"
    if value == value.to_integral_value():
        return str(int(value))
    return f"{int(-(-value * 1000 // 1))}m"


def listed(amounts: Mapping[str, Decimal], names: Iterable[str]) -> str:
    """``name=amount`` of each name, sorted, as quota messages list them."""
    return ",".join(f"{name}={written(name, amounts.get(name, Decimal(0)))}" for name in sorted(names))
