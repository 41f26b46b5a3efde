"""Defaults of pods and pod templates: pkg/apis/core/v1/defaults.go (1.36). They change the object in place."""

import re
from collections.abc import Iterable
from typing import Any

from stoker.lab.kinds.metadata_memory import remembered
from stoker.lab.kinds.pod_resources import aggregate, is_hugepages, is_pod_level
from stoker.lab.kinds.strategy import Object

__all__ = ["default_pod", "default_pod_spec", "default_template", "pull_policy"]

_TAGGED = re.compile(r"(?:.*/)?[^/@:]+:([\w][\w.-]{0,127})(?:@.*)?", re.ASCII)
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_LISTS = ("containers", "initContainers", "ephemeralContainers")
_SOURCES = frozenset(
    [
        "hostPath",
        "emptyDir",
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "gitRepo",
        "secret",
        "nfs",
        "iscsi",
        "glusterfs",
        "persistentVolumeClaim",
        "rbd",
        "flexVolume",
        "cinder",
        "cephfs",
        "flocker",
        "downwardAPI",
        "fc",
        "azureFile",
        "configMap",
        "vsphereVolume",
        "quobyte",
        "azureDisk",
        "photonPersistentDisk",
        "projected",
        "portworxVolume",
        "scaleIO",
        "storageos",
        "csi",
        "ephemeral",
        "image",
    ]
)
_FILE_MODE = 0o644


@remembered
def pull_policy(image: str) -> str:
    """``Always`` for the tag latest, which no tag and no digest means."""
    found = _TAGGED.fullmatch(image)
    tag = found[1] if found else ("" if "@" in image or not _is_reference(image) else "latest")
    return "Always" if tag == "latest" else "IfNotPresent"


_REFERENCE = re.compile(
    r"(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*",
    re.ASCII,
)


def _is_reference(image: str) -> bool:
    """Whether an image without tag can be read at all; what cannot has no tag, not even latest (distribution/reference)."""
    return _REFERENCE.fullmatch(image) is not None


def default_pod(pod: Object) -> None:
    """SetDefaults_Pod and what it holds."""
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec)
    if pod.get("status"):
        _default_addresses(pod["status"])
    for name in ("containers", "initContainers"):
        for container in spec.get(name) or ():
            _requests_from_limits(container.get("resources"))
    if spec.get("resources"):
        _default_pod_resources(spec)
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        for name in ("containers", "initContainers"):
            _default_host_ports(spec.get(name) or ())


def _default_addresses(status: Object) -> None:
    """The conversion keeps podIP and podIPs alike; the old field rules (pkg/apis/core/v1/conversion.go)."""
    address, addresses = status.get("podIP"), status.get("podIPs")
    if address and (not addresses or addresses[0].get("ip") != address):
        status["podIPs"] = [{"ip": address}]
    elif addresses and not address:
        status["podIP"] = addresses[0].get("ip", "")


def _requests_from_limits(resources: Object | None) -> None:
    """Only in pods, not in templates: what is limited and not requested is requested."""
    if not resources or not (limits := resources.get("limits")):
        return
    requests = resources.get("requests")
    if requests is None:
        requests = resources["requests"] = {}
    for name, value in limits.items():
        requests.setdefault(name, value)


def _default_host_ports(containers: Iterable[Object]) -> None:
    for container in containers:
        for port in container.get("ports") or ():
            if not port.get("hostPort") and port.get("containerPort"):
                port["hostPort"] = port["containerPort"]


def _default_pod_resources(spec: Object) -> None:
    """Limits of huge pages and requests of the whole pod, where the pod has resources of its own (KEP-2837)."""
    resources = spec["resources"]
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    if not limits and not requests:
        return
    pages = {name: value for name, value in aggregate(spec, "limits").items() if is_hugepages(name)}
    limits = {name: value for name, value in pages.items() if name not in requests} | limits
    if not limits:
        return
    resources["limits"] = limits
    summed = {
        name: value
        for name, value in aggregate(spec, "requests").items()
        if is_pod_level(name) and not is_hugepages(name)
    }
    wanted = {name: value for name, value in limits.items() if is_pod_level(name)} | summed | requests
    if wanted:
        resources["requests"] = wanted


def default_template(template: Object | None) -> None:
    """Defaults of a pod template."""
    if template is not None:
        default_pod_spec(template.setdefault("spec", {}))


def default_pod_spec(spec: Object) -> None:
    """SetDefaults_PodSpec and what it holds."""
    for key, value in (
        ("restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", 30),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ):
        if key not in spec:
            spec[key] = value
    if "securityContext" not in spec:
        spec["securityContext"] = {}
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:  # the conversion writes the deprecated alias too
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    if spec.get("volumes"):
        for volume in spec["volumes"]:
            _default_volume(volume)
    for name in _LISTS:
        if spec.get(name):
            for container in spec[name]:
                _default_container(container)


def _default_container(container: Object) -> None:
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    if container.get("env"):
        _default_env(container["env"])
    for key in _PROBES:
        if key in container:
            _default_probe(container[key])
    lifecycle = container.get("lifecycle")
    if lifecycle:
        for key in ("postStart", "preStop"):
            _default_http(lifecycle.get(key) or {})


def _default_env(variables: Iterable[Object]) -> None:
    for env in variables:
        source = env.get("valueFrom")
        if source is not None:
            if source.get("fieldRef") is not None:
                source["fieldRef"].setdefault("apiVersion", "v1")
            if source.get("fileKeyRef") is not None:
                source["fileKeyRef"].setdefault("optional", False)


def _default_probe(probe: Object) -> None:
    _default_http(probe)
    grpc = probe.get("grpc")
    if grpc is not None and "service" not in grpc:
        grpc["service"] = ""
    for key, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        if not probe.get(key):
            probe[key] = value


def _default_http(handler: Object) -> None:
    http = handler.get("httpGet")
    if http is not None:
        if not http.get("path"):
            http["path"] = "/"
        if not http.get("scheme"):
            http["scheme"] = "HTTP"


def _default_volume(volume: Object) -> None:
    if not _SOURCES & volume.keys():
        volume["emptyDir"] = {}
        return
    for key in ("secret", "configMap", "downwardAPI", "projected"):
        source = volume.get(key)
        if source is not None:
            source.setdefault("defaultMode", _FILE_MODE)
            _default_field_refs(source.get("items") or ())
    if volume.get("projected"):
        _default_projections(volume["projected"].get("sources") or ())
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    image = volume.get("image")
    if image is not None and not image.get("pullPolicy"):
        image["pullPolicy"] = pull_policy(image.get("reference", ""))
    claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if claim is not None:
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    _default_remote_volume(volume)


def _default_field_refs(items: Iterable[Any]) -> None:
    for item in items:
        if item.get("fieldRef") is not None:
            item["fieldRef"].setdefault("apiVersion", "v1")


def _default_projections(sources: Iterable[Object]) -> None:
    for source in sources:
        token = source.get("serviceAccountToken")
        if token is not None:
            token.setdefault("expirationSeconds", 3600)
        if source.get("downwardAPI") is not None:
            _default_field_refs(source["downwardAPI"].get("items") or ())


def _default_remote_volume(volume: Object) -> None:
    """Declared defaults (`+default` in types.go) of volume plugins of old."""
    if "iscsi" in volume:
        volume["iscsi"].setdefault("iscsiInterface", "default")
    if "rbd" in volume:
        for key, value in (("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")):
            volume["rbd"].setdefault(key, value)
    if "azureDisk" in volume:
        for key, disk in (
            ("cachingMode", "ReadWrite"),
            ("fsType", "ext4"),
            ("readOnly", False),
            ("kind", "Shared"),
        ):
            volume["azureDisk"].setdefault(key, disk)
    if "scaleIO" in volume:
        for key, value in (("storageMode", "ThinProvisioned"), ("fsType", "xfs")):
            volume["scaleIO"].setdefault(key, value)
