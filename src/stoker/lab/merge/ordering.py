"""The order of a list that a strategic merge patch has merged.

Upstream: k8s.io/apimachinery pkg/util/strategicpatch/patch.go (normalizeElementOrder, mergeSortedSlice, normalizeSliceOrder).
"""

from typing import Any

__all__ = ["arranged", "merge_key_equal", "sort_by"]


def merge_key_equal(left: Any, right: Any, merge_key: str) -> bool:
    """Whether two elements are the same one: equal scalars, or objects with equal merge keys."""
    if merge_key:
        left = left.get(merge_key) if isinstance(left, dict) else None
        right = right.get(merge_key) if isinstance(right, dict) else None
    return left.__class__ is right.__class__ and bool(left == right)


def _place(values: list[Any], one: Any, merge_key: str) -> int:
    return next((at for at, other in enumerate(values) if merge_key_equal(one, other, merge_key)), -1)


def sort_by(values: list[Any], order: list[Any], merge_key: str) -> list[Any]:
    """The elements in the order of another list; those marked for deletion come last."""
    marked = [one for one in values if isinstance(one, dict) and one.get("$patch") == "delete"]
    kept = [one for one in values if not (isinstance(one, dict) and one.get("$patch") == "delete")]
    places = [_place(order, one, merge_key) for one in kept]
    if -1 not in places:
        return [kept[at] for at in sorted(range(len(kept)), key=places.__getitem__)] + marked
    return _inserted(kept, places) + marked


def _inserted(values: list[Any], places: list[int]) -> list[Any]:
    """Insertion sort under the server's comparison, which calls whatever has no place smaller than its neighbour."""
    found: list[tuple[int, Any]] = []
    for one in zip(places, values, strict=True):
        at = len(found)
        while at and (one[0] < 0 or found[at - 1][0] < 0 or one[0] < found[at - 1][0]):
            at -= 1
        found.insert(at, one)
    return [value for _, value in found]


def arranged(named: list[Any], others: list[Any], before: list[Any], merge_key: str) -> list[Any]:
    """Both sorted lists put together: an element that the patch does not name keeps its place before one that it names."""
    found: list[Any] = []
    at, other = 0, 0
    while at < len(named) or other < len(others):
        if at >= len(named):
            found.append(others[other])
            other += 1
            continue
        if other < len(others):
            mine, theirs = _place(before, others[other], merge_key), _place(before, named[at], merge_key)
            if 0 <= mine < theirs:
                found.append(others[other])
                other += 1
                continue
        found.append(named[at])
        at += 1
    return found
