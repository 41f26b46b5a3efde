"""Events as the real controllers emit them: counted when they repeat, gathered when many are alike, dropped when too many.

Source: client-go tools/record/{event.go,events_cache.go}. What was said before is remembered in the process, as there.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from weakref import WeakKeyDictionary

from stoker.lab.api.cluster import Cluster, timestamp
from stoker.lab.control.local import Local
from stoker.lab.controllers.objects import Object
from stoker.lab.status import ApiError

__all__ = ["record"]

# client-go events_cache.go: what is remembered, when alike events are gathered, how many one object may have.
_REMEMBERED = 4096
_ALIKE = 10
_ALIKE_WITHIN_S = 600.0
_BURST = 25.0
_REFILL_PER_S = 1 / 300
_LONGEST_MESSAGE = 1024
# The version of the object does not tell one event from another.
_IDENTITY = ("kind", "namespace", "name", "uid", "apiVersion")


@dataclass(slots=True)
class _Said:
    name: str
    count: int
    first: str


@dataclass(slots=True)
class _Gathered:
    messages: dict[str, None] = field(default_factory=dict)
    last: datetime | None = None


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime


class _Memory:
    """What one cluster's components have said."""

    def __init__(self) -> None:
        self.said: OrderedDict[tuple[str, ...], _Said] = OrderedDict()
        self.gathered: OrderedDict[tuple[str, ...], _Gathered] = OrderedDict()
        self.buckets: OrderedDict[tuple[str, ...], _Bucket] = OrderedDict()
        self._last = 0

    def nanoseconds(self, now: datetime) -> int:
        """The time in nanoseconds, never the same twice: events are named by it."""
        self._last = max(self._last + 1, int(now.timestamp() * 1e6) * 1000)
        return self._last

    def is_spam(self, key: tuple[str, ...], now: datetime) -> bool:
        bucket = self.buckets.get(key)
        if bucket is None:
            bucket = _kept(self.buckets, key, _Bucket(_BURST, now))
        bucket.tokens = min(_BURST, bucket.tokens + (now - bucket.at).total_seconds() * _REFILL_PER_S)
        bucket.at = now
        if bucket.tokens < 1:
            return True
        bucket.tokens -= 1
        return False

    def gather(self, key: tuple[str, ...], message: str, now: datetime) -> bool:
        """Whether an event is one of too many that differ in nothing but their message."""
        gathered = self.gathered.get(key)
        if gathered is None or (
            gathered.last is not None and (now - gathered.last).total_seconds() > _ALIKE_WITHIN_S
        ):
            gathered = _kept(self.gathered, key, _Gathered())
        gathered.last = now
        if message not in gathered.messages and len(gathered.messages) >= _ALIKE:
            gathered.messages.pop(next(iter(gathered.messages)))
        gathered.messages[message] = None
        return len(gathered.messages) >= _ALIKE


_T = TypeVar("_T")


def _kept(memory: OrderedDict[tuple[str, ...], _T], key: tuple[str, ...], value: _T) -> _T:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)
    return value


_MEMORIES: WeakKeyDictionary[Cluster, _Memory] = WeakKeyDictionary()


def record(  # noqa: PLR0917 - six words of one sentence
    local: Local,
    obj: Object,
    type: str,  # noqa: A002 - the API's word
    reason: str,
    message: str,
    component: str,
    *,
    host: str = "",
    part: str = "",
) -> None:
    """Emit an event about an object; one that cannot be written is dropped, as the real ones are.

    Args:
        local: of the component that speaks.
        obj: what the event is about, with its ``apiVersion`` and ``kind``.
        type: ``Normal`` or ``Warning``.
        reason: one word, such as ``SuccessfulCreate``.
        message: a sentence.
        component: such as ``replicaset-controller``.
        host: the node on which it works, for a kubelet.
        part: of the object, such as ``spec.containers{engine}``; empty for the whole of it.
    """
    now = local.cluster.clock()
    involved = _reference(obj)
    memory = _MEMORIES.setdefault(local.cluster, _Memory())
    about = (component, host, *(involved.get(one, "") for one in _IDENTITY), type)
    if part:
        involved["fieldPath"] = part
    if memory.is_spam(about, now):
        return
    is_gathered = memory.gather((*about, reason), message, now)
    key = (*about, part, reason, "" if is_gathered else message)
    text = f"(combined from similar events): {message}" if is_gathered else message
    said = memory.said.get(key)
    namespace = obj["metadata"].get("namespace") or "default"
    try:
        if said is not None and _again(local, namespace, said, text):
            memory.said.move_to_end(key)
            return
        event = _event(obj, involved, memory.nanoseconds(now), (type, reason, text, component, host))
        event |= {"firstTimestamp": timestamp(now), "lastTimestamp": timestamp(now)}
        name = local.create(event)["metadata"]["name"]
    except ApiError:
        # A namespace on its way out takes no events; neither does a full one.
        return
    _kept(memory.said, key, _Said(name, 1, timestamp(now)))


def _reference(obj: Object) -> Object:
    metadata = obj["metadata"]
    found = {
        "kind": obj["kind"],
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "apiVersion": obj["apiVersion"],
        "resourceVersion": metadata.get("resourceVersion", ""),
    }
    return {key: value for key, value in found.items() if value}


def _event(obj: Object, involved: Object, nanoseconds: int, said: tuple[str, str, str, str, str]) -> Object:
    kind, reason, message, component, host = said
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            # makeEvent: the object's name and the time in nanoseconds.
            "name": f"{obj['metadata']['name']}.{nanoseconds:x}",
            "namespace": obj["metadata"].get("namespace") or "default",
        },
        "involvedObject": involved,
        "reason": reason,
        "message": message[:_LONGEST_MESSAGE],
        "source": {"component": component, **({"host": host} if host else {})},
        "count": 1,
        "type": kind,
        "reportingComponent": component,
        "reportingInstance": host,
    }


def _again(local: Local, namespace: str, said: _Said, text: str) -> bool:
    """Count an event that is there already; False where it is gone."""
    event = local.get("v1", "Event", namespace, said.name)
    if event is None:
        return False
    said.count += 1
    event["count"] = said.count
    event["lastTimestamp"] = local.cluster.now()
    event["message"] = text[:_LONGEST_MESSAGE]
    local.update(event)
    return True
