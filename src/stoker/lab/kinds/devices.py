"""DeviceClass, ResourceClaim and ResourceClaimTemplate of dynamic resource allocation.

Upstream: pkg/apis/resource/validation/validation.go, pkg/apis/resource/v1/defaults.go, pkg/registry/resource.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.config_checks import c_identifier, each
from stoker.lab.kinds.config_golang import go_value
from stoker.lab.kinds.devices_cel import expression_problem
from stoker.lab.kinds.metadata import is_dns_label, is_dns_subdomain, is_label_value, is_qualified_name
from stoker.lab.kinds.quotas import is_extended
from stoker.lab.kinds.services_endpoints import too_many
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.volumes import csi_driver_name
from stoker.lab.status import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    too_long,
    unsupported,
)

__all__ = [
    "DEVICE_CLASS",
    "RESOURCE_CLAIM",
    "RESOURCE_CLAIM_TEMPLATE",
    "admin_access_causes",
    "qualified_device_name",
]

_MODES = ("All", "ExactCount")
_EFFECTS = ("NoExecute", "NoSchedule", "None")
_ADMIN_LABEL = "resource.kubernetes.io/admin-access"
_MOST = 32
_MOST_ALTERNATIVES = 8
_EXPRESSION_LIMIT = 10 * 1024
_PARAMETERS_LIMIT = 10 * 1024
_NO_REQUEST = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)
_Check = Callable[[Any, str], list[Cause]]


# --- defaults -----------------------------------------------------------------------------------------------------


def _requests(spec: Object) -> Iterator[Object]:
    """Every exact request and alternative of a claim."""
    for request in spec.get("devices", {}).get("requests") or ():
        if "exactly" in request:
            yield request["exactly"]
        yield from request.get("firstAvailable", ())


def _default_spec(spec: Object) -> None:
    for request in _requests(spec):
        if not request.get("allocationMode"):
            request["allocationMode"] = "ExactCount"
        if request["allocationMode"] == "ExactCount" and not request.get("count"):
            request["count"] = 1


def _default_claim(claim: Object) -> None:
    _default_spec(claim.setdefault("spec", {}))


def _default_template(template: Object) -> None:
    _default_spec(template.setdefault("spec", {}).setdefault("spec", {}))


# --- lists --------------------------------------------------------------------------------------------------------


def _list_causes(items: Sequence[Any], path: str, limit: int, check: _Check) -> list[Cause]:
    """``validateSlice``."""
    if len(items) > limit:
        return [too_many(path, len(items), limit)]
    return [cause for index, item in enumerate(items) for cause in check(item, f"{path}[{index}]")]


def _set_causes(items: Sequence[Any], path: str, limit: int, check: _Check) -> list[Cause]:
    """``validateSet``: names, or objects known by their name, each once."""
    causes = _list_causes(items, path, limit, check)
    names = [item if isinstance(item, str) else item.get("name", "") for item in items]
    return causes + [
        duplicate(f"{path}[{index}]", name) for index, name in enumerate(names) if name in names[:index]
    ]


# --- claims -------------------------------------------------------------------------------------------------------


def _spec_causes(spec: Object, path: str) -> list[Cause]:
    devices = spec.get("devices", {})
    names = {
        request.get("name", ""): {one.get("name", "") for one in request.get("firstAvailable", ())}
        for request in devices.get("requests") or ()
    }

    def named(value: str, where: str) -> list[Cause]:
        return _reference_causes(value, where, names)

    def constraint(value: Object, where: str) -> list[Cause]:
        causes = _set_causes(value.get("requests", ()), f"{where}.requests", _MOST, named)
        return causes + _constraint_causes(value, where)

    def config(value: Object, where: str) -> list[Cause]:
        causes = _set_causes(value.get("requests", ()), f"{where}.requests", _MOST, named)
        return causes + _config_causes(value, where)

    path = f"{path}.devices"
    causes = _set_causes(devices.get("requests") or (), f"{path}.requests", _MOST, _request_causes)
    causes += _list_causes(devices.get("constraints", ()), f"{path}.constraints", _MOST, constraint)
    return causes + _list_causes(devices.get("config", ()), f"{path}.config", _MOST, config)


def _reference_causes(value: str, path: str, names: dict[str, set[str]]) -> list[Cause]:
    parts = value.split("/")
    if len(parts) > 2:
        return [invalid_value(path, value, _NO_REQUEST)]
    causes = [cause for part in parts for cause in each(path, part, is_dns_label)]
    if parts[0] not in names or (len(parts) == 2 and parts[1] not in names[parts[0]]):
        causes.append(invalid_value(path, value, _NO_REQUEST))
    return causes


def _request_causes(request: Object, path: str) -> list[Cause]:
    causes = each(f"{path}.name", request.get("name", ""), is_dns_label)
    alternatives = request.get("firstAvailable", ())
    given = ("exactly" in request) + bool(alternatives)
    wanted = "exactly one of `exactly` or `firstAvailable` is required"
    if given == 0:
        return [*causes, required(path, wanted)]
    if given > 1:
        return [*causes, invalid_value(path, None, f"{wanted}, but multiple fields are set")]
    if alternatives:
        where = f"{path}.firstAvailable"
        return causes + _set_causes(alternatives, where, _MOST_ALTERNATIVES, _alternative_causes)
    return causes + _exact_causes(request["exactly"], f"{path}.exactly")


def _alternative_causes(request: Object, path: str) -> list[Cause]:
    return each(f"{path}.name", request.get("name", ""), is_dns_label) + _exact_causes(request, path)


def _exact_causes(request: Object, path: str) -> list[Cause]:
    name, where = request.get("deviceClassName", ""), f"{path}.deviceClassName"
    causes = each(where, name, is_dns_subdomain) if name else [required(where)]
    causes += _list_causes(request.get("selectors", ()), f"{path}.selectors", _MOST, _selector_causes)
    mode, count = request.get("allocationMode", ""), request.get("count", 0)
    if mode not in _MODES:
        causes.append(unsupported(f"{path}.allocationMode", mode, _MODES))
    elif mode == "All" and count:
        text = "must not be specified when allocationMode is 'All'"
        causes.append(invalid_value(f"{path}.count", count, text))
    elif mode == "ExactCount" and count <= 0:
        causes.append(invalid_value(f"{path}.count", count, "must be greater than zero"))
    for index, toleration in enumerate(request.get("tolerations", ())):
        causes += _toleration_causes(toleration, f"{path}.tolerations[{index}]")
    return causes


def _selector_causes(selector: Object, path: str) -> list[Cause]:
    if "cel" not in selector:
        return [required(f"{path}.cel")]
    where, expression = f"{path}.cel.expression", selector["cel"].get("expression", "")
    if len(expression.encode()) > _EXPRESSION_LIMIT:
        return [too_long(where, _EXPRESSION_LIMIT)]
    problem = expression_problem(expression)
    return [invalid_value(where, expression, problem)] if problem else []


def _constraint_causes(constraint: Object, path: str) -> list[Cause]:
    for name in ("matchAttribute", "distinctAttribute"):
        if name in constraint:
            return _full_name_causes(constraint[name], f"{path}.{name}")
    text = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
    return [required(path, text)]


def _full_name_causes(value: str, path: str) -> list[Cause]:
    """``validateFullyQualifiedName``."""
    causes = qualified_device_name(value, path)
    if "/" not in value:
        text = "a fully qualified name must be a domain and a name separated by a slash"
        causes.append(invalid_value(path, value, text))
    return causes


def qualified_device_name(value: str, path: str) -> list[Cause]:
    """``validateQualifiedName``: an identifier, with or without a domain before it."""
    parts = value.split("/")
    if len(parts) > 2:
        return []
    causes: list[Cause] = []
    if len(parts) == 2:
        if parts[0]:
            causes += csi_driver_name(parts[0], path)
        else:
            causes.append(invalid_value(path, "", "the domain must not be empty"))
        if not parts[1]:
            return [*causes, invalid_value(path, "", "the name must not be empty")]
    return causes + _identifier_causes(parts[-1], path)


def _identifier_causes(value: str, path: str) -> list[Cause]:
    causes = [too_long(path, 32)] if len(value) > 32 else []
    return causes + each(path, value, c_identifier)


def _toleration_causes(toleration: Object, path: str) -> list[Cause]:
    operator, value = toleration.get("operator", ""), toleration.get("value", "")
    causes: list[Cause] = []
    if toleration.get("key"):
        causes += each(f"{path}.key", toleration["key"], is_qualified_name)
    if operator == "Exists":
        if value:
            text = "must be empty for operator `Exists`"
            causes.append(invalid_value(f"{path}.value", value, text))
    elif operator == "Equal":
        causes += each(f"{path}.value", value, is_label_value)
    elif not operator:
        causes.append(required(f"{path}.operator"))
    else:
        causes.append(unsupported(f"{path}.operator", operator, ("Equal", "Exists")))
    effect = toleration.get("effect", "")
    if effect and effect not in _EFFECTS:
        causes.append(unsupported(f"{path}.effect", effect, _EFFECTS))
    return causes


def _config_causes(config: Object, path: str) -> list[Cause]:
    if "opaque" not in config:
        return [required(f"{path}.opaque")]
    opaque, where = config["opaque"], f"{path}.opaque"
    causes = csi_driver_name(opaque.get("driver", ""), f"{where}.driver")
    parameters = opaque.get("parameters")
    if parameters is None:
        causes.append(required(f"{where}.parameters"))
    elif not isinstance(parameters, dict):
        text = "must be a valid JSON object"
        causes.append(invalid_value(f"{where}.parameters", "<value omitted>", text))
    elif len(go_text(parameters)) > _PARAMETERS_LIMIT:
        causes.append(too_long(f"{where}.parameters", _PARAMETERS_LIMIT))
    return causes


def admin_access_causes(spec: Object, namespace_labels: dict[str, str]) -> list[Cause]:
    """``AuthorizedForAdmin``: admin access is for namespaces that say so; the pipeline knows the namespace."""
    if namespace_labels.get(_ADMIN_LABEL) == "true":
        return []
    for index, request in enumerate(spec.get("devices", {}).get("requests") or ()):
        if request.get("exactly", {}).get("adminAccess"):
            path = f"spec.devices.requests[{index}].adminAccess"
            text = f"admin access to devices requires the `{_ADMIN_LABEL}: true` label on the containing namespace"
            return [forbidden_field(path, text)]
    return []


def _validate_claim(claim: Object) -> list[Cause]:
    if claim["metadata"].get("resourceVersion"):
        return []  # of an update only that the spec is as it was is asked
    return _spec_causes(claim.get("spec", {}), "spec")


def _validate_claim_update(new: Object, old: Object) -> list[Cause]:
    if new.get("spec") == old.get("spec"):
        return []
    printed = go_text(go_value("ResourceClaimSpec", new.get("spec")))
    return [invalid_text("spec", printed, "field is immutable")]


def _prepare_create(claim: Object) -> None:
    claim["status"] = {}


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old.get("status", {})


def _prepare_status(new: Object, old: Object) -> None:
    """Status of devices that were given back goes with them (`dropDeallocatedStatusDevices`)."""
    new["spec"], new["metadata"] = old["spec"], _status_metadata(new["metadata"], old["metadata"])
    allocated = [
        {
            _device_key(one)
            for one in claim.get("status", {}).get("allocation", {}).get("devices", {}).get("results", ())
        }
        for claim in (old, new)
    ]
    gone = allocated[0] - allocated[1]
    devices = new.get("status", {}).get("devices")
    if devices and gone:
        kept = [one for one in devices if _device_key(one) not in gone]
        if kept:
            new["status"]["devices"] = kept
        else:
            del new["status"]["devices"]


def _device_key(found: Object) -> tuple[str, ...]:
    return tuple(found.get(part, "") for part in ("driver", "pool", "device", "shareID"))


def _status_metadata(new: Object, old: Object) -> Object:
    """``ResetObjectMetaForStatus``: a status write leaves the metadata that users write as it was."""
    kept = ("labels", "annotations", "finalizers", "ownerReferences", "generation")
    found = {key: value for key, value in new.items() if key not in kept}
    return found | {key: old[key] for key in kept if key in old}


RESOURCE_CLAIM = Strategy(
    default=_default_claim,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate_claim,
    validate_update=_validate_claim_update,
)


# --- templates and classes ----------------------------------------------------------------------------------------


def _validate_template(template: Object) -> list[Cause]:
    return _spec_causes(template.get("spec", {}).get("spec", {}), "spec.spec")


def _validate_template_update(new: Object, old: Object) -> list[Cause]:
    if new.get("spec") == old.get("spec"):
        return []
    printed = go_text(go_value("ResourceClaimTemplateSpec", new.get("spec")))
    return [invalid_text("spec", printed, "field is immutable")]


RESOURCE_CLAIM_TEMPLATE = Strategy(
    default=_default_template, validate=_validate_template, validate_update=_validate_template_update
)


def _validate_class(found: Object) -> list[Cause]:
    spec = found.get("spec", {})
    causes = _list_causes(spec.get("selectors", ()), "spec.selectors", _MOST, _selector_causes)
    causes += _list_causes(spec.get("config", ()), "spec.config", _MOST, _config_causes)
    name = spec.get("extendedResourceName")
    if name is not None and not is_extended(name):
        text = "must be a valid extended resource name"
        causes.append(invalid_value("spec.extendedResourceName", name, text))
    return causes


DEVICE_CLASS = Strategy(validate=_validate_class, has_generation=True)
