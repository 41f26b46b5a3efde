"""What the compilers read, kept beside the store: monitors and rules whole, pods cut down to what targets need."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

from stoker.lab.api.convert import from_storage
from stoker.lab.control.local import Local
from stoker.lab.monitoring.config import Compiled, Objects, job_targets
from stoker.lab.monitoring.jobs import Job
from stoker.lab.monitoring.targets import Object, Target
from stoker.lab.store import Change, Key, Subscription

__all__ = ["Mirror", "secret_value"]

_GROUP: Final = "monitoring.coreos.com"
# Shelves by the field of `Objects` that they fill.
_CONFIGURATION: Final = {
    "prometheuses": f"prometheuses.{_GROUP}",
    "alertmanagers": f"alertmanagers.{_GROUP}",
    "service_monitors": f"servicemonitors.{_GROUP}",
    "pod_monitors": f"podmonitors.{_GROUP}",
    "probes": f"probes.{_GROUP}",
    "scrape_configs": f"scrapeconfigs.{_GROUP}",
    "rules": f"prometheusrules.{_GROUP}",
    "alertmanager_configs": f"alertmanagerconfigs.{_GROUP}",
}
_KINDS: Final = {
    "prometheuses": ("v1", "Prometheus"),
    "alertmanagers": ("v1", "Alertmanager"),
    "service_monitors": ("v1", "ServiceMonitor"),
    "pod_monitors": ("v1", "PodMonitor"),
    "probes": ("v1", "Probe"),
    "scrape_configs": ("v1alpha1", "ScrapeConfig"),
    "rules": ("v1", "PrometheusRule"),
    "alertmanager_configs": ("v1alpha1", "AlertmanagerConfig"),
}
_PODS, _SERVICES, _SLICES = "pods", "services", "endpointslices.discovery.k8s.io"
_SERVICE_NAME: Final = "kubernetes.io/service-name"
_Places = dict[str, dict[str, Object]]


def secret_value(local: Local, namespace: str, name: str, key: str) -> str | None:
    """A value of a Secret, decoded; None where there is none."""
    import base64

    found = local.get("v1", "Secret", namespace, name)
    text = ((found or {}).get("data") or {}).get(key)
    return None if text is None else base64.b64decode(text).decode("utf-8", "replace")


class Mirror:
    """Follows the store. ``wake`` is called at every write that matters."""

    def __init__(self, local: Local, wake: Callable[[], None]) -> None:
        self.local = local
        self.is_stale = True
        # Namespaces whose targets may have changed.
        self.dirty: set[str] = set()
        self._pods: _Places = defaultdict(dict)
        self._services: _Places = defaultdict(dict)
        self._slices: _Places = defaultdict(dict)
        self._subscriptions: list[Subscription] = []
        store = local.cluster.store
        self._shelves = {
            _PODS: (self._pods, _trimmed_pod),
            _SERVICES: (self._services, _trimmed_service),
            _SLICES: (self._slices, _trimmed_slice),
        }
        for shelf in (*_CONFIGURATION.values(), "secrets", "namespaces", *self._shelves):
            self._subscriptions.append(store.subscribe(shelf, store.revision, wake))
        for shelf in self._shelves:
            for place, record in store.scan(shelf):
                self._take(Change(Key(shelf, *place), record, None, is_delete=False))

    def close(self) -> None:
        for one in self._subscriptions:
            one.close()

    def follow(self) -> None:
        """Take every change that has come."""
        for one in self._subscriptions:
            while one.changes:
                self._take(one.changes.popleft())

    def _take(self, change: Change) -> None:
        found = self._shelves.get(change.key.resource)
        if found is None:
            self.is_stale = True
            return
        places, trim = found
        namespace, name = change.key.namespace, change.key.name
        before = places[namespace].get(name)
        now = None if change.is_delete else trim(change.record.object())
        if before == now:
            return
        if now is None:
            places[namespace].pop(name, None)
        else:
            places[namespace][name] = now
        self.dirty.add(namespace)

    def objects(self) -> Objects:
        """Everything that configures; read anew."""
        store, local = self.local.cluster.store, self.local
        found: dict[str, Any] = {}
        for field, (version, kind) in _KINDS.items():
            served = local.kind(f"{_GROUP}/{version}", kind)
            if served is not None:
                found[field] = [
                    from_storage(served, record.object()) for _, record in store.scan(served.shelf)
                ]
        namespaces = {
            name: record.object()["metadata"].get("labels") or {}
            for (_, name), record in store.scan("namespaces")
        }
        return Objects(
            secret=lambda namespace, name, key: secret_value(local, namespace, name, key),
            namespaces=namespaces,
            **found,
        )

    def targets(self, compiled: Compiled, namespaces: set[str] | None) -> Iterator[tuple[Job, list[Target]]]:
        """Targets of the jobs that look into the namespaces; None for all of them."""
        for job in compiled.jobs:
            if job.role == "static":
                continue
            if namespaces is not None and job.namespaces is not None and not namespaces & job.namespaces:
                continue
            yield job, self._targets(job)

    def _targets(self, job: Job) -> list[Target]:
        places = (
            sorted(self._pods.keys() | self._services.keys()) if job.namespaces is None else job.namespaces
        )
        pods: dict[tuple[str, str], Object] = {}
        services: list[Object] = []
        slices: dict[tuple[str, str], list[Object]] = defaultdict(list)
        for namespace in places:
            pods |= {(namespace, name): pod for name, pod in self._pods.get(namespace, {}).items()}
            if job.role == "service":
                services += self._services.get(namespace, {}).values()
                for one in self._slices.get(namespace, {}).values():
                    slices[namespace, one["service"]].append(one)
        return job_targets(job, pods, services, slices)


def _kept(obj: Object, *keys: str) -> Object:
    return {key: obj[key] for key in keys if key in obj}


def _metadata(obj: Object, *keys: str) -> Object:
    return _kept(obj["metadata"], "name", "namespace", "uid", "labels", "annotations", *keys)


def _trimmed_pod(pod: Object) -> Object:
    spec, status = pod["spec"], pod.get("status") or {}
    found: Object = {
        "metadata": _metadata(pod, "ownerReferences"),
        "spec": _kept(spec, "nodeName"),
        "status": _kept(status, "podIP", "hostIP", "phase"),
    }
    for key in ("containers", "initContainers"):
        if spec.get(key):
            found["spec"][key] = [_kept(one, "name", "image", "ports") for one in spec[key]]
    for key in ("containerStatuses", "initContainerStatuses"):
        if status.get(key):
            found["status"][key] = [_kept(one, "name", "containerID") for one in status[key]]
    found["status"]["conditions"] = [
        _kept(one, "type", "status") for one in status.get("conditions") or [] if one["type"] == "Ready"
    ]
    return found


def _trimmed_service(service: Object) -> Object:
    return {"metadata": _metadata(service)}


def _trimmed_slice(one: Object) -> Object:
    labels = one["metadata"].get("labels") or {}
    return {
        "metadata": _kept(one["metadata"], "name", "namespace"),
        "service": labels.get(_SERVICE_NAME, ""),
        **_kept(one, "addressType", "endpoints", "ports"),
    }
