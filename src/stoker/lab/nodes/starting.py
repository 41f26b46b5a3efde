"""Starting one container: image, environment, program; and what is said on the way.

Source: kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go (startContainer), pkg/kubelet/images/image_manager.go
(EnsureImageExists).
"""

from typing import Any

from stoker.lab.nodes.containers import Container
from stoker.lab.nodes.environment import MissingReferenceError, resolved
from stoker.lab.nodes.host import Host
from stoker.lab.nodes.images import go_duration
from stoker.lab.nodes.memory import limit_bytes, used_bytes
from stoker.lab.nodes.mounts import places_of
from stoker.lab.nodes.probes import probes_of
from stoker.lab.nodes.shapes import machine_of
from stoker.lab.serving.contract import RunContainer

__all__ = ["gpus_of", "start"]

Object = dict[str, Any]
Place = tuple[str, str]

_CONFIG_AGAIN_S = 10.0  # the kubelet's sync interval
_OOM_S = 1.0
# Back-off of image pulls: 10 s doubling to 5 minutes.
_PULL_FIRST_S, _PULL_LONGEST_S = 10.0, 300.0


def gpus_of(container: Object, devices: Any) -> int:
    """How many of the node's devices a container is given."""
    limits = (container.get("resources") or {}).get("limits") or {}
    return sum(int(limits[name]) for name in devices if str(limits.get(name, "")).isdigit())


def start(host: Host, pod: Object, container: Container, address: str, now: float) -> bool:
    """Bring a container up as far as it goes; whether its program has been started."""
    if now < container.retry_s or not _has_image(host, pod, container, now):
        return False
    node = host.node(pod["spec"]["nodeName"]) or {"metadata": {}, "status": {}}
    shown = {**pod, "status": {**(pod.get("status") or {}), **_addresses(node, address)}}
    try:
        environment = resolved(shown, container.spec, node, host.lookup)
    except MissingReferenceError as error:
        container.reason, container.message = "CreateContainerConfigError", str(error)
        container.retry_s = now + _CONFIG_AGAIN_S
        host.tell(pod, "Warning", "Failed", f"Error: {error}", container.path)
        return False
    machine = machine_of(node) if node["metadata"] else None
    host.runner.start(
        RunContainer(
            id=container.run_id,
            address=address,
            container={**container.spec, "env": environment},
            pod={"metadata": _plain(pod["metadata"]), "spec": pod["spec"]},
            gpu=machine.gpu if machine is not None else "",
            gpus=gpus_of(container.spec, machine.devices) if machine is not None else 0,
            load_s=container.loading.seconds * host.storage_factor,
            places=places_of(pod, container.spec, host.lookup),
        )
    )
    _started(host, pod, container, now)
    return True


def _plain(metadata: Object) -> Object:
    return {key: value for key, value in metadata.items() if key != "managedFields"}


def _addresses(node: Object, address: str) -> Object:
    found = (node.get("status") or {}).get("addresses") or ()
    host = next((one["address"] for one in found if one["type"] == "InternalIP"), "")
    return {"podIP": address, "podIPs": [{"ip": address}], "hostIP": host, "hostIPs": [{"ip": host}]}


def _started(host: Host, pod: Object, container: Container, now: float) -> None:
    container.state = "running"
    container.reason = container.message = ""
    container.started_s = now
    container.is_created = True
    container.is_pulling = container.has_pulled = False
    container.probes = probes_of(container.spec, now)
    for probe in container.probes.values():
        if probe.kind == "startup":
            probe.arm(now)
    limit = limit_bytes(container.spec)
    if used_bytes(pod, is_engine=container.loading.is_engine) > limit and container.role == "main":
        container.oom_s = now + max(_OOM_S, container.loading.seconds / 2)
    host.tell(pod, "Normal", "Created", "Container created", container.path)
    host.tell(pod, "Normal", "Started", "Container started", container.path)


def _has_image(host: Host, pod: Object, container: Container, now: float) -> bool:
    """Whether the image is on the node; has it pulled where it is not."""
    node, image = pod["spec"]["nodeName"], container.spec.get("image", "")
    policy = container.spec.get("imagePullPolicy") or "IfNotPresent"
    if container.has_pulled:
        return True
    is_there = host.registry.has(node, image)
    if container.is_pulling:
        if is_there:
            took = go_duration(host.registry.took_s(node, image))
            _pulled(host, pod, container, took)
        return is_there
    if not is_there and policy == "Never":
        message = f'Container image "{image}" is not present with pull policy of Never'
        if container.reason != "ErrImageNeverPull":
            host.tell(pod, "Warning", "ErrImageNeverPull", message, container.path)
            host.tell(pod, "Warning", "Failed", "Error: ErrImageNeverPull", container.path)
        container.reason, container.message = "ErrImageNeverPull", message
        container.retry_s = now + _CONFIG_AGAIN_S
        return False
    if host.missing(image):
        _cannot_pull(host, pod, container, now)
        return False
    if is_there and policy != "Always":
        text = f'Container image "{image}" already present on machine and can be accessed by the pod'
        host.tell(pod, "Normal", "Pulled", text, container.path)
        container.has_pulled = True
        return True
    host.tell(pod, "Normal", "Pulling", f'Pulling image "{image}"', container.path)
    if is_there:
        _pulled(host, pod, container, go_duration(host.registry.took_s("", image)))
        return True
    container.is_pulling = True
    container.reason = container.message = ""
    host.registry.pull(node, image, (pod["metadata"]["namespace"], pod["metadata"]["name"]), now)
    host.pulling()
    return False


def _pulled(host: Host, pod: Object, container: Container, took: str) -> None:
    image = container.spec.get("image", "")
    container.has_pulled, container.is_pulling = True, False
    size = int(host.registry.size(image))
    text = (
        f'Successfully pulled image "{image}" in {took} ({took} including waiting). Image size: {size} bytes.'
    )
    host.tell(pod, "Normal", "Pulled", text, container.path)


def _cannot_pull(host: Host, pod: Object, container: Container, now: float) -> None:
    """One failed try, then a pause that doubles; ErrImagePull at the try, ImagePullBackOff in the pause."""
    image = container.spec.get("image", "")
    reference = image if "/" in image else f"docker.io/library/{image}"
    error = (
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{reference}": '
        f'failed to resolve reference "{reference}": {reference}: not found'
    )
    if container.reason == "ErrImagePull":
        message = f'Back-off pulling image "{image}"'
        host.tell(pod, "Normal", "BackOff", message, container.path)
        host.tell(pod, "Warning", "Failed", "Error: ImagePullBackOff", container.path)
        container.reason, container.message = "ImagePullBackOff", f"{message}: ErrImagePull: {error}"
        container.retry_s = now + container.back_off_s
        return
    host.tell(pod, "Normal", "Pulling", f'Pulling image "{image}"', container.path)
    host.tell(pod, "Warning", "Failed", f'Failed to pull image "{image}": {error}', container.path)
    host.tell(pod, "Warning", "Failed", "Error: ErrImagePull", container.path)
    container.reason, container.message = "ErrImagePull", error
    container.back_off_s = min(max(_PULL_FIRST_S, 2 * container.back_off_s), _PULL_LONGEST_S)
    container.retry_s = now + 1.0
