"""Names, labels, annotations and the rest of metadata, with the causes of k8s.io/apimachinery.

Sources: pkg/api/validation/objectmeta.go, pkg/apis/meta/v1/validation, pkg/util/validation (1.36). A format is a function
from a text to the messages that say what is wrong with it; results are cached, for the same labels come again and again.
Go reads maps in random order; here causes stand in the order of the keys.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.metadata_memory import remembered
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, too_long

__all__ = [
    "DNS_LABEL",
    "IMMUTABLE",
    "NOT_NEGATIVE",
    "Format",
    "annotations_causes",
    "finalizer_warnings",
    "format_causes",
    "immutable",
    "in_range",
    "is_dns1035_label",
    "is_dns_label",
    "is_dns_subdomain",
    "is_dns_subdomain_with_underscore",
    "is_label_value",
    "is_path_segment",
    "is_qualified_name",
    "label_selector_causes",
    "labels_causes",
    "name_messages",
    "not_negative",
    "object_meta_causes",
    "object_meta_update_causes",
    "regex_message",
    "selector_matches",
]

Format = Callable[[str], tuple[str, ...]]
IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"
_ANNOTATIONS_LIMIT = 256 * 1024

DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_LABEL_UNDERSCORE = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
_SUBDOMAIN_UNDERSCORE = rf"{_DNS_LABEL_UNDERSCORE}(\.{_DNS_LABEL_UNDERSCORE})*"
_DNS_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_LABEL_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_LABEL_KEY})?"
_LABEL_RE = re.compile(DNS_LABEL)
_SUBDOMAIN_RE = re.compile(_SUBDOMAIN)
_SUBDOMAIN_UNDERSCORE_RE = re.compile(_SUBDOMAIN_UNDERSCORE)
_DNS_1035_RE = re.compile(_DNS_1035)
_LABEL_KEY_RE = re.compile(_LABEL_KEY)
_LABEL_VALUE_RE = re.compile(_LABEL_VALUE)
_MUST = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"


def regex_message(text: str, pattern: str, *examples: str) -> str:
    """RegexError: the message, examples, the expression."""
    if not examples:
        return f"{text} (regex used for validation is '{pattern}')"
    listed = " or ".join(f"'{one}', " for one in examples)
    return f"{text} (e.g. {listed}regex used for validation is '{pattern}')"


_LABEL_MESSAGE = regex_message(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an"
    " alphanumeric character",
    DNS_LABEL,
    "my-name",
    "123-abc",
)
_SUBDOMAIN_MESSAGE = regex_message(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end"
    " with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_SUBDOMAIN_UNDERSCORE_MESSAGE = regex_message(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and"
    " end with an alphanumeric character",
    _SUBDOMAIN_UNDERSCORE,
    "example.com",
)
_DNS_1035_MESSAGE = regex_message(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end"
    " with an alphanumeric character",
    _DNS_1035,
    "my-name",
    "abc-123",
)
_KEY_MESSAGE = regex_message(_MUST, _LABEL_KEY, "MyName", "my.name", "123-abc")
_VALUE_MESSAGE = regex_message(
    f"a valid label must be an empty string or {_MUST.removeprefix('must ')}",
    _LABEL_VALUE,
    "MyValue",
    "my_value",
    "12345",
)


# --- formats ------------------------------------------------------------------------------------------------------


@remembered
def is_dns_label(value: str) -> tuple[str, ...]:
    found = () if len(value) <= 63 else ("must be no more than 63 characters",)
    if _LABEL_RE.fullmatch(value):
        return found
    if _SUBDOMAIN_RE.fullmatch(value):
        return (*found, "must not contain dots")
    return (*found, _LABEL_MESSAGE)


@remembered
def is_dns_subdomain(value: str) -> tuple[str, ...]:
    found = () if len(value) <= 253 else ("must be no more than 253 characters",)
    return found if _SUBDOMAIN_RE.fullmatch(value) else (*found, _SUBDOMAIN_MESSAGE)


def is_dns_subdomain_with_underscore(value: str) -> tuple[str, ...]:
    found = () if len(value) <= 253 else ("must be no more than 253 characters",)
    return found if _SUBDOMAIN_UNDERSCORE_RE.fullmatch(value) else (*found, _SUBDOMAIN_UNDERSCORE_MESSAGE)


@remembered
def is_dns1035_label(value: str) -> tuple[str, ...]:
    found = () if len(value) <= 63 else ("must be no more than 63 characters",)
    return found if _DNS_1035_RE.fullmatch(value) else (*found, _DNS_1035_MESSAGE)


@remembered
def is_qualified_name(value: str) -> tuple[str, ...]:
    """A label key: an optional prefix and a name."""
    parts = value.split("/")
    found: list[str] = []
    if len(parts) > 2:
        return (
            f"a valid label key {_KEY_MESSAGE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        )
    if len(parts) == 2:
        if not parts[0]:
            found.append("prefix part must be non-empty")
        else:
            prefix = is_dns_subdomain(parts[0])
            found += [f"prefix part {one.replace('253 characters', '253 bytes')}" for one in prefix]
    name = parts[-1]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > 63:
        found.append("name part must be no more than 63 bytes")
    if not _LABEL_KEY_RE.fullmatch(name):
        found.append(f"name part {_KEY_MESSAGE}")
    return tuple(found)


@remembered
def is_label_value(value: str) -> tuple[str, ...]:
    found = () if len(value) <= 63 else ("must be no more than 63 bytes",)
    return found if _LABEL_VALUE_RE.fullmatch(value) else (*found, _VALUE_MESSAGE)


def is_path_segment(value: str) -> tuple[str, ...]:
    """A name that can stand in a URL's path: all that kinds such as roles ask for (pkg/api/validation/path)."""
    if value in {".", ".."}:
        return (f"may not be '{value}'",)
    return tuple(f"may not contain '{one}'" for one in ("/", "%") if one in value)


def name_messages(format_: Format, name: str, *, is_prefix: bool = False) -> tuple[str, ...]:
    """What is wrong with a name; a prefix that something is appended to may end in a dash (maskTrailingDash)."""
    if is_prefix and len(name) > 1 and name.endswith("-"):
        name = f"{name[:-2]}a"
    return format_(name)


def format_causes(path: str, value: str, format_: Format) -> list[Cause]:
    return [invalid_value(path, value, one) for one in format_(value)]


# --- causes shared by many fields -----------------------------------------------------------------------------------


def not_negative(path: str, value: int | None) -> list[Cause]:
    return [invalid_value(path, value, NOT_NEGATIVE)] if value is not None and value < 0 else []


def in_range(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


def immutable(path: str, new: Any, old: Any, text: str | None = None) -> list[Cause]:
    """Refuses a change; `text` is the new value where JSON would not be what the server prints."""
    if new == old:
        return []
    if text is not None or isinstance(new, dict | list):
        return [invalid_text(path, go_text(new) if text is None else text, IMMUTABLE)]
    return [invalid_value(path, new, IMMUTABLE)]


def labels_causes(labels: Mapping[str, str] | None, path: str) -> list[Cause]:
    found: list[Cause] = []
    if labels:
        for key, value in labels.items():
            if is_qualified_name(key) or is_label_value(value):
                found += format_causes(path, key, is_qualified_name)
                found += format_causes(path, value, is_label_value)
    return found


def annotations_causes(annotations: Mapping[str, str] | None, path: str) -> list[Cause]:
    found: list[Cause] = []
    if annotations:
        size = 0
        for key, value in annotations.items():
            found += [invalid_value(path, key, one) for one in is_qualified_name(key.lower())]
            size += len(key) + len(value) if value.isascii() else len(f"{key}{value}".encode())
        if size > _ANNOTATIONS_LIMIT:
            found.append(too_long(path, _ANNOTATIONS_LIMIT))
    return found


def label_selector_causes(selector: Mapping[str, Any] | None, path: str) -> list[Cause]:
    """ValidateLabelSelector."""
    if not selector:
        return []
    found = labels_causes(selector.get("matchLabels"), f"{path}.matchLabels")
    for index, one in enumerate(selector.get("matchExpressions") or ()):
        found += _requirement_causes(one, f"{path}.matchExpressions[{index}]")
    return found


def _requirement_causes(one: Mapping[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    operator, values = one.get("operator", ""), one.get("values") or []
    if operator in {"In", "NotIn"}:
        if not values:
            found.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(forbidden_field(f"{path}.values", text))
    else:
        found.append(invalid_value(f"{path}.operator", operator, "not a valid selector operator"))
    found += format_causes(f"{path}.key", one.get("key", ""), is_qualified_name)
    for index, value in enumerate(values):
        found += format_causes(f"{path}.values[{index}]", value, is_label_value)
    return found


def selector_matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool | None:
    """Whether a label selector matches; no selector matches nothing; None where the selector cannot be read."""
    if selector is None:
        return False
    for one in selector.get("matchExpressions") or ():
        operator, values, value = one.get("operator"), one.get("values") or [], labels.get(one.get("key"))
        if operator not in {"In", "NotIn", "Exists", "DoesNotExist"} or (operator in {"In", "NotIn"}) != bool(
            values
        ):
            return None
        is_found = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not is_found[operator]:
            return False
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())


# --- metadata -----------------------------------------------------------------------------------------------------


def object_meta_causes(
    obj: Mapping[str, Any],
    is_namespaced: bool,  # noqa: FBT001  every kind says it where it names itself
    format_: Format,
) -> list[Cause]:
    """ValidateObjectMeta: on a create, when the name was generated."""
    meta: Mapping[str, Any] = obj.get("metadata") or {}
    found: list[Cause] = []
    generate, name = meta.get("generateName", ""), meta.get("name", "")
    if generate:
        messages = name_messages(format_, generate, is_prefix=True)
        found += [invalid_value("metadata.generateName", generate, one) for one in messages]
    if not name:
        found.append(required("metadata.name", "name or generateName is required"))
    else:
        found += format_causes("metadata.name", name, format_)
    namespace = meta.get("namespace", "")
    if is_namespaced:
        if not namespace:
            found.append(required("metadata.namespace"))
        else:
            found += format_causes("metadata.namespace", namespace, is_dns_label)
    elif namespace:
        found.append(forbidden_field("metadata.namespace", "not allowed on this type"))
    found += not_negative("metadata.generation", meta.get("generation"))
    found += labels_causes(meta.get("labels"), "metadata.labels")
    found += annotations_causes(meta.get("annotations"), "metadata.annotations")
    found += _owner_causes(meta.get("ownerReferences") or (), "metadata.ownerReferences")
    found += _finalizer_causes(meta.get("finalizers") or (), "metadata.finalizers")
    return found + _managed_causes(meta.get("managedFields") or (), "metadata.managedFields")


def object_meta_update_causes(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[Cause]:
    """ValidateObjectMetaUpdate."""
    fresh: Mapping[str, Any] = new.get("metadata") or {}
    before: Mapping[str, Any] = old.get("metadata") or {}
    found: list[Cause] = []
    if before.get("deletionTimestamp"):
        extra = sorted(set(fresh.get("finalizers") or ()) - set(before.get("finalizers") or ()))
        if extra:
            listed = ", ".join(f'"{one}"' for one in extra)
            text = "no new finalizers can be added if the object is being deleted, found new finalizers"
            found.append(forbidden_field("metadata.finalizers", f"{text} []string{{{listed}}}"))
    if not fresh.get("resourceVersion"):
        found.append(invalid_value("metadata.resourceVersion", "", "must be specified for an update"))
    if fresh.get("generation", 0) < before.get("generation", 0):
        found.append(
            invalid_value("metadata.generation", fresh.get("generation", 0), "must not be decremented")
        )
    for key in ("name", "namespace", "uid"):
        found += immutable(f"metadata.{key}", fresh.get(key, ""), before.get(key, ""))
    for key in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        found += immutable(f"metadata.{key}", fresh.get(key), before.get(key))
    found += labels_causes(fresh.get("labels"), "metadata.labels")
    found += annotations_causes(fresh.get("annotations"), "metadata.annotations")
    found += _owner_causes(fresh.get("ownerReferences") or (), "metadata.ownerReferences")
    return found + _managed_causes(fresh.get("managedFields") or (), "metadata.managedFields")


def _owner_causes(references: Iterable[Mapping[str, Any]], path: str) -> list[Cause]:
    found: list[Cause] = []
    first = ""
    for one in references:
        version, kind = one.get("apiVersion", ""), one.get("kind", "")
        if not version.rpartition("/")[2]:
            found.append(invalid_value(f"{path}.apiVersion", version, "version must not be empty"))
        empty = [key for key in ("kind", "name", "uid") if not one.get(key)]
        found += [invalid_value(f"{path}.{key}", "", "must not be empty") for key in empty]
        if version == "v1" and kind == "Event":
            found.append(
                invalid_text(path, go_text(one), "/v1, Kind=Event is disallowed from being an owner")
            )
        if one.get("controller"):
            current = f"{kind}/{one.get('name', '')}"
            if first:
                text = (
                    f'Only one reference can have Controller set to true. Found "true" in references for {first}'
                    f" and {current}"
                )
                found.append(invalid_text(path, go_text(list(references)), text))
            else:
                first = current
    return found


def _finalizer_causes(finalizers: Iterable[str], path: str) -> list[Cause]:
    found = [cause for one in finalizers for cause in format_causes(path, one, is_qualified_name)]
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        text = "finalizer orphan and foregroundDeletion cannot be both set"
        found.append(invalid_text(path, go_text(list(finalizers)), text))
    return found


def _managed_causes(entries: Iterable[Mapping[str, Any]], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(entries):
        operation, kind = one.get("operation", ""), one.get("fieldsType", "")
        if operation not in {"Apply", "Update"}:
            text = "must be `Apply` or `Update`"
            found.append(invalid_value(f"{path}[{index}].operation", operation, text))
        if kind and kind != "FieldsV1":
            found.append(invalid_value(f"{path}[{index}].fieldsType", kind, "must be `FieldsV1`"))
        if len(one.get("manager", "")) > 128:
            found.append(too_long(f"{path}[{index}].manager", 128))
    return found


def finalizer_warnings(obj: Mapping[str, Any]) -> list[str]:
    """Warnings of finalizers of custom resources: validateKubeFinalizerName (apiextensions customresource/validator.go)."""
    found: list[str] = []
    for one in (obj.get("metadata") or {}).get("finalizers") or ():
        found += [f'metadata.finalizers: "{one}": {text}' for text in is_qualified_name(one)]
        if "/" not in one and one not in {"orphan", "foregroundDeletion", "kubernetes"}:
            path = " including a path (/)" if "." in one else ""
            found.append(
                f'metadata.finalizers: "{one}": prefer a domain-qualified finalizer name{path} to avoid accidental'
                " conflicts with other finalizer writers"
            )
    return found
