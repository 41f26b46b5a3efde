"""Fields of pods that the server drops because a feature is off by default in 1.36, and what it writes when a pod is made.

Sources: pkg/api/pod/util.go (DropDisabledPodFields), pkg/registry/core/pod/strategy.go, pkg/features/kube_features.go.
Off are GenericWorkload (schedulingGroup), ContainerStopSignals, ClusterTrustBundleProjection, PodCertificateRequest.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.pod_annotations import APPARMOR, apparmor_field
from stoker.lab.kinds.pod_security import visit
from stoker.lab.kinds.strategy import Object

__all__ = ["apply_apparmor_annotations", "drop_disabled_fields", "merge_label_keys"]

_PROJECTIONS = ("clusterTrustBundle", "podCertificate")
_LISTS = ("containers", "initContainers", "ephemeralContainers")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def drop_disabled_fields(spec: Object, old: Mapping[str, Any] | None = None) -> None:
    """What the replaced spec already used stays usable."""
    before = old or {}
    if "schedulingGroup" in spec and "schedulingGroup" not in before:
        del spec["schedulingGroup"]
    for key in _LISTS:
        for container in spec.get(key) or ():
            lifecycle = container.get("lifecycle")
            if lifecycle and "stopSignal" in lifecycle and not _uses_stop_signal(before):
                del lifecycle["stopSignal"]
                if not lifecycle:
                    del container["lifecycle"]
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            for kind in _PROJECTIONS:
                if kind in source and not _uses_projection(before, kind):
                    del source[kind]


def _uses_stop_signal(spec: Mapping[str, Any]) -> bool:
    return any("stopSignal" in (container.get("lifecycle") or {}) for container, _ in visit(spec, ""))


def _uses_projection(spec: Mapping[str, Any], kind: str) -> bool:
    return any(
        kind in source
        for volume in spec.get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
    )


def merge_label_keys(pod: Object) -> None:
    """mutatePodAffinity, mutateTopologySpreadConstraints: matchLabelKeys become requirements of the selector."""
    spec, labels = pod.get("spec") or {}, (pod.get("metadata") or {}).get("labels") or {}
    affinity = spec.get("affinity") or {}
    for key in ("podAffinity", "podAntiAffinity"):
        one = affinity.get(key) or {}
        for weighted in one.get(_PREFERRED) or ():
            _merge(weighted.get("podAffinityTerm") or {}, labels)
        for term in one.get(_REQUIRED) or ():
            _merge(term, labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _merge(constraint, labels)


def _merge(term: Object, labels: Mapping[str, str]) -> None:
    selector = term.get("labelSelector")
    if selector is None:
        return  # matches nothing, whatever the labels are
    for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        keys: Iterable[str] = term.get(field) or ()
        for key in keys:
            if key in labels:
                requirement = {"key": key, "operator": operator, "values": [labels[key]]}
                selector.setdefault("matchExpressions", []).append(requirement)


def apply_apparmor_annotations(pod: Object) -> None:
    """applyAppArmorVersionSkew: an AppArmor profile asked for by annotation becomes the field."""
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    spec = pod.get("spec") or {}
    if not any(key.startswith(APPARMOR) for key in annotations):
        return
    if (spec.get("os") or {}).get("name") == "windows":
        return
    whole = (spec.get("securityContext") or {}).get("appArmorProfile")
    for key in _LISTS:
        for container in spec.get(key) or ():
            annotation = annotations.get(f"{APPARMOR}{container.get('name', '')}")
            own = (container.get("securityContext") or {}).get("appArmorProfile")
            profile = apparmor_field(annotation) if annotation is not None and own is None else None
            if profile is not None and profile != whole:
                container.setdefault("securityContext", {})["appArmorProfile"] = profile
