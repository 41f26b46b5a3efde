"""Label and field selectors as they stand in a query string.

Sources: apimachinery pkg/labels/selector.go, pkg/fields/selector.go; which fields a kind can be selected by: the
conversion functions of pkg/apis/*/v1/conversion.go and each registry's attribute functions.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stoker.lab.resources import Resource
from stoker.lab.status import bad_request

__all__ = ["FieldSelector", "LabelSelector", "field_selector", "label_selector"]

Object = dict[str, Any]

_TOKEN = re.compile(r"\s*(==|!=|=|!|>|<|\(|\)|,|[^\s,()!=<>]+)")


@dataclass(frozen=True, slots=True)
class _Requirement:
    key: str
    operator: str
    values: tuple[str, ...]

    def matches(self, labels: dict[str, str]) -> bool:
        here = labels.get(self.key)
        match self.operator:
            case "in":
                return here is not None and here in self.values
            case "notin":
                return here is None or here not in self.values
            case "exists":
                return here is not None
            case "absent":
                return here is None
        try:
            left, right = int(here or ""), int(self.values[0])
        except ValueError:
            return False
        return left > right if self.operator == "gt" else left < right


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Requirements that must all hold; none selects everything."""

    requirements: tuple[_Requirement, ...] = ()

    def matches(self, obj: Object) -> bool:
        if not self.requirements:
            return True
        labels = obj["metadata"].get("labels") or {}
        return all(one.matches(labels) for one in self.requirements)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        position = 0
        while position < len(text.rstrip()):
            found = _TOKEN.match(text, position)
            if found is None:
                raise bad_request(
                    f"unable to parse requirement: found '{text[position:]}', expected: identifier"
                )
            self._tokens.append(found[1])
            position = found.end()
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self) -> str:
        found = self.peek()
        self._at += 1
        return found

    def requirements(self) -> list[_Requirement]:
        found: list[_Requirement] = []
        while self.peek():
            found.append(self._requirement())
            word = self.take()
            if word == ",":
                if not self.peek() or self.peek() == ",":
                    raise bad_request(f"found '{self.peek()}', expected: identifier after ','")
            elif word:
                raise bad_request(f"found '{word}', expected: ',' or 'end of string'")
        return found

    def _requirement(self) -> _Requirement:
        if self.peek() == "!":
            self.take()
            return _Requirement(self._identifier(), "absent", ())
        key = self._identifier()
        word = self.peek()
        if word in {"", ","}:
            return _Requirement(key, "exists", ())
        self.take()
        match word:
            case "=" | "==":
                return _Requirement(key, "in", (self._value(),))
            case "!=":
                return _Requirement(key, "notin", (self._value(),))
            case ">" | "<":
                return _Requirement(key, "gt" if word == ">" else "lt", (self._number(key),))
            case "in" | "notin":
                return _Requirement(key, word, self._values())
        raise bad_request(
            f"unable to parse requirement: found '{word}', expected: in, notin, =, ==, !=, gt, lt"
        )

    def _identifier(self) -> str:
        word = self.take()
        if word in {"", "=", "==", "!=", "(", ")", ",", ">", "<", "!"}:
            raise bad_request(f"unable to parse requirement: found '{word}', expected: identifier")
        if len(word.rpartition("/")[2]) > 63 or not re.fullmatch(
            r"([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", word
        ):
            raise bad_request(
                f"unable to parse requirement: <nil>: Invalid value: \"{word}\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            )
        return word

    def _value(self) -> str:
        if self.peek() in {"", ","}:
            return ""
        word = self.take()
        if word in {"=", "==", "!=", "(", ")", ">", "<", "!"}:
            raise bad_request(f"unable to parse requirement: found '{word}', expected: identifier")
        return word

    def _number(self, key: str) -> str:
        word = self._value()
        if not re.fullmatch(r"[+-]?\d+", word):
            raise bad_request(
                f"unable to parse requirement: values[0][{key}]: Invalid value: \"{word}\": for 'Gt', 'Lt' operators, the value must be an integer"
            )
        return word

    def _values(self) -> tuple[str, ...]:
        word = self.take()
        if word != "(":
            raise bad_request(f"unable to parse requirement: found '{word}' expected: '('")
        values: list[str] = []
        while True:
            word = self.take()
            if word == ")":
                return tuple(values or ("",))
            if word == ",":
                continue
            if not word:
                raise bad_request("unable to parse requirement: found '', expected: ',' or ')'")
            values.append(word)


def label_selector(text: str) -> LabelSelector:
    """The selector in ``labelSelector=``.

    Raises:
        ApiError: 400, in the words of apimachinery's parser.
    """
    return LabelSelector(tuple(_Parser(text).requirements()))


# --- fields -------------------------------------------------------------------------------------------------------

Getter = Callable[[Object], str]


def _at(path: str, default: str = "") -> Getter:
    parts = path.split(".")

    def get(obj: Object) -> str:
        value: Any = obj
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None or value == "":
            return default
        return str(value).lower() if isinstance(value, bool) else str(value)

    return get


def _pod_ip(obj: Object) -> str:
    return str((obj.get("status") or {}).get("podIP") or "")


_META: dict[str, Getter] = {
    "metadata.name": _at("metadata.name"),
    "metadata.namespace": _at("metadata.namespace"),
}
_EVENT_FIELDS = (
    "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
    "reportingComponent", "type",
)  # fmt: skip
# Kinds with a conversion function of their own: unknown labels are "field label not supported".
_FIELDS: dict[str, dict[str, Getter]] = {
    "pods": {
        "spec.nodeName": _at("spec.nodeName"),
        "spec.restartPolicy": _at("spec.restartPolicy"),
        "spec.schedulerName": _at("spec.schedulerName"),
        "spec.serviceAccountName": _at("spec.serviceAccountName"),
        "spec.hostNetwork": _at("spec.hostNetwork", "false"),
        "status.phase": _at("status.phase"),
        "status.podIP": _pod_ip,
        "status.podIPs": _pod_ip,
        "status.nominatedNodeName": _at("status.nominatedNodeName"),
    },
    "nodes": {"spec.unschedulable": _at("spec.unschedulable", "false")},
    "namespaces": {"status.phase": _at("status.phase")},
    "secrets": {"type": _at("type")},
    "services": {"spec.clusterIP": _at("spec.clusterIP"), "spec.type": _at("spec.type")},
    "replicationcontrollers": {"status.replicas": _at("status.replicas", "0")},
    "replicasets.apps": {"status.replicas": _at("status.replicas", "0")},
    "jobs.batch": {"status.successful": _at("status.succeeded", "0")},
    "events": {
        **{name: _at(name) for name in _EVENT_FIELDS},
        "source": lambda obj: str(
            (obj.get("source") or {}).get("component") or obj.get("reportingComponent") or ""
        ),
    },
}
_OWN_WORDS = frozenset(
    (
        "pods",
        "nodes",
        "namespaces",
        "secrets",
        "services",
        "replicationcontrollers",
        "replicasets.apps",
        "events",
    )
)


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """``(getter, value, is_equal)`` that must all hold; ``name`` is the only name that can match, where there is one."""

    terms: tuple[tuple[Getter, str, bool], ...] = ()
    name: str | None = None

    def matches(self, obj: Object) -> bool:
        return all((getter(obj) == value) == is_equal for getter, value, is_equal in self.terms)


def _term(part: str) -> tuple[str, str, bool]:
    for sign in ("!=", "==", "="):
        key, found, value = part.partition(sign)
        if found:
            if not key:
                break
            return key, value.replace("\\,", ",").replace("\\=", "=").replace("\\\\", "\\"), sign != "!="
    raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")


def field_selector(
    text: str, resource: Resource, selectable: dict[str, Getter] | None = None
) -> FieldSelector:
    """The selector in ``fieldSelector=``.

    Args:
        text: as it stands in the query.
        resource: what is selected from.
        selectable: further fields, of a custom resource (``selectableFields``).

    Raises:
        ApiError: 400, for a field that the kind cannot be selected by.
    """
    if not text:
        return FieldSelector()
    known = {**_META, **_FIELDS.get(resource.qualified, {}), **(selectable or {})}
    terms = []
    name: str | None = None
    for part in re.split(r"(?<!\\),", text):
        if not part:
            continue
        key, value, is_equal = _term(part)
        getter = known.get(key)
        if getter is None:
            raise bad_request(_unknown(key, resource))
        if key == "metadata.name" and is_equal:
            name = value
        terms.append((getter, value, is_equal))
    return FieldSelector(tuple(terms), name)


def _unknown(key: str, resource: Resource) -> str:
    if resource.qualified in _OWN_WORDS:
        return f"field label not supported: {key}"
    if resource.qualified == "jobs.batch":
        return f'field label "{key}" not supported for Job'
    return f'"{key}" is not a known field selector: only "metadata.name", "metadata.namespace"'
