"""Where a pod's volumes lie; whether they can be mounted, and in the kubelet's words why not.

Sources: kubernetes pkg/volume/{configmap,secret,projected}, pkg/volume/util/operationexecutor (GenerateError),
pkg/kubelet/volumemanager (WaitForAttachAndMount, the desired state of the world's populator).
"""

from collections.abc import Callable
from typing import Any

__all__ = ["mount_problem", "places_of"]

Object = dict[str, Any]
# kind, namespace, name -> object.
Lookup = Callable[[str, str, str], Object | None]


def mount_problem(pod: Object, lookup: Lookup) -> str:
    """The message of FailedMount for the first volume that cannot be mounted; empty where all can."""
    namespace = pod["metadata"]["namespace"]
    for volume in pod["spec"].get("volumes") or ():
        problem = _claim(pod, namespace, volume, lookup)
        if problem:
            name = volume["name"]
            return (
                f"Unable to attach or mount volumes: unmounted volumes=[{name}], unattached volumes=[], "
                f"failed to process volumes=[{name}]: error processing PVC {problem}"
            )
        problem = _content(namespace, volume, lookup)
        if problem:
            return f'MountVolume.SetUp failed for volume "{volume["name"]}" : {problem}'
    return ""


def places_of(pod: Object, container: Object, lookup: Lookup) -> dict[str, str]:
    """Where what a container mounts outlives the pod: mount path to ``node:NAME/path`` or ``claim:NAMESPACE/NAME``.

    Two containers see the same files where their places are the same. A claim bound to a node's own disk is a place there.
    """
    volumes = {one["name"]: one for one in pod["spec"].get("volumes") or ()}
    found = {}
    for mount in container.get("volumeMounts") or ():
        place = _place(pod, volumes.get(mount["name"]) or {}, lookup)
        if place:
            below = str(mount.get("subPath") or "").strip("/")
            found[str(mount["mountPath"]).rstrip("/")] = f"{place}/{below}" if below else place
    return found


def _place(pod: Object, volume: Object, lookup: Lookup) -> str:
    node = f"node:{pod['spec'].get('nodeName', '')}"
    if volume.get("hostPath"):
        return f"{node}{volume['hostPath']['path'].rstrip('/')}"
    if not volume.get("persistentVolumeClaim"):
        return ""
    namespace, name = pod["metadata"]["namespace"], volume["persistentVolumeClaim"]["claimName"]
    claim = lookup("PersistentVolumeClaim", namespace, name) or {}
    disk = lookup("PersistentVolume", "", (claim.get("spec") or {}).get("volumeName") or "") or {}
    spec = disk.get("spec") or {}
    own = spec.get("local") or spec.get("hostPath")
    return f"{node}{own['path'].rstrip('/')}" if own else f"claim:{namespace}/{name}"


def _claim(pod: Object, namespace: str, volume: Object, lookup: Lookup) -> str:
    if volume.get("persistentVolumeClaim"):
        name = volume["persistentVolumeClaim"]["claimName"]
    elif volume.get("ephemeral"):
        name = f"{pod['metadata']['name']}-{volume['name']}"
    else:
        return ""
    claim = lookup("PersistentVolumeClaim", namespace, name)
    place = f"{namespace}/{name}"
    if claim is None:
        return f'{place}: failed to fetch PVC from API server: persistentvolumeclaims "{name}" not found'
    if claim["metadata"].get("deletionTimestamp") and not pod["metadata"].get("deletionTimestamp"):
        return f"{place}: PVC is being deleted"
    if (claim.get("status") or {}).get("phase") != "Bound":
        return f"{place}: PVC is not bound"
    return "" if claim["spec"].get("volumeName") else f"{place}: PVC has empty pvc.Spec.VolumeName"


def _content(namespace: str, volume: Object, lookup: Lookup) -> str:
    if volume.get("configMap"):
        return _object(namespace, "ConfigMap", volume["configMap"], "name", lookup)
    if volume.get("secret"):
        return _object(namespace, "Secret", volume["secret"], "secretName", lookup)
    for source in (volume.get("projected") or {}).get("sources") or ():
        for kind, key in (("ConfigMap", "configMap"), ("Secret", "secret")):
            if source.get(key):
                problem = _object(namespace, kind, source[key], "name", lookup)
                if problem:
                    return problem
    return ""


def _object(namespace: str, kind: str, source: Object, field: str, lookup: Lookup) -> str:
    name = source.get(field, "")
    obj = lookup(kind, namespace, name)
    if obj is None:
        return "" if source.get("optional") else f'{kind.lower()} "{name}" not found'
    data = {**(obj.get("data") or {}), **(obj.get("binaryData") or {})}
    for item in source.get("items") or ():
        if item["key"] not in data and not source.get("optional"):
            if kind == "ConfigMap":
                return f"configmap references non-existent config key: {item['key']}"
            return f"references non-existent secret key: {item['key']}"
    return ""
