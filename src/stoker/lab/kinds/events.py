"""Events, as both groups check them (pkg/apis/core/validation/events.go, pkg/registry/core/event/strategy.go).

Events are stored as core events. `EVENT` is for the core group; `EVENT_V1` for events.k8s.io/v1, whose rules are stricter:
it takes that group's objects, and names the core fields in its causes, as the server does.
"""

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.events_conversion import event_to_core
from stoker.lab.kinds.metadata import immutable, is_dns_subdomain, is_qualified_name
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, invalid_value, required

__all__ = ["EVENT", "EVENT_V1"]

_MISMATCH = "does not match event.namespace"
_LIMITS = (("reportingInstance", 128), ("action", 128), ("reason", 128))
_NOTE_LIMIT = 1024
_FIXED = (
    "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reason", "type",
    "eventTime", "action", "related", "reportingController", "reportingInstance",
)  # fmt: skip


def _common(event: Object, reporter: str) -> list[Cause]:
    """``legacyValidateEvent``: what holds for both groups."""
    namespace = event["metadata"].get("namespace", "")
    involved = event.get("involvedObject", {}).get("namespace", "")
    mismatch = invalid_value("involvedObject.namespace", involved, _MISMATCH)
    causes: list[Cause] = []
    if event.get("eventTime") is None:
        wrong = namespace != involved if involved else namespace not in {"", "default"}
        causes += [mismatch] if wrong else []
    else:
        if not involved and namespace not in {"default", "kube-system"}:
            causes.append(mismatch)
        controller = event.get("reportingComponent", "")
        if not controller:
            causes.append(required(reporter))
        causes += each(reporter, controller, is_qualified_name)
        for name, limit in _LIMITS:
            value = event.get(name, "")
            if not value:
                causes.append(required(name))
            causes += _length_causes(name, value, limit)
        causes += _length_causes("message", event.get("message", ""), _NOTE_LIMIT)
    return causes + each("namespace", namespace, is_dns_subdomain)


def _length_causes(name: str, value: str, limit: int) -> list[Cause]:
    if len(value.encode()) <= limit:
        return []
    return [invalid_value(name, "", f"can have at most {limit} characters")]


def _validate(event: Object) -> list[Cause]:
    return _common(event, "reportingComponent")


def _validate_v1(found: Object) -> list[Cause]:
    event = event_to_core(found)
    causes = _common(event, "reportingController")
    if event["metadata"].get("resourceVersion"):
        return causes  # an update, which `_validate_v1_update` looks at
    causes += _series_causes(event)
    if event.get("eventTime") is None:
        causes.append(required("eventTime"))
    kind = event.get("type", "")
    if kind not in {"Normal", "Warning"}:
        causes.append(invalid_value("type", "", f"has invalid value: {kind}"))
    causes += [
        invalid_value(name, "", "needs to be unset")
        for name in ("firstTimestamp", "lastTimestamp", "count", "source")
        if event.get(name)
    ]
    return causes


def _series_causes(event: Object) -> list[Cause]:
    series = event.get("series")
    if series is None:
        return []
    causes = []
    if series.get("count", 0) < 2:
        causes.append(invalid_value("series.count", "", "should be at least 2"))
    if series.get("lastObservedTime") is None:
        causes.append(required("series.lastObservedTime"))
    return causes


def _validate_v1_update(found: Object, before: Object) -> list[Cause]:
    new, old = event_to_core(found), event_to_core(before)
    causes = _series_causes(new) if new.get("series") != old.get("series") else []
    for name in _FIXED:
        key = "reportingComponent" if name == "reportingController" else name
        now, then = new.get(key), old.get(key)
        if now == then:
            continue
        if isinstance(now, dict):
            causes.append(invalid_text(name, go_text(now), "field is immutable"))
        else:
            causes += immutable(name, now, then)
    return causes


EVENT = Strategy(validate=_validate, allows_create_on_update=True)
EVENT_V1 = Strategy(validate=_validate_v1, validate_update=_validate_v1_update, allows_create_on_update=True)
