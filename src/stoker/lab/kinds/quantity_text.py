"""Quantities as resource.Quantity reads and writes them: ``1000m`` is stored as ``1``, ``0.5`` as ``500m``.

Rules of k8s.io/apimachinery pkg/api/resource: ParseQuantity, CanonicalizeBytes, RoundUp. Values are whole numbers of
``10**-9``, the smallest part a quantity can hold.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from stoker.errors import StokerError

__all__ = [
    "NANO",
    "Quantity",
    "QuantityError",
    "canonical_quantity",
    "canonical_resource",
    "nano",
    "parse",
    "text_of",
]

NANO = 10**9
_FORM = re.compile(r"([+-]?)(\d*)(?:(\.)(\d*))?([eEinumkKMGTP]*[-+]?\d*)", re.ASCII)
_WRONG_FORM = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_OF = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_BINARY_SUFFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_EXPONENT = re.compile(r"[eE][+-]?\d+", re.ASCII)
_MAX_INT = 2**63 - 1
_MOST_DIGITS = 1000
_MOST_PLACES = 1000
_LONGEST_EXPONENT = 12
_PLACES = 18  # digits that surely fit an int64: longer numbers take the slow path, which forgets how they were written


class QuantityError(StokerError):
    """Text that is no quantity; the message is the decoder's."""


class Quantity(NamedTuple):
    """A quantity that was read.

    Attributes:
        amount: value in ``10**-9``.
        form: ``decimal``, ``exponent`` or ``binary``: how it is written.
        written: text that is kept as it came, empty where the canonical text is written.
    """

    amount: int
    form: str
    written: str = ""


@lru_cache(maxsize=8192)
def parse(text: str) -> Quantity:
    """Reads a quantity.

    Raises:
        QuantityError: it is none.
    """
    if text == "0":
        return Quantity(0, "decimal", text)
    found = _FORM.fullmatch(text)
    if found is None or not text:
        raise QuantityError(_WRONG_FORM)
    sign, whole, _, part, suffix = found.groups()
    part = part or ""
    number = whole.lstrip("0") or "0"
    form, exponent = _suffix(suffix)
    if not (whole or part) or len(number) + len(part) > _MOST_DIGITS:
        raise QuantityError("unable to parse numeric part of quantity")
    digits = int(number + part)
    if (
        abs(exponent) > _MOST_PLACES
    ):  # beyond every amount there is: no power of ten is worth a request's time
        huge = 10**_MOST_PLACES if exponent > 0 else 1
        return Quantity(_signed(huge if digits else 0, sign), form, text if digits else "")
    amount = _amount(digits, len(part), form, exponent)
    written = text if _is_kept(number, part, digits, form, exponent) else ""
    if form == "binary":
        amount = min(amount, _MAX_INT * NANO)
        if 0 < amount < NANO:
            form = "decimal"
    return Quantity(_signed(amount, sign), form, written)


def _signed(amount: int, sign: str) -> int:
    return -amount if sign == "-" else amount


def _suffix(suffix: str) -> tuple[str, int]:
    if suffix in _DECIMAL:
        return "decimal", _DECIMAL[suffix]
    if suffix in _BINARY:
        return "binary", _BINARY[suffix]
    if len(suffix) <= _LONGEST_EXPONENT and _EXPONENT.fullmatch(suffix):
        return "exponent", int(suffix[1:])
    raise QuantityError("unable to parse quantity's suffix")


def _amount(digits: int, places: int, form: str, exponent: int) -> int:
    """What does not fit is rounded away from zero: who asks for a little gets a little."""
    if form == "binary":
        return _up(digits * NANO << exponent, places)
    scale = exponent - places + 9
    return digits * int(10**scale) if scale >= 0 else _up(digits, -scale)


def _up(value: int, places: int) -> int:
    """The value without so many decimal places, rounded up."""
    return -(-value // int(10**places))


def _is_kept(number: str, part: str, digits: int, form: str, exponent: int) -> bool:
    """Whether Kubernetes takes the text for canonical and writes it back as it came, ``04`` for instance."""
    if form == "binary":
        return not part and digits & 7 != 0 and 15 - len(number) - int(exponent * 3 / 10) - 1 >= 0
    scale = exponent - len(part)
    if _PLACES - len(number) - len(part) < 0 or scale < -9:
        return False
    return scale % 3 == 0 and not (number + part).endswith("000") and number[0] != "0"


def text_of(quantity: Quantity) -> str:
    """Canonical text of a quantity."""
    amount, form, written = quantity
    if written:
        return written
    if amount == 0:
        return "0"
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    if form == "binary" and amount >= 1024 * NANO and amount % NANO == 0:
        amount //= NANO
        step = 0
        while amount >= 1024 and amount % 1024 == 0:
            amount //= 1024
            step += 1
        return f"{sign}{amount}{_BINARY_SUFFIXES[step]}"
    exponent = -9
    while amount % 1000 == 0:
        amount //= 1000
        exponent += 3
    if form == "exponent":
        return f"{sign}{amount}e{exponent}" if exponent else f"{sign}{amount}"
    return f"{sign}{amount}{_DECIMAL_OF.get(exponent, '')}"


def _plain(value: object) -> str:
    """A quantity may be a number in JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not value.is_integer():
        return repr(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(int(value))
    raise QuantityError(_WRONG_FORM)


@lru_cache(maxsize=8192)
def _canonical(text: str) -> str:
    return text_of(parse(text))


@lru_cache(maxsize=8192)
def _canonical_resource(text: str) -> str:
    amount, form, written = parse(text)
    milli = NANO // 1000
    if amount % milli == 0:
        return written or text_of(Quantity(amount, form))
    rounded = -(-abs(amount) // milli) * milli
    return text_of(Quantity(-rounded if amount < 0 else rounded, form))


def canonical_quantity(value: object) -> str:
    """Canonical text of a quantity.

    Raises:
        QuantityError: it is none.
    """
    return _canonical(value if value.__class__ is str else _plain(value))


def canonical_resource(value: object) -> str:
    """Canonical text of a value in a resource list: rounded up to thousandths, SetDefaults_ResourceList (pkg/apis/core/v1)."""
    return _canonical_resource(value if value.__class__ is str else _plain(value))


def nano(text: str) -> int:
    """Value in ``10**-9``; zero for text that is no quantity, which decoding has refused before."""
    try:
        return parse(text).amount
    except QuantityError:
        return 0
