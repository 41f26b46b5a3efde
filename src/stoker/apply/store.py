"""The record in the cluster: inventory and runs as ConfigMaps in ``stoker-system``, compressed, each below 1 MiB.

An inventory's entries are spread over a fixed number of ConfigMaps by their name, so that each ConfigMap is whole by itself:
a run that is killed between two writes leaves no half entry. All of it is written by the one run that holds the Lease.
"""

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from stoker.apply.inventory import (
    Entry,
    Run,
    Touched,
    decode_entry,
    decode_touched,
    encode_entry,
    encode_touched,
)
from stoker.apply.look import each
from stoker.errors import StokerError
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object, Ref
from stoker.upgrades.objects import MANAGED_BY, PLATFORM_NAMESPACE

__all__ = ["LEASE", "NAMESPACE", "RECORD", "Store"]

NAMESPACE: Final = PLATFORM_NAMESPACE
LEASE: Final = "stoker-run"
_ROLLOUT_LEASE: Final = "stoker-rollout"  # of `stoker.rollout`, whose record is erased with the rest
RECORD: Final = "stoker.dev/record"
_RUN: Final = "stoker.dev/run"
_SHARDS: Final = 16
_MOST_BYTES: Final = (
    700 * 1024
)  # of compressed content; base64 and metadata stay below etcd's and the API's 1 MiB
_KEEP: Final = 30  # runs


class Store:
    """Reads and writes the record. Entries are held in memory while a run goes on."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._lock = threading.Lock()
        self._entries: dict[Ref, Entry] | None = None

    # --- inventory ----------------------------------------------------------------------------------------------------

    @property
    def entries(self) -> dict[Ref, Entry]:
        """Every entry by object; read once."""
        if self._entries is None:
            self._entries = {}
            for found in self.cluster.objects("v1", "ConfigMap", NAMESPACE, labels=f"{RECORD}=inventory"):
                for item in _unpack(found):
                    entry = decode_entry(item)
                    self._entries[entry.ref] = entry
        return self._entries

    def put(self, entries: Iterable[Entry], gone: Iterable[Ref] = ()) -> None:
        """Set entries and forget others; what changed is in the cluster when this returns."""
        with self._lock:
            known = self.entries
            dirty: set[int] = set()
            for entry in entries:
                if known.get(entry.ref) != entry:
                    known[entry.ref] = entry
                    dirty.add(_shard(entry.ref))
            for ref in gone:
                if known.pop(ref, None) is not None:
                    dirty.add(_shard(ref))
            shards: dict[int, list[Any]] = {number: [] for number in sorted(dirty)}
            for ref in sorted(known):
                if (number := _shard(ref)) in dirty:
                    shards[number].append(encode_entry(known[ref]))
            each(lambda shard: self._write_shard(*shard), shards.items())

    def _write_shard(self, number: int, entries: list[Any]) -> None:
        packed = _pack(entries)
        if len(packed) > _MOST_BYTES:
            raise StokerError(
                f"the inventory has grown beyond what {_SHARDS} ConfigMaps hold",
                fix="one cluster holds several hundred thousand objects of one inventory at most: split the platform",
            )
        self.cluster.apply(_config_map(f"stoker-inventory-{number:02}", "inventory", packed))

    # --- runs ---------------------------------------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """Every run that is kept, oldest first."""
        found = self.cluster.objects("v1", "ConfigMap", NAMESPACE, labels=f"{RECORD}=run")
        return sorted((_run(item) for item in found), key=lambda run: run.number)

    def next_number(self) -> int:
        return max((run.number for run in self.runs()), default=0) + 1

    def put_run(self, run: Run) -> None:
        body = _config_map(f"stoker-run-{run.number:05}", "run", None, run.number)
        body["data"] = {"run.json": json.dumps(asdict(run), sort_keys=True)}
        self.cluster.apply(body)

    def put_touched(self, run: Run, step: int, touched: Sequence[Touched]) -> None:
        """What a step of a run will change, before it does. Pieces of as many objects as fit."""
        for piece, packed in enumerate(_pieces([encode_touched(one) for one in touched])):
            name = f"stoker-run-{run.number:05}-{step:03}-{piece:03}"
            self.cluster.apply(_config_map(name, "backup", packed, run.number))

    def touched(self, number: int) -> list[Touched]:
        """What a run changed, in the order in which it did."""
        found = self.cluster.objects("v1", "ConfigMap", NAMESPACE, labels=f"{RECORD}=backup,{_RUN}={number}")
        found.sort(key=lambda item: str(item["metadata"]["name"]))
        return [decode_touched(item) for piece in found for item in _unpack(piece)]

    def forget_old(self) -> None:
        """Delete the backups of all but the newest runs; what uninstall needs is in the inventory."""
        for run in self.runs()[:-_KEEP]:
            for found in self.cluster.objects("v1", "ConfigMap", NAMESPACE, labels=f"{_RUN}={run.number}"):
                self._delete(found)

    def erase(self) -> None:
        """Delete the whole record."""
        for found in self.cluster.objects("v1", "ConfigMap", NAMESPACE, labels=RECORD):
            self._delete(found)
        for lease in (LEASE, _ROLLOUT_LEASE):
            self.cluster.delete(Ref("coordination.k8s.io/v1", "Lease", NAMESPACE, lease))

    def _delete(self, found: Object) -> None:
        metadata = found["metadata"]
        self.cluster.delete(Ref("v1", "ConfigMap", NAMESPACE, metadata["name"]), uid=metadata["uid"])


def _shard(ref: Ref) -> int:
    text = f"{ref.group}/{ref.kind}/{ref.namespace}/{ref.name}"
    return hashlib.sha256(text.encode()).digest()[0] % _SHARDS


def _pack(items: Sequence[Any]) -> bytes:
    text = json.dumps(items, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return gzip.compress(text.encode(), 6, mtime=0)


def _unpack(found: Object) -> list[Any]:
    packed = (found.get("binaryData") or {}).get("items.json.gz")
    if packed is None:
        return []
    items: list[Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return items


def _pieces(items: Sequence[Any]) -> Iterator[bytes]:
    packed = _pack(items)
    if len(packed) <= _MOST_BYTES or len(items) == 1:
        yield packed
        return
    half = len(items) // 2
    yield from _pieces(items[:half])
    yield from _pieces(items[half:])


def _config_map(name: str, record: str, packed: bytes | None, run: int | None = None) -> Object:
    # Not managed-by: lists of what Stoker applied would carry the whole record along.
    labels = {"app.kubernetes.io/part-of": MANAGED_BY, RECORD: record}
    if run is not None:
        labels[_RUN] = str(run)
    body: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
    }
    if packed is not None:
        body["binaryData"] = {"items.json.gz": base64.b64encode(packed).decode()}
    return body


def _run(found: Object) -> Run:
    return Run(**json.loads(found["data"]["run.json"]))
