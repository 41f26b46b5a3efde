"""Single steps between two YAML streams, and odd values put in the place of every field."""

import copy
from collections.abc import Iterator
from typing import Any

import yaml

ABSENT = object()
ODD: tuple[Any, ...] = (
    None,
    3,
    -1,
    1.5,
    True,
    "",
    "x",
    [],
    {},
    [None],
    ["x"],
    [3],
    {"a": 1},
    [[]],
    [{}],
    "$(VAR)",
    "9" * 30,
)

Steps = tuple[str | int, ...]


def documents(text: str) -> list[Any]:
    return [document for document in yaml.safe_load_all(text) if document is not None]


def stream(items: list[Any]) -> str:
    return yaml.safe_dump_all(items, sort_keys=False)


def changes(good: Any, bad: Any, path: Steps = ()) -> Iterator[tuple[Steps, Any]]:  # noqa: C901  # one type a branch
    """Places where ``bad`` differs from ``good``, with what ``bad`` has there (`ABSENT` where it has nothing)."""
    if isinstance(good, dict) and isinstance(bad, dict):
        for key in [*good, *(key for key in bad if key not in good)]:
            yield from changes(good.get(key, ABSENT), bad.get(key, ABSENT), (*path, key))
    elif isinstance(good, list) and isinstance(bad, list) and len(good) == len(bad):
        for index, (left, right) in enumerate(zip(good, bad, strict=True)):
            yield from changes(left, right, (*path, index))
    elif isinstance(good, list) and isinstance(bad, list) and not path:
        # Documents come or go: each is one change.
        for index, document in enumerate(good):
            if document not in bad:
                yield (index,), ABSENT
        for document in bad:
            if document not in good:
                yield (len(good),), document
    elif good is not bad and (good != bad or type(good) is not type(bad)):
        yield path, bad


def changed(root: list[Any], path: Steps, value: Any) -> list[Any]:
    """A copy with one place changed."""
    made = copy.deepcopy(root)
    parent: Any = made
    for step in path[:-1]:
        parent = parent[step]
    last = path[-1]
    if value is ABSENT:
        del parent[last]
    elif isinstance(parent, list) and last == len(parent):
        parent.append(value)
    else:
        parent[last] = copy.deepcopy(value)
    return made


def places(value: Any, path: Steps = ()) -> Iterator[Steps]:
    """Every place below a value."""
    pairs: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, dict):
        pairs = iter(value.items())
    elif isinstance(value, list):
        pairs = iter(enumerate(value))
    for key, item in pairs:
        yield (*path, key)
        yield from places(item, (*path, key))
