"""Patches of plain objects: the steps of RFC 6902 that Stoker writes. Pure, on copies."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stoker.kube.paths import Path, dig

__all__ = ["Op", "apply_ops", "in_order"]


@dataclass(frozen=True, slots=True)
class Op:
    """One step of a patch, as in RFC 6902: ``op`` is ``add``, ``replace`` or ``remove``; ``add`` makes missing mappings."""

    op: str
    path: Path
    value: Any = None


def in_order(ops: Sequence[Op]) -> list[Op]:
    """Removals last, and of list items the last first, so that every index means what was seen."""
    return sorted(ops, key=lambda op: (op.op == "remove", [-s for s in op.path if isinstance(s, int)]))


def apply_ops(obj: dict[str, Any], ops: Sequence[Op]) -> dict[str, Any]:
    """A patched copy. ``add`` makes mappings on its way and appends where an index is past the list's end.

    Raises:
        KeyError: a step leads to something that is not there.
    """
    made = copy.deepcopy(obj)
    for op in in_order(ops):
        _apply(made, op)
    return made


def _apply(root: Any, op: Op) -> None:
    parent: Any = root
    for index, step in enumerate(op.path[:-1]):
        below = dig(parent, step)
        if below is None and op.op == "add" and isinstance(parent, dict) and isinstance(step, str):
            below = parent[step] = [] if isinstance(op.path[index + 1], int) else {}
        if below is None:
            raise KeyError(op.path)
        parent = below
    last: Any = op.path[-1]
    value = copy.deepcopy(op.value)
    try:
        if op.op == "remove":
            del parent[last]
        elif isinstance(parent, list) and op.op == "add":
            parent.insert(last, value)
        else:
            parent[last] = value
    except (IndexError, TypeError) as error:
        raise KeyError(op.path) from error
