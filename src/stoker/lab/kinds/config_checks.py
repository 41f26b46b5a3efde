"""What strings may look like beyond names and labels (`metadata`): keys, ports, wildcards, with the server's words.

Checks of one string give messages, as k8s.io/apimachinery pkg/util/validation and pkg/api/validate/content do.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.metadata import is_dns_subdomain, regex_message
from stoker.lab.status import Cause, invalid_value, required

__all__ = [
    "c_identifier",
    "config_key",
    "domain_prefixed_path",
    "each",
    "invalid_json",
    "percent",
    "port_name",
    "port_number",
    "qualified_domain",
    "wildcard_subdomain",
]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = rf"\*\.{_LABEL}(\.{_LABEL})*"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_PERCENT = "[0-9]+%"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"

_wildcard = re.compile(_WILDCARD).fullmatch
_config_key = re.compile(_CONFIG_KEY).fullmatch
_identifier = re.compile(_IDENTIFIER).fullmatch
_percent = re.compile(_PERCENT).fullmatch
_http_path = re.compile(_HTTP_PATH).fullmatch
_port_charset = re.compile("[-a-z0-9]+").fullmatch
_a_letter = re.compile("[a-z]").search

_WILDCARD_MESSAGE = regex_message(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case"
    " alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD,
    "*.example.com",
)
_CONFIG_KEY_MESSAGE = regex_message(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY,
    "key.name",
    "KEY_NAME",
    "key-name",
)
_IDENTIFIER_MESSAGE = regex_message(
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
    _IDENTIFIER,
    "my_name",
    "MY_NAME",
    "MyName",
)
_PERCENT_MESSAGE = regex_message(
    "a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%"
)
_HTTP_PATH_MESSAGE = regex_message("Invalid path", _HTTP_PATH)


def _too_long(value: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} characters"] if len(value) > limit else []


def wildcard_subdomain(value: str) -> list[str]:
    """``IsWildcardDNS1123Subdomain``."""
    found = _too_long(value, 253)
    return found if _wildcard(value) else [*found, _WILDCARD_MESSAGE]


def config_key(value: str) -> list[str]:
    """``IsConfigMapKey``."""
    found = _too_long(value, 253)
    if not _config_key(value):
        found.append(_CONFIG_KEY_MESSAGE)
    if value in {".", ".."}:
        found.append(f"must not be '{value}'")
    elif value.startswith(".."):
        found.append("must not start with '..'")
    return found


def c_identifier(value: str) -> list[str]:
    """``IsCIdentifier``."""
    return [] if _identifier(value) else [_IDENTIFIER_MESSAGE]


def percent(value: str) -> list[str]:
    """``IsValidPercent``."""
    return [] if _percent(value) else [_PERCENT_MESSAGE]


def port_number(value: int) -> list[str]:
    """``IsValidPortNum``."""
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def port_name(value: str) -> list[str]:
    """``IsValidPortName``: an IANA service name."""
    found = _too_long(value, 15)
    if not _port_charset(value):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _a_letter(value):
        found.append("must contain at least one letter (a-z)")
    if "--" in value:
        found.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return found


# --- causes -------------------------------------------------------------------------------------------------------


def qualified_domain(path: str, value: str) -> list[Cause]:
    """``IsFullyQualifiedName``: a domain of at least three parts."""
    if not value:
        return [required(path)]
    messages = is_dns_subdomain(value)
    if messages:
        return [invalid_value(path, value, ",".join(messages))]
    if len(value.split(".")) < 3:
        text = "should be a domain with at least three segments separated by dots"
        return [invalid_value(path, value, text)]
    return []


def domain_prefixed_path(path: str, value: str) -> list[Cause]:
    """``IsDomainPrefixedPath``, such as ``acme.io/foo``."""
    if not value:
        return [required(path)]
    host, _, rest = value.partition("/")
    if not host or not rest:
        text = 'must be a domain-prefixed path (such as "acme.io/foo")'
        return [invalid_value(path, value, text)]
    causes = each(path, host, is_dns_subdomain)
    return causes if _http_path(rest) else [*causes, invalid_value(path, rest, _HTTP_PATH_MESSAGE)]


def each(path: str, value: Any, check: Callable[[Any], Iterable[str]]) -> list[Cause]:
    """One cause for each message that a check has of a value."""
    return [invalid_value(path, value, message) for message in check(value)]


def invalid_json(path: str, value: Any, detail: str) -> Cause:
    """An invalid value that is printed as Go writes JSON, with its escapes."""
    return invalid_text(path, go_text(value), detail)
