"""Answers about a whole view that a rule asks for at every subject."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from stoker.audit.view.view import View

__all__ = ["once_per_view"]

T = TypeVar("T")


def once_per_view(compute: Callable[[View], T]) -> Callable[[View], T]:
    """``compute``, called once for each view; its answer is shared, so it must be a value that nobody changes."""
    answers: WeakKeyDictionary[View, T] = WeakKeyDictionary()

    @wraps(compute)
    def answer(view: View) -> T:
        if view not in answers:
            answers[view] = compute(view)
        return answers[view]

    return answer
