"""Claims, volumes and classes; ingress classes, which are defaulted alike."""

from typing import Any

import pytest

from stoker.lab.status import ApiError

Object = dict[str, Any]


def claim(size: str = "1Gi", *, phase: str = "Pending", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "d", "namespace": "n"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec},
        "status": {"phase": phase},
    }


def storage_class(world: Any, name: str, *, default: bool = False, **fields: Any) -> None:
    metadata: Object = {"name": name}
    if default:
        metadata["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
    metadata |= fields.pop("metadata", {})
    world.put(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": metadata,
            "provisioner": "p",
            **fields,
        }
    )


def test_a_claim_without_a_class_gets_the_newest_default(world: Any) -> None:
    assert "storageClassName" not in world.mutate("DefaultStorageClass", claim()).obj["spec"]
    storage_class(world, "old", default=True, metadata={"creationTimestamp": "2020-01-01T00:00:00Z"})
    storage_class(world, "new-b", default=True)
    storage_class(world, "new-a", default=True)
    storage_class(world, "plain")
    assert "new-a" == world.mutate("DefaultStorageClass", claim()).obj["spec"]["storageClassName"]
    assert (
        "" == world.mutate("DefaultStorageClass", claim(storageClassName="")).obj["spec"]["storageClassName"]
    )


def test_claims_and_volumes_are_protected_once(world: Any) -> None:
    protected = world.mutate("StorageObjectInUseProtection", claim()).obj
    assert ["kubernetes.io/pvc-protection"] == protected["metadata"]["finalizers"]
    assert protected == world.mutate("StorageObjectInUseProtection", protected).obj
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "v", "finalizers": ["x"]},
        "spec": {},
    }
    made = world.mutate("StorageObjectInUseProtection", volume).obj
    assert ["x", "kubernetes.io/pv-protection"] == made["metadata"]["finalizers"]
    assert claim() == world.mutate("StorageObjectInUseProtection", claim(), "UPDATE", old=claim()).obj


@pytest.mark.parametrize(
    ("phase", "name", "words"),
    [
        ("Pending", "growing", "Only bound persistent volume claims can be expanded"),
        (
            "Bound",
            "fixed",
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
        ),
        ("Bound", "growing", ""),
    ],
)
def test_only_bound_claims_of_growing_classes_grow(world: Any, phase: str, name: str, words: str) -> None:
    storage_class(world, "growing", allowVolumeExpansion=True)
    storage_class(world, "fixed")
    old, new = (claim(size, phase=phase, storageClassName=name) for size in ("1Gi", "2Gi"))
    world.validate("PersistentVolumeClaimResize", old, "UPDATE", old=new)
    if not words:
        world.validate("PersistentVolumeClaimResize", new, "UPDATE", old=old)
        return
    with pytest.raises(ApiError) as error:
        world.validate("PersistentVolumeClaimResize", new, "UPDATE", old=old)
    assert (403, f'persistentvolumeclaims "d" is forbidden: {words}') == (
        error.value.code,
        error.value.message,
    )


def test_a_claim_is_held_to_its_bounds(world: Any) -> None:
    limits = [{"type": "PersistentVolumeClaim", "max": {"storage": "100Gi"}, "min": {"storage": "1Gi"}}]
    world.put(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "l", "namespace": "n"},
            "spec": {"limits": limits},
        }
    )
    world.validate("LimitRanger", claim("1Gi"))
    for size, words in (
        ("200Gi", "maximum storage usage per PersistentVolumeClaim is 100Gi, but request is 200Gi"),
        ("1Mi", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"),
    ):
        with pytest.raises(ApiError) as error:
            world.validate("LimitRanger", claim(size), "UPDATE", old=claim("1Gi"))
        assert f'persistentvolumeclaims "d" is forbidden: {words}' == error.value.message


def test_an_ingress_without_a_class_gets_the_default(world: Any) -> None:
    world.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {
                "name": "main",
                "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
            },
            "spec": {"controller": "c"},
        }
    )
    ingress: Object = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "i", "namespace": "n"},
        "spec": {},
    }
    assert "main" == world.mutate("DefaultIngressClass", ingress).obj["spec"]["ingressClassName"]
    ingress["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "old"}
    assert {} == world.mutate("DefaultIngressClass", ingress).obj["spec"]
