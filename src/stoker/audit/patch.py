"""Patches applied to objects: pure, on copies. The files are written by `kube.edit`."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from stoker.audit.finding import Finding
from stoker.kube.patch import Op, apply_ops
from stoker.kube.snapshot import Item, Snapshot, Source

__all__ = ["patched", "usable"]


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
