"""Admission with its books kept: what each quota has in use, object by object."""

from collections.abc import Iterable, Mapping
from typing import Any

from stoker.twin.admission.amounts import Amounts, add
from stoker.twin.admission.checks import limit_range_problems, quota_problems
from stoker.twin.admission.limits import (
    Limit,
    claim_problems,
    limit_problems,
    parse_limits,
    with_limit_defaults,
)
from stoker.twin.admission.pods import defaulted
from stoker.twin.admission.priority import class_problem, with_priority
from stoker.twin.admission.quota import covers, exceeded, pod_usage, scopes_of, unspecified
from stoker.twin.admission.resources import resource_problems
from stoker.twin.admission.runtime import with_runtime
from stoker.twin.admission.things import resource_of, usage_of

__all__ = ["Tenancy"]

Object = Mapping[str, Any]
Place = tuple[str, str]


class Tenancy:
    """Quotas, limit ranges, priority and runtime classes of a cluster, and the objects that count against them."""

    def __init__(self, policies: Iterable[Object]) -> None:
        """``policies``: ResourceQuota, LimitRange, PriorityClass, RuntimeClass; other kinds are passed over."""
        self.used: dict[Place, Amounts] = {}
        self._quotas: dict[str, list[Object]] = {}
        self._ranges: dict[str, list[tuple[Limit, ...]]] = {}
        self._classes: dict[str, Object] = {}
        self._runtimes: dict[str, Object] | None = None
        self._counted: dict[Place, list[tuple[Place, Amounts]]] = {}
        for item in policies:
            namespace, name = item["metadata"].get("namespace", ""), item["metadata"]["name"]
            if item["kind"] == "ResourceQuota":
                self._quotas.setdefault(namespace, []).append(item)
                self.used[namespace, name] = {}
            elif item["kind"] == "LimitRange":
                self._ranges.setdefault(namespace, []).append(parse_limits(item))
            elif item["kind"] == "PriorityClass":
                self._classes[name] = item
            elif item["kind"] == "RuntimeClass":
                self._runtimes = {**(self._runtimes or {}), name: item}
        for quotas in self._quotas.values():
            quotas.sort(key=lambda quota: str(quota["metadata"]["name"]))

    def try_admit(self, pod: Object) -> dict[str, Any] | str:
        """The pod as it would be stored, counted against its quotas; or the server's words for why not.

        In the order of the server: defaults, mutating plugins (limit ranges, priority, runtime class), validation, then
        limit ranges and quotas. Refusals by plugins are 403 Forbidden, those by validation 422 Invalid. Runtime classes
        are looked at where the cluster is known to have any. Objects of other kinds go through `try_create`.
        """
        if pod.get("kind", "Pod") != "Pod":
            return self.try_create(pod) or dict(pod)
        name, namespace = pod["metadata"]["name"], pod["metadata"].get("namespace", "")
        found = with_priority(defaulted(pod), self._classes)
        if not isinstance(found, str) and self._runtimes is not None:
            dressed = with_runtime(found, self._runtimes)
            found = dressed if isinstance(dressed, str) else dict(dressed)
        if isinstance(found, str):
            return f'pods "{name}" is forbidden: {found}'
        ranges = self._ranges.get(namespace, [])
        if ranges:
            found = with_limit_defaults(found, ranges)
        problems = resource_problems(found)
        if problems:
            return f'Pod "{name}" is invalid: {_together(problems)}'
        for limits in ranges:
            problems = limit_problems(found, limits)
            if problems:
                return f'pods "{name}" is forbidden: {_together(problems)}'
        refused = self._count_pod(found)
        return f'pods "{name}" is forbidden: {refused}' if refused else found

    def try_create(self, item: Object) -> str:
        """The server's words for why an object other than a pod is refused; empty where it is created and counted."""
        metadata = item["metadata"]
        name, namespace = metadata["name"], metadata.get("namespace", "")
        if item["kind"] == "PriorityClass":
            return class_problem(item, self._classes)
        checks = {"ResourceQuota": quota_problems, "LimitRange": limit_range_problems}
        if item["kind"] in checks:
            problems = checks[item["kind"]](item)
            return f'{item["kind"]} "{name}" is invalid: {_together(problems)}' if problems else ""
        start = f'{resource_of(item)} "{name}" is forbidden: '
        if item["kind"] == "PersistentVolumeClaim":
            for limits in self._ranges.get(namespace, []):
                problems = claim_problems(item, limits)
                if problems:
                    return start + _together(problems)
        quotas = [quota for quota in self._quotas.get(namespace, ()) if not scopes_of(quota)]
        refused = self._count((f"{namespace}/{resource_of(item)}", name), namespace, quotas, usage_of(item))
        return start + refused if refused else ""

    def _count_pod(self, pod: Object) -> str:
        key = (pod["metadata"].get("namespace", ""), pod["metadata"]["name"])
        spec = pod["spec"]
        quotas = [quota for quota in self._quotas.get(key[0], ()) if covers(quota, spec)]
        if not quotas:
            return ""
        for quota in quotas:
            refused = unspecified(quota, spec)
            if refused:
                return refused
        return self._count(key, key[0], quotas, pod_usage(spec))

    def _count(self, key: Place, namespace: str, quotas: list[Object], wanted: Amounts) -> str:
        for quota in quotas:
            refused = exceeded(quota, self.used[namespace, quota["metadata"]["name"]], wanted)
            if refused:
                return refused
        entries = []
        for quota in quotas:
            place = (namespace, quota["metadata"]["name"])
            own = {name: value for name, value in wanted.items() if name in (quota["spec"].get("hard") or {})}
            add(self.used[place], own)
            entries.append((place, own))
        self._counted[key] = entries
        return ""

    def release(self, pod: Object) -> None:
        """The pod is deleted or has ended: it counts no more. Unknown pods are no error."""
        key = (pod["metadata"].get("namespace", ""), pod["metadata"]["name"])
        self._release(key)

    def delete(self, item: Object) -> None:
        """An object other than a pod is gone: it counts no more."""
        metadata = item["metadata"]
        self._release((f"{metadata.get('namespace', '')}/{resource_of(item)}", metadata["name"]))

    def _release(self, key: Place) -> None:
        for place, amounts in self._counted.pop(key, ()):
            add(self.used[place], amounts, -1)


def _together(problems: list[str]) -> str:
    return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
