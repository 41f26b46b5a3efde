"""A pod as the scheduler reads it: parsed once from the plain object."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.selectors import matches, nodes_terms
from stoker.twin.scheduler.requests import requests_of

__all__ = ["AffinityTerm", "PodInfo", "SpreadConstraint", "parse_pod"]

Object = Mapping[str, Any]

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
            and matches(
                self.namespace_selector,
                namespace_labels.get(pod.namespace) or {"kubernetes.io/metadata.name": pod.namespace},
            )
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
        picky: it has a node selector, or requires something of nodes.
        claims: of volumes, those that the pod brings with it included (``ephemeral``).
        resource_claims: names of ResourceClaims; one that is made from a template has no name before it is there.
        unclaimed: a ResourceClaim is yet to be made from a template.
        preempted: it stops because the scheduler said so.
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
    picky: bool
    affinity: tuple[AffinityTerm, ...]
    anti_affinity: tuple[AffinityTerm, ...]
    preferred: tuple[AffinityTerm, ...]
    spread: tuple[SpreadConstraint, ...]
    claims: tuple[str, ...]
    ephemeral: frozenset[str]
    resource_claims: tuple[str, ...]
    unclaimed: bool
    terminating: bool
    preempted: bool
    nominated: str
    order: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name


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


def _ports(spec: Object) -> Iterable[tuple[str, str, int]]:
    """Address, protocol and number of host ports, of all that run as long as the pod (scheduler/util GetHostPorts)."""
    sidecars = (each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always")
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            # On the host's network every port is one of the host's (defaults.go defaultHostNetworkPorts).
            number = port.get("hostPort") or (port.get("containerPort") if spec.get("hostNetwork") else 0)
            if number:
                yield port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(number)  # noqa: S104


def _claims(name: str, spec: Object) -> Iterable[tuple[str, bool]]:
    """Claims of the pod's volumes, with whether it brings them itself."""
    for volume in spec["volumes"]:
        if volume.get("persistentVolumeClaim"):
            yield volume["persistentVolumeClaim"]["claimName"], False
        elif volume.get("ephemeral"):
            yield f"{name}-{volume['name']}", True


def _resource_claims(pod: Object) -> tuple[tuple[str, ...], bool]:
    """Names of the pod's ResourceClaims, and whether some are not known yet (resourceclaim.Name)."""
    made = {
        entry["name"]: entry.get("resourceClaimName")
        for entry in (pod.get("status") or {}).get("resourceClaimStatuses") or ()
    }
    names = []
    unknown = False
    for entry in pod["spec"]["resourceClaims"]:
        name = entry.get("resourceClaimName") or made.get(entry["name"])
        if name:
            names.append(name)
        unknown |= not name and entry["name"] not in made
    return tuple(names), unknown


def _preempted(pod: Object) -> bool:
    """Whether the pod stops because of preemption (default_preemption.go podTerminatingByPreemption)."""
    return any(
        entry.get("type") == "DisruptionTarget" and entry.get("reason") == "PreemptionByScheduler"
        for entry in (pod.get("status") or {}).get("conditions") or ()
    )


def parse_pod(pod: Object) -> PodInfo:
    """Parse a v1 Pod.

    Raises:
        ValueError: a request is no quantity.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    affinity = spec.get("affinity") or {}
    near, far = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    requests, scored = requests_of(spec)
    claims = tuple(_claims(metadata["name"], spec)) if spec.get("volumes") else ()
    resource_claims, unclaimed = _resource_claims(pod) if spec.get("resourceClaims") else ((), False)
    return PodInfo(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        spec=spec,
        priority=spec.get("priority") or 0,
        requests=requests,
        scored=scored,
        ports=tuple(_ports(spec)),
        tolerations=tuple(spec.get("tolerations") or ()),
        picky=bool(spec.get("nodeSelector")) or (bool(affinity) and bool(nodes_terms(spec))),
        affinity=tuple(_terms(near.get(_REQUIRED) or (), pod)),
        anti_affinity=tuple(_terms(far.get(_REQUIRED) or (), pod)),
        preferred=(
            *_terms(near.get(_PREFERRED) or (), pod, weighted=True),
            *_terms(far.get(_PREFERRED) or (), pod, weighted=True, sign=-1),
        ),
        spread=tuple(_spread(pod)),
        claims=tuple(name for name, _ in claims),
        ephemeral=frozenset(name for name, own in claims if own),
        resource_claims=resource_claims,
        unclaimed=unclaimed,
        terminating=metadata.get("deletionTimestamp") is not None,
        preempted=_preempted(pod),
        nominated=(pod.get("status") or {}).get("nominatedNodeName") or "",
    )
