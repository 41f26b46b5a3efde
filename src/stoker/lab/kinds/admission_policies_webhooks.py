"""MutatingWebhookConfiguration and ValidatingWebhookConfiguration (pkg/apis/admissionregistration/validation, v1/defaults)."""

from typing import Any
from urllib.parse import urlsplit

from stoker.lab.kinds.admission_policies_rules import default_rules, match_condition_causes, rule_causes
from stoker.lab.kinds.config_checks import each, port_number, qualified_domain
from stoker.lab.kinds.metadata import is_dns1035_label, is_dns_subdomain, label_selector_causes
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, duplicate, invalid_value, required, unsupported

__all__ = ["MUTATING_WEBHOOKS", "VALIDATING_WEBHOOKS", "service_causes", "url_causes"]

_FAILURES = ("Fail", "Ignore")
_MATCHES = ("Equivalent", "Exact")
_EFFECTS = ("None", "NoneOnDryRun")
_REINVOCATIONS = ("IfNeeded", "Never")
_VERSIONS = ("v1", "v1beta1")
_FORM = "; desired format: https://host[/path]"


def _default(configuration: Object) -> None:
    for hook in configuration.get("webhooks", ()):
        hook.setdefault("failurePolicy", "Fail")
        hook.setdefault("matchPolicy", "Equivalent")
        hook.setdefault("namespaceSelector", {})
        hook.setdefault("objectSelector", {})
        hook.setdefault("timeoutSeconds", 10)
        default_rules(hook.get("rules", ()))
        service = hook.get("clientConfig", {}).get("service")
        if service is not None:
            service.setdefault("port", 443)


def _default_mutating(configuration: Object) -> None:
    _default(configuration)
    for hook in configuration.get("webhooks", ()):
        hook.setdefault("reinvocationPolicy", "Never")


def _validate(configuration: Object) -> list[Cause]:
    causes: list[Cause] = []
    names: set[str] = set()
    for index, hook in enumerate(configuration.get("webhooks", ())):
        path, name = f"webhooks[{index}]", hook.get("name", "")
        causes += _hook_causes(hook, path)
        versions = hook.get("admissionReviewVersions") or []
        causes += _version_causes(versions, f"{path}.admissionReviewVersions")
        if name and name in names:
            causes.append(duplicate(f"{path}.name", name))
        names.add(name)
    return causes


def _hook_causes(hook: Object, path: str) -> list[Cause]:
    causes = qualified_domain(f"{path}.name", hook.get("name", ""))
    for index, rule in enumerate(hook.get("rules", ())):
        causes += rule_causes(rule, f"{path}.rules[{index}]")
    for name, known in (("failurePolicy", _FAILURES), ("matchPolicy", _MATCHES)):
        if hook.get(name, known[0]) not in known:
            causes.append(unsupported(f"{path}.{name}", hook[name], known))
    effects = hook.get("sideEffects")
    if effects is None:
        causes.append(required(f"{path}.sideEffects", f"must specify one of {', '.join(_EFFECTS)}"))
    elif effects not in _EFFECTS:
        causes.append(unsupported(f"{path}.sideEffects", effects, _EFFECTS))
    seconds = hook.get("timeoutSeconds", 10)
    if not 1 <= seconds <= 30:
        text = "the timeout value must be between 1 and 30 seconds"
        causes.append(invalid_value(f"{path}.timeoutSeconds", seconds, text))
    for name in ("namespaceSelector", "objectSelector"):
        causes += label_selector_causes(hook.get(name), f"{path}.{name}")
    again = hook.get("reinvocationPolicy", "Never")
    if again not in _REINVOCATIONS:
        causes.append(unsupported(f"{path}.reinvocationPolicy", again, _REINVOCATIONS))
    causes += _client_causes(hook.get("clientConfig", {}), f"{path}.clientConfig")
    return causes + match_condition_causes(hook.get("matchConditions", ()), f"{path}.matchConditions")


def _client_causes(client: Object, path: str) -> list[Cause]:
    if ("url" in client) == ("service" in client):
        return [required(path, "exactly one of url or service is required")]
    if "url" in client:
        return url_causes(client["url"], f"{path}.url")
    return service_causes(client["service"], f"{path}.service")


def url_causes(text: str, path: str) -> list[Cause]:
    """``ValidateWebhookURL``."""
    try:
        url = urlsplit(text)
    except ValueError as error:
        return [required(path, f"url must be a valid URL: parse {text!r}: {error}{_FORM}")]
    causes = []
    if url.scheme != "https":
        causes.append(invalid_value(path, url.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    user, at, host = url.netloc.rpartition("@")
    if not host:
        causes.append(invalid_value(path, host, f"host must be specified{_FORM}"))
    if at:
        causes.append(invalid_value(path, user, "user information is not permitted in the URL"))
    if url.fragment:
        causes.append(invalid_value(path, url.fragment, "fragments are not permitted in the URL"))
    if url.query:
        causes.append(invalid_value(path, url.query, "query parameters are not permitted in the URL"))
    return causes


def service_causes(service: Object, path: str) -> list[Cause]:
    """``ValidateWebhookService``."""
    # the callers hand over name and namespace in each other's place; the messages show it
    causes = [
        required(f"{path}.{shown}")
        for name, shown in (("namespace", "name"), ("name", "namespace"))
        if not service.get(name)
    ]
    causes = sorted(causes, key=lambda cause: cause.field.endswith(".namespace"))
    port = service.get("port", 443)
    causes += [
        invalid_value(f"{path}.port", port, f"port is not valid: {text}") for text in port_number(port)
    ]
    where = service.get("path")
    return causes if where in {None, "", "/"} else causes + _path_causes(str(where), f"{path}.path")


def _path_causes(text: str, path: str) -> list[Cause]:
    if text == "//":
        return [invalid_value(path, text, "segment[0] may not be empty")]
    causes = [] if text.startswith("/") else [invalid_value(path, text, "must start with a '/'")]
    for index, segment in enumerate(text[1:].removesuffix("/").split("/")):
        if not segment:
            causes.append(invalid_value(path, text, f"segment[{index}] may not be empty"))
            continue
        causes += [invalid_value(path, text, f"segment[{index}]: {one}") for one in is_dns_subdomain(segment)]
    return causes


def _version_causes(versions: list[Any], path: str) -> list[Cause]:
    listed = ", ".join(_VERSIONS)
    if not versions:
        return [required(path, f"must specify one of {listed}")]
    causes: list[Cause] = []
    for index, version in enumerate(versions):
        where = f"{path}[{index}]"
        if version in versions[:index]:
            causes.append(invalid_value(where, version, "duplicate version"))
        else:
            causes += each(where, version, is_dns1035_label)
    if not set(versions) & set(_VERSIONS):
        causes.append(invalid_value(path, versions, f"must include at least one of {listed}"))
    return causes


VALIDATING_WEBHOOKS = Strategy(
    default=_default, validate=_validate, has_generation=True, allows_unconditional_update=False
)
MUTATING_WEBHOOKS = Strategy(
    default=_default_mutating, validate=_validate, has_generation=True, allows_unconditional_update=False
)
