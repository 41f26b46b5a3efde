"""RuntimeClass (pkg/apis/node/validation/validation.go)."""

from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.metadata import is_dns_label, is_label_value, is_qualified_name, labels_causes
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, duplicate, invalid_value, required, unsupported

__all__ = ["RUNTIME_CLASS"]

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _validate(found: Object) -> list[Cause]:
    handler = found.get("handler", "")
    causes = each("handler", handler, is_dns_label) if handler else [required("handler")]
    scheduling = found.get("scheduling", {})
    causes += labels_causes(scheduling.get("nodeSelector", {}), "scheduling.nodeSelector")
    seen: list[tuple[str, ...]] = []
    for index, toleration in enumerate(scheduling.get("tolerations", ())):
        path = f"scheduling.tolerations[{index}]"
        causes += _toleration_causes(toleration, path)
        key = tuple(toleration.get(name, "") for name in ("key", "operator", "value", "effect"))
        if key in seen:
            causes.append(duplicate(path, toleration))
        seen.append(key)
    return causes


def _toleration_causes(toleration: Object, path: str) -> list[Cause]:
    key, operator = toleration.get("key", ""), toleration.get("operator", "")
    causes = each(f"{path}.key", key, is_qualified_name) if key else []
    if not key and operator != "Exists":
        message = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        causes.append(invalid_value(f"{path}.operator", operator, message))
    if "tolerationSeconds" in toleration and toleration.get("effect") != "NoExecute":
        message = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        causes.append(invalid_value(f"{path}.effect", toleration.get("effect", ""), message))
    if operator in {"Equal", ""}:
        value = toleration.get("value", "")
        problem = ";".join(is_label_value(value))
        causes += [invalid_value(f"{path}.operator", value, problem)] if problem else []
    elif operator == "Exists":
        if toleration.get("value"):
            message = "value must be empty when `operator` is 'Exists'"
            causes.append(invalid_value(f"{path}.operator", toleration["value"], message))
    else:
        causes.append(unsupported(f"{path}.operator", operator, ("Equal", "Exists")))
    if toleration.get("effect") and toleration["effect"] not in _EFFECTS:
        causes.append(unsupported(f"{path}.effect", toleration["effect"], _EFFECTS))
    return causes


def _validate_update(new: Object, old: Object) -> list[Cause]:
    if new.get("handler") == old.get("handler"):
        return []
    return [invalid_value("handler", new.get("handler", ""), "field is immutable")]


RUNTIME_CLASS = Strategy(
    validate=_validate,
    validate_update=_validate_update,
    allows_unconditional_update=False,
    allows_create_on_update=True,
)
