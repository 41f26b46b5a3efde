"""PersistentVolumes for claims: which volume a claim could be bound to, and what the controller binds by itself.

Sources: staging/src/k8s.io/component-helpers/storage/volume/pv_helpers.go (FindMatchingVolume), pkg/controller/volume/
persistentvolume/pv_controller.go (syncUnboundClaim).
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from stoker.kube.quantities import parse
from stoker.kube.selectors import matches, node_fits

__all__ = ["asked", "bound_by_controller", "class_of", "matching_volume", "reaches", "waits_for_pod"]

Object = Mapping[str, Any]
Key = tuple[str, str]

_DEFAULT: Final = "storageclass.kubernetes.io/is-default-class"
_DONE: Final = "pv.kubernetes.io/bind-completed"


def asked(claim: Object) -> Decimal:
    """Bytes that a claim asks for."""
    return parse(
        ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
    ) or Decimal(0)


def class_of(claim: Object, classes: Mapping[str, Object]) -> str:
    """The claim's storage class; without a word about it the cluster's default (admission storage/storageclass)."""
    name = claim["spec"].get("storageClassName")
    if name is not None:
        return str(name)
    for each, item in classes.items():
        if (item["metadata"].get("annotations") or {}).get(_DEFAULT) == "true":
            return each
    return ""


def waits_for_pod(claim: Object, classes: Mapping[str, Object]) -> bool:
    """Whether the claim is bound once a pod needs it."""
    found = classes.get(class_of(claim, classes)) or {}
    return bool(found.get("volumeBindingMode") == "WaitForFirstConsumer")


def reaches(volume: Object, name: str, labels: Mapping[str, str]) -> bool:
    """Whether the volume's node affinity allows the node."""
    required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
    if not required:
        return True
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    return node_fits({"affinity": affinity}, name, labels)


def _meant_for(volume: Object, claim: Object) -> bool:
    reference = volume["spec"].get("claimRef") or {}
    metadata = claim["metadata"]
    return bool(
        reference.get("name") == metadata["name"]
        and reference.get("namespace", "") == metadata.get("namespace", "")
    )


def matching_volume(
    claim: Object,
    volumes: Mapping[str, Object],
    classes: Mapping[str, Object],
    taken: Collection[str],
    node: tuple[str, Mapping[str, str]] | None,
) -> str | None:
    """The smallest volume for the claim, from a node or from anywhere; one that was made for it goes before all."""
    spec = claim["spec"]
    fitting: list[tuple[Decimal, str]] = []
    for name, volume in volumes.items():
        offered = volume["spec"]
        size = parse((offered.get("capacity") or {}).get("storage", "0")) or Decimal(0)
        mine = _meant_for(volume, claim)
        if (
            name in taken
            or (offered.get("claimRef") and not mine)
            or size < asked(claim)
            or (spec.get("volumeMode") or "Filesystem") != (offered.get("volumeMode") or "Filesystem")
            or volume["metadata"].get("deletionTimestamp")
        ):
            continue
        there = node is None or reaches(volume, *node)
        if mine:
            return name if there else None
        if (
            there
            and (volume.get("status") or {}).get("phase", "Available") in {"Available", "Pending"}
            and (
                spec.get("selector") is None
                or matches(spec["selector"], volume["metadata"].get("labels") or {})
            )
            and (offered.get("storageClassName") or "") == class_of(claim, classes)
            and set(spec.get("accessModes") or ()) <= set(offered.get("accessModes") or ())
        ):
            fitting.append((size, name))
    return min(fitting)[1] if fitting else None


def bound_by_controller(
    claims: Mapping[Key, Object],
    volumes: Mapping[str, Object],
    classes: Mapping[str, Object],
    before: Mapping[Key, str],
) -> dict[Key, str]:
    """Claims that are bound, ``before`` among them, or that the controller binds without a pod, with their volumes."""
    found = {key: name for key, name in before.items() if key in claims}
    for key, claim in claims.items():
        name = str(claim["spec"].get("volumeName") or "")
        done = (claim["metadata"].get("annotations") or {}).get(_DONE) or (claim.get("status") or {}).get(
            "phase"
        ) == "Bound"
        reference = (volumes.get(name) or {"spec": {}})["spec"].get("claimRef")
        if name and (done or (name in volumes and (not reference or _meant_for(volumes[name], claim)))):
            found[key] = name
    for key, claim in claims.items():
        if key in found or claim["spec"].get("volumeName"):
            continue
        free = volumes
        if waits_for_pod(claim, classes):
            free = {name: volume for name, volume in volumes.items() if _meant_for(volume, claim)}
        name = matching_volume(claim, free, classes, found.values(), None) or ""
        if name:
            found[key] = name
    return found
