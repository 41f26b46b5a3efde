"""LimitRange (pkg/apis/core/v1/defaults.go `SetDefaults_LimitRangeItem`, pkg/apis/core/validation/validation.go)."""

from decimal import ROUND_CEILING, Decimal

from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.metadata import is_qualified_name
from stoker.lab.kinds.quotas import amount, container_resource_name, is_native, resource_name
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, duplicate, forbidden_field, invalid_value, required

__all__ = ["LIMIT_RANGE"]

_TYPES = {"Pod", "Container", "PersistentVolumeClaim"}
_MAX_MILLI = (2**63 - 1) // 1000


def _default(found: Object) -> None:
    for item in found.setdefault("spec", {}).get("limits") or ():
        if item.get("type") != "Container":
            continue
        limits = {**item.get("max", {}), **item.get("default", {})}
        requests = {**item.get("min", {}), **limits, **item.get("defaultRequest", {})}
        if limits:
            item["default"] = limits
        if requests:
            item["defaultRequest"] = requests


def _validate(found: Object) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, item in enumerate(found.get("spec", {}).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", item.get("type", "")
        causes += _kind_causes(kind, f"{path}.type")
        if kind in seen:
            causes.append(duplicate(f"{path}.type", kind))
        seen.add(kind)
        causes += _name_causes(item, kind, path)
        causes += _order_causes(item, kind, path)
    return causes


def _kind_causes(kind: str, path: str) -> list[Cause]:
    causes = each(path, kind, is_qualified_name)
    if not causes and "/" not in kind and kind not in _TYPES:
        causes.append(invalid_value(path, kind, "must be a standard limit type or fully qualified"))
    return causes


def _name_causes(item: Object, kind: str, path: str) -> list[Cause]:
    check = container_resource_name if kind in {"Pod", "Container"} else resource_name
    causes: list[Cause] = []
    for field in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
        if field == "maxLimitRequestRatio" and kind == "PersistentVolumeClaim":
            causes += _storage_causes(item, path)
        if kind == "Pod" and field.startswith("default"):
            if item.get(field):
                message = "may not be specified when `type` is 'Pod'"
                causes.append(forbidden_field(f"{path}.{field}", message))
            continue
        for name in sorted(item.get(field, ())):
            causes += check(name, f"{path}.{field}[{name}]")
    return causes


def _storage_causes(item: Object, path: str) -> list[Cause]:
    if "storage" in item.get("min", {}) or "storage" in item.get("max", {}):
        return []
    message = "either minimum or maximum storage value is required, but neither was provided"
    return [required(f"{path}.limits", message)]


# What must not be above what: the lower field, the higher, the field that is blamed, the value printed, the words.
_ORDERS = (
    ("min", "max", "min", "min", "min value {} is greater than max value {}"),
    ("min", "defaultRequest", "defaultRequest", "defaultRequest", "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", "defaultRequest", "defaultRequest", "default request value {} is greater than max value {}"),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "defaultRequest",
        "default request value {} is greater than default limit value {}",
    ),
    ("min", "default", "default", "min", "min value {} is greater than default value {}"),
    ("default", "max", "default", "max", "default value {} is greater than max value {}"),
)  # fmt: skip


def _order_causes(item: Object, kind: str, path: str) -> list[Cause]:
    fields = ("min", "max") if kind == "Pod" else ("min", "max", "default", "defaultRequest")
    given: dict[str, dict[str, str]] = {field: item.get(field, {}) for field in fields}
    ratios: dict[str, str] = item.get("maxLimitRequestRatio", {})
    causes: list[Cause] = []
    for name in sorted(set(ratios).union(*given.values())):
        values = {field: amounts[name] for field, amounts in given.items() if name in amounts}
        for low, high, blamed, printed, words in _ORDERS:
            if low in values and high in values and amount(values[low]) > amount(values[high]):
                text = words.format(values[low], values[high])
                causes.append(invalid_value(f"{path}.{blamed}[{name}]", values[printed], text))
        if name in ratios:
            causes += _ratio_causes(ratios[name], values, f"{path}.maxLimitRequestRatio[{name}]")
        causes += _equal_causes(name, values, path)
    return causes


def _ratio_causes(ratio: str, values: dict[str, str], path: str) -> list[Cause]:
    causes = []
    if amount(ratio) < 1:
        causes.append(invalid_value(path, ratio, f"ratio {ratio} is less than 1"))
    if "min" in values and "max" in values:
        numbers = [amount(ratio), amount(values["min"]), amount(values["max"])]
        milli = all(number < _MAX_MILLI for number in numbers)
        highest, low, high = (_rounded(number, 1000 if milli else 1) for number in numbers)
        most = high / low if low else float("inf")
        if highest / (1000 if milli else 1) > most:
            causes.append(invalid_value(path, ratio, f"ratio {ratio} is greater than max/min = {most:f}"))
    return causes


def _rounded(value: Decimal, scale: int) -> int:
    return int((value * scale).to_integral_value(ROUND_CEILING))


def _equal_causes(name: str, values: dict[str, str], path: str) -> list[Cause]:
    """What cannot be overcommitted has one amount as default limit and request."""
    if is_native(name) and not name.startswith("hugepages-"):
        return []
    if "default" not in values or "defaultRequest" not in values:
        return []
    limit, request = values["default"], values["defaultRequest"]
    if amount(limit) == amount(request):
        return []
    text = f"default value {limit} must equal to defaultRequest value {request} in {name}"
    return [invalid_value(f"{path}.defaultRequest[{name}]", request, text)]


LIMIT_RANGE = Strategy(default=_default, validate=_validate, allows_create_on_update=True)
