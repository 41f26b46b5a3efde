"""Admission of pods with its books kept: what each quota has in use, pod by pod."""

from collections.abc import Iterable, Mapping
from typing import Any

from stoker.twin.admission.amounts import Amounts, add
from stoker.twin.admission.limits import limit_problems, with_limit_defaults
from stoker.twin.admission.pods import defaulted, resource_problems
from stoker.twin.admission.priority import with_priority
from stoker.twin.admission.quota import covers, exceeded, pod_usage, unspecified

__all__ = ["Tenancy"]

Object = Mapping[str, Any]


class Tenancy:
    """Quotas, limit ranges and priority classes of a cluster, and the pods that count against them."""

    def __init__(self, policies: Iterable[Object]) -> None:
        """``policies``: ResourceQuota, LimitRange and PriorityClass objects; other kinds are passed over."""
        self.used: dict[tuple[str, str], Amounts] = {}
        self._quotas: dict[str, list[Object]] = {}
        self._ranges: dict[str, list[Object]] = {}
        self._classes: dict[str, Object] = {}
        self._counted: dict[tuple[str, str], list[tuple[tuple[str, str], Amounts]]] = {}
        for item in policies:
            namespace = item["metadata"].get("namespace", "")
            if item["kind"] == "ResourceQuota":
                self._quotas.setdefault(namespace, []).append(item)
                self.used[namespace, item["metadata"]["name"]] = {}
            elif item["kind"] == "LimitRange":
                self._ranges.setdefault(namespace, []).append(item)
            elif item["kind"] == "PriorityClass":
                self._classes[item["metadata"]["name"]] = item
        for quotas in self._quotas.values():
            quotas.sort(key=lambda quota: str(quota["metadata"]["name"]))

    def try_admit(self, pod: Object) -> dict[str, Any] | str:
        """The pod as it would be stored, counted against its quotas; or the server's words for why not.

        In the order of the server: defaults, mutating plugins (priority, limit ranges), validation, then limit ranges and
        quotas. Refusals by plugins are 403 Forbidden, those by validation 422 Invalid.
        """
        name, namespace = pod["metadata"]["name"], pod["metadata"].get("namespace", "")
        found = with_priority(defaulted(pod), self._classes)
        if isinstance(found, str):
            return f'pods "{name}" is forbidden: {found}'
        ranges = self._ranges.get(namespace, [])
        if ranges:
            found = with_limit_defaults(found, ranges)
        problems = resource_problems(found)
        if problems:
            text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            return f'Pod "{name}" is invalid: {text}'
        problems = limit_problems(found, ranges) if ranges else []
        if problems:
            text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            return f'pods "{name}" is forbidden: {text}'
        refused = self._count(found)
        return f'pods "{name}" is forbidden: {refused}' if refused else found

    def _count(self, pod: Object) -> str:
        key = (pod["metadata"].get("namespace", ""), pod["metadata"]["name"])
        spec = pod["spec"]
        quotas = [quota for quota in self._quotas.get(key[0], ()) if covers(quota, spec)]
        if not quotas:
            return ""
        wanted = pod_usage(spec)
        for quota in quotas:
            refused = unspecified(quota, spec)
            if refused:
                return refused
        for quota in quotas:
            refused = exceeded(quota, self.used[key[0], quota["metadata"]["name"]], wanted)
            if refused:
                return refused
        entries = []
        for quota in quotas:
            place = (key[0], quota["metadata"]["name"])
            own = {name: value for name, value in wanted.items() if name in (quota["spec"].get("hard") or {})}
            add(self.used[place], own)
            entries.append((place, own))
        self._counted[key] = entries
        return ""

    def release(self, pod: Object) -> None:
        """The pod is deleted or has ended: it counts no more. Unknown pods are no error."""
        key = (pod["metadata"].get("namespace", ""), pod["metadata"]["name"])
        for place, amounts in self._counted.pop(key, ()):
            add(self.used[place], amounts, -1)
