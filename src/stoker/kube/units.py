"""Collections of manifests: a source that defines the same object in several folders is no single cluster.

Samples, environments side by side and charts' test values are sets that are never applied together. Judged as one they would
accuse each other: one sample's priority classes would outrank another's server. Each folder is a set of its own then. A dump
or a live cluster is one set whatever it holds, and so is a source that the user calls complete.
"""

from collections import defaultdict
from dataclasses import replace
from pathlib import PurePath

from stoker.kube.snapshot import Item, Origin, Snapshot

__all__ = ["units"]


def units(snapshot: Snapshot) -> tuple[Snapshot, ...]:
    """The sets of a source, in the order of its folders; the source itself where it is one set."""
    if snapshot.origin is not Origin.FILES or snapshot.closed:
        return (snapshot,)
    folders: dict[str, list[Item]] = defaultdict(list)
    seen: dict[tuple[str, str, str], str] = {}
    collection = False
    for item in snapshot.items:
        folder = str(PurePath(item.source.file).parent)
        folders[folder].append(item)
        key = (item.resource, item.namespace, item.name)
        collection = collection or (bool(item.name) and seen.setdefault(key, folder) != folder)
    if not collection:
        return (snapshot,)
    return tuple(replace(snapshot, items=tuple(items)) for items in folders.values())
