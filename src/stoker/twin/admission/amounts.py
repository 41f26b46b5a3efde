"""Amounts of resources: parsed, compared and written as the API server writes them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import total_ordering
from typing import Any, Final

from stoker.kube.quantities import parse

__all__ = ["NOTHING", "ONE", "Amount", "Amounts", "add", "amounts_of", "most"]

_BINARY: Final = (("Ei", 2**60), ("Pi", 2**50), ("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10))
_DECIMAL: Final = (("E", 10**18), ("P", 10**15), ("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3))
_SMALL: Final = (("m", 1000), ("u", 10**6), ("n", 10**9))


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Amount:
    """A quantity that remembers whether it was given in binary units: that is how it is written again.

    Source: apimachinery pkg/api/resource/quantity.go (ParseQuantity, CanonicalizeBytes, Add).
    """

    value: Decimal
    binary: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Amount) and self.value == other.value

    def __lt__(self, other: "Amount") -> bool:
        return self.value < other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __bool__(self) -> bool:
        return self.value != 0

    def __add__(self, other: "Amount") -> "Amount":
        # Nothing has no form of its own: the sum is written as what is added to it.
        return Amount(self.value + other.value, self.binary if self.value else other.binary)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.value - other.value, self.binary if self.value else other.binary)

    def __str__(self) -> str:
        """Canonical: the largest suffix that leaves a whole number; below 1024 and in fractions decimal."""
        value = self.value
        if value == 0:
            return "0"
        whole = value == value.to_integral_value()
        if self.binary and abs(value) >= 1024 and whole:
            for suffix, size in _BINARY:
                if value % size == 0:
                    return f"{int(value // size)}{suffix}"
            return str(int(value))
        if not whole:
            for suffix, parts in _SMALL:
                if (value * parts) % 1 == 0:
                    return f"{int(value * parts)}{suffix}"
            return f"{int(-(-value * 10**9 // 1))}n"
        for suffix, size in _DECIMAL:
            if value % size == 0:
                return f"{int(value // size)}{suffix}"
        return str(int(value))


Amounts = dict[str, Amount]

NOTHING: Final = Amount(Decimal(0))
ONE: Final = Amount(Decimal(1))


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
        found[name] = Amount(value, binary=str(quantity).endswith("i"))
    return found


def add(total: Amounts, more: Mapping[str, Amount], sign: int = 1) -> None:
    """Add ``more`` to ``total``, or take it away."""
    for name, value in more.items():
        before = total.get(name, NOTHING)
        total[name] = before + value if sign > 0 else before - value


def most(total: Amounts, other: Mapping[str, Amount]) -> None:
    """The larger of two amounts, resource by resource."""
    for name, value in other.items():
        if name not in total or value > total[name]:
            total[name] = value


def listed(amounts: Mapping[str, Amount], names: Iterable[str]) -> str:
    """``name=amount`` of each name, sorted, as quota messages list them."""
    return ",".join(f"{name}={amounts.get(name, NOTHING)}" for name in sorted(names))
