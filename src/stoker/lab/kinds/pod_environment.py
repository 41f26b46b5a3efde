"""Rules of environment variables and of fields that pods read of themselves.

Source: pkg/apis/core/validation/validation.go (ValidateEnv, ValidateEnvFrom, validateObjectFieldSelector).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.metadata import (
    format_causes,
    is_dns_label,
    is_dns_subdomain,
    is_qualified_name,
    name_messages,
    regex_message,
)
from stoker.lab.kinds.metadata_memory import remembered
from stoker.lab.kinds.pod_paths import no_backsteps
from stoker.lab.kinds.quantity_text import nano
from stoker.lab.status import Cause, invalid_value, required, unsupported

__all__ = ["env_causes", "env_from_causes", "field_ref_causes", "is_config_key", "resource_ref_causes"]

_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_CONVERTIBLE = frozenset(
    {
        *_ENV_FIELDS,
        "metadata.annotations",
        "metadata.labels",
        "spec.restartPolicy",
        "spec.schedulerName",
        "status.phase",
    }
)
_RESOURCES = tuple(
    sorted(
        f"{side}.{name}" for side in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
    )
)
_HUGEPAGES = ("limits.hugepages-", "requests.hugepages-")
_SIZES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_CONFIG_KEY_RE = re.compile(_CONFIG_KEY)
_CONFIG_KEY_MESSAGE = regex_message(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY,
    "key.name",
    "KEY_NAME",
    "key-name",
)
_ENV_NAME = re.compile("[ -<>-~]*")
_ENV_NAME_MESSAGE = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


@remembered
def _env_name(name: str) -> tuple[str, ...]:
    """IsRelaxedEnvVarName."""
    if not name:
        return ("environment variable name must be non-empty",)
    return () if _ENV_NAME.fullmatch(name) else (_ENV_NAME_MESSAGE,)


@remembered
def is_config_key(value: str) -> tuple[str, ...]:
    """What is wrong with a key of a ConfigMap or Secret."""
    found: list[str] = []
    if len(value) > 253:
        found.append("must be no more than 253 characters")
    if not _CONFIG_KEY_RE.fullmatch(value):
        found.append(_CONFIG_KEY_MESSAGE)
    if value in {".", ".."}:
        found.append(f"must not be '{value}'")
    elif value.startswith(".."):
        found.append("must not start with '..'")
    return tuple(found)


def env_causes(variables: Iterable[Mapping[str, Any]], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(variables):
        name = one.get("name", "")
        if not name:
            found.append(required(f"{path}[{index}].name"))
        elif _env_name(name):
            found += format_causes(f"{path}[{index}].name", name, _env_name)
        if one.get("valueFrom") is not None:
            found += _value_from_causes(one, f"{path}[{index}].valueFrom")
    return found


def _value_from_causes(variable: Mapping[str, Any], path: str) -> list[Cause]:
    source = variable["valueFrom"]
    kinds = [one for one in _SOURCES if source.get(one) is not None]
    found: list[Cause] = []
    for kind in kinds:
        at, value = f"{path}.{kind}", source[kind]
        if kind == "fieldRef":
            found += field_ref_causes(value, _ENV_FIELDS, at)
        elif kind == "resourceFieldRef":
            found += resource_ref_causes(value, at, is_volume=False)
        elif kind == "fileKeyRef":
            found += _file_key_causes(value, at)
        else:
            found += _key_causes(value, at)
    if not kinds:
        text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        found.append(invalid_value(path, "", text))
    elif variable.get("value"):
        found.append(invalid_value(path, "", "may not be specified when `value` is not empty"))
    elif len(kinds) > 1:
        found.append(invalid_value(path, "", "may not have more than one field specified at a time"))
    return found


def _key_causes(source: Mapping[str, Any], path: str) -> list[Cause]:
    found = format_causes(f"{path}.name", source.get("name", ""), is_dns_subdomain)
    key = source.get("key", "")
    if not key:
        return [*found, required(f"{path}.key")]
    return found + format_causes(f"{path}.key", key, is_config_key)


def _file_key_causes(source: Mapping[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    for key, format_ in (("key", _env_name), ("volumeName", is_dns_label)):
        value = source.get(key, "")
        found += format_causes(f"{path}.{key}", value, format_) if value else [required(f"{path}.{key}")]
    target = source.get("path", "")
    return found + (no_backsteps(target, f"{path}.path") if target else [required(f"{path}.path")])


def field_ref_causes(reference: Mapping[str, Any], known: Iterable[str], path: str) -> list[Cause]:
    """A field of the pod itself (upstream validateObjectFieldSelector)."""
    version, text = reference.get("apiVersion", ""), reference.get("fieldPath", "")
    for key, value in (("apiVersion", version), ("fieldPath", text)):
        if not value:
            return [required(f"{path}.{key}")]
    at = f"{path}.fieldPath"
    if version != "v1":
        why = f"error converting fieldPath: unsupported pod version: {version}"
        return [invalid_value(at, text, why)]
    head, _, subscript = text[:-2].partition("['") if text.endswith("']") else ("", "", "")
    if head:
        if head not in {"metadata.annotations", "metadata.labels"}:
            why = f"error converting fieldPath: field label does not support subscript: {text}"
            return [invalid_value(at, text, why)]
        name = subscript.lower() if head == "metadata.annotations" else subscript
        return format_causes(path, name, is_qualified_name)
    if text == "spec.host":
        text = "spec.nodeName"
    if text not in _CONVERTIBLE:
        return [invalid_value(at, text, f"error converting fieldPath: field label not supported: {text}")]
    return [] if text in known else [unsupported(at, text, sorted(known))]


def resource_ref_causes(reference: Mapping[str, Any], path: str, *, is_volume: bool) -> list[Cause]:
    """A request or limit of a container (upstream validateContainerResourceFieldSelector)."""
    name = reference.get("resource", "")
    found: list[Cause] = []
    if is_volume and not reference.get("containerName"):
        found.append(required(f"{path}.containerName"))
    elif not name:
        found.append(required(f"{path}.resource"))
    elif name not in _RESOURCES and not name.startswith(_HUGEPAGES):
        found.append(unsupported(f"{path}.resource", name, _RESOURCES))
    divisor = reference.get("divisor", "0")
    if not nano(divisor):
        return found
    return found + _divisor_causes(name, divisor, f"{path}.divisor")


def _divisor_causes(name: str, divisor: str, path: str) -> list[Cause]:
    kind = name.partition(".")[2] if name in _RESOURCES else ""
    if kind == "cpu":
        if divisor in {"1m", "1"}:
            return []
        return [
            invalid_value(path, name, "only divisor's values 1m and 1 are supported with the cpu resource")
        ]
    if name.startswith(_HUGEPAGES):
        kind = "hugepages"
    if not kind or divisor in _SIZES:
        return []
    what = "local ephemeral storage" if kind == "ephemeral-storage" else kind
    text = f"only divisor's values {', '.join(_SIZES)} are supported with the {what} resource"
    return [invalid_value(path, name, text)]


def env_from_causes(sources: Iterable[Mapping[str, Any]], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(sources):
        at = f"{path}[{index}]"
        if one.get("prefix"):
            found += format_causes(f"{at}.prefix", one["prefix"], _env_name)
        kinds = [key for key in ("configMapRef", "secretRef") if one.get(key) is not None]
        for kind in kinds:
            name = one[kind].get("name", "")
            if not name:
                found.append(required(f"{at}.{kind}.name"))
            else:
                messages = name_messages(is_dns_subdomain, name, is_prefix=True)
                found += [invalid_value(f"{at}.{kind}.name", name, text) for text in messages]
        if not kinds:
            found.append(invalid_value(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(kinds) > 1:
            found.append(invalid_value(path, "", "may not have more than one field specified at a time"))
    return found
