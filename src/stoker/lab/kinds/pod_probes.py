"""Rules of probes and hooks: pkg/apis/core/validation/validation.go (validateProbe, validateHandler, validateLifecycle)."""

import re
from collections.abc import Mapping
from typing import Any

from stoker.lab.kinds.metadata import in_range, not_negative, regex_message
from stoker.lab.kinds.metadata_memory import remembered
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, unsupported

__all__ = ["lifecycle_causes", "port_causes", "port_messages", "probes_causes"]

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_HEADER = re.compile("[-A-Za-z0-9]+")
_HEADER_MESSAGE = regex_message(
    "a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", "X-Header-Name"
)
_PORT_RANGE = in_range(1, 65535)


@remembered
def port_messages(name: str) -> tuple[str, ...]:
    """IsValidPortName."""
    found: list[str] = []
    if len(name) > 15:
        found.append("must be no more than 15 characters")
    if not re.fullmatch("[-a-z0-9]+", name):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", name):
        found.append("must contain at least one letter (a-z)")
    if "--" in name:
        found.append("must not contain consecutive hyphens")
    if name and (name[0] == "-" or name[-1] == "-"):
        found.append("must not begin or end with a hyphen")
    return tuple(found)


def port_causes(port: Any, path: str) -> list[Cause]:
    """ValidatePortNumOrName."""
    if isinstance(port, str):
        return [invalid_value(path, port, one) for one in port_messages(port)]
    return [] if 1 <= port <= 65535 else [invalid_value(path, port, _PORT_RANGE)]


def probes_causes(container: Mapping[str, Any], grace: int | None, path: str) -> list[Cause]:
    """The three probes of a container, in the server's order."""
    found: list[Cause] = []
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(key)
        if probe is None:
            continue
        at = f"{path}.{key}"
        found += _probe_causes(probe, grace, at)
        if key == "readinessProbe":
            seconds = probe.get("terminationGracePeriodSeconds")
            if seconds is not None:
                text = "must not be set for readinessProbes"
                found.append(invalid_value(f"{at}.terminationGracePeriodSeconds", seconds, text))
        elif probe.get("successThreshold", 0) != 1:
            found.append(
                invalid_value(f"{at}.successThreshold", probe.get("successThreshold", 0), "must be 1")
            )
    return found


def _probe_causes(probe: Mapping[str, Any], grace: int | None, path: str) -> list[Cause]:
    found = _handler_causes(probe, grace, path)
    for key in _NUMBERS:
        value = probe.get(key, 0)
        if value < 0:
            found += not_negative(f"{path}.{key}", value)
    seconds = probe.get("terminationGracePeriodSeconds")
    if seconds is not None and seconds <= 0:
        found.append(
            invalid_value(f"{path}.terminationGracePeriodSeconds", seconds, "must be greater than 0")
        )
    return found


def lifecycle_causes(lifecycle: Mapping[str, Any], grace: int | None, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("postStart", "preStop"):
        if lifecycle.get(key) is not None:
            found += _handler_causes(lifecycle[key], grace, f"{path}.{key}")
    return found


def _handler_causes(handler: Mapping[str, Any], grace: int | None, path: str) -> list[Cause]:
    kinds = [one for one in _HANDLERS if handler.get(one) is not None]
    if not kinds:
        return [required(path, "must specify a handler type")]
    found = _one_handler(kinds[0], handler[kinds[0]], grace, f"{path}.{kinds[0]}")
    text = "may not specify more than 1 handler type"
    return found + [forbidden_field(f"{path}.{one}", text) for one in kinds[1:]]


def _one_handler(kind: str, action: Mapping[str, Any], grace: int | None, path: str) -> list[Cause]:
    if kind == "exec":
        return [] if action.get("command") else [required(f"{path}.command")]
    if kind == "httpGet":
        return _http_causes(action, path)
    if kind == "sleep":
        seconds = action.get("seconds", 0)
        if grace is None or 0 <= seconds <= grace:
            return []
        text = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
        return [invalid_value(path, seconds, text)]
    return port_causes(action.get("port", 0), f"{path}.port")


def _http_causes(action: Mapping[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    if not action.get("path"):
        found.append(required(f"{path}.path"))
    found += port_causes(action.get("port", 0), f"{path}.port")
    if action.get("scheme", "") not in {"HTTP", "HTTPS"}:
        found.append(unsupported(f"{path}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS")))
    for header in action.get("httpHeaders") or ():
        name = header.get("name", "")
        if not _HEADER.fullmatch(name):
            found.append(invalid_value(f"{path}.httpHeaders", name, _HEADER_MESSAGE))
    return found
