"""Kubernetes quantities, as apimachinery parses them (staging/src/k8s.io/apimachinery/pkg/api/resource/quantity.go)."""

import re
from decimal import Decimal

_QUANTITY = re.compile(r"^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$")
_SUFFIX = {
    "n": Decimal(10) ** -9, "u": Decimal(10) ** -6, "m": Decimal(10) ** -3, "": Decimal(1), "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6, "G": Decimal(10) ** 9, "T": Decimal(10) ** 12, "P": Decimal(10) ** 15, "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10, "Mi": Decimal(2) ** 20, "Gi": Decimal(2) ** 30, "Ti": Decimal(2) ** 40, "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}  # fmt: skip


def parse(quantity: object) -> Decimal | None:
    """Value of a quantity, None where Kubernetes would refuse it."""
    match = _QUANTITY.match(str(quantity))
    if isinstance(quantity, bool) or not match:
        return None
    suffix = match[2] or ""
    if suffix and suffix[0] in "eE" and len(suffix) > 1 and suffix != "Ei":
        return Decimal(match[1]) * Decimal(10) ** int(suffix[1:])
    return Decimal(match[1]) * _SUFFIX[suffix]
