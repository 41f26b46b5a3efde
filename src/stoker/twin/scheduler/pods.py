"""A pod as the scheduler reads it: parsed once from the plain object."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.quantities import parse
from stoker.kube.selectors import matches

__all__ = ["AffinityTerm", "PodInfo", "SpreadConstraint", "parse_pod", "resources_of"]

Object = Mapping[str, Any]

# What a container without requests counts for in scores (pkg/scheduler/util/pod_resources.go).
_DEFAULT_MILLICORES: Final = 100
_DEFAULT_MEMORY: Final = 200 * 1024 * 1024
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class AffinityTerm:
    """A (anti-)affinity term: which pods, in which topology. ``weight`` is 0 for a required one."""

    selector: Object | None
    topology_key: str
    namespaces: frozenset[str]
    namespace_selector: Object | None
    weight: int

    def selects(self, pod: "PodInfo", namespace_labels: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether ``pod`` is one of those the term is about (framework/types.go AffinityTerm.Matches)."""
        if pod.namespace not in self.namespaces and not (
            self.namespace_selector is not None
            and matches(self.namespace_selector, namespace_labels.get(pod.namespace, {}))
        ):
            return False
        return matches(self.selector, pod.labels)


@dataclass(frozen=True, slots=True)
class SpreadConstraint:
    """A topologySpreadConstraint with its matchLabelKeys merged into the selector."""

    max_skew: int
    topology_key: str
    hard: bool
    selector: Object | None
    min_domains: int
    honor_affinity: bool
    honor_taints: bool


@dataclass(slots=True, eq=False)
class PodInfo:
    """One pod.

    Attributes:
        requests: amounts by resource; CPU in thousandths, everything else in units.
        scored: the same for CPU and memory with defaults for containers that ask for none: what scores count.
        order: when it was added to the state; older pods are more important among equals.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    spec: Object
    priority: int
    requests: dict[str, int]
    scored: dict[str, int]
    ports: tuple[tuple[str, str, int], ...]
    tolerations: tuple[Object, ...]
    affinity: tuple[AffinityTerm, ...]
    anti_affinity: tuple[AffinityTerm, ...]
    preferred: tuple[AffinityTerm, ...]
    spread: tuple[SpreadConstraint, ...]
    claims: tuple[str, ...]
    resource_claims: tuple[str, ...]
    terminating: bool
    nominated: str
    order: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name


def _amount(name: str, quantity: object) -> int:
    value = parse(quantity)
    if value is None:
        raise ValueError(f"{name}: no quantity: {quantity!r}")
    # Rounded up, as Quantity.MilliValue and Quantity.Value do.
    return int(-(-(value * 1000 if name == "cpu" else value) // 1))


def resources_of(amounts: Object | None) -> dict[str, int]:
    """A ResourceList in the scheduler's units."""
    return {name: _amount(name, quantity) for name, quantity in (amounts or {}).items()}


def _containers(spec: Object) -> Iterable[tuple[dict[str, int], dict[str, int]]]:
    for container in spec.get("containers") or ():
        yield _pair(container)


def _pair(container: Object) -> tuple[dict[str, int], dict[str, int]]:
    resources = container.get("resources") or {}
    # The API server fills requests from limits; objects that never met one may lack it.
    asked = resources_of({**(resources.get("limits") or {}), **(resources.get("requests") or {})})
    scored = {
        **asked,
        "cpu": asked.get("cpu", _DEFAULT_MILLICORES),
        "memory": asked.get("memory", _DEFAULT_MEMORY),
    }
    return asked, scored


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _most(total: dict[str, int], other: Mapping[str, int]) -> None:
    for name, value in other.items():
        total[name] = max(total.get(name, 0), value)


def _requests(spec: Object) -> tuple[dict[str, int], dict[str, int]]:
    """What the pod asks for.

    Containers and sidecars together, or what an init container needs beside the sidecars started before it, if that is
    more; plus overhead (component-helpers resource/helpers.go PodRequests).
    """
    totals: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for pair in _containers(spec):
        for total, amounts in zip(totals, pair, strict=True):
            _add(total, amounts)
    sidecars: tuple[dict[str, int], dict[str, int]] = ({}, {})
    peaks: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for container in spec.get("initContainers") or ():
        pair = _pair(container)
        for total, sidecar, peak, amounts in zip(totals, sidecars, peaks, pair, strict=True):
            if container.get("restartPolicy") == "Always":
                _add(total, amounts)
                _add(sidecar, amounts)
                _most(peak, sidecar)
            else:
                needed = dict(amounts)
                _add(needed, sidecar)
                _most(peak, needed)
    overhead = resources_of(spec.get("overhead"))
    for total, peak in zip(totals, peaks, strict=True):
        _most(total, peak)
        _add(total, overhead)
    return totals


def _terms(
    entries: Iterable[Object], pod: Object, *, weighted: bool = False, sign: int = 1
) -> Iterable[AffinityTerm]:
    namespace, labels = pod["metadata"].get("namespace", ""), pod["metadata"].get("labels") or {}
    for entry in entries:
        term = entry["podAffinityTerm"] if weighted else entry
        named = term.get("namespaces") or ()
        chosen = term.get("namespaceSelector")
        yield AffinityTerm(
            selector=_with_keys(term.get("labelSelector"), term, labels),
            topology_key=term.get("topologyKey", ""),
            namespaces=frozenset(named or (() if chosen is not None else (namespace,))),
            namespace_selector=chosen,
            weight=sign * int(entry["weight"]) if weighted else 0,
        )


def _with_keys(selector: Object | None, term: Object, labels: Mapping[str, str]) -> Object | None:
    """The selector with matchLabelKeys as In and mismatchLabelKeys as NotIn of the pod's own values."""
    extra = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for key in term.get(field) or ()
        if key in labels
    ]
    if not extra or selector is None:
        return selector
    return {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *extra]}


def _spread(pod: Object) -> Iterable[SpreadConstraint]:
    labels = pod["metadata"].get("labels") or {}
    for entry in pod["spec"].get("topologySpreadConstraints") or ():
        yield SpreadConstraint(
            max_skew=int(entry["maxSkew"]),
            topology_key=entry["topologyKey"],
            hard=entry.get("whenUnsatisfiable") == "DoNotSchedule",
            selector=_with_keys(entry.get("labelSelector"), entry, labels),
            min_domains=int(entry.get("minDomains") or 1),
            honor_affinity=entry.get("nodeAffinityPolicy", "Honor") == "Honor",
            honor_taints=entry.get("nodeTaintsPolicy", "Ignore") == "Honor",
        )


def parse_pod(pod: Object) -> PodInfo:
    """Parse a v1 Pod.

    Raises:
        ValueError: a request is no quantity.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    affinity = spec.get("affinity") or {}
    near, far = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    requests, scored = _requests(spec)
    return PodInfo(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        spec=spec,
        priority=spec.get("priority") or 0,
        requests=requests,
        scored=scored,
        ports=tuple(
            (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(port["hostPort"]))  # noqa: S104
            for container in spec.get("containers") or ()
            for port in container.get("ports") or ()
            if port.get("hostPort")
        ),
        tolerations=tuple(spec.get("tolerations") or ()),
        affinity=tuple(_terms(near.get(_REQUIRED) or (), pod)),
        anti_affinity=tuple(_terms(far.get(_REQUIRED) or (), pod)),
        preferred=(
            *_terms(near.get(_PREFERRED) or (), pod, weighted=True),
            *_terms(far.get(_PREFERRED) or (), pod, weighted=True, sign=-1),
        ),
        spread=tuple(_spread(pod)),
        claims=tuple(
            volume["persistentVolumeClaim"]["claimName"]
            for volume in spec.get("volumes") or ()
            if volume.get("persistentVolumeClaim")
        ),
        resource_claims=tuple(
            entry["resourceClaimName"]
            for entry in spec.get("resourceClaims") or ()
            if entry.get("resourceClaimName")
        ),
        terminating=metadata.get("deletionTimestamp") is not None,
        nominated=(pod.get("status") or {}).get("nominatedNodeName") or "",
    )
