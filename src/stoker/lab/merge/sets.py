"""Sets of fields, kept in the very form in which managed fields are stored.

A set is a tree of mappings from a step (see `elements`) to what is below it: ``{"f:spec": {"f:replicas": {}}}``. An empty
mapping is a field that belongs to the set and has nothing below; a ``.`` inside says that the field above belongs to the set
as well as what is below it. Sets are never changed in place: results share subtrees with what they were made of, and a
function that has nothing to change answers the very set it was given.

Upstream: sigs.k8s.io/structured-merge-diff/v6 fieldpath/set.go, serialize.go.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from stoker.lab.merge.elements import MalformedElement, canonical_element, element_order, path_text

__all__ = [
    "EMPTY",
    "FieldSet",
    "difference",
    "has",
    "intersection",
    "keep_matching",
    "ordered",
    "parse",
    "paths",
    "recursive_difference",
    "texts",
    "union",
    "union_node",
]

FieldSet = dict[str, Any]

EMPTY: FieldSet = {}
"""The empty set, and what stands under a field with nothing below it. Shared; nobody writes to it."""


def _member(node: FieldSet) -> bool:
    return not node or "." in node


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """Fields of either."""
    if not right or left is right:
        return left
    if not left:
        return right
    found = left
    for step, theirs in right.items():
        ours = left.get(step)
        if ours is None:
            joined = theirs
        elif ours == theirs:
            continue
        elif (
            not ours or not theirs
        ):  # a field alone and a field with children: the dot says that both are meant
            joined = {".": EMPTY, **(ours or theirs)}
            if joined == ours:
                continue
        else:
            joined = union(ours, theirs)
            if joined is ours:
                continue
        if found is left:
            found = dict(left)
        found[step] = joined
    return found


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """Fields of both."""
    found: FieldSet = {}
    for step, ours in left.items():
        theirs = right.get(step)
        if theirs is None or step == ".":
            continue
        below = intersection(ours, theirs) if ours and theirs else EMPTY
        if _member(ours) and _member(theirs):
            found[step] = {".": EMPTY, **below} if below else EMPTY
        elif below:
            found[step] = below
    return found


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Fields of the first that are not in the second; what is below a field stays when only the field is taken."""
    return _without(left, right, recursive=False)


def recursive_difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Fields of the first that are neither in the second nor below one of its fields."""
    return _without(left, right, recursive=True)


def _without(left: FieldSet, right: FieldSet, *, recursive: bool) -> FieldSet:
    if not left or not right:
        return left
    found = left
    for step, theirs in right.items():
        ours = left.get(step)
        if ours is None or step == ".":
            continue
        taken = _member(theirs)
        if taken and (recursive or not ours):
            left_over: FieldSet | None = None
        else:
            left_over = _node_without(ours, theirs, taken=taken, recursive=recursive)
            if left_over is ours:
                continue
        if found is left:
            found = dict(left)
        if left_over is None:
            del found[step]
        else:
            found[step] = left_over
    return found


def _node_without(ours: FieldSet, theirs: FieldSet, *, taken: bool, recursive: bool) -> FieldSet | None:
    """What is left of one step; None for nothing."""
    below = _without(ours, theirs, recursive=recursive)
    if taken and "." in below:
        below = {step: one for step, one in below.items() if step != "."}
    if below is ours:
        return ours
    if len(below) == 1 and "." in below:
        return EMPTY
    return below or None


def has(found: FieldSet, path: Sequence[str]) -> bool:
    """Whether a field belongs to the set."""
    node: FieldSet | None = found
    for step in path:
        node = node.get(step) if node else None
        if node is None:
            return False
    return bool(path) and node is not None and _member(node)


def keep_matching(found: FieldSet, patterns: Sequence[Sequence[str]]) -> FieldSet:
    """Fields on the way to, or below, one of the paths; ``*`` is any step."""
    if any(not pattern for pattern in patterns):
        return found
    kept: FieldSet = {}
    for step, node in found.items():
        below = [pattern[1:] for pattern in patterns if pattern[0] in {"*", step}]
        if not below or step == ".":
            continue
        inside = keep_matching(node, below) if node else EMPTY
        if _member(node):
            kept[step] = {".": EMPTY, **inside} if inside and "." not in inside else inside
        elif inside:
            kept[step] = inside
    return kept


def ordered(found: FieldSet) -> FieldSet:
    """The same set in the order in which the server writes it."""
    if len(found) < 2:
        return {step: ordered(node) if node else EMPTY for step, node in found.items()}
    return {step: ordered(node) if node else EMPTY for step, node in sorted(found.items(), key=_first_order)}


def _first_order(item: tuple[str, FieldSet]) -> tuple[Any, ...]:
    return element_order(item[0])


def parse(raw: Any) -> FieldSet:
    """A set as a client sends it: steps rewritten as we write them, steps of unknown kinds left out.

    Raises:
        MalformedElement: something is no step.
    """
    if raw is None:
        return EMPTY
    if not isinstance(raw, dict):
        raise MalformedElement("expect { or n")
    found: FieldSet = {}
    for text, inside in raw.items():
        if text == ".":
            continue
        step = canonical_element(text)
        if step is None:
            continue
        below = parse(inside)
        if below and isinstance(inside, dict) and "." in inside:
            below = {".": EMPTY, **below}
        found[step] = union_node(found[step], below) if step in found else below
    return found


def union_node(left: FieldSet, right: FieldSet) -> FieldSet:
    """Of two subtrees under one step."""
    return union({"f:": left}, {"f:": right})["f:"] if left != right else left


def paths(found: FieldSet, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every field of the set: at each level first the fields, then what is below each."""
    steps = sorted((step for step in found if step != "."), key=element_order)
    for step in steps:
        if _member(found[step]):
            yield (*before, step)
    for step in steps:
        if found[step]:
            yield from paths(found[step], (*before, step))


def texts(found: FieldSet) -> list[str]:
    """Every field as the server prints it."""
    return [path_text(path) for path in paths(found)]
