"""Tenants: namespaces with quotas, defaults, priorities, rights and callers."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from stoker.adopt.ledger import Ledger, dump_order
from stoker.adopt.names import COMPONENT_NAMESPACES, free, managed, name_of, quantity
from stoker.adopt.pools import Pools
from stoker.adopt.priorities import priorities
from stoker.audit.view.view import View
from stoker.audit.view.workloads import gpu_resource
from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item
from stoker.platform.tenants import Tenant

__all__ = ["Namespaces", "find_namespaces", "plan_tenants"]

_ORDER: Final = tuple(info.alias or name for name, info in Tenant.model_fields.items())
_CLASSES: Final = (
    ("production", re.compile(r"prod|live|serving|inference")),
    ("staging", re.compile(r"stag|preprod|uat|canary")),
    ("training", re.compile(r"train|tuning|finetune")),
    ("batch", re.compile(r"batch|offline|pipeline")),
    ("experiments", re.compile(r"experiment|\bexp\b|dev|research|notebook|sandbox|playground|lab")),
)
_STANDARDS: Final = ("restricted", "baseline", "privileged")
_DEFAULTS: Final = {"defaultMemory": "2Gi", "defaultCpu": "500m"}
_QUOTAS: Final = {
    "requests.cpu": "cpu", "cpu": "cpu", "requests.memory": "memory", "limits.memory": "memory", "memory": "memory",
    "requests.storage": "storage",
}  # fmt: skip
_ROLES: Final = {"admin": "admins", "edit": "editors", "view": "viewers"}
_SUBJECT: Final = re.compile(r"^[^\s:][^\n]{0,252}$")
_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_HOSTNAME: Final = "kubernetes.io/metadata.name"


@dataclass
class Namespaces:
    """Tenants by namespace; the empty namespace and those of components get a tenant of their own name."""

    names: dict[str, str] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)  # namespace of today -> namespace of the tenant

    def add(self, namespace: str) -> None:
        if namespace in self.names:
            return
        target = namespace
        if namespace in COMPONENT_NAMESPACES or namespace.startswith("kube-"):
            target = (
                "inference" if namespace in {"", "default"} else f"{namespace.removeprefix('kube-')}-models"
            )
            self.moved[namespace] = target
        # The empty namespace and `default` are one: kubectl puts the first into the second.
        existing = next((name for ns, name in self.names.items() if self.moved.get(ns, ns) == target), None)
        self.names[namespace] = existing or free(name_of(target, "tenant"), set(self.names.values()))

    def tenant_of(self, namespace: str) -> str:
        self.add(namespace)
        return self.names[namespace]


def find_namespaces(view: View, ledger: Ledger) -> Namespaces:
    """Namespaces with inference servers, GPU workloads, GPU quotas, or a tenant's label."""
    found = Namespaces()
    for server in view.running_servers:
        if server.workload.uses_gpu:
            found.add(server.item.namespace)
    for item in view.of("Namespace"):
        if managed(item) and item.labels.get("stoker.dev/tenant"):
            found.add(item.name)
    for item in view.of("ResourceQuota", "LimitRange"):
        own = item.namespace not in COMPONENT_NAMESPACES and not item.namespace.startswith("kube-")
        if own and _speaks_of_gpus(item):
            found.add(item.namespace)
    for workload in view.gpu_workloads:
        if (
            workload.serves
            and workload.item.kind != "DaemonSet"
            and workload.namespace not in COMPONENT_NAMESPACES
        ):
            found.add(workload.namespace)
    _tell_moves(view, found, ledger)
    return found


def _tell_moves(view: View, found: Namespaces, ledger: Ledger) -> None:
    for namespace, target in found.moved.items():
        first = next((s.item for s in view.running_servers if s.item.namespace == namespace), None)
        if first is not None:
            ledger.note(
                first, ("metadata", "namespace"),
                f"the namespace {namespace or 'that kubectl chooses'} cannot be a tenant's (quotas and network policies would hit what else is in it): "
                f"the tenant gets {target}",
            )  # fmt: skip


def _speaks_of_gpus(item: Item) -> bool:
    texts = [*item.section("spec", "hard")]
    for limit in item.spec.get("limits") or []:
        texts += [
            key for part in ("max", "min", "default", "defaultRequest") for key in limit.get(part) or {}
        ]
    return any(gpu_resource(text.removeprefix("requests.").removeprefix("limits.")) for text in texts)


def plan_tenants(view: View, namespaces: Namespaces, pools: Pools, ledger: Ledger) -> list[dict[str, Any]]:
    """Every tenant, in the order in which its namespace was met."""
    served = {s.item.namespace for s in view.running_servers if s.workload.uses_gpu}
    classes = {
        namespace: _class(view, namespace, namespace in served, ledger, name)
        for namespace, name in namespaces.names.items()
    }
    ranks = priorities(view, classes, ledger)
    entries: dict[str, dict[str, Any]] = {}
    for namespace, name in namespaces.names.items():
        if name in entries:
            continue
        entry: dict[str, Any] = {"name": name, "class": classes[namespace]}
        target = namespaces.moved.get(namespace, namespace)
        if target != name:
            entry["namespace"] = target
        entry["quota"] = _quota(view, namespace, pools, ledger)
        entry |= ranks.get(namespace, {})
        entry["guardrails"] = _guardrails(view, namespace, ledger)
        entry["access"] = _access(view, namespace, ledger)
        entry["network"] = _network(view, namespace, ledger)
        standard = _standard(view, namespace, name, ledger)
        if standard != "baseline":
            entry["podSecurity"] = standard
        entries[name] = dump_order(entry, _ORDER)
    return list(entries.values())


def _class(view: View, namespace: str, serves: bool, ledger: Ledger, name: str) -> str:  # noqa: FBT001  # of the namespace
    item = view.snapshot.get("Namespace", "", namespace)
    ledger.use(item)
    if item is not None and managed(item):
        # "ai-production (production): quota, defaults, …" is what Stoker writes beside each namespace it makes.
        told = re.match(
            r"^[^(]*\((production|staging|batch|training|experiments)\):",
            item.annotations.get("stoker.dev/reason", ""),
        )
        if told:
            return told[1]
    for kind, pattern in _CLASSES:
        if pattern.search(namespace):
            ledger.assume(f"tenants.{name}.class", kind, f"the name of namespace {namespace}")
            return kind
    kind = "production" if serves else "experiments"
    why = "models run in it" if serves else "nothing in it serves a model"
    ledger.assume(f"tenants.{name}.class", kind, why)
    return kind


def _quota(view: View, namespace: str, pools: Pools, ledger: Ledger) -> dict[str, Any]:
    found: dict[str, Any] = {}
    gpus: dict[str, int] = {}
    for item in view.snapshot.within("ResourceQuota", namespace):
        if item.spec.get("scopes") or item.spec.get("scopeSelector"):
            if not managed(item):
                ledger.note(
                    item,
                    ("spec",),
                    "a quota of some pods only (scopes) is not carried over: tenants' quotas count every pod",
                )
            continue
        ledger.use(item)
        for key, amount in item.section("spec", "hard").items():
            if not gpu_resource(key.partition(".")[2]):
                _hard(item, key, str(amount), found, ledger)
            elif ceiling := _hard_gpus(item, key, str(amount), pools, ledger):
                name, count = ceiling
                gpus[name] = min(gpus.get(name, count), count)
    if gpus:
        found["gpus"] = gpus
    return dump_order(found, ("gpus", "cpu", "memory", "pods", "storage"))


def _hard(item: Item, key: str, amount: str, found: dict[str, Any], ledger: Ledger) -> None:
    """A ceiling that counts no GPUs."""
    if key in {"pods", "count/pods"}:
        if re.fullmatch(r"[1-9][0-9]{0,4}", amount):
            found["pods"] = int(amount)
        return
    written = quantity(amount)
    if key in _QUOTAS and written:
        other, new = parse(found.get(_QUOTAS[key], "0")), parse(written)
        if other is not None and new is not None and new > other:
            found[_QUOTAS[key]] = written
        return
    ledger.note(
        item,
        ("spec", "hard", key),
        f"{key} has no place in a tenant's quota: keep a ResourceQuota of your own for it",
    )


def _hard_gpus(item: Item, key: str, amount: str, pools: Pools, ledger: Ledger) -> tuple[str, int] | None:
    """The pool and the ceiling of a GPU resource; ``limits.`` of one stands in only where nothing else does."""
    path = ("spec", "hard", key)
    prefix, _, resource = key.partition(".")
    if prefix == "limits":
        asked = f"requests.{resource}" in item.section("spec", "hard")
        instead = "" if asked else ", and it is written in its place"
        ledger.note(
            item,
            path,
            f"the API server accepts this name and never enforces it: requests.{resource} is what counts{instead}",
        )
        if asked:
            return None
    number, pool = parse(amount), pools.offering(resource)
    if number is None or not 0 <= number <= 100_000:
        return None
    if pool is None:
        if number > 0:
            ledger.note(item, path, f"no pool offers {resource}: this ceiling is not carried over")
        return None
    return pool.name, int(number)


def _guardrails(view: View, namespace: str, ledger: Ledger) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in view.snapshot.within("LimitRange", namespace):
        ledger.use(item)
        for index, limit in enumerate(item.spec.get("limits") or []):
            path = ("spec", "limits", index)
            if limit.get("type") != "Container":
                ledger.note(
                    item,
                    path,
                    f"a limit per {limit.get('type') or 'unnamed type'} is not carried over: guardrails are per container, and GPUs per pod",
                )
                continue
            _limits(item, limit, path, found, ledger)
    return dump_order(found, ("maxGpusPerPod", "maxMemoryPerContainer", "defaultMemory", "defaultCpu"))


def _limits(
    item: Item, limit: dict[str, Any], path: tuple[str | int, ...], found: dict[str, Any], ledger: Ledger
) -> None:
    most, default, request = (limit.get(key) or {} for key in ("max", "default", "defaultRequest"))
    for part in ("max", "min", "default", "defaultRequest"):
        for key in limit.get(part) or {}:
            if not gpu_resource(key):
                continue
            number = parse(most.get(key, ""))
            if part == "max" and number is not None and 0 <= number <= 128:
                found["maxGpusPerPod"] = int(number)
                ledger.note(
                    item,
                    (*path, part, key),
                    "a LimitRange counts each container by itself: the ceiling becomes one per pod (maxGpusPerPod)",
                )
            else:
                ledger.note(
                    item,
                    (*path, part, key),
                    "gives a GPU to every container that names none, sidecars too: it is not carried over",
                )
    for key, value in (("maxMemoryPerContainer", most.get("memory")), ("defaultMemory", default.get("memory") or request.get("memory")),
                       ("defaultCpu", request.get("cpu"))):  # fmt: skip
        if value is not None and (text := quantity(value)) and text != _DEFAULTS.get(key):
            found[key] = text


def _access(view: View, namespace: str, ledger: Ledger) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in view.snapshot.within("RoleBinding.rbac.authorization.k8s.io", namespace):
        role = item.section("roleRef")
        key = _ROLES.get(str(role.get("name"))) if role.get("kind") == "ClusterRole" else None
        groups = [
            str(s.get("name"))
            for s in item.obj.get("subjects") or []
            if isinstance(s, dict) and s.get("kind") == "Group"
        ]
        good = [group for group in groups if _SUBJECT.match(group) and not group.startswith("system:")]
        if key and good:
            ledger.use(item)
            found[key] = list(dict.fromkeys([*found.get(key, []), *good]))[:32]
    return dump_order(found, ("admins", "editors", "viewers"))


def _network(view: View, namespace: str, ledger: Ledger) -> dict[str, Any]:
    """Namespaces whose pods may call every pod of this one."""
    callers: list[str] = []
    for item in view.snapshot.within("NetworkPolicy.networking.k8s.io", namespace):
        if item.section("spec", "podSelector"):
            continue
        for rule in item.spec.get("ingress") or []:
            peers = rule.get("from") if isinstance(rule, dict) else None
            for peer in peers if isinstance(peers, list) else []:
                selector = peer.get("namespaceSelector") if isinstance(peer, dict) else None
                labels = selector.get("matchLabels") if isinstance(selector, dict) else None
                name = labels.get(_HOSTNAME) if isinstance(labels, dict) else None
                if (
                    isinstance(name, str)
                    and name not in COMPONENT_NAMESPACES
                    and name != namespace
                    and name == name_of(name, "", most=63)
                ):
                    ledger.use(item)
                    callers.append(name)
    return {"allowFrom": list(dict.fromkeys(callers))[:64]} if callers else {}


def _standard(view: View, namespace: str, name: str, ledger: Ledger) -> str:
    item = view.snapshot.get("Namespace", "", namespace)
    enforced = item.labels.get(_ENFORCE) if item else None
    if enforced in _STANDARDS:
        return str(enforced)
    loose = next(
        (
            w
            for w in view.workloads
            if w.namespace == namespace and not w.template and not managed(w.item) and _privileged(w.pod)
        ),
        None,
    )
    if loose is not None:
        ledger.assume(
            f"tenants.{name}.podSecurity", "privileged", f"{loose} uses the host, which baseline refuses"
        )
        return "privileged"
    return "baseline"


def _privileged(pod: Any) -> bool:
    if pod.get("hostNetwork") or pod.get("hostIPC") or pod.get("hostPID"):
        return True
    if any("hostPath" in volume for volume in pod.get("volumes") or []):
        return True
    return any(
        (c.get("securityContext") or {}).get("privileged")
        for c in [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]
    )
