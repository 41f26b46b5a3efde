"""ResourceQuota: what a pod counts for, which quotas it falls under, and when it is too much.

Sources: kubernetes 1.36 pkg/quota/v1/evaluator/core/pods.go, staging/.../admission/plugin/resourcequota/controller.go.
"""

from collections.abc import Mapping
from typing import Any, Final

from stoker.twin.admission.amounts import NOTHING, ONE, Amounts, amounts_of, listed
from stoker.twin.admission.pods import containers_of, pod_level, usage

__all__ = ["covers", "exceeded", "pod_usage", "unspecified"]

Object = Mapping[str, Any]

_PLAIN: Final = ("cpu", "memory", "ephemeral-storage")
_REQUIRED: Final = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def pod_usage(spec: Object) -> Amounts:
    """Everything that a pod counts for, under every name that a quota can use for it."""
    requests, limits = usage(spec, "requests"), usage(spec, "limits")
    found: Amounts = {"pods": ONE, "count/pods": ONE}
    for name, value in requests.items():
        found[f"requests.{name}"] = value
        if name in _PLAIN or name.startswith("hugepages-"):
            found[name] = value
    for name, value in limits.items():
        # Extended resources are never overcommitted: quotas know them as requests only.
        if name in _PLAIN:
            found[f"limits.{name}"] = value
    return found


def covers(quota: Object, spec: Object) -> bool:
    """Whether a pod falls under the quota's scopes."""
    return all(_in_scope(entry, spec) for entry in scopes_of(quota))


def scopes_of(quota: Object) -> list[Object]:
    """What all an object must be for the quota to count it."""
    wanted: list[Object] = [
        {"scopeName": name, "operator": "Exists"} for name in quota["spec"].get("scopes") or ()
    ]
    return wanted + list((quota["spec"].get("scopeSelector") or {}).get("matchExpressions") or ())


def _in_scope(entry: Object, spec: Object) -> bool:
    name: str = entry["scopeName"]
    if name == "PriorityClass":
        return _by_priority(entry, str(spec.get("priorityClassName") or ""))
    if name in {"Terminating", "NotTerminating"}:
        bounded = int(spec.get("activeDeadlineSeconds", -1)) >= 0
        return bounded == (name == "Terminating")
    if name in {"BestEffort", "NotBestEffort"}:
        return _asks(spec) == (name == "NotBestEffort")
    if name == "CrossNamespacePodAffinity":
        return _crosses_namespaces(spec)
    return False


def _asks(spec: Object) -> bool:
    """Whether anything of the pod asks for CPU or memory: GPUs alone leave it BestEffort (pkg/apis/core/v1/helper/qos)."""
    whole = spec.get("resources") or {}
    parts = [whole] if _has_whole(spec) else [c.get("resources") or {} for _, _, c in containers_of(spec)]
    return any(
        amounts_of(part.get(field)).get(name, NOTHING).value > 0
        for part in parts
        for field in ("requests", "limits")
        for name in ("cpu", "memory")
    )


def _has_whole(spec: Object) -> bool:
    """Whether the pod has resources of its own (component-helpers resource/helpers.go IsPodLevelResourcesSet)."""
    whole = spec.get("resources") or {}
    return any(pod_level(name) for field in ("requests", "limits") for name in whole.get(field) or {})


def _by_priority(entry: Object, name: str) -> bool:
    operator = entry.get("operator")
    values: tuple[str, ...] = tuple(entry.get("values") or ())
    if operator == "Exists":
        return bool(name)
    if operator == "DoesNotExist":
        return not name
    if operator == "In":
        return name != "" and name in values
    return name not in values


def _crosses_namespaces(spec: Object) -> bool:
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [
            entry["podAffinityTerm"]
            for entry in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def unspecified(quota: Object, spec: Object) -> str:
    """What the quota demands that containers of the pod do not state, in the words of the refusal; empty for nothing."""
    if _has_whole(spec):
        return ""
    hard = quota["spec"].get("hard") or {}
    missing: dict[str, set[str]] = {}
    for name in sorted(set(hard) & set(_REQUIRED)):
        field, _, resource = name.rpartition(".")
        for _, _, container in containers_of(spec):
            stated = (container.get("resources") or {}).get(field or "requests") or {}
            if resource not in stated:
                missing.setdefault(name, set()).add(container["name"])
    if not missing:
        return ""
    parts = "; ".join(f"{name} for: {','.join(sorted(names))}" for name, names in missing.items())
    return f"failed quota: {quota['metadata']['name']}: must specify {parts}"


def exceeded(quota: Object, used: Amounts, wanted: Amounts) -> str:
    """The words of the refusal where ``wanted`` on top of ``used`` is more than the quota has; empty where it fits."""
    hard = amounts_of(quota["spec"].get("hard"))
    over = [
        name
        for name, limit in hard.items()
        if wanted.get(name, NOTHING).value > 0 and used.get(name, NOTHING) + wanted[name] > limit
    ]
    if not over:
        return ""
    return (
        f"exceeded quota: {quota['metadata']['name']}, requested: {listed(wanted, over)}, "
        f"used: {listed(used, over)}, limited: {listed(hard, over)}"
    )
