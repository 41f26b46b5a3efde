"""One event under its two names: core ``v1`` and ``events.k8s.io/v1`` (pkg/apis/events/v1/conversion.go).

Both forms come out canonical: what a Go struct always writes is there (``firstTimestamp: null``).
"""

from typing import Any

from stoker.lab.kinds.strategy import Object

__all__ = ["EVENT_SELECTOR_FIELDS", "event_to_core", "event_to_events_v1"]

# (field of core, field of events.k8s.io, what a server writes where it is missing; None where nothing is written)
_ABSENT = object()
_FIELDS: tuple[tuple[str, str, Any], ...] = (
    ("metadata", "metadata", {}),
    ("eventTime", "eventTime", None),
    ("series", "series", _ABSENT),
    ("reportingComponent", "reportingController", ""),
    ("reportingInstance", "reportingInstance", ""),
    ("action", "action", _ABSENT),
    ("reason", "reason", _ABSENT),
    ("involvedObject", "regarding", {}),
    ("related", "related", _ABSENT),
    ("message", "note", _ABSENT),
    ("type", "type", _ABSENT),
    ("source", "deprecatedSource", {}),
    ("firstTimestamp", "deprecatedFirstTimestamp", None),
    ("lastTimestamp", "deprecatedLastTimestamp", None),
    ("count", "deprecatedCount", _ABSENT),
)
# In events.k8s.io the reporter has omitempty; in core it is always written.
_ONLY_CORE = {"reportingComponent", "reportingInstance"}

EVENT_SELECTOR_FIELDS = {
    "regarding.kind": "involvedObject.kind",
    "regarding.namespace": "involvedObject.namespace",
    "regarding.name": "involvedObject.name",
    "regarding.uid": "involvedObject.uid",
    "regarding.apiVersion": "involvedObject.apiVersion",
    "regarding.resourceVersion": "involvedObject.resourceVersion",
    "regarding.fieldPath": "involvedObject.fieldPath",
    "reportingController": "reportingComponent",
}
"""Field selectors of events.k8s.io by what they are called on a core event; others are the same in both."""


def event_to_core(event: Object) -> Object:
    """The core event of one of events.k8s.io."""
    found: Object = {"kind": "Event", "apiVersion": "v1"}
    for core, other, zero in _FIELDS:
        if other in event:
            found[core] = event[other]
        elif zero is not _ABSENT:
            found[core] = {} if zero == {} else zero
    return found


def event_to_events_v1(event: Object) -> Object:
    """The event of events.k8s.io of a core one."""
    found: Object = {"kind": "Event", "apiVersion": "events.k8s.io/v1"}
    for core, other, zero in _FIELDS:
        if core in _ONLY_CORE:
            if event.get(core):
                found[other] = event[core]
        elif core in event:
            found[other] = event[core]
        elif zero is not _ABSENT:
            found[other] = {} if zero == {} else zero
    return found
