"""Results of checks of short texts are remembered; long ones, which only a hostile client sends again and again, are not."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

__all__ = ["remembered", "whole_number"]

Result = TypeVar("Result")
_LONGEST = 512
_DIGITS = 20


def remembered(check: Callable[[str], Result]) -> Callable[[str], Result]:
    """The check, its results kept for texts of up to 512 characters."""
    cached = lru_cache(maxsize=4096)(check)

    @wraps(check)
    def checked(text: str) -> Result:
        return cached(text) if len(text) <= _LONGEST else check(text)

    return checked


def whole_number(text: str) -> int:
    """The number that digits, perhaps signed, write; more digits than an int64 has are the largest int64."""
    if len(text) > _DIGITS:
        return -(2**63) if text.startswith("-") else 2**63 - 1
    return int(text)
