"""Patches applied to objects: pure, on copies. The files are written by `kube.edit`."""

import copy
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from stoker.audit.finding import Finding, Op
from stoker.kube.paths import dig
from stoker.kube.snapshot import Item, Snapshot, Source

__all__ = ["apply_ops", "patched", "usable"]


def usable(findings: Iterable[Finding]) -> list[Finding]:
    """Findings whose patches can all be applied: of two that touch the same field, the first (the graver) wins."""
    touched: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    made: set[tuple[str, str, str]] = set()
    kept: list[Finding] = []
    for finding in findings:
        if not finding.fix.automatic or finding.item.malformed:
            continue
        taken = touched[id(finding.item)]
        paths = [op.path for op in finding.fix.ops]
        if any(_overlap(path, other) for path in paths for other in taken):
            continue
        names = {_name(obj) for obj in finding.fix.objects}
        if names & made:
            continue
        made |= names
        taken += paths
        kept.append(finding)
    return kept


def _overlap(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    shorter = min(len(left), len(right))
    return left[:shorter] == right[:shorter]


def _name(obj: Any) -> tuple[str, str, str]:
    metadata = obj.get("metadata") or {}
    return obj.get("kind", ""), metadata.get("namespace", ""), metadata.get("name", "")


def apply_ops(obj: dict[str, Any], ops: Sequence[Op]) -> dict[str, Any]:
    """A patched copy. ``add`` makes mappings on its way and appends where an index is the list's length.

    Raises:
        KeyError: a ``remove`` or ``replace`` of something that is not there.
    """
    made = copy.deepcopy(obj)
    # List items go last first, so that an index still means what the rule saw.
    for op in sorted(
        ops, key=lambda op: (op.op == "remove", *(-s if isinstance(s, int) else 0 for s in op.path))
    ):
        _apply(made, op)
    return made


def _apply(root: dict[str, Any], op: Op) -> None:
    parent: Any = root
    for index, step in enumerate(op.path[:-1]):
        below = dig(parent, step)
        if below is None and op.op == "add" and isinstance(parent, dict):
            below = parent[step] = [] if isinstance(op.path[index + 1], int) else {}
        if below is None:
            raise KeyError(op.path)
        parent = below
    last: Any = op.path[-1]
    if op.op == "remove":
        del parent[last]
    elif isinstance(parent, list) and op.op == "add" and last >= len(parent):
        parent.append(copy.deepcopy(op.value))
    elif isinstance(parent, list) and op.op == "add":
        parent.insert(last, copy.deepcopy(op.value))
    else:
        parent[last] = copy.deepcopy(op.value)


def patched(snapshot: Snapshot, findings: Iterable[Finding]) -> Snapshot:
    """The snapshot as it would be with every usable patch applied."""
    ops: dict[int, list[Op]] = defaultdict(list)
    objects: list[Item] = []
    for finding in usable(findings):
        ops[id(finding.item)] += finding.fix.ops
        objects += [_item(dict(obj), finding.item.source) for obj in finding.fix.objects]
    items = [
        replace(item, obj=apply_ops(item.obj, ops[id(item)])) if id(item) in ops else item
        for item in snapshot.items
    ]
    return replace(snapshot, items=(*items, *objects))


def _item(obj: dict[str, Any], source: Source) -> Item:
    group, _, version = str(obj["apiVersion"]).rpartition("/")
    metadata = obj["metadata"]
    return Item(group, version, obj["kind"], metadata.get("namespace", ""), metadata["name"], obj, source)
