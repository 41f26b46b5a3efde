"""APIService (kube-aggregator pkg/apis/apiregistration/validation/validation.go, pkg/registry/apiservice/strategy.go)."""

from stoker.lab.kinds.config_checks import each, port_number
from stoker.lab.kinds.metadata import is_dns1035_label, is_dns_subdomain, is_path_segment
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, invalid_value, required

__all__ = ["API_SERVICE", "api_service_name_causes"]


def _default(found: Object) -> None:
    service = found.setdefault("spec", {}).get("service")
    if service is not None:
        service.setdefault("port", 443)


def _prepare_create(found: Object) -> None:
    found["status"] = {}
    if "service" not in found["spec"]:
        condition: Object = {"type": "Available", "status": "True", "reason": "Local"}
        condition["message"] = "Local APIServices are always available"
        created = found["metadata"].get("creationTimestamp")
        if created:  # the clock is the pipeline's
            condition["lastTransitionTime"] = created
        found["status"] = {"conditions": [condition]}


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old.get("status", {})


def _prepare_status(new: Object, old: Object) -> None:
    new["spec"] = old["spec"]
    for name in ("labels", "annotations", "finalizers", "ownerReferences"):
        new["metadata"].pop(name, None)
        if name in old["metadata"]:
            new["metadata"][name] = old["metadata"][name]


def api_service_name_causes(found: Object) -> tuple[str, ...]:
    """Messages about the name, which version and group decide."""
    name, spec = found["metadata"].get("name", ""), found.get("spec", {})
    wanted = f"{spec.get('version', '')}.{spec.get('group', '')}"
    wrong = is_path_segment(name)
    if wrong or name == wanted:
        return wrong
    return (f'must be `spec.version+"."+spec.group`: "{wanted}"',)


def _validate(found: Object) -> list[Cause]:
    spec = found.get("spec", {})
    group, version = spec.get("group", ""), spec.get("version", "")
    causes: list[Cause] = []
    if group:
        causes += each("spec.group", group, is_dns_subdomain)
    elif version != "v1":
        text = "only v1 may have an empty group and it better be legacy kube"
        causes.append(required("spec.group", text))
    causes += each("spec.version", version, is_dns1035_label)
    for name, limit in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        value = spec.get(name, 0)
        if not 0 < value <= limit:
            text = f"must be positive and less than {limit}"
            causes.append(invalid_value(f"spec.{name}", value, text))
    service, skips = spec.get("service"), spec.get("insecureSkipTLSVerify", False)
    if service is None:
        if skips:
            text = "local APIServices may not have insecureSkipTLSVerify"
            causes.append(invalid_value("spec.insecureSkipTLSVerify", True, text))
        return causes
    causes += [required(f"spec.service.{name}") for name in ("namespace", "name") if not service.get(name)]
    port = service.get("port", 443)
    causes += [
        invalid_value("spec.service.port", port, f"port is not valid: {text}") for text in port_number(port)
    ]
    if skips and spec.get("caBundle"):
        text = "may not be true if caBundle is present"
        causes.append(invalid_value("spec.insecureSkipTLSVerify", True, text))
    return causes


API_SERVICE = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    allows_unconditional_update=False,
)
